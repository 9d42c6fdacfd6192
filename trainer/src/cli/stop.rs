//! What a command that was stopped by a signal says: what is saved, and the command that resumes.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use regrowth_mcts::console::{command_line, on_signal};

use crate::TrainError;

/// A flag that a signal sets; `waits_for` says what the command finishes first.
///
/// # Errors
/// When signals cannot be handled.
pub(super) fn on_signals(
    flag: &Arc<AtomicBool>,
    waits_for: &'static str,
) -> Result<(), TrainError> {
    on_signal(flag.clone(), waits_for)
        .map_err(|detail| TrainError::Setting { name: "signals", detail })
}

/// A stop that a signal asked for says what is `saved`, and how to resume from it; `None` where there is
/// nothing. Other errors stay.
pub(super) fn stopped(error: TrainError, saved: impl FnOnce() -> Option<String>) -> TrainError {
    match error {
        TrainError::Interrupted => TrainError::Stopped(match saved() {
            Some(saved) => format!("{saved}; resume with:\n  {}", command_line()),
            None => "nothing was saved".to_owned(),
        }),
        other => other,
    }
}
