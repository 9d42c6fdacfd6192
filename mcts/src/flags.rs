//! Flags of both binaries that say how a policy is run: in this process, or behind servers.
//!
//! It knows nothing of engines and servers. Of these flags `--device` and `--dtype` alone change what
//! a policy answers, and only away from the processor.

use std::path::{Path, PathBuf};
use std::time::Duration;

use regrowth_policy::{ComputeDevice, Dialect, LoadOptions, NumberType, ServerOptions};

/// How a policy is run.
#[derive(Debug, Clone, clap::Args)]
pub struct EngineFlags {
    /// Threads of everything that computes; changes no result [default: number of cores]
    #[arg(long, value_name = "T", value_parser = at_least_one)]
    threads: Option<usize>,
    /// Sequences decoded at once; changes no result [default: 64]
    #[arg(long, value_name = "B", value_parser = at_least_one)]
    max_batch: Option<usize>,
    /// Memory for stored keys and values of prefixes, in MiB; changes no result [default: 1024]
    #[arg(long, value_name = "MIB", value_parser = at_least_one)]
    cache: Option<usize>,
    /// Where a checkpoint is computed; a GPU needs a build with the feature `cuda`
    #[arg(long, value_name = "cpu|cuda[:N]", default_value = "cpu")]
    device: ComputeDevice,
    /// Type of the numbers on a GPU; the processor computes in f32
    #[arg(long, value_name = "f32|bf16|f16", default_value = "f32")]
    dtype: NumberType,
    #[command(flatten)]
    server: ServerFlags,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|&n| n >= 1);
    number.ok_or_else(|| "expected a number of at least 1".to_owned())
}

impl EngineFlags {
    /// Number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads.unwrap_or(LoadOptions::default().threads)
    }

    /// Where a checkpoint is computed.
    #[must_use]
    pub fn device(&self) -> ComputeDevice {
        self.device
    }

    /// The folder with the tokenizer of a served model.
    #[must_use]
    pub fn tokenizer(&self) -> Option<&Path> {
        self.server.tokenizer.as_deref()
    }

    /// Options for loading a policy, with defaults where there is no flag. `say` is told what a user
    /// should know.
    #[must_use]
    pub fn load_options(&self, say: fn(&str)) -> LoadOptions {
        if self.device == ComputeDevice::Cpu && self.dtype != NumberType::F32 {
            say(&format!(
                "--dtype {}: on the CPU weights are held once, in f32, and everything is computed in \
                 f32, whatever the type of the checkpoint's files",
                self.dtype
            ));
        }
        let base = LoadOptions::default();
        LoadOptions {
            threads: self.threads(),
            max_batch: self.max_batch.unwrap_or(base.max_batch),
            cache_bytes: self.cache.map_or(base.cache_bytes, |mib| mib << 20),
            device: self.device,
            numbers: self.dtype,
            server: self.server.options(),
            say: Some(say),
        }
    }
}

/// How servers are spoken to.
#[derive(Debug, Clone, clap::Args)]
struct ServerFlags {
    /// Folder with the tokenizer.json of a served model [default: the server tokenises]
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,
    /// What the server speaks [default: it is asked]
    #[arg(long, value_name = "vllm|sglang|llama.cpp|llama-cpp-python")]
    server_dialect: Option<Dialect>,
    /// Requests in flight at each server [default: 64]
    #[arg(long, value_name = "N")]
    server_in_flight: Option<usize>,
    /// Longest time of one request [default: 600]
    #[arg(long, value_name = "SECONDS")]
    server_timeout: Option<u64>,
    /// Times that a request is tried before the run ends [default: 8]
    #[arg(long, value_name = "N")]
    server_attempts: Option<u32>,
    /// Tokens of prompt and solution, where the server does not tell [default: 4096]
    #[arg(long, value_name = "TOKENS")]
    server_context: Option<usize>,
}

impl ServerFlags {
    /// The options, with defaults where there is no flag.
    fn options(&self) -> ServerOptions {
        let base = ServerOptions::default();
        ServerOptions {
            tokenizer: self.tokenizer.clone(),
            dialect: self.server_dialect,
            in_flight: self.server_in_flight.unwrap_or(base.in_flight).max(1),
            timeout: self.server_timeout.map_or(base.timeout, |s| Duration::from_secs(s.max(1))),
            attempts: self.server_attempts.unwrap_or(base.attempts).max(1),
            context: self.server_context,
        }
    }
}
