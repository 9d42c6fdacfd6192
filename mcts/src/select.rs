//! Selection by PUCT or UCT: pure functions of a snapshot of one parent's children.
//!
//! PUCT is Rosin 2011 in the form of arXiv:2405.00451, eq. 3. In-flight visits count as unobserved
//! samples (WU-UCT, arXiv:1810.11755): they are added to the visit counts and leave Q unchanged.
//! [`SelectionRule::at`] scores in double precision, for searches over a language model;
//! `ScoreTerms` holds the same score's terms in single precision, cached in the nodes for
//! [`crate::tree::grow_shared`].

use crate::config::{FirstPlay, PriorRule, Selection};
use crate::tree::Edge;

/// Statistics of one child that selection reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChildStats {
    /// Prior of the step, not normalised over siblings.
    pub prior: f64,
    /// Completed visits.
    pub visits: u64,
    /// Number of simulations through the child that are not backed up yet.
    pub in_flight: u64,
    /// Q of the step: its reward plus the discounted V of the state after it.
    pub q: f64,
    /// V of the state after the step; used by commit rules only.
    pub v: f64,
}

/// Prior of a step from its token log-probabilities; 0 for an empty step.
///
/// `exp(sum / len^lambda)` in the authors' code ([`PriorRule::LengthRoot`]), `exp(sum) / len^lambda` in the
/// paper ([`PriorRule::LengthDivided`]). `sum` is the sum over the step's tokens.
#[must_use]
pub fn prior(rule: PriorRule, logps: &[f32], lambda: f64) -> f64 {
    if logps.is_empty() {
        return 0.0;
    }
    let sum: f64 = logps.iter().map(|&l| f64::from(l)).sum();
    let length = (logps.len() as f64).powf(lambda);
    match rule {
        PriorRule::LengthRoot => (sum / length).exp(),
        PriorRule::LengthDivided => sum.exp() / length,
    }
}

/// `Q + c p sqrt(N_parent) / (1 + N_child)`: eq. 3 of arXiv:2405.00451.
#[must_use]
pub fn puct(q: f64, prior: f64, parent_visits: u64, child_visits: u64, c: f64) -> f64 {
    q + c * prior * (parent_visits as f64).sqrt() / (1.0 + child_visits as f64)
}

/// `Q + c sqrt(ln N_parent / N_child)`: UCB1 on trees (Kocsis and Szepesvari 2006); infinite for a
/// child without visits.
#[must_use]
pub fn uct(q: f64, parent_visits: u64, child_visits: u64, c: f64) -> f64 {
    if child_visits == 0 {
        return f64::INFINITY;
    }
    q + c * ((parent_visits.max(1) as f64).ln() / child_visits as f64).sqrt()
}

/// Statistics of the parent that selection reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParentStats {
    /// Completed plus in-flight visits, except for simulations that are still at the parent: the one that is
    /// selecting, and those that waited for the parent's expansion and have not moved on yet.
    pub visits: u64,
    /// V of the parent's state.
    pub v: f64,
}

/// How children are scored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SelectionRule {
    /// Form of the score.
    pub selection: Selection,
    /// Weight of the exploration term (`c_puct`).
    pub c: f64,
    /// First-play urgency (FPU): Q of a child without completed visits.
    pub first_play: FirstPlay,
}

impl SelectionRule {
    /// Returns a scorer for the children of one parent; the factor shared by their scores is computed once.
    #[must_use]
    pub fn at(&self, parent: ParentStats) -> Scorer {
        let parent_term = match self.selection {
            Selection::Puct => self.c * (parent.visits as f64).sqrt(),
            Selection::Uct => (parent.visits.max(1) as f64).ln(),
        };
        let fpu = match self.first_play {
            FirstPlay::Own => None,
            FirstPlay::Fixed(value) => Some(value),
            FirstPlay::BelowParent(loss) => Some(parent.v - loss),
        };
        Scorer { selection: self.selection, c: self.c, parent_term, fpu }
    }
}

/// A child's score terms, cached with the node: `score = q + factor * u`, where `factor` depends on the
/// parent ([`SelectionRule::bonus_factor`]). In single precision, so scores that differ by less than its
/// rounding error tie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ScoreTerms {
    pub(crate) q: f32,
    pub(crate) u: f32,
}

impl ScoreTerms {
    /// The child's score.
    #[inline]
    pub(crate) fn score(self, factor: f32) -> f32 {
        self.q + factor * self.u
    }
}

impl SelectionRule {
    /// The child's score terms. With [`FirstPlay::BelowParent`], `q` of a child without visits must be
    /// replaced by [`SelectionRule::parent_fpu`], which depends on the parent.
    #[inline]
    pub(crate) fn score_terms(&self, child: &ChildStats) -> ScoreTerms {
        let q = match self.first_play {
            FirstPlay::Fixed(value) if child.visits == 0 => value,
            _ => child.q,
        };
        ScoreTerms {
            q: q as f32,
            u: self.bonus(child.prior as f32, child.visits + child.in_flight),
        }
    }

