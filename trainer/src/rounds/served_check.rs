//! Checks that the server answers with the trained weights, by comparing log-probabilities of the round's
//! first pairs between the server and this process.
//!
//! Before the training phase ends, the engine in this process scores these pairs with the start weights and
//! with the trained weights. The difference between its scores with the start weights and those that the
//! server returned when it sampled the pairs is the numerical difference between the two engines. It
//! determines the tolerance for the trained weights. A model that does not fit into the memory of this
//! process is served without this check.

use std::path::Path;

use regrowth_datasets::{PreferencePair, TokenId, read_pairs};
use regrowth_policy::{LoadOptions, Policy, PolicyError, Request, Response, Score, plan};
use serde::{Deserialize, Serialize};

use super::search::PAIRS;
use super::training::CHECKPOINT;
use crate::artefact::{read_checksummed, write_checksummed};
use crate::evaluate::ask_all;
use crate::{TrainError, inputs};

/// Name of the file in the folder of a round.
pub(super) const FILE: &str = "served.json";
/// Maximum number of pairs to compare.
const PAIRS_COMPARED: usize = 4;
/// Maximum mean difference of a token's log-probability at which server and checkpoint count as the same
/// model. It is far above the differences due to low precision and below those due to other weights.
const SAME_MODEL: f64 = 0.25;
/// Part of the tolerance that does not depend on the start weights; [`NOISE_FACTOR`] times their difference
/// is added.
const FLOOR: f64 = 1e-3;
/// Factor on the start weights' difference between server and this process, for the tolerance on the trained
/// weights.
const NOISE_FACTOR: f64 = 3.0;

/// `served.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Expected {
    version: u32,
    /// The steps of the round's first pairs: both sides of each.
    steps: Vec<Step>,
    /// Maximum allowed mean difference of a token's log-probability.
    tolerance: f64,
}

/// A step with its log-probabilities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Step {
    prefix: Vec<TokenId>,
    ids: Vec<TokenId>,
    /// Log-probability of each token under the start weights, computed in this process.
    before: Vec<f32>,
    /// Log-probability of each token under the trained weights, computed in this process.
    after: Vec<f32>,
}

impl Expected {
    /// Scores the round's first pairs under the weights `start`, with which the policy `sampler` sampled
    /// them. `None`, with a log message, if there is no pair to compare or not enough memory.
    ///
    /// # Errors
    /// [`TrainError::Setting`] if the server sampled with other weights than `start`.
    pub(super) fn before(
        dir: &Path,
        (start, sampler): (&str, &str),
        load: &LoadOptions,
    ) -> Result<Option<Self>, TrainError> {
        let log = |text: &str| load.log.iter().for_each(|log| log(text));
        let pairs = read_pairs(&dir.join(PAIRS))?;
        let own = |pair: &&PreferencePair| pair.policy == sampler && !pair.injected;
        let pairs: Vec<&PreferencePair> = pairs.iter().filter(own).take(PAIRS_COMPARED).collect();
        if pairs.is_empty() {
            log(
                "no pair was sampled by the policy that the round started from: the weights that the \
                 server will load are not compared",
            );
            return Ok(None);
        }
        let Some(engine) = engine(start, load)? else { return Ok(None) };
        let (mut steps, mut sampled) = (Vec::new(), Vec::new());
        for pair in pairs {
            let sides = [
                (&pair.chosen_ids, &pair.chosen_logps),
                (&pair.rejected_ids, &pair.rejected_logps),
            ];
            for (ids, logps) in sides {
                let (prefix, ids) = (pair.prompt_ids.clone(), ids.clone());
                steps.push(Step { prefix, ids, before: vec![], after: vec![] });
                sampled.push(logps.clone());
            }
        }
        let before = scores(&*engine, &steps)?;
        let noise = difference(&before, &sampled);
        if noise > SAME_MODEL {
            return Err(TrainError::Setting {
                name: "weights",
                detail: format!(
                    "{start} are not the weights that the server answers with: a token of the first \
                     pairs has a mean log-probability of {:.4} under them and of {:.4} there (mean \
                     difference {noise:.4}, at most {SAME_MODEL})",
                    mean(&before),
                    mean(&sampled)
                ),
            });
        }
        steps.iter_mut().zip(before).for_each(|(step, logps)| step.before = logps);
        Ok(Some(Self { version: 1, steps, tolerance: FLOOR + NOISE_FACTOR * noise }))
    }

