//! A step-level preference pair with its provenance.
//!
//! One JSON object per line. `prompt`, `chosen` and `rejected` are TRL's standard preference columns, so the
//! file loads there unchanged. The other columns are needed by a step-level trainer (token ids, which must
//! not be recomputed from text) or record the provenance of the pair.

use serde::{Deserialize, Serialize};

use crate::TokenId;

/// Version of the pair row; readers refuse a newer one.
pub const PAIR_VERSION: u32 = 1;

/// Two sibling steps of one search tree, the better one first (docs/paper.md).
///
/// With `glue_chains` (the default), a side is a child merged with the single-child steps that follow it. Text, ids
/// and log-probabilities are then those of the whole chain, `terminal_*` and `outcome_*` those of its last step;
/// depth, Q, visits, prior and self-evaluation are those of its first step, the child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreferencePair {
    /// [`PAIR_VERSION`].
    pub version: u32,
    /// [`crate::Problem::id`] of the tree.
    pub problem_id: String,
    /// Round of the run, from 1; 0 outside a run.
    pub round: u32,
    /// Identity of the policy that sampled both sides.
    pub policy: String,
    /// Whether the search saw the reference answer.
    pub oracle: bool,
    /// Whether the reference solution was shown in the self-evaluation prompt.
    #[serde(default)]
    pub hinted: bool,
    /// Whether a side, or a step before them, was injected from the reference solution and not
    /// sampled.
    #[serde(default)]
    pub injected: bool,
    /// Whether the search had a time-based stopping rule; another run may then give other pairs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed: bool,
    /// Depth of the two children; children of the root have depth 1.
    pub depth: u32,

    /// Text of the prefix: prompt and the steps so far.
    pub prompt: String,
    /// Text of the better step.
    pub chosen: String,
    /// Text of the worse step.
    pub rejected: String,
    /// Token ids of the prefix; the same for both sides.
    pub prompt_ids: Vec<TokenId>,
    /// Token ids of the better step, ending in EOS only if that step ended the solution.
    pub chosen_ids: Vec<TokenId>,
    /// Token ids of the worse step.
    pub rejected_ids: Vec<TokenId>,
    /// Log-probabilities of `chosen_ids` under the policy, recorded while sampling, before temperature, top-k, top-p
    /// and min-p are applied.
    pub chosen_logps: Vec<f32>,
    /// The same for `rejected_ids`.
    pub rejected_logps: Vec<f32>,
    /// Whether the log-probabilities above may serve as reference log-probabilities if the policy that sampled the pair
    /// is the reference: both sides were
    /// sampled, not injected, at temperature 1 without top-k, top-p or min-p. Other samples are not trusted, because
    /// some servers report log-probabilities after the temperature.
    pub logps_exact: bool,

    /// Value of the better child.
    pub q_chosen: f64,
    /// Value of the worse child.
    pub q_rejected: f64,
    /// Value of the better child minus the mean value of all its siblings; absent in pairs that were not made
    /// by a search of this program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advantage_chosen: Option<f64>,
    /// Value of the worse child minus the mean value of all its siblings; absent in the same cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advantage_rejected: Option<f64>,
    /// Visits of the better child.
    pub n_chosen: u64,
    /// Visits of the worse child.
    pub n_rejected: u64,
    /// Prior of the better child.
    pub prior_chosen: f64,
    /// Prior of the worse child.
    pub prior_rejected: f64,
    /// Self-evaluation of the better child, in [0, 1]; absent if it is unknown or was not requested.
    pub self_evaluation_chosen: Option<f64>,
    /// Self-evaluation of the worse child.
    pub self_evaluation_rejected: Option<f64>,
    /// Outcome of the better side: 0 unless terminal.
    pub outcome_chosen: f64,
    /// Outcome of the worse side.
    pub outcome_rejected: f64,
    /// Whether the better side ends the solution.
    pub terminal_chosen: bool,
    /// Whether the worse side ends the solution.
    pub terminal_rejected: bool,

    /// Label smoothing, in [0, 0.5]: from visits, `N_rejected / (max(1, N_chosen) + N_rejected)`, unless `smoothing` or
    /// `ensemble` in the pair settings changes it.
    pub alpha: f64,
    /// `q_chosen - q_rejected`, above 0; with `ensemble`, it may be the absolute mean strength of the tree's
    /// judges.
    pub margin: f64,
    /// Weight of the pair in the mean of the loss, above 0.
    pub weight: f64,
}
