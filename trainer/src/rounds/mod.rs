//! Rounds of self-improvement: search, pairs, training, validation, again; and a run directory that
//! survives anything.
//!
//! A round is a function: (checkpoint k, problem shard, seed) -> (pairs, checkpoint k+1, report).
//! Each phase leaves its files whole or not at all, so the same command goes on where the last one
//! stopped and ends with the same bytes. The files in the order in which a run meets them:
//! `config`, `preset`, `variant`, `sets` (which problems), `run_dir`, `journal` (rows that survive),
//! `driver` (one run), `fork`, `round` (one round), `prune` (what is no longer needed), `scale`, `search`, `audit`, `replay`, `training`,
//! `external`, `validation`, `drift`, `gate`, `finish` (when to end, and the best round), `exam` (the test
//! problems, once, at the end), `report`.

mod audit;
mod config;
mod drift;
mod driver;
mod exam;
mod external;
mod finish;
mod fork;
mod gate;
mod journal;
mod plan;
mod preset;
mod prune;
mod replay;
mod report;
mod round;
mod run_dir;
mod scale;
mod search;
mod sets;
mod training;
mod validation;
mod variant;

pub use audit::{Audit, DepthCount, HISTOGRAM_EDGES};
pub use config::{Gate, Objective, ReferenceKind, RunConfig};
pub use drift::Drift;
pub use driver::{Control, NoObserver, Observer, Outcome, RunRequest, iterate};
pub use exam::{EvalRow, ExamRow, ROW_VERSION};
pub use plan::{Estimate, Memory, Plan, Probe, plan};
pub use report::{EvalReport, GateReport, RoundReport, RunReport, Seconds, Tokens};
pub(crate) use run_dir::read_run_file;
pub use run_dir::{RunDir, RunFile, differences, read_report};
pub use sets::ProblemSets;
pub use variant::Variant;
