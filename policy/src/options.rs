//! Options for running a policy, in this process or on servers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::decorate::Meter;
use crate::{ComputeDevice, Dtype, PromptOptions};

/// Options for running a policy. On a CPU only `prompt` and `dtype` change answers. A GPU rounds
/// differently from a CPU, and dtypes differ from each other.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Threads of an engine in this process, at least 1.
    pub threads: usize,
    /// Sequences decoded at once, at least 1.
    pub max_batch: usize,
    /// Bytes of the KV cache. `None`: 1 GiB; on the CPU up to 4 GiB if a larger model needs it for its
    /// trees in flight and the memory is free.
    pub cache_bytes: Option<usize>,
    /// Device that computes a checkpoint.
    pub device: ComputeDevice,
    /// Dtype of weights and matrix products.
    pub dtype: Dtype,
    /// Options for servers.
    pub server: ServerOptions,
    /// Prompt options of a checkpoint or a served model; a scripted or replayed policy has its own prompts.
    pub prompt: PromptOptions,
    /// Callback for messages about an engine in this process: its planned memory, before its weights are
    /// read, and, once, that its KV cache is too small. It may be called from any thread.
    pub log: Option<fn(&str)>,
    /// Counts the policy's answers and computed tokens.
    pub meter: Option<Arc<Meter>>,
}

impl LoadOptions {
    /// Returns these options for a policy that only judges: without the prompt options and the meter of the
    /// searched policy.
    #[must_use]
    pub fn for_judge(&self) -> Self {
        let server = ServerOptions { judges: true, ..self.server.clone() };
        Self { server, prompt: PromptOptions::default(), meter: None, ..self.clone() }
    }
}

impl Default for LoadOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let server = ServerOptions::default();
        Self {
            threads,
            max_batch: 64,
            cache_bytes: None,
            device: ComputeDevice::Cpu,
            dtype: Dtype::F32,
            server,
            prompt: PromptOptions::default(),
            log: None,
            meter: None,
        }
    }
}

/// Options for servers.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Folder with the model's `tokenizer.json` (and chat template, `regrowth.json`); by default the
    /// server tokenises.
    pub tokenizer: Option<PathBuf>,
    /// File with the API key of the servers; by default the key is read from the environment ([`API_KEY`]).
    ///
    /// [`API_KEY`]: crate::http::API_KEY
    pub key_file: Option<PathBuf>,
    /// File with certificates (PEM) to trust in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// API that the server speaks; detected by default.
    pub dialect: Option<Dialect>,
    /// Maximum number of requests in flight at each server, at least 1 (default 256). The client finds the best
    /// number up to this one from the server's throughput.
    pub in_flight: usize,
    /// Timeout of one request.
    pub timeout: Duration,
    /// Number of attempts per request, at least 1; pauses between attempts double up to 8 seconds.
    pub attempts: u32,
    /// Maximum number of tokens of prompt and solution together, if the server does not report it (default
    /// 4,096).
    pub context: Option<usize>,
    /// Whether the served model only judges. It may then be a reward model; vLLM and SGLang report whether
    /// it is one.
    pub judges: bool,
    /// Weights of the served model, if its name does not identify them.
    pub weights: Option<ServedWeights>,
    /// If true, a vLLM server gets no other request while it scores given text. vLLM 0.32 on a CPU, started
    /// with LoRA support, terminates when a batch includes a request for prompt log-probabilities.
    pub scores_alone: bool,
    /// Callback for messages about servers that cannot be reached or are not ready yet.
    pub log: Option<fn(&str)>,
}

/// Weights that were trained from a served model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedWeights {
    /// Identifies the weights; part of the policy's identity.
    pub revision: String,
    /// The LoRA adapter with the weights; `None` if the server was started with the weights.
    pub adapter: Option<ServedAdapter>,
}

/// A LoRA adapter that servers load at run time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedAdapter {
    /// Model name that requests to the adapter use.
    pub name: String,
    /// The adapter's folder in PEFT's layout: its path on the servers.
    pub folder: PathBuf,
    /// Common prefix of the names of successive adapters: before this adapter is loaded, other adapters
    /// whose names begin like this are unloaded.
    pub family: String,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            tokenizer: None,
            key_file: None,
            ca_file: None,
            dialect: None,
            in_flight: 256,
            timeout: Duration::from_secs(600),
            attempts: 8,
            context: None,
            judges: false,
            weights: None,
            scores_alone: false,
            log: None,
        }
    }
}

/// API of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// vLLM: token ids in requests and responses.
    Vllm,
    /// SGLang's native API: token ids in requests and responses.
    Sglang,
    /// The C++ server of llama.cpp: token ids in requests and responses.
    LlamaCpp,
    /// The server of llama-cpp-python: text in requests and responses.
    LlamaCppPython,
    /// An OpenAI-compatible chat server, hosted or local: messages in requests, text in responses.
    OpenAi,
}

impl Dialect {
    /// All dialects, by their names for `--server-dialect`.
    pub const NAMES: [(&str, Self); 5] = [
        ("vllm", Self::Vllm),
        ("sglang", Self::Sglang),
        ("llama.cpp", Self::LlamaCpp),
        ("llama-cpp-python", Self::LlamaCppPython),
        ("openai", Self::OpenAi),
    ];

    /// The dialect's name for `--server-dialect`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, dialect)| *dialect == self).map_or("", |(name, _)| name)
    }
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Dialect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::NAMES.map(|(name, _)| name).join(", ");
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, d)| *d).ok_or_else(|| format!("`{text}`: expected one of {names}"))
    }
}