    /// Scores the same steps under the round's checkpoint and writes the file.
    pub(super) fn write(mut self, dir: &Path, load: &LoadOptions) -> Result<(), TrainError> {
        let trained = dir.join(CHECKPOINT);
        let Some(engine) = engine(&trained.to_string_lossy(), load)? else { return Ok(()) };
        let after = scores(&*engine, &self.steps)?;
        self.steps.iter_mut().zip(after).for_each(|(step, logps)| step.after = logps);
        write_checksummed(&dir.join(FILE), &self)
    }

    fn side(&self, of: impl Fn(&Step) -> &Vec<f32>) -> Vec<Vec<f32>> {
        self.steps.iter().map(|step| of(step).clone()).collect()
    }
}

/// Compares a server's log-probabilities with those of the round's trained weights.
///
/// # Errors
/// [`PolicyError::Server`], with both mean log-probabilities, if the server answers with other weights.
pub(super) fn check(
    dir: &Path,
    served: &dyn Policy,
    log: Option<fn(&str)>,
) -> Result<(), TrainError> {
    let Some(expected) = read_checksummed::<Expected>(&dir.join(FILE))? else { return Ok(()) };
    let answered = scores(served, &expected.steps)?;
    let (before, after) = (expected.side(|s| &s.before), expected.side(|s| &s.after));
    let (apart, tolerance) = (difference(&after, &answered), expected.tolerance);
    if apart > tolerance {
        let still = if difference(&before, &answered) <= tolerance {
            "; these are the weights that the round started from"
        } else {
            ""
        };
        return Err(PolicyError::Server(format!(
            "the server does not answer with the weights of {}: a token of the round's first pairs has a \
             mean log-probability of {:.4} there and of {:.4} in this process (mean difference \
             {apart:.4}, at most {tolerance:.4}){still}; see what it has loaded, and rerun the same \
             command",
            dir.join(CHECKPOINT).display(),
            mean(&answered),
            mean(&after)
        ))
        .into());
    }
    if let Some(log) = log {
        let moved = difference(&before, &after);
        log(&format!(
            "{}: served and checked; a token's log-probability is {apart:.1e} from that in this process \
             and moved by {moved:.1e} in the round",
            dir.join(CHECKPOINT).display()
        ));
    }
    Ok(())
}

/// Loads the in-process engine with the weights `spec`. `None`, with a log message, if they do not fit into
/// memory.
fn engine(
    spec: &str,
    load: &LoadOptions,
) -> Result<Option<std::sync::Arc<dyn Policy>>, TrainError> {
    let quiet = LoadOptions { meter: None, log: None, ..load.clone() };
    match plan(spec, &quiet) {
        Ok(_) => Ok(Some(inputs::policy(spec, &quiet)?)),
        Err(PolicyError::Model(detail)) => {
            load.log
                .iter()
                .for_each(|log| log(&format!("served weights are not compared: {detail}")));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn scores(policy: &dyn Policy, steps: &[Step]) -> Result<Vec<Vec<f32>>, TrainError> {
    let request = |step: &Step| {
        Request::Score(Score {
            prefix: step.prefix.as_slice().into(),
            continuation: step.ids.as_slice().into(),
        })
    };
    let answers = ask_all(policy, steps.iter().map(request).collect())?;
    let logps = |answer| match answer {
        Ok(Response::Scores(scores)) => Ok(scores.logps),
        Ok(_) => Err(PolicyError::Gone.into()),
        Err(error) => Err(TrainError::from(error)),
    };
    answers.into_iter().map(logps).collect()
}

/// Mean absolute difference of a token's log-probability. Tokens with exactly 0 in `b` are skipped: 0 marks
/// an EOS token whose probability the server did not return.
fn difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f64 {
    let pairs = a.iter().flatten().zip(b.iter().flatten()).filter(|(_, y)| **y < 0.0);
    let (sum, count) = pairs
        .fold((0.0, 0usize), |(sum, count), (x, y)| (sum + f64::from((x - y).abs()), count + 1));
    sum / count.max(1) as f64
}

fn mean(logps: &[Vec<f32>]) -> f64 {
    let count = logps.iter().map(Vec::len).sum::<usize>().max(1);
    logps.iter().flatten().map(|&logp| f64::from(logp)).sum::<f64>() / count as f64
}
