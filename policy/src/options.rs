//! How a policy is run: in this process, or behind servers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::decorate::Meter;
use crate::{ComputeDevice, Dtype, PromptOptions};

/// How a policy is run. On a CPU nothing but `prompt` and `dtype` changes what it answers; a GPU rounds
/// otherwise than a CPU, and so does each dtype.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Threads of an engine in this process, at least 1.
    pub threads: usize,
    /// Sequences decoded at once, at least 1.
    pub max_batch: usize,
    /// Bytes for keys and values of stored prefixes. `None`: 1 GiB, and on the CPU up to 4 where the trees
    /// in flight of a larger model need it and the memory is free.
    pub cache_bytes: Option<usize>,
    /// Where a checkpoint is computed.
    pub device: ComputeDevice,
    /// Type of weights and products.
    pub dtype: Dtype,
    /// How servers are spoken to.
    pub server: ServerOptions,
    /// How problems are put to a checkpoint or a served model; what is scripted or replayed has its own
    /// prompts.
    pub prompt: PromptOptions,
    /// Is told what a user should know of an engine in this process: the memory it will take, before
    /// its weights are read, and, once, that its cache is too small; may be called from any thread.
    pub log: Option<fn(&str)>,
    /// Counts what the policy answers and computes.
    pub meter: Option<Arc<Meter>>,
}

impl LoadOptions {
    /// The same for a policy that only judges: how the searched policy is prompted and counted is not its own.
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

/// How servers are spoken to.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Folder with the model's `tokenizer.json` (and chat template, `regrowth.json`); by default the
    /// server tokenises.
    pub tokenizer: Option<PathBuf>,
    /// File with the key of the servers; by default it is in the environment ([`API_KEY`]).
    ///
    /// [`API_KEY`]: crate::http::API_KEY
    pub key_file: Option<PathBuf>,
    /// File with certificates (PEM) that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// What the server speaks; by default it is asked.
    pub dialect: Option<Dialect>,
    /// Requests in flight at each server at most, at least 1.
    pub in_flight: usize,
    /// Longest time that one request may take.
    pub timeout: Duration,
    /// Times that a request is tried, at least 1; pauses between them double up to 8 seconds.
    pub attempts: u32,
    /// Tokens of prompt and solution together, where the server does not say (default 4,096).
    pub context: Option<usize>,
    /// Whether the served model only judges: then it may be a reward model, and vLLM and SGLang are asked whether it is
    /// one.
    pub judges: bool,
    /// The weights that a server answers with, where its model's name does not tell.
    pub weights: Option<ServedWeights>,
    /// Whether a server of vLLM's kind is given nothing else while it scores given text. vLLM 0.32 on a
    /// CPU, started for adapters, ends where it is asked for prompt log-probabilities in a batch.
    pub scores_alone: bool,
    /// Told what a server that is not ready says, while it is waited for.
    pub log: Option<fn(&str)>,
}

/// Weights that were trained from a served model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedWeights {
    /// Tells them from all others; part of the policy's identity.
    pub revision: String,
    /// The adapter that holds them; none where the server was started with them.
    pub adapter: Option<ServedAdapter>,
}

/// A LoRA adapter that servers load while they run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedAdapter {
    /// Name by which it is asked for.
    pub name: String,
    /// Its folder in PEFT's layout, as servers find it.
    pub folder: PathBuf,
    /// How the names of its family begin: others of the family are unloaded before it is loaded.
    pub family: String,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            tokenizer: None,
            key_file: None,
            ca_file: None,
            dialect: None,
            in_flight: 64,
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

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// vLLM: token ids both ways.
    Vllm,
    /// SGLang's own interface: token ids both ways.
    Sglang,
    /// The C++ server of llama.cpp: token ids both ways.
    LlamaCpp,
    /// The server of llama-cpp-python: text both ways.
    LlamaCppPython,
    /// A chat server of OpenAI's kind, hosted ones among them: messages in, text out.
    OpenAi,
}

impl Dialect {
    /// All of them by the names that `--server-dialect` takes.
    pub const NAMES: [(&str, Self); 5] = [
        ("vllm", Self::Vllm),
        ("sglang", Self::Sglang),
        ("llama.cpp", Self::LlamaCpp),
        ("llama-cpp-python", Self::LlamaCppPython),
        ("openai", Self::OpenAi),
    ];

    /// The name.
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
