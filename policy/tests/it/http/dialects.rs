//! Mocks of the four kinds of servers, over a model whose tokens are bytes.
//!
//! They answer in the formats of vLLM, SGLang, llama.cpp and llama-cpp-python, including their
//! peculiarities: a stop string without log-probabilities, null at the first position, text instead of ids.

use std::sync::Arc;

use serde_json::{Value, json};

use super::mock::{Answer, Asked, Mock};

pub const BOS: u32 = 256;
pub const EOS: u32 = 257;

/// The text that the model generates after a prompt with a seed; `\u{3}` is EOS.
pub type Script = dyn Fn(&str, u64) -> String + Send + Sync;

pub fn bytes(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

pub fn text(ids: &[u32]) -> String {
    let bytes = ids.iter().filter(|id| **id < 256).map(|id| *id as u8).collect();
    String::from_utf8(bytes).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
}

/// Log-probability of a token at any position.
pub fn logp(id: u32) -> f64 {
    -f64::from(id % 7 + 1) / 8.0
}

/// Labels listed after a judge's question: log-probabilities by text.
const LISTED: [(&str, f64); 3] = [("A", -0.5), ("B", -1.5), ("x", -4.0)];

/// Generates until a stop string, EOS or the token limit. Returns the ids and the finish reason.
fn generate(script: &Script, prompt: &str, seed: u64, most: u64, stops: &Value) -> (Vec<u32>, End) {
    let mut out = Vec::new();
    for byte in script(prompt, seed).bytes() {
        if byte == 3 {
            out.push(EOS);
            return (out, End::Eos);
        }
        out.push(u32::from(byte));
        let so_far = text(&out);
        let stops = stops.as_array().into_iter().flatten().filter_map(Value::as_str);
        if let Some(stop) = stops.into_iter().find(|s| so_far.contains(s)) {
            return (out, End::Stop(stop.to_owned()));
        }
        if out.len() as u64 >= most {
            break;
        }
    }
    (out, End::Length)
}

enum End {
    Stop(String),
    Eos,
    Length,
}

fn models(owner: &str) -> Answer {
    Answer::Json(json!({ "object": "list", "data": [
        { "id": "tiny", "object": "model", "owned_by": owner, "max_model_len": 4096 },
    ] }))
}

pub fn vllm(script: Arc<Script>) -> impl Fn(&Asked) -> Answer + Send + Sync {
    move |asked| {
        let body = &asked.body;
        match asked.path.as_str() {
            "/v1/models" => models("vllm"),
            "/tokenize" if body["messages"].is_array() => Answer::Status(400, "no chat template"),
            "/tokenize" => {
                let mut tokens = bytes(body["prompt"].as_str().unwrap());
                if body["add_special_tokens"] == true {
                    tokens.insert(0, BOS);
                }
                Answer::Json(json!({ "tokens": tokens, "count": tokens.len() }))
            }
            "/detokenize" => Answer::Json(json!({ "prompt": text(&ids(&body["tokens"])) })),
            "/v1/completions" if body["prompt_logprobs"] == 1 => {
                let places: Vec<Value> = ids(&body["prompt"])
                    .iter()
                    .enumerate()
                    .map(|(i, id)| match i {
                        0 => Value::Null,
                        _ => {
                            json!({ id.to_string(): { "logprob": logp(*id), "rank": id % 2 + 1 } })
                        }
                    })
                    .collect();
                Answer::Json(json!({ "choices": [{ "prompt_logprobs": places }] }))
            }
            "/v1/completions" if body["logprobs"] == 20 => {
                let listed = LISTED.map(|(t, l)| (format!("token_id:{}", bytes(t)[0]), json!(l)));
                let listed: serde_json::Map<_, _> = listed.into_iter().collect();
                Answer::Json(json!({ "choices": [{ "logprobs": { "top_logprobs": [listed] } }] }))
            }
            "/v1/completions" => {
                let prompt = text(&ids(&body["prompt"]));
                let most = body["max_tokens"].as_u64().unwrap();
                let seed = body["seed"].as_u64().unwrap();
                let (out, end) = generate(&*script, &prompt, seed, most, &body["stop"]);
                let (finish, reason) = match end {
                    End::Stop(stop) => ("stop", json!(stop)),
                    End::Eos => ("stop", Value::Null),
                    End::Length => ("length", Value::Null),
                };
                let logps: Vec<f64> = out.iter().map(|id| logp(*id)).collect();
                let names: Vec<String> = out.iter().map(|id| format!("token_id:{id}")).collect();
                Answer::Json(json!({ "choices": [{
                    "text": "", "token_ids": out, "finish_reason": finish, "stop_reason": reason,
                    "logprobs": { "tokens": names, "token_logprobs": logps },
                }], "usage": { "prompt_tokens_details": { "cached_tokens": 2 } } }))
            }
            _ => Answer::Status(404, "no such path"),
        }
    }
}

pub fn sglang(script: Arc<Script>) -> impl Fn(&Asked) -> Answer + Send + Sync {
    move |asked| {
        let body = &asked.body;
        let entry = |id: &u32| json!([logp(*id), id, null]);
        match asked.path.as_str() {
            "/v1/models" => models("sglang"),
            "/tokenize" => {
                let mut tokens = bytes(body["prompt"].as_str().unwrap());
                if body["add_special_tokens"] == true {
                    tokens.insert(0, BOS);
                }
                Answer::Json(json!({ "tokens": tokens }))
            }
            "/detokenize" => Answer::Json(json!({ "text": text(&ids(&body["tokens"])) })),
            "/generate" if body["logprob_start_len"].is_u64() => {
                let from = body["logprob_start_len"].as_u64().unwrap() as usize;
                let all = ids(&body["input_ids"]);
                let mut places: Vec<Value> = all[from..].iter().map(entry).collect();
                places[0] = json!([null, all[from], null]);
                let tops: Vec<Value> =
                    all[from..].iter().map(|id| json!([entry(&(id & !1))])).collect();
                Answer::Json(json!({ "meta_info": {
                    "input_token_logprobs": places, "input_top_logprobs": tops,
                } }))
            }
            "/generate" if body["token_ids_logprob"].is_array() => {
                let listed = LISTED.map(|(t, l)| json!([l, bytes(t)[0], null]));
                Answer::Json(json!({ "meta_info": { "output_token_ids_logprobs": [listed] } }))
            }
            "/generate" => {
                let sampling = &body["sampling_params"];
                let prompt = text(&ids(&body["input_ids"]));
                let most = sampling["max_new_tokens"].as_u64().unwrap();
                let seed = sampling["sampling_seed"].as_u64().unwrap();
                let (out, end) = generate(&*script, &prompt, seed, most, &sampling["stop"]);
                let finish = match end {
                    End::Stop(stop) => json!({ "type": "stop", "matched": stop }),
                    End::Eos => json!({ "type": "stop", "matched": EOS }),
                    End::Length => json!({ "type": "length", "length": most }),
                };
                let drawn: Vec<Value> = out.iter().map(entry).collect();
                Answer::Json(json!({ "text": "", "output_ids": out, "meta_info": {
                    "finish_reason": finish, "output_token_logprobs": drawn, "cached_tokens": 2,
                } }))
            }
            _ => Answer::Status(404, "no such path"),
        }
    }
}

pub fn llama_cpp(script: Arc<Script>) -> impl Fn(&Asked) -> Answer + Send + Sync {
    let listed = |id: u32, most_likely: u32| {
        let top = json!([{ "id": most_likely, "token": "", "logprob": logp(most_likely) }]);
        json!({ "id": id, "token": "", "logprob": logp(id), "top_logprobs": top })
    };
    move |asked| {
        let body = &asked.body;
        match asked.path.as_str() {
            "/v1/models" => Answer::Json(json!({ "data": [
                { "id": "tiny.gguf", "owned_by": "llamacpp", "meta": { "n_ctx_train": 9 } },
            ] })),
            "/props" => Answer::Json(json!({
                "default_generation_settings": { "n_ctx": 4096 }, "eos_token": "\u{3}",
                "chat_template": "",
            })),
            "/tokenize" => {
                let content = body["content"].as_str().unwrap();
                let mut tokens = if content == "\u{3}" { vec![EOS] } else { bytes(content) };
                if body["add_special"] == true {
                    tokens.insert(0, BOS);
                }
                Answer::Json(json!({ "tokens": tokens }))
            }
            "/detokenize" => Answer::Json(json!({ "content": text(&ids(&body["tokens"])) })),
            "/completion" if body["grammar"].is_string() => {
                let rule = body["grammar"].as_str().unwrap();
                let forced = rule.split("<[").skip(1).map(|p| p.split(']').next().unwrap());
                let forced: Vec<u32> = forced.map(|id| id.parse().unwrap()).collect();
                let places: Vec<Value> = forced.iter().map(|id| listed(*id, id & !1)).collect();
                Answer::Json(json!({ "tokens": forced, "completion_probabilities": places }))
            }
            "/completion" if body["n_probs"] == 100 => {
                let top = LISTED.map(|(t, l)| json!({ "id": bytes(t)[0], "logprob": l }));
                Answer::Json(json!({ "completion_probabilities": [{ "top_logprobs": top }] }))
            }
            "/completion" => {
                let prompt = text(&ids(&body["prompt"]));
                let most = body["n_predict"].as_u64().unwrap();
                let seed = body["seed"].as_u64().unwrap();
                let (out, end) = generate(&*script, &prompt, seed, most, &body["stop"]);
                let (kind, hidden) = match &end {
                    End::Stop(stop) => ("word", stop.len()),
                    End::Eos => ("eos", 0),
                    End::Length => ("limit", 0),
                };
                let shown = &out[..out.len() - hidden];
                let places: Vec<Value> = shown.iter().map(|id| listed(*id, *id)).collect();
                Answer::Json(json!({
                    "content": text(shown), "tokens": out, "stop_type": kind,
                    "completion_probabilities": places, "timings": { "cache_n": 2 },
                }))
            }
            _ => Answer::Status(404, "no such path"),
        }
    }
}

pub fn llama_cpp_python(bos: bool, script: Arc<Script>) -> impl Fn(&Asked) -> Answer + Send + Sync {
    move |asked| {
        let body = &asked.body;
        match asked.path.as_str() {
            "/v1/models" => Answer::Json(json!({ "data": [{ "id": "tiny", "owned_by": "me" }] })),
            "/extras/tokenize" => {
                let mut tokens = bytes(body["input"].as_str().unwrap());
                if bos {
                    tokens.insert(0, BOS);
                }
                Answer::Json(json!({ "tokens": tokens }))
            }
            "/extras/detokenize" => Answer::Json(json!({ "text": text(&ids(&body["tokens"])) })),
            "/v1/completions" => {
                let prompt = body["prompt"].as_str().unwrap();
                let listed = |t: &str| json!({ t: logp(bytes(t)[0]), "\u{1}": -0.3 });
                if body["echo"] == true {
                    let pieces: Vec<String> = prompt.chars().map(String::from).collect();
                    let logps = pieces.iter().enumerate();
                    let logps: Vec<Value> = logps
                        .map(|(i, t)| if i == 0 { Value::Null } else { json!(logp(bytes(t)[0])) })
                        .collect();
                    let tops: Vec<Value> = pieces.iter().map(|t| listed(t)).collect();
                    return Answer::Json(json!({ "choices": [{ "finish_reason": "stop",
                        "logprobs": { "token_logprobs": logps, "top_logprobs": tops },
                    }] }));
                }
                if body["logprobs"] == 100 {
                    let listed: serde_json::Map<_, _> =
                        LISTED.iter().map(|(t, l)| ((*t).to_owned(), json!(l))).collect();
                    return Answer::Json(json!({ "choices": [{ "logprobs": {
                        "tokens": ["A"], "top_logprobs": [listed],
                    } }] }));
                }
                let most = body["max_tokens"].as_u64().unwrap();
                let seed = body["seed"].as_u64().unwrap();
                let (mut out, end) = generate(&*script, prompt, seed, most, &body["stop"]);
                out.retain(|id| *id < 256);
                let all = text(&out);
                let (shown, finish) = match &end {
                    End::Stop(stop) => (&all[..all.find(stop.as_str()).unwrap()], "stop"),
                    End::Eos => (all.as_str(), "stop"),
                    End::Length => (all.as_str(), "length"),
                };
                let pieces: Vec<String> = out.iter().map(|id| text(&[*id])).collect();
                let logps: Vec<f64> = out.iter().map(|id| logp(*id)).collect();
                Answer::Json(json!({ "choices": [{
                    "text": shown, "finish_reason": finish,
                    "logprobs": { "tokens": pieces, "token_logprobs": logps },
                }] }))
            }
            _ => Answer::Status(404, "no such path"),
        }
    }
}

/// Returns one server of each dialect with the same model, by name.
pub fn all(
    script: impl Fn(&str, u64) -> String + Send + Sync + 'static,
) -> [(&'static str, Mock); 4] {
    let script: Arc<Script> = Arc::new(script);
    [
        ("vllm", Mock::start(vllm(script.clone()))),
        ("sglang", Mock::start(sglang(script.clone()))),
        ("llama.cpp", Mock::start(llama_cpp(script.clone()))),
        ("llama-cpp-python", Mock::start(llama_cpp_python(true, script))),
    ]
}
