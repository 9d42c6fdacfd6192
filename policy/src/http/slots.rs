//! Slots of a server: the limit on its requests in flight, and their current number.
//!
//! [`ConcurrencyLimit`] sets the limit. Requests wait in the order of arrival. A slot is returned when its
//! request ends, even if the caller no longer waits for the answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::gate::{Gate, Permit};
use super::limit::ConcurrencyLimit;

/// The slots of one server.
pub(super) struct Slots {
    gate: Gate,
    /// Permits to begin a candidate, shared by all servers: as many as there are slots in total, and some
    /// slack if there are several servers (`Fleet::new`).
    turns: Arc<Gate>,
    /// Number of requests that wait for a slot or have one.
    load: AtomicUsize,
    limit: Mutex<ConcurrencyLimit>,
    /// The current limit, readable without the lock.
    size: AtomicUsize,
    begun: Instant,
}

/// A request's slot.
pub(super) struct Slot<'a> {
    slots: &'a Slots,
    _permit: Option<Permit<'a>>,
}

impl Slots {
    /// Creates at most `most` slots, and adds as many permits to `turns`.
    pub(super) fn new(most: usize, turns: Arc<Gate>) -> Self {
        let limit = ConcurrencyLimit::new(most);
        turns.widen(limit.get());
        Self {
            gate: Gate::new(limit.get()),
            turns,
            load: AtomicUsize::new(0),
            size: AtomicUsize::new(limit.get()),
            limit: Mutex::new(limit),
            begun: Instant::now(),
        }
    }

    /// Number of requests that wait for a slot or have one.
    pub(super) fn load(&self) -> usize {
        // Relaxed: an estimate for choosing a server; exact once no request is in flight.
        self.load.load(Ordering::Relaxed)
    }

    /// Current number of slots.
    pub(super) fn limit(&self) -> usize {
        // Relaxed, for the same reason as the load.
        self.size.load(Ordering::Relaxed)
    }

    /// Number of requests that are useful at once: enough to try the next limit.
    pub(super) fn worthwhile(&self) -> usize {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner).next_higher()
    }

    /// Waits for a slot.
    pub(super) async fn take(&self) -> Slot<'_> {
        self.load.fetch_add(1, Ordering::Relaxed);
        let mut slot = Slot { slots: self, _permit: None };
        slot._permit = Some(self.gate.enter().await);
        slot
    }

    /// Records an answer.
    pub(super) fn answered(&self) {
        let load = self.load();
        self.update(|limit, now| limit.answered(now, load));
    }

    /// Counts tokens that the server generated for an answer.
    pub(super) fn generated(&self, tokens: usize) {
        self.update(|limit, _| limit.generated(tokens));
    }

    /// Records that the server refused a request because it was overloaded.
    pub(super) fn overloaded(&self) {
        self.update(|limit, now| limit.overloaded(now));
    }

    fn update(&self, change: impl FnOnce(&mut ConcurrencyLimit, Duration)) {
        let mut limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        let before = limit.get();
        change(&mut limit, self.begun.elapsed());
        let after = limit.get();
        if after == before {
            return;
        }
        self.size.store(after, Ordering::Relaxed);
        for gate in [&self.gate, &*self.turns] {
            match after > before {
                true => gate.widen(after - before),
                false => gate.narrow(before - after),
            }
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.slots.load.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_and_turns_follow_the_limit() {
        let turns = Arc::new(Gate::new(3));
        let slots = Slots::new(8, turns.clone());
        slots.overloaded();
        assert_eq!((slots.limit(), slots.gate.free(), turns.free()), (4, 4, 7));
        (0..4).for_each(|_| slots.answered());
        assert_eq!((slots.limit(), slots.gate.free(), turns.free()), (5, 5, 8));
    }

    #[test]
    fn who_stops_waiting_is_counted_no_longer() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let slots = Slots::new(1, Arc::new(Gate::new(0)));
            let held = slots.take().await;
            let mut waiting = Box::pin(slots.take());
            assert!(
                std::future::poll_fn(|cx| {
                    std::task::Poll::Ready(waiting.as_mut().poll(cx).is_pending())
                })
                .await
            );
            assert_eq!(slots.load(), 2);
            drop(waiting);
            assert_eq!(slots.load(), 1);
            drop(held);
            assert_eq!((slots.load(), slots.gate.free()), (0, 1));
        });
    }
}
