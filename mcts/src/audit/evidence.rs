//! Classes of evidence for a preference, from verified outcomes of both sides down to the judge alone.

use regrowth_datasets::{PreferencePair, TokenId};
use serde::{Deserialize, Serialize};

use super::row::{AuditRow, SolutionsBelow};
use crate::TreeRecord;

/// Class of the evidence for a pair. If several classes apply, the first one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Both sides end a solution; the chosen one is right and the rejected one wrong.
    OutcomesDiffer,
    /// Both sides end a solution; the rejected one is right and the chosen one wrong.
    OutcomesOpposed,
    /// Both sides end a solution with the same outcome.
    OutcomesEqual,
    /// One side ends a solution, and its outcome supports the preference.
    OneFinished,
    /// One side ends a solution, and its outcome contradicts the preference.
    OneFinishedOpposed,
    /// Neither side ends a solution; the share of right solutions is larger below the chosen side.
    BelowDiffer,
    /// Neither side ends a solution; the share of right solutions is smaller below the chosen side.
    BelowOpposed,
    /// Neither side ends a solution; the shares of right solutions below both sides are equal.
    BelowEqual,
    /// There is no verified solution below at least one side: the preference rests only on judge, likelihood
    /// and prior.
    NoOutcome,
    /// Neither side ends a solution, and the tree is not available.
    Unfinished,
    /// The search did not see a reference answer, or the file does not state whether it did.
    NotVerified,
}

impl Evidence {
    /// Description of the class in reports.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::OutcomesDiffer => "both finished: chosen right, rejected wrong",
            Self::OutcomesOpposed => "both finished: chosen wrong, rejected right",
            Self::OutcomesEqual => "both finished with one outcome",
            Self::OneFinished => "one finished, its outcome agrees",
            Self::OneFinishedOpposed => "one finished, its outcome is against",
            Self::BelowDiffer => "more right solutions below the chosen side",
            Self::BelowOpposed => "more right solutions below the rejected side",
            Self::BelowEqual => "as many right solutions below both sides",
            Self::NoOutcome => "no outcome below a side: judge, likelihood, prior alone",
            Self::Unfinished => "neither finished; trees not at hand",
            Self::NotVerified => "no outcomes were verified",
        }
    }

    /// The class of a row.
    #[must_use]
    pub fn of(row: &AuditRow) -> Self {
        if !row.verified {
            return Self::NotVerified;
        }
        let [chosen, rejected] = [&row.chosen, &row.rejected].map(|side| {
            (side.finished == Some(true) && side.outcome != 0.0).then_some(side.outcome > 0.0)
        });
        match (chosen, rejected) {
            (Some(true), Some(false)) => Self::OutcomesDiffer,
            (Some(false), Some(true)) => Self::OutcomesOpposed,
            (Some(_), Some(_)) => Self::OutcomesEqual,
            (Some(true), None) | (None, Some(false)) => Self::OneFinished,
            (Some(false), None) | (None, Some(true)) => Self::OneFinishedOpposed,
            (None, None) => Self::below(row),
        }
    }

    fn below(row: &AuditRow) -> Self {
        let (Some(chosen), Some(rejected)) = (row.chosen.below, row.rejected.below) else {
            return Self::Unfinished;
        };
        match (chosen.share(), rejected.share()) {
            (Some(chosen), Some(rejected)) if chosen > rejected => Self::BelowDiffer,
            (Some(chosen), Some(rejected)) if chosen < rejected => Self::BelowOpposed,
            (Some(_), Some(_)) => Self::BelowEqual,
            _ => Self::NoOutcome,
        }
    }
}

/// Numbers of solutions of a tree below the two sides of a pair, chosen first; `None` if the tree does not
/// contain the pair's steps.
#[must_use]
pub fn solutions_below(tree: &TreeRecord, pair: &PreferencePair) -> Option<[SolutionsBelow; 2]> {
    let parent = find(tree, &pair.prompt_ids)?;
    let counts = tree.solutions_below();
    let children = tree.children(parent);
    let side = |ids: &[TokenId]| {
        // A side is one child, followed by the chain of only children below it if chains were glued.
        let fits = children.iter().filter(|&&child| {
            let own = &tree.nodes[child as usize].ids;
            !own.is_empty() && ids.starts_with(own)
        });
        let child = fits.max_by_key(|&&child| tree.nodes[child as usize].ids.len())?;
        let (all, right) = counts[*child as usize];
        Some(SolutionsBelow { all, right })
    };
    Some([side(&pair.chosen_ids)?, side(&pair.rejected_ids)?])
}

