//! A step with the verified outcomes of its continuations: a training example for a judge of steps.
//!
//! One JSON object per line. `prompt`, `completion` and `label` are TRL's unpaired columns; the token ids,
//! and the counts from which the label is computed, are used to train the judge.

use serde::{Deserialize, Serialize};

use crate::TokenId;

/// Version of the step label row; readers refuse a newer one.
pub const STEP_LABEL_VERSION: u32 = 1;

/// A step of a search tree and the verified solutions that go through it.
///
/// The share of right ones among these solutions is a Monte Carlo estimate of the value of the prefix
/// (arXiv:2312.08935 labels steps in this way, from completions sampled for the purpose).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepLabel {
    /// [`STEP_LABEL_VERSION`].
    pub version: u32,
    /// [`crate::Problem::id`] of the tree.
    pub problem_id: String,
    /// Round of the run, from 1; 0 outside a run.
    pub round: u32,
    /// Identity of the policy that sampled the step.
    pub policy: String,
    /// Depth of the step, the first one being at depth 1.
    pub depth: u32,
    /// Whether the step ends the solution.
    pub terminal: bool,
    /// Text of the prefix: prompt and the steps before.
    pub prompt: String,
    /// Text of the step.
    pub completion: String,
    /// Whether any solution through the step is right.
    pub label: bool,
    /// Token ids of the prefix.
    pub prompt_ids: Vec<TokenId>,
    /// Token ids of the step, ending in EOS only if the step ended the solution.
    pub completion_ids: Vec<TokenId>,
    /// Distinct solutions in the tree that go through the step and were verified, at least 1.
    pub solutions: u64,
    /// Number of these solutions that are right.
    pub right: u64,
}

impl StepLabel {
    /// Monte Carlo value of the state after the step, in [0, 1].
    #[must_use]
    pub fn value(&self) -> f64 {
        self.right as f64 / self.solutions.max(1) as f64
    }
}
