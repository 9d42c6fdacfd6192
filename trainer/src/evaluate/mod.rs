//! How good is a policy: solutions without any sight of the reference, checked afterwards.
//!
//! `sample` asks for whole solutions of many problems at once, `strategy` makes one answer of
//! several solutions or of a search (by `vote` where they differ), `options` reads multiple choice off log-likelihoods,
//! `curve` compares strategies at equal tokens, `harness` scores benchmarks by the rules of the lm-evaluation-harness, and `lm_eval` writes the figures in
//! its files. Nothing here trains.

mod ask;
mod curve;
mod harness;
mod lm_eval;
mod options;
mod sample;
mod strategy;
mod summary;
mod vote;

pub(crate) use ask::ask_all;
pub use curve::{AtBudget, Budget, Curve, CurveSeries, Outcome, Point, SampledProblem, Sampler};
pub use harness::{Harness, HarnessFiles, HarnessResult, HarnessTask};
pub use lm_eval::{LmEvalRun, results_folder, write_lm_eval};
pub use options::{OptionScores, OptionSummary, score_options};
pub use sample::{Attempt, Evaluation, SamplePlan, Solved};
pub use strategy::{Answer, Beside, Decoding};
pub use summary::{EvalSummary, PassAtK};
