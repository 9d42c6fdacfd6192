//! A semaphore whose number of permits can change while permits are in use.
//!
//! Waiters get permits in the order of arrival. Free permits are removed at once, permits in use when they
//! are returned.

use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// The semaphore.
pub(super) struct Gate {
    free: Semaphore,
    /// Number of permits in use that are removed when they are returned.
    excess: Mutex<usize>,
}

/// A permit; dropping it returns it.
pub(super) struct Permit<'a> {
    gate: &'a Gate,
    permit: Option<SemaphorePermit<'a>>,
}

impl Gate {
    /// Creates a semaphore with this many permits.
    pub(super) fn new(permits: usize) -> Self {
        Self { free: Semaphore::new(permits), excess: Mutex::new(0) }
    }

    /// Waits for a permit.
    pub(super) async fn enter(&self) -> Permit<'_> {
        // The semaphore is never closed.
        Permit { gate: self, permit: self.free.acquire().await.ok() }
    }

    /// Adds permits.
    pub(super) fn widen(&self, permits: usize) {
        let mut excess = self.excess.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = permits.min(*excess);
        *excess -= kept;
        self.free.add_permits(permits - kept);
    }

    /// Removes permits.
    pub(super) fn narrow(&self, permits: usize) {
        let mut excess = self.excess.lock().unwrap_or_else(PoisonError::into_inner);
        *excess += permits;
        *excess -= self.free.forget_permits(*excess);
    }

    /// Number of free permits.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.free.available_permits()
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut excess = self.gate.excess.lock().unwrap_or_else(PoisonError::into_inner);
        if *excess > 0
            && let Some(permit) = self.permit.take()
        {
            *excess -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_in_use_go_when_they_are_given_back() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let gate = Gate::new(4);
            let [a, b, c] = [gate.enter().await, gate.enter().await, gate.enter().await];
            gate.narrow(2);
            assert_eq!(gate.free(), 0);
            drop(a);
            assert_eq!(gate.free(), 0);
            drop(b);
            assert_eq!(gate.free(), 1);
            gate.narrow(2);
            gate.widen(3);
            assert_eq!(gate.free(), 2);
            drop(c);
            assert_eq!(gate.free(), 3);
        });
    }
}
