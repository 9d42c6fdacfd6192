//! Fits probes to the verified steps of trees, and evaluates them on problems that they were not fitted to.
//!
//! Cross-validation splits by problem: all steps of a problem are in the same one of five folds, and each
//! fold is judged by probes fitted to the other four. Cross-validation selects the penalty, and gives the
//! figures that are comparable with those of other judges. The final probe is fitted to all folds.

use std::collections::HashMap;

use super::logistic::{Rows, loss, probability};
use super::{LinearProbe, StateProbe};
use crate::TreeRecord;
use crate::calibration::{Calibration, JudgedSolutions};
use crate::state::StepState;

/// Number of folds of the cross-validation; as in scikit-learn.
pub(crate) const FOLDS: usize = 5;

/// Minimum number of steps of a kind for fitting a probe (our choice, as for likelihoods).
const FEWEST: usize = 100;

/// Maximum number of steps of a kind, taken from the first trees: a bound on memory and time.
const MOST: usize = 10_000;

/// Penalties to choose from, strongest first; each fit starts from the weights of the fit before it.
const PENALTIES: [f64; 4] = [10_000.0, 1_000.0, 100.0, 10.0];

/// A verified step.
#[derive(Debug, Clone)]
struct Sample {
    /// Index of the step's problem, in the order in which problems were added.
    problem: usize,
    depth: u32,
    state: StepState,
    /// Share of right solutions among the solutions through the step.
    right: f64,
}

/// Collects verified steps of trees that keep hidden states.
#[derive(Debug, Clone, Default)]
pub struct ProbeFit {
    problems: HashMap<String, usize>,
    steps: Vec<Sample>,
    ends: Vec<Sample>,
}

/// A fitted probe and its figures.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedProbe {
    /// The probe fitted to all steps.
    pub probe: StateProbe,
    /// Figures of finished solutions, each judged by a probe fitted to other problems; absent if there were
    /// too few.
    pub held_out: Option<Calibration>,
}

impl ProbeFit {
    /// Adds the verified steps of a tree. Does nothing if the search did not see the reference answer or
    /// stored no states.
    pub fn add(&mut self, tree: &TreeRecord) {
        if !tree.oracle {
            return;
        }
        let next = self.problems.len();
        let problem = *self.problems.entry(tree.problem.id.clone()).or_insert(next);
        for (node, (solutions, right)) in tree.nodes.iter().zip(tree.solutions_below()) {
            let Some(state) = &node.hidden_state else { continue };
            let kind = match node.terminal {
                true if solutions > 0 => &mut self.ends,
                // A single solution is too little evidence about a step.
                false if solutions > 1 => &mut self.steps,
                _ => continue,
            };
            if kind.len() < MOST {
                let right = right as f64 / solutions as f64;
                kind.push(Sample { problem, depth: node.depth, state: state.clone(), right });
            }
        }
    }

    /// Whether no steps with states were added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.ends.is_empty()
    }

    /// Fits the probes to the added steps. A kind with too few steps keeps its probe from `before`; `None` if
    /// both kinds have too few.
    #[must_use]
    pub fn fitted(&self, before: Option<&StateProbe>) -> Option<FittedProbe> {
        let (step, end) = (fitted(&self.steps), fitted(&self.ends));
        let width =
            [&step, &end].into_iter().flatten().map(|found| found.probe.weights.len()).next()?;
        let before = before.filter(|probe| probe.width() == Some(width));
        let held_out = end.as_ref().and_then(|found| found.figures(&self.ends));
        let step = step.map(|found| found.probe).or_else(|| before?.step.clone());
        let end = end.map(|found| found.probe).or_else(|| before?.end.clone());
        Some(FittedProbe { probe: StateProbe::new(step, end), held_out })
    }
}

/// A probe, and for each of its samples the log-odds given by a probe fitted to other problems.
struct Validated {
    probe: LinearProbe,
    held_out: Vec<f64>,
}

impl Validated {
    fn figures(&self, samples: &[Sample]) -> Option<Calibration> {
        let mut judged = JudgedSolutions::default();
        for (sample, &odds) in samples.iter().zip(&self.held_out) {
            judged.record(sample.depth, Some(probability(odds)), sample.right > 0.5);
        }
        judged.calibration()
    }
}

