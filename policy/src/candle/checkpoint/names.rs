//! Names of the files and weights in a checkpoint of Hugging Face layout.

/// List of the files of weights in several.
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// Weights in one file.
pub(crate) const WEIGHTS: &str = "model.safetensors";

/// Embedding, which is the head as well where the two are tied.
pub(crate) const EMBEDDING: &str = "model.embed_tokens.weight";

/// Output projection.
pub(crate) const HEAD: &str = "lm_head.weight";

/// What the names of a reward model's head begin with.
pub(crate) const SCORE: &str = "score.";

/// The file that makes a folder an adapter.
pub(crate) const ADAPTER_CONFIG: &str = "adapter_config.json";

/// Its weights.
pub(crate) const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";
