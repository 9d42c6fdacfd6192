//! The margin that minimises a preference loss, and from it the idealised ranking accuracy: the share of
//! pairs that a policy would rank right if it minimised the loss exactly (Chen et al. 2024,
//! arXiv:2405.19534).
//!
//! A pair's label is right with probability p = 1 - alpha. The optimum D* minimises `p L(D) + (1 - p) L(-D)`;
//! at D*, the policy ranks the pair right if D* exceeds the reference's gap s0_r - s0_c.

use super::loss::{PairLogps, PreferenceLoss, sigmoid};

/// Lower bound on alpha: for a label that is certainly right, the optimum would be infinite.
const SMALLEST_ALPHA: f64 = 1e-12;
/// Number of bisection steps, enough to reach two neighbouring floating-point numbers.
const HALVINGS: usize = 200;

impl PreferenceLoss {
    /// D* of one pair, in nats. `None` for losses on length-normalised log-probabilities: they do not
    /// determine a difference of sums, so the ranking of the pair at the optimum is unknown.
    #[must_use]
    pub fn optimum_margin(&self, beta: f64, pair: &PairLogps) -> Option<f64> {
        let right = 1.0 - pair.alpha.max(SMALLEST_ALPHA);
        Some(match *self {
            Self::Ipo | Self::Simpo { .. } | Self::SigmoidNorm => return None,
            Self::Sigmoid | Self::Conservative => logit(right) / beta,
            Self::Soft { temperature } => pair.margin / temperature / beta,
            // Corrected for the assumed swaps, labels are right with probability `clean`, and the expected
            // loss is a sigmoid loss with such labels. If `clean` is 0 or 1, it has no minimum.
            Self::Robust { flip } => {
                let flip = flip.unwrap_or(0.0);
                let clean = (right - flip) / (1.0 - 2.0 * flip);
                logit(clean.clamp(SMALLEST_ALPHA, 1.0 - SMALLEST_ALPHA)) / beta
            }
            Self::IpoSum => (2.0 * right - 1.0) / (2.0 * beta),
            Self::Hinge => {
                if right > 0.5 {
                    1.0 / beta
                } else {
                    0.0
                }
            }
            Self::Margin { kappa } => (logit(right) + kappa * pair.margin) / beta,
            Self::Degree { kappa, lambda } => regressed(right, kappa * pair.margin, lambda) / beta,
            Self::Gpo { temperature } => {
                (pair.advantage_chosen - pair.advantage_rejected) / temperature / beta
            }
        })
    }

    /// Whether the policy that minimises the loss exactly ranks the pair right; `None` if the optimum does
    /// not determine it.
    #[must_use]
    pub fn ranks_right_at_optimum(&self, beta: f64, pair: &PairLogps) -> Option<bool> {
        let gap = pair.reference_rejected - pair.reference_chosen;
        self.optimum_margin(beta, pair).map(|margin| margin > gap)
    }
}

fn logit(p: f64) -> f64 {
    (p / (1.0 - p)).ln()
}

/// The x that minimises `-p log sigmoid(x) - (1 - p) log sigmoid(-x) + lambda (x - target)^2`, found by
/// bisection: x lies between the minima of the two parts, and the slope grows with x.
fn regressed(p: f64, target: f64, lambda: f64) -> f64 {
    let slope = |x: f64| sigmoid(x) - p + 2.0 * lambda * (x - target);
    let (mut low, mut high) = (logit(p).min(target), logit(p).max(target));
    for _ in 0..HALVINGS {
        let middle = low + (high - low) / 2.0;
        if slope(middle) < 0.0 { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(alpha: f64, margin: f64, gap: f64) -> PairLogps {
        PairLogps {
            chosen: 0.0,
            rejected: 0.0,
            reference_chosen: -gap,
            reference_rejected: 0.0,
            len_chosen: 3.0,
            len_rejected: 2.0,
            alpha,
            margin,
            advantage_chosen: 0.0,
            advantage_rejected: 0.0,
        }
    }

    #[test]
    fn length_normalised_losses_leave_the_ranking_open() {
        for loss in ["ipo", "simpo:gamma=1", "sigmoid_norm"] {
            let loss: PreferenceLoss = loss.parse().unwrap();
            assert_eq!(loss.ranks_right_at_optimum(0.1, &pair(0.2, 1.0, 0.0)), None);
        }
    }

    #[test]
    fn a_pair_flips_only_if_the_optimum_exceeds_the_gap_of_the_reference() {
        // ln(0.8 / 0.2) / 0.1 = 13.86; 1 / 0.1 = 10; 0.6 / 0.2 = 3.
        for (loss, margin) in [("conservative", 13.86), ("hinge", 10.0), ("ipo_sum", 3.0)] {
            let loss: PreferenceLoss = loss.parse().unwrap();
            let right = |gap| loss.ranks_right_at_optimum(0.1, &pair(0.2, 1.0, gap)).unwrap();
            assert!(right(margin - 0.01) && !right(margin + 0.01), "{loss}");
        }
    }
}
