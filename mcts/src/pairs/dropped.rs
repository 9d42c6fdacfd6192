//! Reasons for dropping a pair or a tree, counted in summaries and reports.

use serde::{Deserialize, Serialize};

/// Why a pair or a tree was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropReason {
    /// The tree's committed answer is wrong and `correct_only` is on.
    TreeNotCorrect,
    /// The tree has no right solution and `solved_only` is on.
    TreeNotSolved,
    /// The tree's row has no values at commits, which `values = "commit"` needs.
    NoCommitValues,
    /// The parent has fewer than two children.
    NoSibling,
    /// The margin is not above `min_margin`.
    SmallMargin,
    /// A side has fewer visits than its minimum.
    FewVisits,
    /// `mixed` is on, and `Q_chosen > 0` and `Q_rejected < 1` do not both hold.
    NotMixed,
    /// `outcome_contrast` is on, and the share of right solutions below the chosen step is not larger than
    /// that below the rejected step.
    NoOutcomeContrast,
    /// The judges of the tree together do not prefer the chosen step (`ensemble`).
    EnsembleAgainst,
    /// Both sides have the same text, though their token ids differ.
    SameText,
    /// The tree already has `max_per_tree` pairs that `keep` prefers.
    TooManyPerTree,
}

impl DropReason {
    /// Name of the reason in counts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TreeNotCorrect => "tree_not_correct",
            Self::TreeNotSolved => "tree_not_solved",
            Self::NoCommitValues => "no_commit_values",
            Self::NoSibling => "no_sibling",
            Self::SmallMargin => "small_margin",
            Self::FewVisits => "few_visits",
            Self::NotMixed => "not_mixed",
            Self::NoOutcomeContrast => "no_outcome_contrast",
            Self::EnsembleAgainst => "ensemble_against",
            Self::SameText => "same_text",
            Self::TooManyPerTree => "too_many_per_tree",
        }
    }

    /// The reason in words, for pages and reports.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::TreeNotCorrect => "the tree's committed answer is wrong",
            Self::TreeNotSolved => "the tree has no right solution",
            Self::NoCommitValues => "the tree keeps no values of its commits",
            Self::NoSibling => "no sibling to compare with",
            Self::SmallMargin => "values too close: margin not above the threshold",
            Self::FewVisits => "too few visits of one side",
            Self::NotMixed => "both steps lead to the same kind of outcome",
            Self::NoOutcomeContrast => "no more right solutions below the chosen step",
            Self::EnsembleAgainst => "all judges together do not prefer the chosen step",
            Self::SameText => "both steps say the same",
            Self::TooManyPerTree => "the tree has enough other pairs",
        }
    }
}
