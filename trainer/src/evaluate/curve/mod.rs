//! Accuracy against tokens: greedy decoding, pass@k, majority voting, best-of-k and search, at equal tokens.
//!
//! `sampled` makes everything that needs no search out of one set of samples, `estimate` makes means, bootstrap
//! intervals and comparisons at equal tokens of what each problem gave. Tokens are those computed a problem:
//! its prompt once, every sampled token, and what the judge was asked. pass@k is Chen et al. 2021
//! (arXiv:2107.03374), an upper bound that no strategy without the reference reaches; majority voting is Wang
//! et al. 2022 (arXiv:2203.11171).

mod estimate;
mod sampled;

pub use estimate::{AtBudget, Budget, Curve, Point};
pub use sampled::{SampledProblem, Sampler};

/// What one way of answering gave for one problem.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcome {
    /// Tokens computed; a mean where there are several draws.
    pub tokens: f64,
    /// Chance of a right answer, in [0, 1]; 0 or 1 where there is one draw.
    pub accuracy: f64,
}

/// What one way of answering gave with one budget, for each problem in order.
#[derive(Debug, Clone, PartialEq)]
pub struct CurveSeries {
    /// The strategy, without its budget.
    pub strategy: String,
    /// Samples, or simulations per root.
    pub k: u64,
    /// One a problem.
    pub outcomes: Vec<Outcome>,
}
