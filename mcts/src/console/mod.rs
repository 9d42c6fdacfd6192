//! What the binaries of this workspace say: results on stdout, notes and progress on stderr.
//!
//! Nobody reading is no failure: a pipe that was closed (`2>&1 | head`) ends nothing. The library's
//! own functions never call this; `mcts` and `regrowth` do.

mod estimate;
mod monitor;
mod signal;
mod state;

use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;

pub use estimate::{Bound, Remaining, Rest, Work, duration};
pub use monitor::{Monitor, Phase};
pub use signal::on_signal;
pub use state::{PROGRESS_FILE, ProgressState};

/// The bar that is drawn at the moment: a note must not be written into it.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Writes a line to stderr. If nobody reads it any more, nothing happens.
pub fn log(text: &str) {
    // A poisoned lock holds a bar that is as good as before.
    let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let write = || {
        // A closed stderr is no reason to lose the work of hours.
        let _ = writeln!(io::stderr().lock(), "{text}");
    };
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Writes a warning to stderr.
pub fn warn(text: &str) {
    log(&format!("warning: {text}"));
}

/// Writes a line to stdout. If nobody reads it any more, nothing happens.
///
/// # Errors
/// What the system says of a stdout that is open and cannot be written, as on a full disk.
pub fn print_line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// The command line of this process, as a shell takes it.
#[must_use]
pub fn command_line() -> String {
    let words = std::env::args_os().map(|word| quoted(&word.to_string_lossy()));
    words.collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+%#".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// Makes `bar` the one that notes go around; `None` where there is none any more.
fn show_bar(bar: Option<ProgressBar>) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}
