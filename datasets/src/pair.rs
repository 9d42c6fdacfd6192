//! A step-level preference pair with everything that made it.
//!
//! One JSON object per line. `prompt`, `chosen` and `rejected` are TRL's standard preference columns,
//! so the file loads there unchanged; the other columns are what a step-level trainer needs
//! (token ids, never to be made again from text) and the provenance of the pair.

use serde::{Deserialize, Serialize};

use crate::TokenId;

/// Version of the pair row; readers refuse a newer one.
pub const PAIR_VERSION: u32 = 1;

/// Two sibling steps of one search tree, the better one first (docs/paper.md).
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
    /// Whether a time budget had a say in the tree: then another run may give other pairs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed: bool,
    /// Depth of the two children, the root's children being at depth 1.
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
    /// Sampling log-probabilities of `chosen_ids` at temperature 1.
    pub chosen_logps: Vec<f32>,
    /// Sampling log-probabilities of `rejected_ids` at temperature 1.
    pub rejected_logps: Vec<f32>,
    /// Whether the log-probabilities above may stand in for the round-start reference: both sides
    /// sampled, not injected or forced.
    pub logps_exact: bool,

    /// Value of the better child.
    pub q_chosen: f64,
    /// Value of the worse child.
    pub q_rejected: f64,
    /// Value of the better child less the mean value of all its siblings; absent in pairs that no search
    /// of this program made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advantage_chosen: Option<f64>,
    /// The same of the worse child.
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
    /// Self-evaluation of the better child, in [0, 1]; absent when unknown or not asked.
    pub self_evaluation_chosen: Option<f64>,
    /// Self-evaluation of the worse child.
    pub self_evaluation_rejected: Option<f64>,
    /// Outcome of the better child: 0 unless terminal.
    pub outcome_chosen: f64,
    /// Outcome of the worse child.
    pub outcome_rejected: f64,
    /// Whether the better child ends the solution.
    pub terminal_chosen: bool,
    /// Whether the worse child ends the solution.
    pub terminal_rejected: bool,

    /// Label smoothing from visits, in [0, 0.5]: `N_l / (max(1, N_w) + N_l)`.
    pub alpha: f64,
    /// `q_chosen - q_rejected`, above 0.
    pub margin: f64,
    /// Weight of the pair in the mean of the loss, above 0.
    pub weight: f64,
}
