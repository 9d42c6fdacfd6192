//! A policy that fails at random, but always in the same way for the same request.
//!
//! It imitates the faults of a real engine: an error, no candidates, log-probabilities that are NaN, an
//! unknown judgement.

use std::sync::Arc;

use rand::RngExt;
use regrowth_datasets::keyed_rng;

use super::Around;
use crate::{Call, Policy, PolicyError, Response};

/// Probability of each fault, in [0, 1]; their sum is at most 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FaultRates {
    /// The request fails.
    pub error: f64,
    /// A proposal comes back without candidates.
    pub empty: f64,
    /// A candidate's first log-probability is NaN.
    pub nan: f64,
    /// A judgement is unknown.
    pub unknown: f64,
}

/// A policy with seeded faults.
pub struct Faulty {
    inner: Arc<dyn Policy>,
    rates: FaultRates,
    seed: u64,
}

impl Faulty {
    /// Makes `inner` fail at these rates.
    #[must_use]
    pub fn new(inner: Arc<dyn Policy>, rates: FaultRates, seed: u64) -> Self {
        Self { inner, rates, seed }
    }

    /// Applies the fault that `draw` in [0, 1) selects to a response, or returns the response unchanged.
    fn spoil(&self, draw: f64, response: Response) -> Result<Response, PolicyError> {
        let FaultRates { error, empty, nan, unknown } = self.rates;
        if draw < error {
            return Err(PolicyError::Model("a fault on purpose".to_owned()));
        }
        let place = draw - error;
        Ok(match response {
            Response::Candidates(mut got) => {
                if place < empty {
                    got.candidates.clear();
                } else if place < empty + nan {
                    let logps = got.candidates.iter_mut().map(|c| &mut c.step.logps);
                    logps.filter_map(|l| l.first_mut()).for_each(|l| *l = f32::NAN);
                }
                Response::Candidates(got)
            }
            Response::Judgement(mut got) => {
                if place < unknown {
                    got.correct = None;
                }
                Response::Judgement(got)
            }
            sound @ (Response::Scores(_) | Response::Hidden(_)) => sound,
        })
    }
}

impl Around for Faulty {
    fn inner(&self) -> &dyn Policy {
        &*self.inner
    }

    fn take(&self, call: Call) {
        let name = serde_json::to_vec(&call.request).unwrap_or_default();
        let draw = keyed_rng(self.seed, &[b"fault", &name]).random::<f64>();
        let Call { request, caller } = call;
        let result = crate::call(&*self.inner, request);
        caller.answer(result.and_then(|response| self.spoil(draw, response)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Boundary, Propose, Request, Sampling, Scripted, StopAt, call};

    #[test]
    fn faults_come_at_their_rates_and_repeat() {
        let rates = FaultRates { error: 0.2, empty: 0.2, nan: 0.2, unknown: 0.0 };
        let policy = Faulty::new(Arc::new(Scripted::new()), rates, 3);
        let ids = policy.encode("Question: 1 and 2?\nAnswer:\n").expect("ids");
        let ask = |key| {
            let propose = Propose {
                prefix: ids.clone().into(),
                keys: vec![key],
                sampling: Sampling::default(),
                greedy_first: false,
                boundary: Boundary::Newline,
                stop_at: StopAt::default(),
                max_tokens: 50,
            };
            match call(&policy, Request::Propose(propose)) {
                Err(_) => 0,
                Ok(Response::Candidates(c)) if c.candidates.is_empty() => 1,
                Ok(Response::Candidates(c)) if c.candidates[0].step.logps[0].is_nan() => 2,
                Ok(_) => 3,
            }
        };
        let mut counts = [0; 4];
        for key in 0..500 {
            let kind = ask(key);
            assert_eq!(kind, ask(key));
            counts[kind] += 1;
        }
        assert!(counts[..3].iter().all(|n| (60..140).contains(n)), "{counts:?}");
    }
}
