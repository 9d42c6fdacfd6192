//! One optimizer step, whatever the loss: variables, gradients, optimizers, schedules.
//!
//! `sft` and `dpo` are two objectives over the same machinery. Nothing here knows of search
//! trees or rounds.

mod dpo;
mod gradients;
mod metrics;
mod optim;
mod run;
mod schedule;
mod sft;
mod state;
mod variables;

pub mod collate;
pub mod loss;

pub use dpo::{DpoConfig, DpoSummary, Reference, train_dpo};
pub use gradients::{Evaluation, Objective};
pub use metrics::{Metrics, MetricsLog};
pub use optim::{OptimizerConfig, OptimizerKind};
pub use run::{Model, OnStep, Progress};
pub use schedule::{Schedule, ScheduleKind};
pub use sft::{Example, Row, SftConfig, SftSummary, read_examples, train_sft};
pub use state::remove_damaged_states;
pub use variables::Variables;
