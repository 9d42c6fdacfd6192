//! Output of the binaries of this workspace: results on stdout, messages and progress on stderr.
//!
//! A closed pipe (`2>&1 | head`) is not an error. Only `mcts` and `regrowth` call these functions, never the
//! library's own functions.

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

/// The progress bar that is drawn at the moment; a message must not be written into it.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Writes a line to stderr. Does nothing if the reader has closed it.
pub fn log(text: &str) {
    // No code panics while changing the bar, so poisoning can be ignored.
    let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let write = || {
        // A closed stderr is no reason to lose hours of work.
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

/// Writes a line to stdout. Does nothing if the reader has closed it.
///
/// # Errors
/// The system's error if stdout is open and cannot be written, for example on a full disk.
pub fn print_line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// The command line of this process, quoted for a shell.
#[must_use]
pub fn command_line() -> String {
    let words = std::env::args_os().map(|word| quoted(&word.to_string_lossy()));
    words.collect::<Vec<_>>().join(" ")
}

/// Quotes a word for a shell.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+%#".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// Sets the bar that messages must not overwrite; `None` if there is no bar any more.
fn show_bar(bar: Option<ProgressBar>) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}
