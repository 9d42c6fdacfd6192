//! Evidence for a pair beyond its value gap: solutions below both sides, and the ensemble of the tree's
//! judges.
//!
//! The ensemble follows Wang et al. 2024 (Secrets of RLHF II, arXiv:2401.06080): each judge m gives a
//! strength `d_m = C_m(chosen) - C_m(rejected)`, and the mean and deviation over the judges show how far a
//! preference can be trusted. The paper trains ten reward models; the judges here are those that a tree
//! already contains.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::{NodeRecord, TreeRecord};

/// How the ensemble changes pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ensemble {
    /// No change.
    #[default]
    Off,
    /// Drop pairs whose mean strength is not above 0.
    Drop,
    /// Swap the sides of pairs whose mean strength is below 0.
    Flip,
    /// Compute label smoothing alpha from the ensemble instead of visits: `sigmoid(-mean / deviation)`, at
    /// most 0.5.
    Soften,
    /// Use the mean strength instead of the value gap as the pair's margin, for losses that use a margin
    /// (`margin`, `soft`, `degree`). Pairs whose mean is not above 0 are dropped.
    Margin,
}

/// Mean and deviation of the judges' strengths, each in [-1, 1].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strength {
    /// Mean.
    pub mean: f64,
    /// Standard deviation over the judges.
    pub deviation: f64,
}

impl Strength {
    /// Strength over the judges that rate both siblings; `None` if fewer than two judges do. One judge is no
    /// ensemble: if only one sibling has solutions below it, the likelihood alone could overrule their
    /// verified outcomes.
    ///
    /// The judges: self-evaluation; probability of a token (the geometric mean over the step's tokens); share
    /// of right solutions below the step (`counts`: per node, the number of verified solutions and how many
    /// of them are right).
    #[must_use]
    pub fn of(
        tree: &TreeRecord,
        counts: &[(u64, u64)],
        (chosen, rejected): (u32, u32),
    ) -> Option<Self> {
        let both = |judge: &dyn Fn(usize) -> Option<f64>| {
            Some(judge(chosen as usize)? - judge(rejected as usize)?)
        };
        let strengths: Vec<f64> = [
            both(&|id| tree.nodes[id].self_evaluation),
            both(&|id| token_probability(&tree.nodes[id])),
            both(&|id| share(counts[id])),
        ]
        .into_iter()
        .flatten()
        .collect();
        Self::over(&strengths)
    }

    /// Mean and deviation of these strengths; `None` for fewer than two.
    fn over(strengths: &[f64]) -> Option<Self> {
        let n = strengths.len() as f64;
        let mean = strengths.iter().sum::<f64>() / n;
        let variance = strengths.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n;
        (n > 1.0).then(|| Self { mean, deviation: variance.sqrt() })
    }

    /// Label smoothing: `sigmoid(-mean / deviation)`, at most 0.5. If all strengths are equal (deviation 0),
    /// alpha is 0 for a positive mean and 0.5 otherwise.
    #[must_use]
    pub fn alpha(self) -> f64 {
        if self.deviation == 0.0 {
            return if self.mean > 0.0 { 0.0 } else { 0.5 };
        }
        (1.0 / (1.0 + (self.mean / self.deviation).exp())).min(0.5)
    }
}

/// Whether the share of right solutions below the chosen step exceeds that below the rejected step; false if
/// either step has no solutions below it.
#[must_use]
pub(super) fn has_outcome_contrast(counts: &[(u64, u64)], (chosen, rejected): (u32, u32)) -> bool {
    let shares = [chosen, rejected].map(|id| share(counts[id as usize]));
    matches!(shares, [Some(c), Some(r)] if c.total_cmp(&r) == Ordering::Greater)
}

/// Share of right solutions among all; `None` if there are no solutions.
fn share((all, right): (u64, u64)) -> Option<f64> {
    (all > 0).then(|| right as f64 / all as f64)
}

/// Geometric mean of the probabilities of a step's tokens; `None` if they are not known.
fn token_probability(node: &NodeRecord) -> Option<f64> {
    let n = node.logps.len();
    let sum: f64 = node.logps.iter().map(|&logp| f64::from(logp)).sum();
    (n > 0).then(|| (sum / n as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.mean`, `numpy.std` and `scipy.special.expit(-mean / std)` of the same strengths.
    #[test]
    fn mean_deviation_and_alpha_are_those_of_numpy() {
        let strength = Strength::over(&[0.3, -0.1, 0.5]).unwrap();
        assert!((strength.mean - 0.233_333_333_333_333_34).abs() < 1e-15);
        assert!((strength.deviation - 0.249_443_825_784_929_4).abs() < 1e-15);
        assert!((strength.alpha() - 0.28182755314055824).abs() < 1e-12, "{}", strength.alpha());
    }

    #[test]
    fn agreeing_judges_leave_no_doubt_and_one_judge_is_no_ensemble() {
        assert_eq!(Strength::over(&[0.2, 0.2]).unwrap().alpha(), 0.0);
        assert_eq!(Strength::over(&[-0.2, -0.2]).unwrap().alpha(), 0.5);
        assert_eq!(Strength::over(&[-0.2, -0.4]).unwrap().alpha(), 0.5, "at most one half");
        assert_eq!(Strength::over(&[0.2]), None);
    }
}
