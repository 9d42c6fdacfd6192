//! Atomics of this crate: those of the standard library, or loom's in the model checker (`RUSTFLAGS="--cfg
//! loom"`).
//!
//! Only `tree` uses them. `concurrency.md` describes the protocol.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(loom)]
pub(crate) use loom::thread::yield_now;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(loom))]
pub(crate) use std::thread::yield_now;

/// An atomic that loom does not track: it affects only which node is searched and protects no data, while
/// tracking it would multiply the interleavings.
pub(crate) use std::sync::atomic::AtomicU32 as UntrackedU32;
