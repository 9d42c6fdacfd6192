//! Estimate of the KL divergence of a policy from the base policy on a fixed set of problems.
//!
//! The policy samples one solution per problem, always with the same random numbers, and both policies score
//! it. The mean of `log pi - log pi_0` over sampled solutions is an unbiased estimate of KL(pi || pi_0). The
//! estimate is reported only; no decision depends on it.

use std::path::Path;
use std::sync::Arc;

use regrowth_datasets::{Problem, TokenId, read_jsonl};
use regrowth_mcts::console::Work;
use regrowth_policy::{Policy, Request, Response, Sampling, Score};
use regrowth_verifiers::ProblemVerifier;
use serde::{Deserialize, Serialize};

use super::journal::{self, Calls, Sink};
use super::observer::{Control, Observer};
use super::report::KlToBase;
use super::test_evaluation::ROW_VERSION;
use crate::TrainError;
use crate::evaluate::{Evaluation, SamplePlan, ask_all};

/// Seed of the sampling, the same in every run.
const SEED: u64 = 0;

/// One sampled solution of one problem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KlRow {
    version: u32,
    id: String,
    tokens: u64,
    /// Log-probability of the solution under the policy that sampled it; `None` if it could not be scored.
    logp: Option<f64>,
    /// Log-probability of the solution under the base policy; `None` if it could not be scored.
    logp_initial: Option<f64>,
}

/// A sampled solution with its prompt.
struct Sample {
    id: String,
    prompt: Arc<[TokenId]>,
    ids: Arc<[TokenId]>,
}

/// Loads a policy; called only if rows are missing.
pub(super) type LoadPolicy<'a> = dyn Fn() -> Result<Arc<dyn Policy>, TrainError> + 'a;

/// Inputs of the estimate.
pub(super) struct KlEstimate<'a> {
    /// The policy that samples.
    pub(super) policy: &'a LoadPolicy<'a>,
    /// The base policy.
    pub(super) base: &'a LoadPolicy<'a>,
    pub(super) path: &'a Path,
    pub(super) round: u32,
    pub(super) problems: &'a [Problem],
    pub(super) max_tokens: usize,
    pub(super) control: &'a Control,
}

impl KlEstimate<'_> {
    /// Estimates the KL divergence from the base policy, resuming from the rows already written. `None` if
    /// there is no problem that both policies can score.
    pub(super) fn run(&self, observer: &mut dyn Observer) -> Result<Option<KlToBase>, TrainError> {
        journal::complete(self.path, self.problems, observer, &mut |todo, observer, sink| {
            self.score(todo, observer, sink)
        })?;
        Ok(summed(&read_jsonl::<KlRow>(self.path)?))
    }

    /// Samples a solution of each problem and scores it under both policies.
    fn score(
        &self,
        problems: &[Problem],
        observer: &mut dyn Observer,
        sink: &mut Sink<KlRow>,
    ) -> Result<(), TrainError> {
        observer.begin(self.round, "kl", 0, Work::Items);
        let policy = journal::recorded(self.path, Calls::Own, (self.policy)()?, observer)?;
        let samples = sample(&*policy, problems, self.max_tokens, self.control)?;
        let own = score(&*policy, &samples)?;
        // Free the policy before the base policy is loaded.
        drop(policy);
        let base = journal::recorded(self.path, Calls::Initial, (self.base)()?, observer)?;
        let initial = score(&*base, &samples)?;
        for ((sample, logp), logp_initial) in samples.into_iter().zip(own).zip(initial) {
            let tokens = sample.ids.len() as u64;
            let Sample { id, .. } = sample;
            let version = ROW_VERSION;
            let row = KlRow { version, id, tokens, logp, logp_initial };
            sink(&row.id, &row)?;
        }
        observer.end();
        Ok(())
    }
}

fn sample(
    policy: &dyn Policy,
    problems: &[Problem],
    max_tokens: usize,
    control: &Control,
) -> Result<Vec<Sample>, TrainError> {
    let plan = SamplePlan {
        seed: SEED,
        sampling: Sampling::default(),
        cancel: control.cancel.clone(),
        ..SamplePlan::greedy(max_tokens)
    };
    let mut samples = Vec::new();
    let verifier = &ProblemVerifier;
    Evaluation { policy, verifier, problems, plan: &plan }.solve(&mut |solved| {
        if let Some(first) = solved.attempts.first().filter(|a| !a.ids.is_empty()) {
            samples.push(Sample {
                id: problems[solved.index].id.clone(),
                prompt: solved.prompt,
                ids: first.ids.as_slice().into(),
            });
        }
        Ok(())
    })?;
    Ok(samples)
}

/// Log-probability of every sample; `None` where the policy cannot score it.
fn score(policy: &dyn Policy, samples: &[Sample]) -> Result<Vec<Option<f64>>, TrainError> {
    let request = |s: &Sample| {
        Request::Score(Score { prefix: s.prompt.clone(), continuation: s.ids.clone() })
    };
    let mut scores = Vec::with_capacity(samples.len());
    for group in samples.chunks(policy.limits().in_flight.max(1)) {
        for answer in ask_all(policy, group.iter().map(request).collect())? {
            scores.push(match answer {
                Ok(Response::Scores(scores)) => {
                    Some(scores.logps.iter().map(|&l| f64::from(l)).sum())
                }
                Err(error) if error.is_final() => return Err(error.into()),
                Ok(_) | Err(_) => None,
            });
        }
    }
    Ok(scores)
}

fn summed(rows: &[KlRow]) -> Option<KlToBase> {
    let scored: Vec<(u64, f64)> =
        rows.iter().filter_map(|r| Some((r.tokens, r.logp? - r.logp_initial?))).collect();
    let problems = scored.len() as u64;
    let tokens: u64 = scored.iter().map(|(tokens, _)| tokens).sum();
    let total: f64 = scored.iter().map(|(_, difference)| difference).sum();
    (problems > 0).then(|| KlToBase {
        problems,
        tokens,
        per_solution: total / problems as f64,
        per_token: total / tokens as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::NoObserver;
    use regrowth_datasets::{Split, tasks::problems_from_spec};
    use regrowth_policy::{LoadOptions, load};

    #[test]
    fn a_policy_has_not_moved_from_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kl_samples.jsonl");
        let problems: Vec<Problem> =
            problems_from_spec("arithmetic", Split::Validation, 0).unwrap().take(4).collect();
        let policy = || Ok(load("builtin", &LoadOptions::default())?);
        let estimate = KlEstimate {
            policy: &policy,
            base: &policy,
            path: &path,
            round: 1,
            problems: &problems,
            max_tokens: 32,
            control: &Control::default(),
        };
        let kl_to_base = estimate.run(&mut NoObserver).unwrap().unwrap();
        assert_eq!((kl_to_base.problems, kl_to_base.per_token), (4, 0.0));
        let rows = read_jsonl::<KlRow>(&path).unwrap();
        assert!(rows.iter().all(|r| r.logp.is_some_and(|l| l < 0.0)));
    }

    #[test]
    fn rows_that_cannot_be_scored_do_not_count() {
        let row = |logp: Option<f64>| KlRow {
            version: ROW_VERSION,
            id: "x".into(),
            tokens: 4,
            logp,
            logp_initial: Some(-3.0),
        };
        assert_eq!(summed(&[row(None)]), None);
        let kl_to_base = summed(&[row(Some(-1.0)), row(None), row(Some(-2.0))]).unwrap();
        assert_eq!((kl_to_base.problems, kl_to_base.tokens), (2, 8));
        assert_eq!((kl_to_base.per_solution, kl_to_base.per_token), (1.5, 0.375));
    }
}
