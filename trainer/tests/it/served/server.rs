//! A working server with vLLM's API: this project's engine on a loopback port, with adapters that can be
//! loaded and unloaded.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use regrowth_datasets::{Finish, TokenId};
use regrowth_policy::{
    Boundary, Candidate, LoadOptions, Policy, Propose, Request, Response, Sampling, Score, StopAt,
    call, load,
};
use serde_json::{Value, json};

use crate::mock::{Answer, Asked, Mock};

/// Faults of the server.
#[derive(Default)]
pub struct Faults {
    /// Does not support adapters, like a vLLM started without LoRA.
    pub refuses: AtomicBool,
    /// Answers requests for an adapter with the weights of the base model.
    pub ignores: AtomicBool,
    /// Number of requests that ran concurrently with a request for the log-probabilities of given text. A
    /// vLLM on a CPU with LoRA enabled crashes at the first one.
    pub beside_scores: AtomicUsize,
    /// Number of requests after which the server loses its adapters, as after a restart; 0 means never.
    pub forgets_after: AtomicUsize,
}

/// Weights served on a port.
pub struct Engine {
    pub faults: Faults,
    base: Arc<dyn Policy>,
    /// Number of requests in flight, and how many of them are for log-probabilities of given text.
    working: Mutex<[usize; 2]>,
    adapters: Mutex<BTreeMap<String, Arc<dyn Policy>>>,
    /// Adapters in the order of loading.
    pub loaded: Mutex<Vec<String>>,
}

/// Loads the engine with a checkpoint.
pub fn engine(checkpoint: &Path) -> Arc<dyn Policy> {
    let options = LoadOptions { threads: 1, ..LoadOptions::default() };
    load(checkpoint.to_str().expect("UTF-8"), &options).expect("a checkpoint")
}

/// Returns the log-probabilities of a continuation.
pub fn logps(policy: &dyn Policy, prefix: &[TokenId], ids: &[TokenId]) -> Vec<f32> {
    let score = Score { prefix: prefix.into(), continuation: ids.into() };
    match call(policy, Request::Score(score)).expect("scores") {
        Response::Scores(scores) => scores.logps,
        other => panic!("{other:?}"),
    }
}

/// Samples one continuation.
pub fn continuation(policy: &dyn Policy, propose: Propose) -> Candidate {
    match call(policy, Request::Propose(propose)).expect("a candidate") {
        Response::Candidates(mut found) => found.candidates.remove(0),
        other => panic!("{other:?}"),
    }
}

impl Engine {
    /// Serves a checkpoint as `tiny` at an address (port 0: any free port).
    pub fn serve(checkpoint: &Path, address: &str) -> (Arc<Self>, Mock) {
        let served = Arc::new(Self {
            faults: Faults::default(),
            base: engine(checkpoint),
            working: Mutex::default(),
            adapters: Mutex::default(),
            loaded: Mutex::default(),
        });
        let answering = served.clone();
        (served, Mock::start_at(address, move |asked| answering.answer(asked)))
    }

    /// Names of the loaded adapters.
    pub fn names(&self) -> Vec<String> {
        self.adapters.lock().unwrap().keys().cloned().collect()
    }

    /// Forgets all adapters, as after a restart.
    pub fn forget(&self) {
        self.adapters.lock().unwrap().clear();
    }

    fn answer(&self, asked: &Asked) -> Answer {
        let body = &asked.body;
        match asked.path.as_str() {
            "/v1/models" => self.models(),
            "/v1/load_lora_adapter" if !self.faults.refuses.load(Ordering::SeqCst) => {
                self.load(body)
            }
            "/v1/unload_lora_adapter" => {
                let name = body["lora_name"].as_str().unwrap();
                self.adapters.lock().unwrap().remove(name);
                Answer::Raw("Success: the adapter was removed.")
            }
            "/v1/completions" => self.watched(body),
            _ => Answer::Status(404, "{\"detail\":\"Not Found\"}"),
        }
    }

    /// Answers a completion request and counts concurrent requests.
    fn watched(&self, body: &Value) -> Answer {
        let scores = usize::from(body["prompt_logprobs"] == 1);
        {
            let mut working = self.working.lock().unwrap();
            if working[1] > 0 || (scores == 1 && working[0] > 0) {
                self.faults.beside_scores.fetch_add(1, Ordering::SeqCst);
            }
            *working = [working[0] + 1, working[1] + scores];
        }
        let answer = match self.policy(body["model"].as_str().unwrap()) {
            Some(policy) => completion(&*policy, body),
            None => Answer::Status(404, "{\"error\": \"the model does not exist\"}"),
        };
        let mut working = self.working.lock().unwrap();
        *working = [working[0] - 1, working[1] - scores];
        answer
    }

