//! SIGINT, SIGTERM and SIGHUP end a run without loss of results; a second signal ends it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::log;

/// Exit code after a second signal: 128 plus the number of SIGINT, as shells report it.
const KILLED: i32 = 130;

/// Sets `cancel` when a signal arrives, and logs what the process is waiting for.
///
/// # Errors
/// If the handler cannot be installed.
pub fn on_signal(cancel: Arc<AtomicBool>, waits_for: &'static str) -> Result<(), String> {
    ctrlc::set_handler(move || {
        // Relaxed: the flag carries no data.
        if cancel.swap(true, Ordering::Relaxed) {
            // All files on disk are complete at every moment; there is nothing to clean up.
            std::process::exit(KILLED);
        }
        log(&format!("stopping: {waits_for}; press Ctrl-C again to stop at once"));
    })
    .map_err(|error| format!("signals cannot be handled: {error}"))
}