/// Fits a probe. `None` if there are too few samples, if states differ in width, or if a fold has no samples.
fn fitted(samples: &[Sample]) -> Option<Validated> {
    let width = samples.first()?.state.values().len();
    let even = samples.iter().all(|sample| sample.state.values().len() == width);
    let folds: [bool; FOLDS] =
        std::array::from_fn(|fold| samples.iter().any(|sample| sample.problem % FOLDS == fold));
    if samples.len() < FEWEST || !even || folds.contains(&false) {
        return None;
    }
    let (penalty, held_out) = validated(samples);
    let all: Vec<&Sample> = samples.iter().collect();
    let probe = Standardised::new(&all).path(&PENALTIES[..=penalty]).pop()?;
    Some(Validated { probe, held_out })
}

/// Index of the penalty under which the held-out samples are most likely, and the held-out log-odds under
/// this penalty.
fn validated(samples: &[Sample]) -> (usize, Vec<f64>) {
    let judged = |fold: usize| -> Vec<LinearProbe> {
        let others = samples.iter().filter(|sample| sample.problem % FOLDS != fold);
        Standardised::new(&others.collect::<Vec<_>>()).path(&PENALTIES)
    };
    let probes: Vec<Vec<LinearProbe>> = std::thread::scope(|scope| {
        let folds: Vec<_> = (0..FOLDS).map(|fold| scope.spawn(move || judged(fold))).collect();
        // A panic in a fold is passed on to this thread.
        folds.into_iter().map(|fold| fold.join().expect("a fold was fitted")).collect()
    });
    let held_out = |penalty: usize| -> Vec<f64> {
        let of = |sample: &Sample| probes[sample.problem % FOLDS][penalty].odds(&sample.state);
        samples.iter().map(of).collect()
    };
    let total = |odds: &[f64]| -> f64 {
        odds.iter().zip(samples).map(|(&odds, sample)| loss(odds, sample.right)).sum()
    };
    let all: Vec<Vec<f64>> = (0..PENALTIES.len()).map(held_out).collect();
    let best =
        (0..all.len()).min_by(|&a, &b| total(&all[a]).total_cmp(&total(&all[b]))).unwrap_or(0);
    (best, all.into_iter().nth(best).unwrap_or_default())
}

/// Samples standardised so that each value has mean 0 and standard deviation 1.
struct Standardised {
    values: Vec<f32>,
    labels: Vec<f64>,
    means: Vec<f64>,
    /// 1 over the standard deviation of each value. 0 for a constant value, which then has no weight.
    scales: Vec<f64>,
}

impl Standardised {
    fn new(samples: &[&Sample]) -> Self {
        let width = samples.first().map_or(0, |sample| sample.state.values().len());
        let share = 1.0 / samples.len().max(1) as f64;
        let mut means = vec![0.0; width];
        for sample in samples {
            means
                .iter_mut()
                .zip(sample.state.values())
                .for_each(|(m, x)| *m += share * f64::from(x));
        }
        let mut squares = vec![0.0; width];
        for sample in samples {
            let values = sample.state.values().zip(&means);
            squares
                .iter_mut()
                .zip(values)
                .for_each(|(s, (x, m))| *s += share * (f64::from(x) - m).powi(2));
        }
        // The standard deviation of a constant value consists only of rounding errors; one bf16 step in one
        // of all samples is larger.
        let scale =
            |(s, m): (&f64, &f64)| if *s > (1e-6 * m).powi(2) { 1.0 / s.sqrt() } else { 0.0 };
        let scales: Vec<f64> = squares.iter().zip(&means).map(scale).collect();
        let of = |sample: &&Sample| {
            let values = sample.state.values().zip(means.iter().zip(&scales));
            values.map(|(x, (m, s))| ((f64::from(x) - m) * s) as f32).collect::<Vec<f32>>()
        };
        let values = samples.iter().flat_map(of).collect();
        let labels = samples.iter().map(|sample| sample.right).collect();
        Self { values, labels, means, scales }
    }

    /// Fits a probe for each penalty, each starting from the weights of the one before it.
    fn path(&self, penalties: &[f64]) -> Vec<LinearProbe> {
        let rows = Rows { values: &self.values, labels: &self.labels };
        let mut weights = vec![0.0; self.means.len() + 1];
        let mut probes = Vec::with_capacity(penalties.len());
        for &l2 in penalties {
            weights = rows.fit(weights, l2);
            probes.push(self.probe(&weights, l2));
        }
        probes
    }

    /// The probe with these weights, which are for standardised values.
    fn probe(&self, weights: &[f64], l2: f64) -> LinearProbe {
        let own: Vec<f64> = weights.iter().zip(&self.scales).map(|(w, s)| w * s).collect();
        let shift: f64 = own.iter().zip(&self.means).map(|(w, m)| w * m).sum();
        let intercept = weights[self.means.len()] - shift;
        LinearProbe { steps: self.labels.len() as u64, l2, intercept, weights: own }
    }
}

#[cfg(test)]
mod tests;
