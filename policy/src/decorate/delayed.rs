//! Imitates a slow server: one thread that answers calls in batches, with a batch limit and a latency.
//!
//! The answers are those of the inner policy. The latency of a batch is drawn from a seeded generator keyed
//! by the batch's number, so it is known in advance.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, unbounded};
use rand::RngExt;
use regrowth_datasets::keyed_rng;

use super::Around;
use crate::{Call, Limits, Policy};

/// How a [`Delayed`] server behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delay {
    /// Maximum number of calls per batch, at least 1.
    pub batch: usize,
    /// Mean latency of a batch.
    pub latency: Duration,
    /// Half-width of the uniform distribution of latencies, as a share of the mean, in [0, 1].
    pub jitter: f64,
    /// Seed of the latencies.
    pub seed: u64,
}

/// Counters of a [`Delayed`] server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServerCounts {
    /// Batches answered.
    pub batches: u64,
    /// Calls in all batches.
    pub calls: u64,
    /// Batches that were full.
    pub full: u64,
}

/// A policy behind an imitated server, which answers one batch after the other.
pub struct Delayed {
    inner: Arc<dyn Policy>,
    queue: Sender<Call>,
    batch: usize,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    batches: AtomicU64,
    calls: AtomicU64,
    full: AtomicU64,
    sizes: Mutex<Vec<usize>>,
}

impl Delayed {
    /// Puts `inner`, which answers without delay, behind an imitated server.
    #[must_use]
    pub fn new(inner: Arc<dyn Policy>, delay: Delay) -> Self {
        let (queue, calls) = unbounded();
        let counts = Arc::new(Counts::default());
        let (server, seen) = (inner.clone(), counts.clone());
        std::thread::spawn(move || serve(&*server, &calls, delay, &seen));
        Self { inner, queue, batch: delay.batch.max(1), counts }
    }

    /// Returns the number of calls in each batch so far, in order.
    #[must_use]
    pub fn sizes(&self) -> Vec<usize> {
        self.counts.sizes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the counters so far.
    #[must_use]
    pub fn counts(&self) -> ServerCounts {
        // Relaxed ordering: these are statistics, read when the server is idle.
        ServerCounts {
            batches: self.counts.batches.load(Ordering::Relaxed),
            calls: self.counts.calls.load(Ordering::Relaxed),
            full: self.counts.full.load(Ordering::Relaxed),
        }
    }
}

impl Delay {
    /// Returns the latency of batch `number`, counted from 0.
    #[must_use]
    pub fn of(&self, number: u64) -> Duration {
        let mut rng = keyed_rng(self.seed, &[b"latency", &number.to_le_bytes()]);
        let spread = 1.0 + self.jitter * (2.0 * rng.random::<f64>() - 1.0);
        self.latency.mul_f64(spread.max(0.0))
    }
}

/// Serves batches until all senders of `calls` are dropped.
fn serve(inner: &dyn Policy, calls: &Receiver<Call>, delay: Delay, counts: &Counts) {
    let limit = delay.batch.max(1);
    let mut number = 0u64;
    while let Ok(first) = calls.recv() {
        let mut batch = vec![first];
        batch.extend(calls.try_iter().take(limit - 1));
        std::thread::sleep(delay.of(number));
        // Relaxed ordering: these are statistics.
        counts.batches.fetch_add(1, Ordering::Relaxed);
        counts.calls.fetch_add(batch.len() as u64, Ordering::Relaxed);
        counts.full.fetch_add(u64::from(batch.len() == limit), Ordering::Relaxed);
        // No code panics under this lock, so poisoning can be ignored.
        counts.sizes.lock().unwrap_or_else(PoisonError::into_inner).push(batch.len());
        batch.into_iter().for_each(|call| inner.submit(call));
        number += 1;
    }
}

impl Around for Delayed {
    fn inner(&self) -> &dyn Policy {
        &*self.inner
    }

    fn limits_around(&self) -> Limits {
        Limits { in_flight: self.batch, ..self.inner.limits() }
    }

    fn take(&self, call: Call) {
        // The server thread runs as long as the queue is open.
        let _ = self.queue.send(call);
    }
}
