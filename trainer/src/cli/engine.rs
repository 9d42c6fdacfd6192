//! Flags that say how a policy is run; none of them changes a result.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

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
    /// Memory for stored keys and values of prefixes, in MiB [default: 1024].
    #[arg(long, value_name = "MIB")]
    cache: Option<usize>,
    /// Where the model runs; this program runs it on the CPU.
    #[arg(long, default_value = "cpu", value_name = "cpu|cuda[:N]")]
    device: String,
    /// Type of the model's numbers; on the CPU all are computed in f32.
    #[arg(long, value_enum, default_value = "f32")]
    dtype: DtypeArg,
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
    /// When a device is asked for that this build does not have.
    pub(super) fn load_options(&self) -> Result<LoadOptions, TrainError> {
        if self.device != "cpu" {
            let detail = format!(
                "`{}`: this program computes on the CPU alone. To use a GPU, serve the checkpoint with \
                 vLLM, SGLang or llama.cpp there and name that server: --policy \
                 http://host:port/v1#model (docs/servers.md)",
                self.device
            );
            return Err(TrainError::Setting { name: "device", detail });
        }
        if self.dtype != DtypeArg::F32 {
            eprintln!(
                "--dtype {}: on the CPU weights are held once, in f32, and everything is computed in \
                 f32, whatever the type of the checkpoint's files",
                self.dtype.name()
            );
        }
        let server = self.server.options();
        let mut options = LoadOptions { threads: self.threads(), server, ..LoadOptions::default() };
        if let Some(max_batch) = self.max_batch {
            options.max_batch = max_batch.max(1);
        }
        if let Some(mib) = self.cache {
            options.cache_bytes = mib.max(1) << 20;
        }
        options.say = Some(say_once);
        Ok(options)
    }
}

/// Says a text unless it was the last one: every round loads a policy of the same size.
fn say_once(text: &str) {
    static LAST: Mutex<String> = Mutex::new(String::new());
    // Nothing can panic while this lock is held but the write itself; a poisoned one is as good.
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if *last != text {
        text.clone_into(&mut last);
        eprintln!("{text}");
    }
}

/// Types of numbers that checkpoints come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum DtypeArg {
    F32,
    Bf16,
    F16,
}

impl DtypeArg {
    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
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
