//! Settings for the extraction of pairs.
//!
//! "paper" marks a default from Xie et al. 2024, "code" a default from the authors' code, and "ours" our own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::strength::Ensemble;
use crate::config::{Strategy, is_default};
use crate::{SearchConfig, SearchError, config};

/// Rules for the pairs of a tree. Unknown keys are refused; a missing key takes its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PairConfig {
    /// Which parents yield a pair (default `committed`, as in the paper).
    pub parents: Parents,
    /// Which sibling is rejected (default `lowest` Q, as in the paper; the authors' code has a flag
    /// that picks one at random).
    pub rejected: Rejected,
    /// Lower bound of the margin `Q_chosen - Q_rejected`, exclusive; must be at least 0 (default
    /// 0).
    pub min_margin: f64,
    /// Minimum number of visits of the chosen side (default 0: paper).
    pub min_visits_chosen: u64,
    /// Minimum number of visits of the rejected side (default 0: paper).
    pub min_visits_rejected: u64,
    /// Only pairs with `Q_chosen > 0` and `Q_rejected < 1`, an option of the paper (default false).
    pub mixed: bool,
    /// Only pairs whose chosen step has a larger share of right solutions below it than the rejected
    /// one (default false).
    #[serde(skip_serializing_if = "is_default")]
    pub outcome_contrast: bool,
    /// How the ensemble of the tree's judges changes pairs (default off; Secrets of RLHF II,
    /// arXiv:2401.06080).
    #[serde(skip_serializing_if = "is_default")]
    pub ensemble: Ensemble,
    /// Only trees whose committed answer is right (default false; the code's training scripts: true).
    pub correct_only: bool,
    /// Only trees with at least one correct solution (default true, ours: without one, siblings
    /// differ by self-evaluation only). Trees searched without the oracle (no reference answers)
    /// are not filtered. Exception: records of runs and searches that were written before this setting
    /// existed read as false. A `--config` file without it takes the preset's value.
    #[serde(default)]
    pub solved_only: bool,
    /// Maximum number of pairs per tree (default 8: paper).
    pub max_per_tree: usize,
    /// Which pairs to keep if a tree has more (default those with the largest margins; ours).
    #[serde(skip_serializing_if = "is_default")]
    pub keep: Keep,
    /// When the Q and the visits of a pair are read (default: at the end of the search).
    #[serde(skip_serializing_if = "is_default")]
    pub values: PairValues,
    /// Whether a step with a single child is merged with that child, repeatedly, into one longer step
    /// (default true, as in the paper).
    pub glue_chains: bool,
    /// Whether the label smoothing alpha of a pair comes from visit counts (default true, as in the
    /// paper); otherwise it is 0.
    pub smoothing: bool,
    /// Maximum number of joint pairs of a search, or of a round (default 0: none; DOVE, arXiv:2404.00530). A
    /// joint pair prefers a right solution of one problem to a wrong solution of another problem, and its
    /// loss is `sigmoid`. At least one of the two trees is without contrast: its verified solutions are all
    /// right, or all wrong. The other rules of this table do not apply to joint pairs.
    #[serde(skip_serializing_if = "is_default")]
    pub joint: usize,
}

impl Default for PairConfig {
    fn default() -> Self {
        Self {
            parents: Parents::Committed,
            rejected: Rejected::Lowest,
            min_margin: 0.0,
            min_visits_chosen: 0,
            min_visits_rejected: 0,
            mixed: false,
            outcome_contrast: false,
            ensemble: Ensemble::Off,
            correct_only: false,
            solved_only: true,
            max_per_tree: 8,
            keep: Keep::LargestMargins,
            values: PairValues::End,
            glue_chains: true,
            smoothing: true,
            joint: 0,
        }
    }
}

impl PairConfig {
    /// Settings for the bundled model.
    #[must_use]
    pub fn builtin() -> Self {
        Self {
            parents: Parents::All, // docs/experiments/0001: the committed path alone gains less
            min_margin: 0.6,       // the same log: no worse than 0, with fewer pairs
            solved_only: false,    // as in all logged experiments
            ..Self::default()
        }
    }

    /// Pair rules of the authors' scripts. `rejected = "random"` is left out: it is an optional flag there.
    #[must_use]
    pub fn paper() -> Self {
        Self {
            correct_only: true,
            keep: Keep::First,
            values: PairValues::Commit,
            ..Self::default()
        }
    }

    /// Checks every range.
    ///
    /// # Errors
    /// [`SearchError::Config`] naming the first field that is out of its range.
    pub fn check(&self) -> Result<(), SearchError> {
        let margin = self.min_margin;
        let ok = margin.is_finite() && margin >= 0.0;
        config::check("min_margin", "a number of at least 0", margin, ok)?;
        config::check("max_per_tree", "at least 1", self.max_per_tree, self.max_per_tree >= 1)
    }

    /// Checks that trees of this search contain the values that the rules need.
    ///
    /// # Errors
    /// [`SearchError::Config`] if `values = "commit"` but the search does not store Q and visits at
    /// commits, or if `joint` is above 0 but the search sees no reference answers.
    pub fn check_for(&self, search: &SearchConfig) -> Result<(), SearchError> {
        let expected = "0, unless `search.value.oracle = true`: joint pairs need verified outcomes";
        let verified = search.value.oracle || self.joint == 0;
        config::check("pairs.joint", expected, self.joint, verified)?;
        let kept = search.commit_values && search.strategy == Strategy::Mcts;
        let expected =
            "`end`, unless `search.commit_values = true` and `search.strategy = \"mcts\"`";
        config::check("pairs.values", expected, "commit", kept || self.values == PairValues::End)
    }
}

/// Which parents give a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Parents {
    /// The nodes of the committed path.
    Committed,
    /// Every node with children. A node with a single child gives no pair and is counted as `no_sibling`.
    All,
}

/// Which sibling is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rejected {
    /// The lowest Q.
    Lowest,
    /// The second highest Q.
    Second,
    /// A random sibling other than the best, drawn with the search's seed.
    Random,
    /// Every sibling with a lower Q, for each chosen sibling: all pairs of ranked siblings (Online
    /// Self-Preferring Language Models, arXiv:2405.14103). `max_per_tree` still applies.
    All,
}

/// Which pairs are kept if a tree has too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Those with the largest margins.
    #[default]
    LargestMargins,
    /// The shallowest ones, as in the authors' code.
    First,
}

/// When the values of a pair are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PairValues {
    /// At the end of the search.
    #[default]
    End,
    /// When the search committed to one of the siblings, as in the authors' code. For parents off
    /// the committed path, the values at the end are used. Needs trees with `search.commit_values =
    /// true`.
    Commit,
}
