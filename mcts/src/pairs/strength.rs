//! Evidence for a pair beyond its value gap: solutions below both sides, and how all judges of the
//! tree together see it.
//!
//! The ensemble follows Wang et al. 2024 (Secrets of RLHF II, arXiv:2401.06080): each judge m gives
//! a strength `d_m = C_m(chosen) - C_m(rejected)`, and mean and deviation over the judges say how
//! far a preference can be trusted. Where the paper trains ten reward models, these are the judges
//! that a tree holds anyway.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::{NodeRecord, TreeRecord};

/// What the ensemble does to pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ensemble {
    /// Nothing.
    #[default]
    Off,
    /// Leave out pairs whose mean strength is not above 0.
    Drop,
    /// Swap the sides of pairs whose mean strength is below 0.
    Flip,
    /// Label smoothing alpha from the ensemble in place of visits: `sigmoid(-mean / deviation)`, at
    /// most 0.5.
    Soften,
    /// The mean strength in place of the value gap as the pair's margin, for losses that use one
    /// (`margin`, `soft`, `degree`); pairs whose mean is not above 0 are left out.
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
    /// The strengths of the judges that rate both siblings; `None` for fewer than two: one judge is no
    /// ensemble, and where solutions lie below one sibling alone, likelihood would decide against them.
    ///
    /// The judges: self-evaluation; probability of a token (the geometric mean over the step's
    /// tokens); share of right solutions below the step (`counts`: all and right ones by node).
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

    /// Mean and deviation of some strengths; `None` for fewer than two.
    fn over(strengths: &[f64]) -> Option<Self> {
        let n = strengths.len() as f64;
        let mean = strengths.iter().sum::<f64>() / n;
        let variance = strengths.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n;
        (n > 1.0).then(|| Self { mean, deviation: variance.sqrt() })
    }

    /// Label smoothing: `sigmoid(-mean / deviation)`, at most 0.5. Judges that agree to the last
    /// digit leave no doubt, or no preference.
    #[must_use]
    pub fn alpha(self) -> f64 {
        if self.deviation == 0.0 {
            return if self.mean > 0.0 { 0.0 } else { 0.5 };
        }
        (1.0 / (1.0 + (self.mean / self.deviation).exp())).min(0.5)
    }
}

/// Whether the share of right solutions below the chosen step exceeds that below the rejected one;
/// false where either has none.
#[must_use]
pub(super) fn has_outcome_contrast(counts: &[(u64, u64)], (chosen, rejected): (u32, u32)) -> bool {
    let shares = [chosen, rejected].map(|id| share(counts[id as usize]));
    matches!(shares, [Some(c), Some(r)] if c.total_cmp(&r) == Ordering::Greater)
}

/// Share of right solutions among all; `None` for no solution.
fn share((all, right): (u64, u64)) -> Option<f64> {
    (all > 0).then(|| right as f64 / all as f64)
}

/// Geometric mean of the probabilities of a step's tokens; `None` where they are not known.
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
