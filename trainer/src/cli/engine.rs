//! Flags that say how a policy is run; none of them changes a result.

use std::path::Path;
use std::sync::Arc;

use regrowth_mcts::ServerFlags;
use regrowth_policy::{LoadOptions, Policy, joined};

use crate::{TrainError, inputs};

/// How the engine in this process is run.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct EngineArgs {
    /// Threads of search, model and training [default: number of cores].
    #[arg(long, value_name = "T")]
    threads: Option<usize>,
    /// Sequences decoded at once.
    #[arg(long, value_name = "B")]
    max_batch: Option<usize>,
    /// Where the model runs; this build knows cpu.
    #[arg(long, default_value = "cpu", value_name = "cpu|cuda[:N]")]
    device: String,
    /// Type of the model's numbers; this build knows f32.
    #[arg(long, default_value = "f32", value_name = "f32|bf16|f16")]
    dtype: String,
    #[command(flatten)]
    server: ServerFlags,
}

impl EngineArgs {
    /// Number of threads.
    pub(super) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(super::cores).max(1)
    }

    /// Folder with the tokenizer of a served model.
    pub(super) fn tokenizer(&self) -> Option<&Path> {
        self.server.tokenizer()
    }

    /// Options for loading a policy.
    ///
    /// # Errors
    /// When a device or type is asked for that this build does not have.
    pub(super) fn load_options(&self) -> Result<LoadOptions, TrainError> {
        let lacking = |name: &'static str, got: &str, known: &str| {
            let detail = format!("`{got}` needs another build; this one knows {known}");
            Err(TrainError::Setting { name, detail })
        };
        if self.device != "cpu" {
            return lacking("device", &self.device, "cpu");
        }
        if self.dtype != "f32" {
            return lacking("dtype", &self.dtype, "f32");
        }
        let server = self.server.options();
        let mut options = LoadOptions { threads: self.threads(), server, ..LoadOptions::default() };
        if let Some(max_batch) = self.max_batch {
            options.max_batch = max_batch.max(1);
        }
        Ok(options)
    }
}

/// Loads the policy that `--policy` names and says what there is to know of it.
///
/// # Errors
/// When it cannot be loaded, or a flag asks for what this build does not have.
pub(super) fn policy(specs: &[String], engine: &EngineArgs) -> Result<Arc<dyn Policy>, TrainError> {
    let spec = joined(specs)?.unwrap_or_default();
    let policy = inputs::policy(&spec, &engine.load_options()?)?;
    policy.notes().iter().for_each(|note| eprintln!("{note}"));
    Ok(policy)
}
