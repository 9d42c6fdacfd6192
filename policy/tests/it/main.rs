//! Tests of policies through the public interface: one module per area, linked once.

#[cfg(feature = "candle")]
mod adapters;
#[cfg(feature = "candle")]
mod as_stored;
#[cfg(feature = "candle")]
mod checkpoints;
#[cfg(feature = "candle")]
mod common;
#[cfg(feature = "candle")]
mod damaged;
#[cfg(feature = "candle")]
mod engine;
#[cfg(feature = "candle")]
mod forms;
#[cfg(feature = "candle")]
mod gguf;
#[cfg(feature = "candle")]
mod hidden_states;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "candle")]
mod identity;
#[cfg(feature = "candle")]
mod parity;
#[cfg(feature = "candle")]
mod plan;
#[cfg(feature = "candle")]
mod reward_model;
#[cfg(feature = "candle")]
mod stops;
#[cfg(feature = "candle")]
mod templates;
