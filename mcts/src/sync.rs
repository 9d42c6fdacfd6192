//! The atomics of this crate: those of the standard library, or loom's in its model checker
//! (`RUSTFLAGS="--cfg loom"`).
//!
//! Only `tree` uses them. The protocol is in `concurrency.md`.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(loom)]
pub(crate) use loom::thread::yield_now;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(loom))]
pub(crate) use std::thread::yield_now;

/// A word that loom does not follow: it steers the search and guards nothing, and every state of it
/// would be an interleaving more.
pub(crate) use std::sync::atomic::AtomicU32 as UntrackedU32;
