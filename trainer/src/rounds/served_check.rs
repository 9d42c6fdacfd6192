//! Whether servers answer with the weights that were trained: log-probabilities of the round's first
//! pairs there and in this process.
//!
//! Both are computed by the engine in this process before the phase ends, under the weights that the
//! round started from and under the trained ones. The first, beside what the server gave when it
//! sampled these pairs, say how far its arithmetic is from ours, and so how much the trained weights may
//! differ. A model that does not fit into the memory of this process is served without this check.

use std::path::Path;

use regrowth_datasets::{PreferencePair, TokenId, read_pairs};
use regrowth_policy::{LoadOptions, Policy, PolicyError, Request, Response, Score, plan};
use serde::{Deserialize, Serialize};

use super::search::PAIRS;
use super::training::CHECKPOINT;
use crate::artefact::{read_checksummed, write_checksummed};
use crate::evaluate::ask_all;
use crate::{TrainError, inputs};

/// The file in the folder of a round.
pub(super) const FILE: &str = "served.json";
/// Pairs that are compared, at most.
const PAIRS_COMPARED: usize = 4;
/// Mean difference of a token's log-probability up to which server and checkpoint hold one model: far
/// above what low precision makes of it, below what other weights do.
const SAME_MODEL: f64 = 0.25;
/// Difference that is allowed besides [`NOISE_FACTOR`] times that of the start policy.
const FLOOR: f64 = 1e-3;
/// How much further from this process the trained weights may be than those the round started from.
const NOISE_FACTOR: f64 = 3.0;

/// `served.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Expected {
    version: u32,
    /// Steps of the round's first pairs.
    steps: Vec<Step>,
    /// Mean difference of a token's log-probability that is allowed.
    tolerance: f64,
}

/// A step with its log-probabilities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Step {
    prefix: Vec<TokenId>,
    ids: Vec<TokenId>,
    /// Under the weights that the round started from, in this process.
    before: Vec<f32>,
    /// Under the trained weights, in this process.
    after: Vec<f32>,
}

impl Expected {
    /// Scores the round's first pairs under `start`, the weights that `sampler` answered with; `None`
    /// where there is nothing to compare or no memory for it, which is logged.
    ///
    /// # Errors
    /// [`TrainError::Setting`] when the server sampled with other weights than `start`.
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

/// Compares what a server answers with the trained weights of a round.
///
/// # Errors
/// [`PolicyError::Server`] with both values when it answers with others.
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

/// The engine in this process over some weights; `None`, which is logged, where they do not fit.
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

/// Mean absolute difference of a token's log-probability. An exact 0 stands for an EOS of which the server
/// did not tell the probability.
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