    fn models(&self) -> Answer {
        let base = json!({ "id": "tiny", "owned_by": "vllm", "max_model_len": 256 });
        let adapters = self.names();
        let adapters =
            adapters.iter().map(|id| json!({ "id": id, "owned_by": "vllm", "parent": "tiny" }));
        let data: Vec<Value> = std::iter::once(base).chain(adapters).collect();
        Answer::Json(json!({ "data": data }))
    }

    /// Loads an adapter, as on a request.
    pub fn load(&self, body: &Value) -> Answer {
        let name = body["lora_name"].as_str().unwrap().to_owned();
        let mut adapters = self.adapters.lock().unwrap();
        if adapters.contains_key(&name) {
            return Answer::Status(400, "The lora adapter has already been loaded.");
        }
        let policy = match self.faults.ignores.load(Ordering::SeqCst) {
            true => self.base.clone(),
            false => engine(Path::new(body["lora_path"].as_str().unwrap())),
        };
        adapters.insert(name.clone(), policy);
        self.loaded.lock().unwrap().push(name);
        Answer::Raw("Success: the adapter was added.")
    }

    fn policy(&self, name: &str) -> Option<Arc<dyn Policy>> {
        if name == "tiny" {
            return Some(self.base.clone());
        }
        let less = |left: usize| left.checked_sub(1);
        let left = &self.faults.forgets_after;
        if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) == Ok(1) {
            self.forget();
        }
        self.adapters.lock().unwrap().get(name).cloned()
    }
}

fn ids(value: &Value) -> Vec<TokenId> {
    serde_json::from_value(value.clone()).expect("token ids")
}

fn completion(policy: &dyn Policy, body: &Value) -> Answer {
    let prompt = ids(&body["prompt"]);
    if body["prompt_logprobs"] == 1 {
        let scored = logps(policy, &prompt[..1], &prompt[1..]);
        let place =
            |(id, logp): (&TokenId, f32)| json!({ id.to_string(): { "logprob": logp, "rank": 1 } });
        let mut places = vec![Value::Null];
        places.extend(prompt[1..].iter().zip(scored).map(place));
        return Answer::Json(json!({ "choices": [{ "prompt_logprobs": places }] }));
    }
    if body["logprobs"] == 20 {
        let labels =
            ["A", "B", " A", " B"].map(|label| *policy.encode(label).unwrap().last().unwrap());
        let listed =
            labels.map(|id| (format!("token_id:{id}"), json!(logps(policy, &prompt, &[id])[0])));
        let listed: serde_json::Map<_, _> = listed.into_iter().collect();
        return Answer::Json(json!({ "choices": [{ "logprobs": { "top_logprobs": [listed] } }] }));
    }
    sampled(policy, prompt, body)
}

fn sampled(policy: &dyn Policy, prompt: Vec<TokenId>, body: &Value) -> Answer {
    let number = |name: &str| body[name].as_f64().unwrap_or(0.0);
    let stops: Vec<String> = serde_json::from_value(body["stop"].clone()).expect("stop strings");
    let step = continuation(
        policy,
        Propose {
            prefix: prompt.into(),
            keys: vec![body["seed"].as_u64().unwrap()],
            sampling: Sampling {
                temperature: number("temperature") as f32,
                top_k: number("top_k").max(0.0) as usize,
                top_p: number("top_p") as f32,
                min_p: number("min_p") as f32,
            },
            greedy_first: false,
            boundary: Boundary::End,
            stop_at: StopAt { strings: stops.clone(), ids: vec![] },
            max_tokens: number("max_tokens") as usize,
        },
    )
    .step;
    let (finish, reason) = match step.finish {
        Finish::Stop => ("stop", json!(stops.iter().find(|s| step.text.contains(s.as_str())))),
        Finish::Eos => ("stop", Value::Null),
        Finish::Boundary | Finish::Length => ("length", Value::Null),
    };
    let names: Vec<String> = step.ids.iter().map(|id| format!("token_id:{id}")).collect();
    Answer::Json(json!({ "choices": [{
        "text": step.text, "token_ids": step.ids, "finish_reason": finish, "stop_reason": reason,
        "logprobs": { "tokens": names, "token_logprobs": step.logps },
    }] }))
}
