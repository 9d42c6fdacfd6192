//! The engine that runs Llama-family checkpoints in this process.
//!
//! One decoder in two forms over the same weights: [`Transformer`] is differentiable and takes
//! packed batches, the inference engine keeps keys and values of every prefix it has seen. Neither
//! knows of trees, pairs or losses.

mod adapter;
mod adapter_config;
mod adapter_file;
mod adapter_init;
mod adapter_merge;
mod adapter_targets;
mod blocks;
mod checkpoint;
mod config;
mod config_fields;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(not(feature = "cuda"))]
#[path = "no_cuda.rs"]
mod cuda;
mod decoder;
mod engine;
mod forward;
mod gguf;
mod identity;
mod job;
mod judge;
mod kv;
mod lane;
mod layout;
mod module_pattern;
mod on_device;
mod ops;
mod policy;
mod prefix;
mod propose;
mod room;
mod rope_scaling;
mod router;
mod sampler;
mod slots;
mod source;
mod spec;
mod staged;
mod tensor_file;
mod transformer;
mod truncation;
mod vocabulary;
mod weights;

use crate::text::tokenizer;

pub use crate::text::{Files, PROMPT_FILE, PromptForm, Tokenizer};
pub use adapter::{Adapter, LowRank};
pub use adapter_config::AdapterConfig;
pub use checkpoint::{Checkpoint, SaveOptions, save_checkpoint, write_tensors};
pub use config::{ModelConfig, RopeScaling};
pub use gguf::Gguf;
pub use identity::{BF16, identity};
pub use layout::{PackedLayout, Segment};
pub use module_pattern::ModulePattern;
pub use policy::{CandlePolicy, free_on};
pub use source::Source;
pub use transformer::{Parameters, Pass, Transformer};
