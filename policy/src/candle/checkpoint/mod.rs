//! Reads and writes checkpoints: folders in Hugging Face layout, GGUF files, PEFT adapters.
//!
//! [`Source`] finds the files, [`ModelConfig`] holds the shapes, and [`Checkpoint`] holds the weights that
//! were read. The models that compute with them are in [`super::model`]; only the update of a LoRA projection
//! ([`LowRank`]) is computed here.

pub(crate) mod adapter;
pub(crate) mod config;
mod config_fields;
mod family;
pub(crate) mod footprint;
pub(crate) mod gguf;
pub(crate) mod held;
pub(crate) mod identity;
mod names;
pub(crate) mod rope_scaling;
pub(crate) mod save;
pub(crate) mod source;
mod spec;
pub(crate) mod staged;
pub(crate) mod tensor_file;
mod vocabulary;
pub(crate) mod weights_file;

pub use adapter::config::AdapterConfig;
pub use adapter::module_pattern::ModulePattern;
pub use adapter::{Adapter, LowRank};
pub use config::{ModelConfig, RopeScaling};
pub use gguf::{Gguf, GgufType, write_gguf};
pub use identity::{dtype_suffix, identity};
pub use save::{SaveOptions, SavedWeights, save_checkpoint};
pub use source::Source;
pub use tensor_file::write_tensors;
pub use weights_file::Checkpoint;