/// The first node with children whose token ids, including those of the path before it, equal `ids`.
fn find(tree: &TreeRecord, ids: &[TokenId]) -> Option<u32> {
    let rest = ids.strip_prefix(tree.prompt_ids.as_slice())?;
    // Number of tokens of `rest` that the path to each node covers; `None` if the path differs from `rest`.
    let mut covered: Vec<Option<usize>> = Vec::with_capacity(tree.nodes.len());
    for (id, node) in tree.nodes.iter().enumerate() {
        let before = match node.parent {
            Some(parent) => covered[parent as usize],
            None => Some(0),
        };
        let end = before.filter(|&b| rest[b..].starts_with(&node.ids)).map(|b| b + node.ids.len());
        if end == Some(rest.len()) && tree.nodes.iter().any(|n| n.parent == Some(id as u32)) {
            return Some(id as u32);
        }
        covered.push(end);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::row::AuditSide;
    use crate::pairs::tests::tree;
    use crate::{PairConfig, extract_pairs};

    fn side(outcome: Option<f64>, below: Option<(u64, u64)>) -> AuditSide {
        AuditSide {
            finished: Some(outcome.is_some()),
            outcome: outcome.unwrap_or(0.0),
            below: below.map(|(all, right)| SolutionsBelow { all, right }),
            ..AuditSide::default()
        }
    }

    #[test]
    fn classes_follow_outcomes_first_and_then_solutions_below() {
        let (right, wrong, open) = (Some(1.0), Some(-1.0), None);
        let cases = [
            (right, wrong, None, Evidence::OutcomesDiffer),
            (wrong, right, None, Evidence::OutcomesOpposed),
            (wrong, wrong, None, Evidence::OutcomesEqual),
            (right, open, None, Evidence::OneFinished),
            (open, right, None, Evidence::OneFinishedOpposed),
            (Some(0.0), wrong, None, Evidence::OneFinished),
            (open, open, None, Evidence::Unfinished),
            (open, open, Some([(2, 1), (3, 1)]), Evidence::BelowDiffer),
            (open, open, Some([(3, 1), (2, 1)]), Evidence::BelowOpposed),
            (open, open, Some([(2, 1), (4, 2)]), Evidence::BelowEqual),
            (open, open, Some([(2, 1), (0, 0)]), Evidence::NoOutcome),
        ];
        for (chosen, rejected, below, expected) in cases {
            let row = AuditRow {
                verified: true,
                chosen: side(chosen, below.map(|b| b[0])),
                rejected: side(rejected, below.map(|b| b[1])),
                ..AuditRow::default()
            };
            assert_eq!(Evidence::of(&row), expected, "{chosen:?} {rejected:?} {below:?}");
            let unverified = AuditRow { verified: false, ..row };
            assert_eq!(Evidence::of(&unverified), Evidence::NotVerified);
        }
    }

    #[test]
    fn a_pair_is_found_in_its_tree_glued_chains_included() {
        // a (-> c right, d wrong) against b, whose only child e is wrong.
        let plan = [
            (0, 0.5, 3, "a\n"),
            (0, -1.0, 1, "b\n"),
            (1, 1.0, 1, "c."),
            (1, -1.0, 1, "d."),
            (2, -1.0, 1, "e."),
        ];
        let mut tree = tree(&plan, &[1, 3]);
        tree.nodes[4].outcome = -1.0;
        tree.nodes[5].outcome = -1.0;
        let pairs = extract_pairs(&tree, &PairConfig::default()).pairs;
        assert_eq!((pairs[0].chosen.as_str(), pairs[0].rejected.as_str()), ("a\n", "b\ne."));
        let counts = solutions_below(&tree, &pairs[0]).unwrap();
        assert_eq!(counts.map(|c| (c.all, c.right)), [(2, 1), (1, 0)]);
        let counts = solutions_below(&tree, &pairs[1]).unwrap();
        assert_eq!(counts.map(|c| (c.all, c.right)), [(1, 1), (1, 0)]);
        let mut other = pairs[1].clone();
        other.prompt_ids.push(7);
        assert_eq!(solutions_below(&tree, &other), None);
    }
}
