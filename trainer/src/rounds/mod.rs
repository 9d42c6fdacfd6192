//! Rounds of self-improvement (search, pairs, training, validation, repeat), and the run directory from which
//! an interrupted run resumes.
//!
//! A round is a function: (checkpoint k, problems, seed) -> (pairs, checkpoint k+1, report). A phase leaves
//! either complete files or none, so the same command resumes where the last one stopped and ends with the
//! same bytes. The modules, lowest layer first; each uses only those above it:
//!
//! | modules | contents |
//! |---|---|
//! | `config`, `preset`, `variant` | settings |
//! | `sets` | the problems of each round, of validation and of the test |
//! | `machine`, `report`, `statistics`, `test_evaluation`, `run_dir` | the files that a run writes |
//! | `observer`, `on_demand`, `journal`, `round_files`, `phase`, `round_policy` | code that all phases share, and how phases resume |
//! | `process`, `serve_command`, `served_check`, `serving`, `policies` | loading policies in this process or serving them; checking and watching servers |
//! | `calibration`, `search` | phase 1: trees and pairs |
//! | `replay`, `solutions`, `external`, `training`, `prune` | phase 2: a checkpoint from pairs |
//! | `validation`, `kl_to_base`, `gate` | phase 3: validation accuracy, KL divergence from the base policy, accept or reject |
//! | `context`, `round_report`, `round` | one round |
//! | `best`, `best_checkpoint`, `round_loop`, `final_evaluation`, `finish` | all rounds, the best round, the test evaluation, the report |
//! | `fork`, `driver` | starting or resuming a run |
//! | `plan` | `--dry-run` |

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
mod left_behind;
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
