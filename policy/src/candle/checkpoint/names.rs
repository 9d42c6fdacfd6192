//! Names of the files and tensors in a checkpoint in Hugging Face layout.

/// Index of the weight files, if there are several.
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// Weights, if they are in one file.
pub(crate) const WEIGHTS: &str = "model.safetensors";

/// Embedding; also the output head if the two are tied.
pub(crate) const EMBEDDING: &str = "model.embed_tokens.weight";

/// Output head.
pub(crate) const HEAD: &str = "lm_head.weight";

/// Prefix of the tensor names of a reward model's head.
pub(crate) const SCORE: &str = "score.";

/// Configuration of a PEFT adapter; a folder with this file is an adapter.
pub(crate) const ADAPTER_CONFIG: &str = "adapter_config.json";

/// Weights of a PEFT adapter.
pub(crate) const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";
