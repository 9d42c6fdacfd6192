//! Accuracy by tokens: compares greedy decoding, pass@k, majority voting, best-of-k and search at equal
//! tokens.
//!
//! `sampled` evaluates all strategies without search on one set of samples. `estimate` computes means,
//! bootstrap intervals and comparisons at equal tokens from the results per problem. Tokens are the computed
//! tokens per problem: its prompt once, all sampled tokens, and the tokens of judge requests. pass@k is Chen
//! et al. 2021 (arXiv:2107.03374), an upper bound that no strategy without the reference reaches; majority
//! voting is Wang et al. 2022 (arXiv:2203.11171).

mod estimate;
mod sampled;

pub use estimate::{AtBudget, Budget, Curve, Point};
pub use sampled::{SampledProblem, Sampler};

/// Result of one strategy for one problem.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcome {
    /// Number of tokens computed; the mean if there are several draws.
    pub tokens: f64,
    /// Probability of a right answer, in [0, 1]; 0 or 1 if there is one draw.
    pub accuracy: f64,
}

/// Results of one strategy with one budget, for each problem in order.
#[derive(Debug, Clone, PartialEq)]
pub struct CurveSeries {
    /// Name of the strategy, without its budget.
    pub strategy: String,
    /// Number of samples, or of simulations per root.
    pub k: u64,
    /// One outcome per problem.
    pub outcomes: Vec<Outcome>,
}
