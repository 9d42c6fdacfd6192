//! The Llama-family decoder with the weights of a checkpoint, in three implementations.
//!
//! [`Transformer`] is differentiable and computes packed batches; training uses it. [`decoder`] (CPU) and
//! [`on_device`] (any candle device) compute rows with a KV cache, both behind the trait in [`forward`];
//! the engine uses them.

mod blocks;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
#[cfg(not(feature = "cuda"))]
#[path = "no_cuda.rs"]
pub(crate) mod cuda;
pub(crate) mod decoder;
mod embedding;
pub(crate) mod forward;
mod kv_store;
pub(crate) mod on_device;
mod transformer;
mod weights;

pub use transformer::{ForwardPass, Parameters, Transformer};
