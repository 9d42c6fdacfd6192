//! A policy that answers immediately: candidates and judgements are hashes of the request's own keys.
//!
//! A benchmark with this policy measures the cost of the search alone. Steps have eight tokens, a
//! solution four steps.

use std::sync::Arc;

use crate::game::mix;
use regrowth_datasets::{Finish, Problem, Step, TokenId};
use regrowth_policy::{
    Call, Candidate, Candidates, Judgement, Limits, Policy, PolicyError, Prompt, Propose, Request,
    Response, Usage,
};

/// Ends a solution.
const EOS: TokenId = 0;
/// Tokens of a prompt and of a step.
const PROMPT: usize = 32;
const STEP: usize = 8;
/// Steps of a solution.
const STEPS: usize = 4;

/// The policy.
pub struct Quick;

impl Quick {
    fn candidate(ask: &Propose, key: u64) -> Candidate {
        let last = ask.prefix.len() >= PROMPT + STEP * (STEPS - 1);
        let mut ids: Vec<TokenId> =
            (0..STEP as u64).map(|i| 1 + (mix(key ^ i) % 1000) as TokenId).collect();
        let finish = if last { Finish::Eos } else { Finish::Boundary };
        if last {
            ids[STEP - 1] = EOS;
        }
        let text = if last {
            format!("The answer is {}.\n", key % 10)
        } else {
            format!("{} + {} = {}.\n", key % 7, key % 5, key % 7 + key % 5)
        };
        let logps = ids.iter().map(|&id| -0.1 - (id % 8) as f32 / 8.0).collect();
        Candidate { step: Step { ids, text, logps, finish }, logps_exact: true }
    }

    fn answer(request: &Request) -> Result<Response, PolicyError> {
        let usage = Usage::default();
        match request {
            Request::Propose(ask) => {
                let candidates = ask.keys.iter().map(|&key| Self::candidate(ask, key)).collect();
                Ok(Response::Candidates(Candidates { candidates, usage }))
            }
            Request::Judge(ask) => {
                let hash = ask.step.iter().fold(7, |hash, &id| mix(hash ^ u64::from(id)));
                let correct = Some((hash >> 11) as f64 / (1u64 << 53) as f64);
                Ok(Response::Judgement(Judgement { correct, mass: 1.0, usage }))
            }
            Request::Score(_) | Request::Hidden(_) => {
                Err(PolicyError::Request("nothing to score or read here".to_owned()))
            }
        }
    }
}

impl Policy for Quick {
    fn identity(&self) -> &str {
        "quick"
    }

    fn limits(&self) -> Limits {
        Limits { context: 4096, in_flight: 64, question: 0 }
    }

    fn prompt(&self, problem: &Problem) -> Result<Prompt, PolicyError> {
        let hash = problem.id.bytes().fold(1, |hash, byte| mix(hash ^ u64::from(byte)));
        let ids: Arc<[TokenId]> =
            (0..PROMPT as u64).map(|i| 1 + (mix(hash ^ i) % 1000) as TokenId).collect();
        Ok(Prompt { text: problem.question.clone(), ids })
    }

    fn encode(&self, text: &str) -> Result<Vec<TokenId>, PolicyError> {
        Ok(text.bytes().map(TokenId::from).collect())
    }

    fn decode(&self, ids: &[TokenId]) -> Result<String, PolicyError> {
        Ok(ids.iter().map(|id| format!("{id} ")).collect())
    }

    fn eos(&self) -> Option<TokenId> {
        Some(EOS)
    }

    fn submit(&self, call: Call) {
        let result = Self::answer(&call.request);
        // The channel is closed if nobody waits for the answer any more.
        call.caller.answer(result);
    }
}
