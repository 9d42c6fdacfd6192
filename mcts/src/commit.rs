//! Chooses the child of the search root that becomes the next search root: pure functions of a snapshot of
//! the children's statistics.
//!
//! arXiv:2405.00451 commits to the most visited child. The authors' code has three other rules;
//! [`CommitRule::SpreadVisits`] is its default.

use crate::config::{CommitRule, VisitSpread};
use crate::select::ChildStats;

/// Statistics of one child of the search root at a commit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RootChildStats {
    /// Statistics of the child as selection reads them.
    pub stats: ChildStats,
    /// Spread of the visits of the child's own children ([`spread`]), at least 0.
    pub spread: f64,
    /// Number of the child's own children.
    pub children: usize,
}

/// Index of the child that becomes the next search root; `None` if `children` is empty.
///
/// `depth` is the depth of the search root (0 for the tree's root). `draw` is a uniform random number in [0,
/// 1), used by the rules that sample.
#[must_use]
pub fn commit(
    rule: CommitRule,
    children: &[RootChildStats],
    depth: u32,
    draw: f64,
) -> Option<usize> {
    let highest = |key: &dyn Fn(&RootChildStats) -> [f64; 3]| {
        (0..children.len()).reduce(|best, next| {
            let (a, b) = (key(&children[next]), key(&children[best]));
            if a.partial_cmp(&b) == Some(std::cmp::Ordering::Greater) { next } else { best }
        })
    };
    let visits = |c: &RootChildStats| c.stats.visits as f64;
    let (q, v) = (|c: &RootChildStats| c.stats.q, |c: &RootChildStats| c.stats.v);
    match rule {
        CommitRule::SpreadVisits => highest(&|c| [visits(c) * (1.0 + c.spread), q(c), v(c)]),
        CommitRule::SpreadValue => highest(&|c| [(q(c) + 2.0) * (1.0 + c.spread), visits(c), v(c)]),
        CommitRule::Visits => highest(&|c| [visits(c), q(c), v(c)]),
        CommitRule::Value => highest(&|c| [visits(c).min(1.0), q(c), visits(c)]),
        CommitRule::Sampled => sample_index(children.iter().map(visits), draw),
        CommitRule::Tempered { temperature, decay } => sample_index(
            tempered_weights(children, temperature * decay.powf(f64::from(depth))),
            draw,
        ),
    }
}

/// Returns the weights `(exp(Q) (1 + children))^(1 / temperature)` divided by the largest, computed in log
/// space so that low temperatures do not overflow. At temperature 0, only the children with the largest
/// weight have a nonzero weight.
fn tempered_weights(
    children: &[RootChildStats],
    temperature: f64,
) -> impl ExactSizeIterator<Item = f64> + Clone {
    let logs = children.iter().map(|c| c.stats.q + (1.0 + c.children as f64).ln());
    let highest = logs.clone().fold(f64::NEG_INFINITY, f64::max);
    // At temperature 0, `(log - highest) / temperature` would be NaN.
    logs.map(move |log| if log == highest { 1.0 } else { ((log - highest) / temperature).exp() })
}

/// Samples an index with probability proportional to its weight, by the inverse transform of `draw`. Returns
/// the last index if rounding errors put `draw` beyond the sum of the weights; `None` if there are no
/// weights.
fn sample_index(weights: impl ExactSizeIterator<Item = f64> + Clone, draw: f64) -> Option<usize> {
    let last = weights.len().checked_sub(1);
    let mut left = draw * weights.clone().sum::<f64>();
    let passed = weights.into_iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    passed.or(last)
}

/// Spread of visit counts; 0 for fewer than two counts.
#[must_use]
pub fn spread(measure: VisitSpread, visits: &[u64]) -> f64 {
    if visits.len() < 2 {
        return 0.0;
    }
    match measure {
        VisitSpread::Variance => variance(visits),
        VisitSpread::Range => {
            let highest = visits.iter().max().copied().unwrap_or(0);
            (highest - visits.iter().min().copied().unwrap_or(0)) as f64
        }
    }
}

