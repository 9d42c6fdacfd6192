//! A step: a chunk of reasoning text with the token ids and log-probabilities recorded when it was sampled;
//! and a trajectory: the steps of one attempt.

use serde::{Deserialize, Serialize};

/// Index into the vocabulary of the policy that sampled the token.
pub type TokenId = u32;

/// Why a sampled step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The step boundary was reached; the solution continues.
    Boundary,
    /// The model ended the solution (EOS). The EOS id is the last of the step's ids.
    Eos,
    /// A stop string or a stop token of the request ended the solution. The token that completed it
    /// is the last of the step's ids.
    Stop,
    /// The token budget was used up.
    Length,
}

/// One step of a solution as it was sampled, or as given for injected reference steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Token ids as sampled; never obtained by tokenising `text` again.
    pub ids: Vec<TokenId>,
    /// Decoded text of `ids`, without special tokens.
    pub text: String,
    /// Log-probability of each id under the policy at temperature 1, natural log, at most 0; same length
    /// as `ids`.
    pub logps: Vec<f32>,
    /// Why the step ended.
    pub finish: Finish,
}

impl Step {
    /// Sum of the log-probabilities.
    #[must_use]
    pub fn logp(&self) -> f64 {
        self.logps.iter().map(|&l| f64::from(l)).sum()
    }
}

/// One attempt at a problem: its steps in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trajectory {
    /// [`crate::Problem::id`].
    pub problem_id: String,
    /// Steps from the first to the last.
    pub steps: Vec<Step>,
}

impl Trajectory {
    /// The whole solution as text.
    #[must_use]
    pub fn text(&self) -> String {
        self.steps.iter().map(|s| s.text.as_str()).collect()
    }

    /// All token ids in order.
    #[must_use]
    pub fn ids(&self) -> Vec<TokenId> {
        self.steps.iter().flat_map(|s| s.ids.iter().copied()).collect()
    }
}
