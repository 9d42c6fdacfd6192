//! The inference engine: continuous batching over a prefix cache, behind the [`Policy`] interface.
//!
//! [`CandlePolicy`] renders requests and routes them to shards. A shard ([`scheduler`]) is a thread with
//! its own KV slots ([`kv_slots`]) and prefix cache ([`prefix_cache`]). Every engine step computes one row
//! for each decoding sequence and some rows of prefills ([`sequence`]), then samples.
//!
//! [`Policy`]: crate::Policy

mod capacity;
mod judge;
mod kv_slots;
mod logits;
mod policy;
mod prefix_cache;
mod propose;
mod request;
mod router;
mod sampler;
mod scheduler;
mod sequence;
mod truncation;

pub use policy::{CandlePolicy, free_on};
