//! Circuit breaker of a server: open while the server is down, closed again by a health check.
//!
//! A server that cannot be reached, or reports that it is not ready (503), gets no requests while another
//! server is up. Its list of models is then polled, with doubling pauses, until it answers and still serves
//! the model; a server that comes back with another model stays down.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// First pause before a server that is down is polled; it doubles up to the longest.
pub(super) const FIRST_LOOK: Duration = Duration::from_millis(200);
pub(super) const LONGEST_LOOK: Duration = Duration::from_secs(15);

/// Number of consecutive requests with a failed connection, a timeout or the answer 503 (not ready) after
/// which a server counts as down.
const LOST: u32 = 3;

/// Health of a server.
#[derive(Debug, Default)]
pub(super) struct Health {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Number of consecutive requests with a failed connection, a timeout or the answer 503 (not ready).
    lost: u32,
    /// Whether a task polls the server.
    watched: bool,
    /// End of the pause that the server requested (Retry-After).
    busy_until: Option<Instant>,
}

impl Health {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the server gets requests.
    pub(super) fn is_up(&self) -> bool {
        let state = self.state();
        state.lost < LOST && state.busy_until.is_none_or(|until| Instant::now() >= until)
    }

    /// Whether the server is down until a health check succeeds.
    pub(super) fn is_out(&self) -> bool {
        self.state().lost >= LOST
    }

    /// Records a request with a failed connection, a timeout or the answer 503 (not ready).
    pub(super) fn lost(&self) {
        let mut state = self.state();
        state.lost = state.lost.saturating_add(1);
    }

    /// Marks the server as down because it did not answer at the start.
    pub(super) fn take_out(&self) {
        self.state().lost = LOST;
    }

    /// Records an answered request. It does not bring a server that is down back; only a health check does,
    /// because the answer may belong to an old request.
    pub(super) fn answered(&self) {
        let mut state = self.state();
        if state.lost < LOST {
            state.lost = 0;
        }
    }

    /// Marks the server as up after a successful health check.
    pub(super) fn close(&self) {
        *self.state() = State::default();
    }

    /// Whether the caller must start polling the server, because no task does.
    pub(super) fn claim_look(&self) -> bool {
        !std::mem::replace(&mut self.state().watched, true)
    }

    /// Records the pause that the server requested.
    pub(super) fn leave(&self, pause: Duration) {
        self.state().busy_until = Some(Instant::now() + pause);
    }
}
