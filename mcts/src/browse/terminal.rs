//! Reads keys from the terminal and draws screens on it. Restores the terminal when the browser ends, however
//! it ends.

use std::io::{self, ErrorKind, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, unbounded};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::app::{App, Effect};
use super::catalog::Catalog;
use super::draw::draw;

/// How often signals and the terminal are checked while no key is pressed.
const SIGNAL_POLL: Duration = Duration::from_millis(200);

/// Checks that stdout is a terminal that can be drawn on.
///
/// # Errors
/// A message that says what to use instead.
pub(crate) fn check_terminal() -> Result<(), String> {
    let is_dumb = std::env::var_os("TERM").is_some_and(|name| name == "dumb");
    if io::stdout().is_terminal() && !is_dumb {
        return Ok(());
    }
    let why = if is_dumb { "TERM is `dumb`" } else { "stdout is no terminal" };
    Err(format!(
        "--browse needs a terminal, and {why}; leave it out for one tree as text, or write a page with \
         --html FILE"
    ))
}

/// Runs the browser until the user quits or a signal arrives. If the terminal was closed, ends without an
/// error.
///
/// # Errors
/// An input or output error of the terminal.
pub(crate) fn run(catalog: &Catalog, mut app: App) -> io::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let signalled = stop.clone();
    // Relaxed: the flag carries no data.
    ctrlc::set_handler(move || signalled.store(true, Ordering::Relaxed))
        .map_err(|error| io::Error::other(format!("signals cannot be handled: {error}")))?;
    // Also restores the terminal before a panic's message is printed.
    let mut terminal = ratatui::try_init()?;
    let result = events(&mut terminal, catalog, &mut app, &stop);
    let restored = ratatui::try_restore();
    let gone = !io::stdout().is_terminal();
    if gone {
        // The terminal's destructor would try to print an error to the closed terminal, and panic.
        std::mem::forget(terminal);
    }
    match result.and(restored) {
        Err(error) if gone || is_gone(&error) => Ok(()),
        result => result,
    }
}

/// Whether the terminal was closed.
fn is_gone(error: &io::Error) -> bool {
    // EIO is the error of a terminal whose other end was closed.
    const EIO: i32 = 5;
    error.kind() == ErrorKind::BrokenPipe || cfg!(unix) && error.raw_os_error() == Some(EIO)
}

fn events(
    terminal: &mut DefaultTerminal,
    catalog: &Catalog,
    app: &mut App,
    stop: &AtomicBool,
) -> io::Result<()> {
    // On terminals without an alternate screen, earlier output would still be visible.
    terminal.clear()?;
    let keys = keys();
    loop {
        app.resize(terminal.size()?);
        terminal.draw(|frame| draw(app, frame))?;
        let event = loop {
            match keys.recv_timeout(SIGNAL_POLL) {
                Ok(event) => break event?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) if stop.load(Ordering::Relaxed) => return Ok(()),
                // `is_terminal` returns false after the terminal was closed.
                Err(RecvTimeoutError::Timeout) if !io::stdout().is_terminal() => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
        };
        let Event::Key(key) = event else { continue };
        if key.kind != KeyEventKind::Release && !apply(app.key(key), catalog, app) {
            return Ok(());
        }
    }
}

/// Events of the terminal, read by a separate thread: crossterm never returns from reading a closed terminal,
/// so the main thread must not wait for it.
fn keys() -> Receiver<io::Result<Event>> {
    let (send, receive) = unbounded();
    std::thread::spawn(move || {
        loop {
            let event = event::read();
            let failed = event.is_err();
            if send.send(event).is_err() || failed {
                return;
            }
        }
    });
    receive
}

/// Carries out the action of a key. Returns whether the browser continues.
pub(super) fn apply(effect: Effect, catalog: &Catalog, app: &mut App) -> bool {
    match effect {
        Effect::Nothing => {}
        Effect::Quit => return false,
        Effect::Open(entry) => match catalog.open(entry) {
            Ok(record) => app.opened(record, catalog.rules()),
            Err(error) => app.message = Some(error.to_string()),
        },
        Effect::Find(needle) => match catalog.containing(&needle) {
            Ok(trees) => app.found(needle, trees),
            Err(error) => app.message = Some(error.to_string()),
        },
    }
    true
}
