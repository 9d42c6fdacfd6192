//! Messages of commands that were stopped by a signal: what is saved and how to resume.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use regrowth_mcts::console::{command_line, on_signal};

use crate::TrainError;

/// Sets `flag` when a signal arrives; `waits_for` names the work that is finished first.
///
/// # Errors
/// If signal handlers cannot be installed.
pub(super) fn on_signals(
    flag: &Arc<AtomicBool>,
    waits_for: &'static str,
) -> Result<(), TrainError> {
    on_signal(flag.clone(), waits_for)
        .map_err(|detail| TrainError::Setting { name: "signals", detail })
}

/// Turns an interruption into an error that says what is `saved` and how to resume; `saved` returns `None` if
/// nothing is saved. Other errors are returned unchanged.
pub(super) fn stopped(error: TrainError, saved: impl FnOnce() -> Option<String>) -> TrainError {
    match error {
        TrainError::Interrupted => TrainError::Stopped(match saved() {
            Some(saved) => format!("{saved}; resume with:\n  {}", command_line()),
            None => "nothing was saved".to_owned(),
        }),
        other => other,
    }
}
