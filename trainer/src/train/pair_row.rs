//! A row of preference training: two sibling steps with the same prefix, or solutions of two problems.
//!
//! In both cases each side has a prompt, scored tokens and recorded log-probabilities; [`super::pairs`]
//! checks and packs both in the same way.

use regrowth_datasets::{JointPair, JointSide, PreferencePair, TokenId};
use serde_json::{Value, json};

/// The kind of a pair, with its row.
#[derive(Debug, Clone, Copy)]
pub(super) enum PairRow<'a> {
    /// Two steps after the same prefix.
    Siblings(&'a PreferencePair),
    /// A right solution of one problem and a wrong solution of another problem.
    Joint(&'a JointPair),
}

/// One side of a pair.
#[derive(Debug, Clone, Copy)]
pub(super) struct PairSide<'a> {
    /// Ids of the prefix, not empty.
    pub(super) prompt: &'a [TokenId],
    /// Ids of the step or solution.
    pub(super) ids: &'a [TokenId],
    /// Log-probabilities of `ids` recorded during sampling; one per id if `exact` is true.
    pub(super) logps: &'a [f32],
    /// Whether the log-probabilities may serve as the reference's.
    pub(super) exact: bool,
}

impl<'a> PairRow<'a> {
    /// The pair of siblings; `None` for a joint pair.
    pub(super) fn siblings(self) -> Option<&'a PreferencePair> {
        match self {
            Self::Siblings(pair) => Some(pair),
            Self::Joint(_) => None,
        }
    }

    /// The chosen side, then the rejected side.
    pub(super) fn sides(self) -> [PairSide<'a>; 2] {
        match self {
            Self::Siblings(pair) => {
                [(&pair.chosen_ids, &pair.chosen_logps), (&pair.rejected_ids, &pair.rejected_logps)]
                    .map(|(ids, logps)| PairSide {
                        prompt: &pair.prompt_ids,
                        ids,
                        logps,
                        exact: pair.logps_exact,
                    })
            }
            Self::Joint(pair) => [&pair.right, &pair.wrong].map(|side: &JointSide| PairSide {
                prompt: &side.prompt_ids,
                ids: &side.completion_ids,
                logps: &side.completion_logps,
                exact: side.logps_exact,
            }),
        }
    }

    /// Round in which the pair was sampled.
    pub(super) fn round(self) -> u32 {
        match self {
            Self::Siblings(pair) => pair.round,
            Self::Joint(pair) => pair.round,
        }
    }

    /// Problem of the pair's tree; for a joint pair, the problem of the right solution.
    pub(super) fn problem_id(self) -> &'a str {
        match self {
            Self::Siblings(pair) => &pair.problem_id,
            Self::Joint(pair) => &pair.right.problem_id,
        }
    }

    /// Weight in the mean of an optimizer step's loss; a joint pair counts as one pair.
    pub(super) fn weight(self) -> f64 {
        self.siblings().map_or(1.0, |pair| pair.weight)
    }

    /// The row as JSON, as in its file.
    pub(super) fn json(self) -> Value {
        match self {
            Self::Siblings(pair) => json!(pair),
            Self::Joint(pair) => json!(pair),
        }
    }
}
