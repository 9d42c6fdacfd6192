//! Whether a server is given work: a circuit breaker that closes again by a health check.
//!
//! A server that cannot be reached, or says that it is not ready (503), gets no requests while others
//! do. From then on its list of models is asked for, at pauses that double, until it answers and still
//! serves the model; a server that came back with another one stays out.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The first pause before a server that is out is looked at again; it doubles up to the longest.
pub(super) const FIRST_LOOK: Duration = Duration::from_millis(200);
pub(super) const LONGEST_LOOK: Duration = Duration::from_secs(15);

/// Requests in a row that do not reach a server until it is out.
const LOST: u32 = 3;

/// A server's state.
#[derive(Debug, Default)]
pub(super) struct Health {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Requests in a row that did not reach it.
    lost: u32,
    /// Whether somebody looks at it from time to time.
    watched: bool,
    /// Until when it asked to be left alone (Retry-After).
    busy_until: Option<Instant>,
}

impl Health {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is given work.
    pub(super) fn is_up(&self) -> bool {
        let state = self.state();
        state.lost < LOST && state.busy_until.is_none_or(|until| Instant::now() >= until)
    }

    /// Whether it is out until a health check finds it well.
    pub(super) fn is_out(&self) -> bool {
        self.state().lost >= LOST
    }

    /// A request did not reach it.
    pub(super) fn lost(&self) {
        let mut state = self.state();
        state.lost = state.lost.saturating_add(1);
    }

    /// It was not there at the start.
    pub(super) fn take_out(&self) {
        self.state().lost = LOST;
    }

    /// It answered a request. One that is out comes back by a health check alone: an answer may have
    /// been on its way for long.
    pub(super) fn answered(&self) {
        let mut state = self.state();
        if state.lost < LOST {
            state.lost = 0;
        }
    }

    /// A health check found it well.
    pub(super) fn close(&self) {
        *self.state() = State::default();
    }

    /// Whether the caller is to look at it from now on, as nobody does.
    pub(super) fn claim_look(&self) -> bool {
        !std::mem::replace(&mut self.state().watched, true)
    }

    /// It asks for patience.
    pub(super) fn leave(&self, pause: Duration) {
        self.state().busy_until = Some(Instant::now() + pause);
    }
}