/// Population variance.
fn variance(visits: &[u64]) -> f64 {
    let n = visits.len() as f64;
    let mean = visits.iter().sum::<u64>() as f64 / n;
    visits.iter().map(|&v| (v as f64 - mean).powi(2)).sum::<f64>() / n
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(q: f64, visits: u64, spread: f64) -> RootChildStats {
        let stats = ChildStats { prior: 0.5, visits, in_flight: 0, q, v: 0.0 };
        RootChildStats { stats, spread, children: 0 }
    }

    fn pick(rule: CommitRule, children: &[RootChildStats], draw: f64) -> Option<usize> {
        commit(rule, children, 0, draw)
    }

    #[test]
    fn commit_rules_differ_where_they_should() {
        let children = [child(0.9, 4, 0.0), child(0.5, 6, 0.0), child(0.1, 5, 1.0)];
        assert_eq!(pick(CommitRule::SpreadVisits, &children, 0.0), Some(2));
        assert_eq!(pick(CommitRule::Visits, &children, 0.0), Some(1));
        assert_eq!(pick(CommitRule::Value, &children, 0.0), Some(0));
        assert_eq!(pick(CommitRule::Sampled, &children, 0.999), Some(2));
        assert_eq!(pick(CommitRule::Sampled, &children, 0.0), Some(0));
        assert_eq!(pick(CommitRule::Sampled, &[], 0.0), None);
        // A child without visits never wins, however high its Q.
        let hopeful = [child(0.2, 1, 0.0), child(2.0, 0, 0.0)];
        assert_eq!(pick(CommitRule::Value, &hopeful, 0.0), Some(0));
        // Ties are broken by Q, then go to the first child.
        let tied = [child(0.1, 2, 0.0), child(0.4, 2, 0.0), child(0.4, 2, 0.0)];
        assert_eq!(pick(CommitRule::Visits, &tied, 0.0), Some(1));
    }

    #[test]
    fn spread_value_has_the_worked_values() {
        // (0.9 + 2) x 1 = 2.9 against (-0.5 + 2) x 2 = 3 and (0.4 + 2) x 1.2 = 2.88.
        let children = [child(0.9, 9, 0.0), child(-0.5, 2, 1.0), child(0.4, 3, 0.2)];
        assert_eq!(pick(CommitRule::SpreadValue, &children, 0.0), Some(1));
        assert_eq!(pick(CommitRule::SpreadValue, &[children[2], children[0]], 0.0), Some(1));
        // Ties are broken by visits, then by V, then go to the first child.
        let valued =
            |v, c: RootChildStats| RootChildStats { stats: ChildStats { v, ..c.stats }, ..c };
        let rarer = valued(0.9, child(0.4, 2, 0.2));
        let tied = [rarer, children[2], valued(0.1, children[2]), valued(0.1, children[2])];
        assert_eq!(pick(CommitRule::SpreadValue, &tied, 0.0), Some(2));
    }

    #[test]
    fn tempered_draws_have_the_worked_odds() {
        // exp(0) x (1 + 1) = 2 and exp(ln 3) x (1 + 1) = 6: the first child is drawn with probability 1/4 at
        // temperature 1, and 1/10 (4 of 40) at 0.5. A child with Q = 0 is drawn like any other.
        let parent = |q| RootChildStats { children: 1, ..child(q, 1, 0.0) };
        let children = [parent(0.0), parent(3f64.ln())];
        let share = |temperature: f64, decay, depth| {
            let rule = CommitRule::Tempered { temperature, decay };
            let draws = (0..10_000).map(|i| f64::from(i) / 1e4);
            draws.filter(|&draw| commit(rule, &children, depth, draw) == Some(0)).count()
        };
        assert!(share(1.0, 0.5, 0).abs_diff(2_500) <= 1);
        assert!(share(1.0, 0.5, 1).abs_diff(1_000) <= 1);
        assert_eq!(share(1.0, 0.75, 4), share(0.75f64.powi(4), 1.0, 0));
        // Fewer children give less weight: exp(0) x 1 of 1 + 6.
        let leaf = [child(0.0, 1, 0.0), children[1]];
        let rule = CommitRule::Tempered { temperature: 1.0, decay: 1.0 };
        assert_eq!(commit(rule, &leaf, 0, 0.1428), Some(0));
        assert_eq!(commit(rule, &leaf, 0, 0.1429), Some(1));
    }

    #[test]
    fn no_temperature_is_too_low() {
        let children = [child(-1.0, 9, 0.0), child(1.5, 1, 0.0), child(1.4, 5, 0.0)];
        for (temperature, depth) in [(1e-3, 0), (1e-300, 0), (f64::MIN_POSITIVE, 9), (1.0, 20_000)]
        {
            let rule = CommitRule::Tempered { temperature, decay: 0.75 };
            for draw in [0.0, 0.5, 0.999_999] {
                assert_eq!(commit(rule, &children, depth, draw), Some(1), "{temperature} {depth}");
            }
        }
    }

    #[test]
    fn spread_is_the_variance_or_the_range() {
        assert_eq!(spread(VisitSpread::Variance, &[4, 0]), 4.0);
        assert_eq!(spread(VisitSpread::Variance, &[5, 1, 1, 1]), 3.0);
        assert_eq!(spread(VisitSpread::Range, &[5, 1, 1, 1]), 4.0);
        assert_eq!(spread(VisitSpread::Range, &[1, 6, 4]), 5.0);
        for measure in [VisitSpread::Variance, VisitSpread::Range] {
            assert_eq!(spread(measure, &[3]), 0.0);
            assert_eq!(spread(measure, &[2, 2, 2]), 0.0);
            assert_eq!(spread(measure, &[]), 0.0);
        }
    }
}
