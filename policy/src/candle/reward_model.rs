//! Reward models: checkpoints in Hugging Face layout whose head scores a text instead of predicting tokens.
//!
//! `...ForSequenceClassification` scores a sequence at its last token; `...ForTokenClassification` (TRL's
//! process reward models) scores every token. In both cases the score at the last token of the judged step
//! is used. A model with one label gives r(x, y<=s), and C = sigmoid(r), as in the authors' code of
//! arXiv:2405.00451. With two labels, the second one means correct, and C is its probability (softmax). The
//! engine computes the decoder; this file adds the head.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::channel::{Receiver, Sender, unbounded};
use dashmap::DashMap;
use regrowth_datasets::{Problem, TokenId, stream_key};

use crate::candle::checkpoint::config::ModelConfig;
use crate::candle::checkpoint::held::Held;
use crate::candle::checkpoint::source::Source;
use crate::candle::checkpoint::weights_file::{Checkpoint, read_score_head};
use crate::candle::engine::CandlePolicy;
use crate::check::scored;
use crate::text::Files;
use crate::{
    Answered, Call, Caller, Hidden, Judge, Judgement, Limits, LoadOptions, Policy, PolicyError,
    Prompt, Request, Response,
};

/// A reward model. It answers `Judge` and `Hidden` requests and refuses all others.
pub struct RewardModel {
    decoder: CandlePolicy,
    identity: String,
    /// Callers that wait for a judgement, by the id of the request for its hidden state.
    waiting: Arc<DashMap<u64, Caller>>,
    next: AtomicU64,
    reply: Sender<Answered>,
}

impl RewardModel {
    /// Whether a checkpoint is a reward model.
    ///
    /// # Errors
    /// If its configuration is missing or malformed.
    pub fn is_in(source: &Source) -> Result<bool, PolicyError> {
        Ok(config(source)?.scores)
    }

    /// Loads a reward model.
    ///
    /// # Errors
    /// If a file is missing or malformed, or the head is not a linear layer with one or two labels.
    pub fn load(source: Source, options: &LoadOptions) -> Result<Self, PolicyError> {
        let config = config(&source)?;
        let head = ScoreHead::read(&source, config.hidden_size)?;
        let checkpoint = Checkpoint::with(source, config, Held::AsStored)?;
        let decoder = CandlePolicy::taking(checkpoint, options)?;
        let identity = format!("{}+score@{:016x}", decoder.identity(), head.key());
        let (reply, answers) = unbounded();
        let waiting = Arc::<DashMap<u64, Caller>>::default();
        let callers = waiting.clone();
        std::thread::spawn(move || head.answer(&answers, &callers));
        Ok(Self { decoder, identity, waiting, next: AtomicU64::new(0), reply })
    }
}

fn config(source: &Source) -> Result<ModelConfig, PolicyError> {
    ModelConfig::parse_any(&source.text("config.json")?)
        .map_err(|detail| source.error("config.json", detail))
}

/// Returns the request for the hidden state from which a judgement is computed.
fn state_of(request: Request) -> Result<Hidden, PolicyError> {
    if let Request::Hidden(hidden) = request {
        return Ok(hidden);
    }
    let Judge { prefix, step, .. } = scored(&request)?;
    Ok(Hidden { prefix: prefix.clone(), step: step.clone() })
}

impl Policy for RewardModel {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn limits(&self) -> Limits {
        Limits { question: 0, ..self.decoder.limits() }
    }

    fn notes(&self) -> &[String] {
        self.decoder.notes()
    }

    fn prompt(&self, problem: &Problem) -> Result<Prompt, PolicyError> {
        self.decoder.prompt(problem)
    }

    fn encode(&self, text: &str) -> Result<Vec<TokenId>, PolicyError> {
        self.decoder.encode(text)
    }

    fn decode(&self, ids: &[TokenId]) -> Result<String, PolicyError> {
        self.decoder.decode(ids)
    }

    fn eos(&self) -> Option<TokenId> {
        self.decoder.eos()
    }

    fn submit(&self, call: Call) {
        let judged = matches!(call.request, Request::Judge(_));
        let hidden = match state_of(call.request) {
            Ok(hidden) => Request::Hidden(hidden),
            Err(error) => return call.caller.answer(Err(error)),
        };
        if !judged {
            return self.decoder.submit(Call { request: hidden, caller: call.caller });
        }
        // Relaxed ordering: only uniqueness matters.
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.waiting.insert(id, call.caller);
        self.decoder.submit(Call::new(id, hidden, self.reply.clone()));
    }
}

/// A linear head: a row of weights and a bias per label.
struct ScoreHead {
    rows: Vec<Vec<f32>>,
    bias: Vec<f32>,
}

impl ScoreHead {
    fn read(source: &Source, width: usize) -> Result<Self, PolicyError> {
        let mut tensors = read_score_head(source)?;
        let fail = |detail: String| source.error("model.safetensors", detail);
        let failed = |error: candle_core::Error| fail(error.to_string());
        let Some(weight) = tensors.remove("score.weight") else {
            return Err(fail(format!(
                "tensor `score.weight` of shape [1 or 2, {width}] is missing"
            )));
        };
        let labels = match weight.dims() {
            [labels @ (1 | 2), d] if *d == width => *labels,
            other => {
                let expected =
                    "the score of one label, or two labels of which the second means correct";
                return Err(fail(format!(
                    "tensor `score.weight` has shape {other:?}, expected [1 or 2, {width}]: {expected}"
                )));
            }
        };
        let bias = match tensors.remove("score.bias") {
            Some(bias) if bias.dims() == [labels] => bias.to_vec1().map_err(failed)?,
            Some(bias) => {
                let shape = bias.dims();
                return Err(fail(format!(
                    "tensor `score.bias` has shape {shape:?}, expected [{labels}]"
                )));
            }
            None => vec![0.0; labels],
        };
        if let Some(other) = tensors.keys().next() {
            let detail =
                format!("tensor `{other}`: the head is more than a linear layer, and is not known");
            return Err(fail(detail));
        }
        Ok(Self { rows: weight.to_vec2().map_err(failed)?, bias })
    }

    /// Returns a hash of weights and biases.
    fn key(&self) -> u64 {
        let numbers = self.rows.iter().flatten().chain(&self.bias);
        stream_key(0, &[&numbers.flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>()])
    }

    /// Returns C for a hidden state.
    fn probability(&self, state: &[f32]) -> f64 {
        let score = |(row, bias): (&Vec<f32>, &f32)| -> f64 {
            let products = row.iter().zip(state).map(|(w, x)| f64::from(*w) * f64::from(*x));
            products.sum::<f64>() + f64::from(*bias)
        };
        let scores: Vec<f64> = self.rows.iter().zip(&self.bias).map(score).collect();
        let reward = match scores.as_slice() {
            [wrong, right] => right - wrong,
            scores => scores.iter().sum(),
        };
        1.0 / (1.0 + (-reward).exp())
    }

    /// Turns hidden states into judgements as they arrive, until all senders are dropped.
    fn answer(&self, answers: &Receiver<Answered>, waiting: &DashMap<u64, Caller>) {
        for Answered { request_id, result } in answers {
            let Some((_, caller)) = waiting.remove(&request_id) else { continue };
            caller.answer(result.and_then(|response| match response {
                Response::Hidden(state) => {
                    let correct = Some(self.probability(&state.values));
                    Ok(Response::Judgement(Judgement { correct, mass: 1.0, usage: state.usage }))
                }
                _ => Err(PolicyError::Model("the engine answered something else".to_owned())),
            }));
        }
    }
}
