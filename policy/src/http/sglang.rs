//! Dialect of SGLang: its own `/generate` and `/classify`, token ids in and out, log-probabilities of any
//! ids.
//!
//! This file contains the fields of SGLang's interface, nothing else. Seeds take effect in its deterministic
//! mode; without this mode the server's samples are not reproducible.

use regrowth_datasets::TokenId;
use serde_json::{Value, json};

use super::completion::{Completed, Completion, End, Label, Scored, label_masses};
use super::fault::Fault;
use super::model::Model;
use super::reply::Reply;
use super::server::Server;
use super::vllm::tokens;
use crate::Sampling;

const GENERATE: &str = "/generate";
const CLASSIFY: &str = "/classify";

/// Fields common to all requests.
fn body(model: &Model, prompt: &[TokenId], max_tokens: usize, sampling: &Sampling) -> Value {
    let mut body = json!({
        "input_ids": prompt, "return_logprob": true, "return_text_in_logprobs": false,
        "sampling_params": {
            "max_new_tokens": max_tokens, "temperature": sampling.temperature,
            "top_p": sampling.top_p, "min_p": sampling.min_p,
            "top_k": if sampling.top_k == 0 { -1 } else { sampling.top_k as i64 },
            "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0,
            "skip_special_tokens": false,
        },
    });
    if let Some(adapter) = &model.adapter {
        body["lora_path"] = json!(adapter);
    }
    body
}

/// Id and log-probability of an entry `[log-probability, id, text or null]`.
fn entry(entry: &Reply) -> Result<(TokenId, f64), Fault> {
    Ok((entry.at(1)?.id()?, entry.at(0)?.logp()?))
}

fn reused(meta: &Reply) -> u64 {
    meta.optional("cached_tokens").and_then(|c| c.count().ok()).unwrap_or(0)
}

pub(super) async fn complete(
    model: &Model,
    server: &Server,
    ask: &Completion,
) -> Result<Completed, Fault> {
    let mut body = body(model, &ask.prompt, ask.max_tokens, &ask.sampling);
    body["sampling_params"]["stop"] = json!(ask.stops);
    body["sampling_params"]["no_stop_trim"] = json!(true);
    // The server's seed is a signed 32-bit number.
    body["sampling_params"]["sampling_seed"] = json!(ask.seed >> 33);
    let value = server.post(GENERATE, &body).await?;
    let reply = Reply::new(server.url(GENERATE), &value);
    let meta = reply.field("meta_info")?;
    let drawn = meta.field("output_token_logprobs")?.list()?;
    let drawn: Vec<(TokenId, f64)> = drawn.iter().map(entry).collect::<Result<_, _>>()?;
    let finish = meta.field("finish_reason")?;
    let end = match (finish.field("type")?.text()?, finish.optional("matched")) {
        ("length", _) => End::Length,
        ("stop", Some(matched)) if matched.text().is_ok() => End::Stop,
        ("stop", _) => End::Eos,
        _ => return Err(finish.bad("type `stop` or `length`")),
    };
    let ids: Vec<TokenId> = drawn.iter().map(|d| d.0).collect();
    let mut logps: Vec<f32> = drawn.iter().map(|d| d.1 as f32).collect();
    let temperature = ask.sampling.temperature;
    if temperature != 0.0 && temperature != 1.0 && !ids.is_empty() {
        // SGLang returns log-probabilities after the temperature; a `Completed` has those at temperature 1.
        logps = score(model, server, &ask.prompt, &ids).await?.logps;
    }
    Completed { ids, logps, end, exact: true, reused: reused(&meta) }.checked(&reply)
}

pub(super) async fn labels(
    model: &Model,
    server: &Server,
    prompt: &[TokenId],
    labels: &[Label],
) -> Result<Option<Vec<f64>>, Fault> {
    let mut body = body(model, prompt, 1, &Sampling::greedy());
    body["token_ids_logprob"] =
        json!(labels.iter().flat_map(|label| &label.ids).collect::<Vec<_>>());
    let value = server.post(GENERATE, &body).await?;
    let reply = Reply::new(server.url(GENERATE), &value);
    let meta = reply.field("meta_info")?;
    let listed = meta.field("output_token_ids_logprobs")?.at(0)?.list()?;
    let listed: Vec<(TokenId, f64)> = listed.iter().map(entry).collect::<Result<_, _>>()?;
    Ok(label_masses(labels, &listed, |id, label| label.ids.contains(id)))
}

pub(super) async fn score(
    model: &Model,
    server: &Server,
    prefix: &[TokenId],
    continuation: &[TokenId],
) -> Result<Scored, Fault> {
    let all = [prefix, continuation].concat();
    let mut body = body(model, &all, 1, &Sampling::greedy());
    // The entry at the start position is null, so start one position earlier.
    body["logprob_start_len"] = json!(prefix.len() - 1);
    body["top_logprobs_num"] = json!(1);
    let value = server.post(GENERATE, &body).await?;
    let reply = Reply::new(server.url(GENERATE), &value);
    let meta = reply.field("meta_info")?;
    let count = continuation.len() + 1;
    let places = meta.field("input_token_logprobs")?.list_of(count)?;
    let tops = meta.field("input_top_logprobs")?.list_of(count)?;
    let mut scored = Scored { logps: vec![], greedy: vec![], reused: reused(&meta) };
    for ((place, top), &id) in places.iter().zip(&tops).skip(1).zip(continuation) {
        let (got, logp) = entry(place)?;
        if got != id {
            return Err(place.bad(&format!("token {id}")));
        }
        scored.logps.push(logp as f32);
        scored.greedy.push(entry(&top.at(0)?)?.0 == id);
    }
    Ok(scored)
}

/// Whether the served model generates; other models embed or classify. Older servers report it at another
/// path.
pub(super) async fn generates(server: &Server) -> Result<bool, Fault> {
    for path in ["/model_info", "/get_model_info"] {
        match server.get(path).await {
            Ok(value) => {
                let reply = Reply::new(server.url(path), &value);
                return reply.optional("is_generation").map_or(Ok(true), |is| is.truth());
            }
            Err(Fault::Refused(_)) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(true)
}

/// Raw scores of a text by a classification model, one per label.
pub(super) async fn classify(server: &Server, ids: &[TokenId]) -> Result<Vec<f64>, Fault> {
    let value = server.post(CLASSIFY, &json!({ "input_ids": ids })).await?;
    Reply::new(server.url(CLASSIFY), &value).field("embedding")?.numbers()
}

/// Ids of a text; if `framed`, with the special tokens around it.
pub(super) async fn encode(
    server: &Server,
    text: &str,
    framed: bool,
) -> Result<Vec<TokenId>, Fault> {
    tokens(server, &json!({ "prompt": text, "add_special_tokens": framed })).await
}

pub(super) async fn decode(server: &Server, ids: &[TokenId]) -> Result<String, Fault> {
    let body = json!({ "tokens": ids, "skip_special_tokens": true });
    let value = server.post("/detokenize", &body).await?;
    Ok(Reply::new(server.url("/detokenize"), &value).field("text")?.text()?.to_owned())
}