    /// [`SelectionRule::score_terms`] of a new child: no visits, and V of the state after the step is 0.
    #[inline]
    pub(crate) fn first_score_terms(&self, edge: &Edge) -> ScoreTerms {
        let q = match self.first_play {
            FirstPlay::Fixed(value) => value,
            _ => edge.reward,
        };
        ScoreTerms { q: q as f32, u: self.bonus(edge.prior, 0) }
    }

    /// `u` of [`ScoreTerms`] for a child with `visits` visits, completed and in flight.
    #[inline]
    pub(crate) fn bonus(&self, prior: f32, visits: u64) -> f32 {
        // Conversion through i64: one instruction on x86-64, while u64 to f32 takes a branch.
        let all = visits as i64 as f32;
        match self.selection {
            Selection::Puct => prior / (1.0 + all),
            Selection::Uct if all > 0.0 => all.sqrt().recip(),
            Selection::Uct if self.first_play == FirstPlay::Own => f32::MAX,
            // A configured first-play urgency replaces the infinite bonus (Gelly and Wang 2006).
            Selection::Uct => 0.0,
        }
    }

    /// The factor of `u` in the scores of a parent's children: `c sqrt(N)` for PUCT, `c sqrt(ln N)` for UCT.
    /// Never 0 for UCT, so that children without visits come first even if `ln 1 = 0`.
    #[inline]
    pub(crate) fn bonus_factor(&self, parent_visits: u64) -> f32 {
        let visits = parent_visits as i64 as f32;
        match self.selection {
            Selection::Puct => self.c as f32 * visits.sqrt(),
            Selection::Uct => (self.c as f32 * visits.max(1.0).ln().sqrt()).max(1e-20),
        }
    }

    /// Whether first-play urgency depends on the parent, i.e. [`SelectionRule::parent_fpu`] is `Some`.
    #[inline]
    pub(crate) fn needs_parent_value(&self) -> bool {
        matches!(self.first_play, FirstPlay::BelowParent(_))
    }

    /// The first-play urgency (lc0: FPU) of a parent's children, where `v()` is the parent's V. `None` if it
    /// does not depend on the parent, in which case the cached `q` is used.
    #[inline]
    pub(crate) fn parent_fpu(&self, v: impl FnOnce() -> f64) -> Option<f32> {
        match self.first_play {
            FirstPlay::BelowParent(loss) => Some((v() - loss) as f32),
            _ => None,
        }
    }
}

/// Scores the children of one parent.
#[derive(Debug, Clone, Copy)]
pub struct Scorer {
    selection: Selection,
    c: f64,
    /// `c sqrt(N_parent)` for PUCT, `ln N_parent` for UCT.
    parent_term: f64,
    /// First-play urgency; `None` to use the child's own Q.
    fpu: Option<f64>,
}

impl Scorer {
    /// Score of one child; the child with the highest score is selected.
    #[must_use]
    pub fn score(&self, child: &ChildStats) -> f64 {
        let visits = child.visits + child.in_flight;
        let fpu = if child.visits == 0 { self.fpu } else { None };
        let q = fpu.unwrap_or(child.q);
        match self.selection {
            // As `puct`, with `c sqrt(N_parent)` computed once for all children.
            Selection::Puct => q + self.parent_term * child.prior / (1.0 + visits as f64),
            // A configured first-play urgency replaces the infinite bonus (Gelly and Wang 2006).
            Selection::Uct if visits == 0 => fpu.unwrap_or(f64::INFINITY),
            Selection::Uct => q + self.c * (self.parent_term / visits as f64).sqrt(),
        }
    }
}

/// Index of the child with the highest score; ties go to the first. `None` if there are no children.
#[must_use]
pub fn select(
    rule: SelectionRule,
    parent: ParentStats,
    children: impl IntoIterator<Item = ChildStats>,
) -> Option<usize> {
    let scorer = rule.at(parent);
    first_max(children.into_iter().map(|child| scorer.score(&child)))
}

