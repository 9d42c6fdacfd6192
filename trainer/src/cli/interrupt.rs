//! SIGINT and SIGTERM end a run at the next place where nothing is lost; a second one ends it now.

use std::sync::Mutex;

use crate::TrainError;
use crate::rounds::Control;

/// Exit code after a second signal: 128 and the number of SIGINT, as shells report it.
const KILLED: i32 = 130;

/// Cancels `control` when a signal comes.
///
/// # Errors
/// When the handler cannot be installed.
pub(super) fn on_signal(control: Control) -> Result<(), TrainError> {
    let told = Mutex::new(false);
    ctrlc::set_handler(move || {
        let Ok(mut told) = told.lock() else { return };
        if *told {
            // Everything on disk is whole at every moment; there is nothing to clean up.
            std::process::exit(KILLED);
        }
        *told = true;
        eprintln!("stopping after the step in hand; once more to stop at once");
        control.cancel();
    })
    .map_err(|e| TrainError::Setting { name: "signals", detail: e.to_string() })
}
