//! The engine that runs Llama-family checkpoints in this process.
//!
//! One decoder in two forms over the same weights: [`Transformer`] is differentiable and takes
//! packed batches, the inference engine keeps keys and values of every prefix it has seen. Neither
//! knows of trees, pairs or losses.

mod checkpoint;
mod config;
mod layout;
mod ops;
mod prompt;
mod source;
mod tokenizer;
mod transformer;

pub use checkpoint::{Checkpoint, save_checkpoint};
pub use config::{ModelConfig, RopeScaling};
pub use layout::{PackedLayout, Segment};
pub use prompt::{PROMPT_FILE, PromptForm};
pub use source::Source;
pub use tokenizer::Tokenizer;
pub use transformer::{Parameters, Transformer};