/// Index of the highest score; ties go to the first. A NaN wins only if all scores are NaN.
pub(crate) fn first_max(scores: impl IntoIterator<Item = f64>) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (index, score) in scores.into_iter().enumerate() {
        if best.is_none_or(|(_, top)| score > top || top.is_nan()) {
            best = Some((index, score));
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUCT: SelectionRule =
        SelectionRule { selection: Selection::Puct, c: 1.0, first_play: FirstPlay::Own };
    const AFTER_NINE: ParentStats = ParentStats { visits: 9, v: 0.4 };

    fn child(q: f64, visits: u64) -> ChildStats {
        ChildStats { prior: 0.5, visits, in_flight: 0, q, v: 0.0 }
    }

    #[test]
    fn prior_has_the_worked_values_of_both_forms() {
        let logps = [-0.5, -1.0, -0.5];
        assert!((prior(PriorRule::LengthRoot, &logps, 1.25) - 0.60257).abs() < 1e-5);
        assert!((prior(PriorRule::LengthRoot, &logps, 1.0) - 0.5134).abs() < 1e-4);
        let paper = (-2.0f64).exp() / 3f64.powf(1.25);
        assert!((prior(PriorRule::LengthDivided, &logps, 1.25) - paper).abs() < 1e-12);
    }

    #[test]
    fn puct_has_the_worked_value() {
        let p = prior(PriorRule::LengthRoot, &[-0.5, -1.0, -0.5], 1.25);
        assert!((puct(0.4, p, 9, 2, 1.0) - 1.0025).abs() < 1e-4);
    }

    #[test]
    fn the_first_maximum_wins() {
        let all = [child(0.3, 1), child(0.3, 1), child(0.1, 1)];
        assert_eq!(select(PUCT, AFTER_NINE, all), Some(0));
        assert_eq!(first_max([f64::NAN, 0.1]), Some(1));
        assert_eq!(select(PUCT, AFTER_NINE, []), None);
    }

    #[test]
    fn in_flight_visits_lower_the_bonus_like_visits() {
        let busy = ChildStats { in_flight: 2, ..child(0.3, 1) };
        assert_eq!(select(PUCT, AFTER_NINE, [busy, child(0.3, 1)]), Some(1));
        let visited = child(0.3, 3);
        assert_eq!(
            puct(busy.q, busy.prior, 9, busy.visits + busy.in_flight, 1.0),
            puct(visited.q, visited.prior, 9, visited.visits, 1.0)
        );
    }

    #[test]
    fn unvisited_children_compete_as_the_rule_says() {
        let children = [child(0.2, 3), child(0.9, 0)];
        let pick = |selection, first_play| {
            select(SelectionRule { selection, c: 0.1, first_play }, AFTER_NINE, children)
        };
        assert_eq!(pick(Selection::Puct, FirstPlay::Own), Some(1));
        assert_eq!(pick(Selection::Puct, FirstPlay::Fixed(-1.0)), Some(0));
        assert_eq!(pick(Selection::Puct, FirstPlay::BelowParent(0.0)), Some(1));
        assert_eq!(pick(Selection::Puct, FirstPlay::BelowParent(0.5)), Some(0));
        assert_eq!(pick(Selection::Uct, FirstPlay::Own), Some(1));
        assert_eq!(pick(Selection::Uct, FirstPlay::Fixed(0.0)), Some(0));
        assert_eq!(uct(0.5, 9, 3, 2.0), 0.5 + 2.0 * (9f64.ln() / 3.0).sqrt());
        assert_eq!(uct(0.5, 9, 0, 2.0), f64::INFINITY);
    }

    #[test]
    fn scores_are_the_formulas() {
        for visits in [0, 1, 7] {
            let stats = child(0.3, visits);
            let scorer = PUCT.at(AFTER_NINE);
            let formula = puct(stats.q, stats.prior, 9, visits, 1.0);
            assert!((scorer.score(&stats) - formula).abs() < 1e-15);
            let rule = SelectionRule { selection: Selection::Uct, c: 0.7, ..PUCT };
            assert_eq!(rule.at(AFTER_NINE).score(&stats), uct(stats.q, 9, visits, 0.7));
        }
        // ln 1 = 0: with one parent visit, a visited child gets no bonus.
        let rule = SelectionRule { selection: Selection::Uct, c: 0.7, ..PUCT };
        let first = rule.at(ParentStats { visits: 1, ..AFTER_NINE });
        assert_eq!(first.score(&child(0.3, 1)), 0.3);
    }

    #[test]
    fn score_terms_give_the_scores_in_single_precision() {
        for selection in [Selection::Puct, Selection::Uct] {
            for first_play in
                [FirstPlay::Own, FirstPlay::Fixed(-0.25), FirstPlay::BelowParent(0.125)]
            {
                let rule = SelectionRule { selection, c: 1.25, first_play };
                for (visits, in_flight) in [(0, 0), (0, 2), (1, 0), (7, 1)] {
                    let stats = ChildStats { in_flight, ..child(0.5, visits) };
                    let exact = rule.at(AFTER_NINE).score(&stats).min(f64::from(f32::MAX));
                    let score_terms = rule.score_terms(&stats);
                    let fpu = rule.parent_fpu(|| AFTER_NINE.v).filter(|_| visits == 0);
                    let q = fpu.unwrap_or(score_terms.q);
                    let score =
                        ScoreTerms { q, ..score_terms }.score(rule.bonus_factor(AFTER_NINE.visits));
                    let near = (f64::from(score) - exact).abs() <= 1e-6 * exact.abs();
                    assert!(near || score > 1e30 && exact > 1e30, "{rule:?} {stats:?}");
                }
            }
        }
        // A child without visits comes first even if the parent has one visit, so that ln 1 = 0.
        let rule = SelectionRule { selection: Selection::Uct, ..PUCT };
        let score = |visits| rule.score_terms(&child(0.5, visits)).score(rule.bonus_factor(1));
        assert!(score(0) > score(1));
    }
}
