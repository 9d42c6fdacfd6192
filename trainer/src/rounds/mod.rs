//! Rounds of self-improvement: search, pairs, training, validation, again; and a run directory that
//! survives anything.
//!
//! A round is a function: (checkpoint k, problems, seed) -> (pairs, checkpoint k+1, report).
//! Each phase leaves its files whole or not at all, so the same command goes on where the last one
//! stopped and ends with the same bytes. The files, lowest first; each uses only those above it:
//!
//! | files | what they hold |
//! |---|---|
//! | `config`, `preset`, `variant` | settings |
//! | `sets` | which problems each round, validation and test get |
//! | `machine`, `report`, `statistics`, `test_evaluation`, `run_dir` | what a run writes |
//! | `observer`, `on_demand`, `journal`, `round_files`, `phase`, `round_policy` | what all phases share; how they resume |
//! | `process`, `serve_command`, `served_check`, `serving`, `policies` | policies, here or behind servers: loaded, put there, compared, watched |
//! | `calibration`, `search` | phase 1: trees and pairs |
//! | `replay`, `solutions`, `external`, `training`, `prune` | phase 2: a checkpoint from pairs |
//! | `validation`, `kl_to_base`, `gate` | phase 3: is it better, how far has it moved, is it kept |
//! | `context`, `round_report`, `round` | one round |
//! | `best`, `best_checkpoint`, `round_loop`, `final_evaluation`, `finish` | all rounds, which was best, the test problems, the report |
//! | `fork`, `driver` | a run: started or resumed |
//! | `plan` | a dry run |

mod best;
mod best_checkpoint;
mod calibration;
mod config;
mod context;
mod driver;
mod external;
mod final_evaluation;
mod finish;
mod fork;
mod gate;
mod journal;
mod kl_to_base;
mod machine;
mod observer;
mod on_demand;
mod phase;
mod plan;
mod policies;
mod preset;
mod process;
mod prune;
mod replay;
mod report;
mod round;
mod round_files;
mod round_loop;
mod round_policy;
mod round_report;
mod run_dir;
mod search;
mod serve_command;
mod served_check;
mod serving;
mod sets;
mod solutions;
mod statistics;
mod test_evaluation;
mod training;
mod validation;
mod variant;

pub use config::{Gate, Objective, ReferenceKind, RunConfig};
pub use driver::{RunOutcome, RunRequest, iterate};
pub(crate) use gate::GATE_OFF;
pub(crate) use machine::Machine;
pub use observer::{Control, NoObserver, Observer};
pub(crate) use phase::read_cost;
pub use plan::{Estimate, RoundMemory, RunPlan, Trial, plan};
pub(crate) use report::Times;
pub use report::{EvalReport, GateReport, KlToBase, RoundReport, RoundTokens, RunReport, Seconds};
pub(crate) use round_files::{TEST, path_of};
pub use run_dir::{Fork, RunDir, RunFile, differences, read_report};
pub(crate) use run_dir::{read_run_file, round_dir};
pub use serve_command::ServeCommand;
pub use sets::ProblemSets;
pub use statistics::{DepthCount, HISTOGRAM_EDGES, RoundStatistics};
pub use test_evaluation::{EvalRow, ROW_VERSION, TestRow};
pub(crate) use training::rows_trained;
pub use variant::Variant;
