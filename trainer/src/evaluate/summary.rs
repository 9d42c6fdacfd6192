//! Figures of an evaluation: accuracy, accuracy by level, pass@k, and token usage.

use std::collections::BTreeMap;

use regrowth_datasets::Problem;
use regrowth_policy::Usage;
use regrowth_verifiers::Unanswered;
use serde::{Deserialize, Serialize};

use super::sample::Solved;
use crate::stats::{Share, pass_at_k};

/// Results of an evaluation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EvalSummary {
    /// Whether the answer to each problem is right, in the order of the problems.
    pub solved: Vec<bool>,
    /// Number of right answers and of problems by level, for problems with a level.
    pub levels: BTreeMap<u32, (u64, u64)>,
    /// Number of problems whose request failed, by reason.
    pub failures: BTreeMap<String, u64>,
    /// Number of answers that could not be verified (they count as wrong), by reason.
    pub undecided: BTreeMap<String, u64>,
    /// Counts of solutions without a readable answer.
    #[serde(default)]
    pub unanswered: Unanswered,
    /// Token usage.
    pub usage: Usage,
}

impl EvalSummary {
    /// Adds the next problem with its first solution.
    pub fn add(&mut self, problem: &Problem, solved: &Solved) {
        self.count(problem, solved.is_correct());
        if let Some(failure) = &solved.failure {
            *self.failures.entry(failure.clone()).or_default() += 1;
        }
        let first = solved.attempts.first();
        if let Some(first) = first {
            self.unanswered.add(&first.statement, first.finish);
        }
        if let Some(regrowth_verifiers::Verdict::Undecided(reason)) = first.map(|a| &a.verdict) {
            *self.undecided.entry(reason.clone()).or_default() += 1;
        }
        self.usage += solved.usage;
    }

    /// Adds the next problem's result without a solution.
    pub fn count(&mut self, problem: &Problem, correct: bool) {
        self.solved.push(correct);
        if let Some(level) = problem.level {
            let entry = self.levels.entry(level).or_default();
            entry.0 += u64::from(correct);
            entry.1 += 1;
        }
    }

    /// Accuracy over all problems.
    #[must_use]
    pub fn share(&self) -> Share {
        Share::of(self.solved.iter().copied())
    }
}

/// Means of pass@k over problems with `n` samples each.
#[derive(Debug, Clone, Default)]
pub struct PassAtK {
    problems: u64,
    sums: BTreeMap<u64, f64>,
}

impl PassAtK {
    /// Adds a problem with `n` samples, `correct` of which are right.
    pub fn add(&mut self, n: u64, correct: u64) {
        self.problems += 1;
        let powers = std::iter::successors(Some(1), |k| Some(2 * k)).take_while(|&k| k <= n);
        for k in powers {
            *self.sums.entry(k).or_default() += pass_at_k(n, correct, k).unwrap_or(0.0);
        }
    }

    /// Returns the mean pass@k for k = 1, 2, 4, ... up to the number of samples; k = 1 is the mean accuracy.
    #[must_use]
    pub fn means(&self) -> BTreeMap<u64, f64> {
        self.sums.iter().map(|(&k, &sum)| (k, sum / self.problems.max(1) as f64)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pass_at_k_is_a_mean_over_problems() {
        let mut pass = PassAtK::default();
        pass.add(4, 4);
        pass.add(4, 1);
        pass.add(4, 0);
        let means: Vec<(u64, f64)> = pass.means().into_iter().collect();
        let expected = [(1, 1.25 / 3.0), (2, 1.5 / 3.0), (4, 2.0 / 3.0)];
        assert_eq!(means.len(), expected.len());
        for (got, want) in means.iter().zip(expected) {
            assert!(got.0 == want.0 && (got.1 - want.1).abs() < 1e-12, "{got:?} {want:?}");
        }
    }
}
