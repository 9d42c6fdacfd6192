//! Training: variables, gradients, optimizers and schedules, shared by all losses.
//!
//! `sft` and `dpo` are two objectives that use the same training loop. Nothing here depends on search trees
//! or rounds.

mod demonstrations;
mod dpo;
mod dpo_config;
mod flip_rate;
mod gradients;
mod inplace;
mod judge;
mod lora;
mod memory;
mod metrics;
mod model;
mod optim;
mod optimum;
mod pair_row;
mod pairs;
mod preference;
mod ranking;
mod rationale;
mod recompute;
mod reference;
mod run;
mod schedule;
mod session;
mod sft;
mod state;
mod tensorboard;
mod tokenise;
mod validation;
mod variables;
mod workers;

pub mod collate;
pub mod loss;

pub use demonstrations::tokenise_demonstrations;
pub use dpo::{DpoSummary, DpoTrainer, PreferenceData, plan_dpo};
pub use dpo_config::{Average, DpoConfig, Scope};
pub use flip_rate::LabelEvidence;
pub use gradients::{Evaluation, TrainingObjective};
pub use judge::{JudgeConfig, JudgeLabels};
pub use lora::LoraConfig;
pub use memory::{TrainingMemory, peak_memory, resident_memory};
pub use metrics::{Metrics, MetricsLog};
pub use model::Model;
pub use optim::{OptimizerConfig, OptimizerKind};
pub use rationale::Rationale;
pub use reference::Reference;
pub use run::{MultiRoundSchedule, OnStep, StepProgress};
pub use schedule::{Schedule, ScheduleKind};
pub use session::Session;
pub use sft::{Example, SftConfig, SftSummary, SftTrainer, plan_sft};
pub use state::{OPTIMIZER, remove_damaged_states};
pub use tokenise::{EndOfText, TokenisedPreferences, tokenise_preferences};
pub use validation::Best;
pub use variables::Variables;
