//! Evaluation of a policy: solutions are generated without the reference and verified afterwards.
//!
//! `sample` samples full solutions of many problems at once. `strategy` chooses one answer from several
//! solutions or from a search (by `vote` if they differ). `options` scores multiple choice by log-likelihood.
//! `curve` compares strategies at equal tokens. `harness` scores benchmarks by the rules of the
//! lm-evaluation-harness, and `lm_eval` writes results in the format of its files. Nothing here trains.

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
