//! The engine that runs Llama-family checkpoints in this process.
//!
//! | module | what it holds |
//! |---|---|
//! | `kernels` | fused operations, packed weights, attention, packed batches |
//! | `checkpoint` | files, configuration, adapters, GGUF |
//! | `model` | the decoder: differentiable, and for inference on the CPU or a device |
//! | `engine` | scheduler, sequences, prefix cache, sampler |
//! | `reward_model` | reward models: the engine with a score head |
//!
//! Each module uses only the modules above it.

mod checkpoint;
mod engine;
mod kernels;
mod model;
mod reward_model;

pub use crate::text::{Files, PROMPT_FILE, PromptForm, Tokenizer};
pub use checkpoint::{
    Adapter, AdapterConfig, Checkpoint, Gguf, GgufType, LowRank, ModelConfig, ModulePattern,
    RopeScaling, SaveOptions, SavedWeights, Source, dtype_suffix, identity, save_checkpoint,
    write_gguf, write_tensors,
};
pub use engine::{CandlePolicy, free_on};
pub use kernels::{PackedLayout, Segment};
pub use model::{ForwardPass, Parameters, Transformer};
pub use reward_model::RewardModel;
