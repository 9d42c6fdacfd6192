//! How many requests a server is given at once, and how many it has.
//!
//! The number begins at the upper limit and follows what the server says: it is halved, at most once a
//! second, when the server refuses work for want of room (429, 408), and grows by one
//! for every round of answers (additive increase, multiplicative decrease, as in TCP). Requests wait
//! in the order in which they came. Every count is given back when a request ends, also when whoever
//! asked has stopped waiting.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Refusals within this time are one overload: the requests in flight at the time all fail.
const ONE_OVERLOAD: Duration = Duration::from_secs(1);

/// The slots of one server.
pub(super) struct Slots {
    free: Semaphore,
    /// Requests that wait for a slot or have one.
    load: AtomicUsize,
    size: Mutex<Size>,
}

struct Size {
    limit: usize,
    most: usize,
    /// Slots in use that are to go when they are given back.
    excess: usize,
    /// Answers since the limit last grew.
    answers: usize,
    halved: Option<Instant>,
}

/// A request's slot.
pub(super) struct Slot<'a> {
    slots: &'a Slots,
    permit: Option<SemaphorePermit<'a>>,
}

impl Slots {
    pub(super) fn new(most: usize) -> Self {
        let size = Size { limit: most, most, excess: 0, answers: 0, halved: None };
        Self { free: Semaphore::new(most), load: AtomicUsize::new(0), size: Mutex::new(size) }
    }

    /// Requests that wait for a slot or have one.
    pub(super) fn load(&self) -> usize {
        // Relaxed: an estimate for choosing among servers, and exact once nobody asks any more.
        self.load.load(Ordering::Relaxed)
    }

    /// Waits for a slot.
    pub(super) async fn take(&self) -> Slot<'_> {
        self.load.fetch_add(1, Ordering::Relaxed);
        let mut slot = Slot { slots: self, permit: None };
        // It is never closed.
        slot.permit = self.free.acquire().await.ok();
        slot
    }

    /// Takes note of an answer.
    pub(super) fn answered(&self) {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        size.answers += 1;
        if size.answers < size.limit || size.limit >= size.most {
            return;
        }
        (size.answers, size.limit) = (0, size.limit + 1);
        match size.excess {
            0 => self.free.add_permits(1),
            _ => size.excess -= 1,
        }
    }

    /// Takes note that the server had no room.
    pub(super) fn overloaded(&self) {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        if size.halved.is_some_and(|last| last.elapsed() < ONE_OVERLOAD) {
            return;
        }
        let limit = (size.limit / 2).max(1);
        size.excess += size.limit - limit;
        (size.limit, size.answers, size.halved) = (limit, 0, Some(Instant::now()));
        size.excess -= self.free.forget_permits(size.excess);
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.slots.load.fetch_sub(1, Ordering::Relaxed);
        let Some(permit) = self.permit.take() else { return };
        let mut size = self.slots.size.lock().unwrap_or_else(PoisonError::into_inner);
        if size.excess > 0 {
            size.excess -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(slots: &Slots) -> usize {
        slots.size.lock().unwrap().limit
    }

    #[test]
    fn the_limit_halves_at_once_and_grows_by_one_a_round() {
        let slots = Slots::new(8);
        slots.overloaded();
        slots.overloaded();
        assert_eq!((limit(&slots), slots.free.available_permits()), (4, 4), "once a second");
        (0..4).for_each(|_| slots.answered());
        assert_eq!((limit(&slots), slots.free.available_permits()), (5, 5));
        (0..500).for_each(|_| slots.answered());
        assert_eq!((limit(&slots), slots.free.available_permits()), (8, 8));
    }

    #[test]
    fn slots_in_use_go_when_they_are_given_back() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let slots = Slots::new(4);
            let [a, b, c] = [slots.take().await, slots.take().await, slots.take().await];
            slots.overloaded();
            assert_eq!((slots.load(), slots.free.available_permits()), (3, 0));
            drop(a);
            assert_eq!((slots.load(), slots.free.available_permits()), (2, 0));
            drop((b, c));
            assert_eq!((slots.load(), slots.free.available_permits()), (0, 2));
        });
    }

    #[test]
    fn who_stops_waiting_is_counted_no_longer() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let slots = Slots::new(1);
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
            assert_eq!((slots.load(), slots.free.available_permits()), (0, 1));
        });
    }
}
