//! The Llama-family decoder over the weights of a checkpoint, in three forms.
//!
//! [`Transformer`] is differentiable and takes packed batches; training uses it. [`decoder`] (CPU) and
//! [`on_device`] (any candle device) compute rows over stored keys and values behind the interface of
//! [`forward`]; the engine uses them.

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
