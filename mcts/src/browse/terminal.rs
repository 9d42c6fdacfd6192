//! The terminal: keys in, screens out. It is as before when the browser ends, however it ends.

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

/// How often signals and the terminal are looked after while no key is pressed.
const SIGNAL_POLL: Duration = Duration::from_millis(200);

/// Checks that there is a terminal to draw on.
///
/// # Errors
/// What to use instead.
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

/// Lets the user look at the trees until they quit or a signal comes. A terminal that went away ends it in
/// peace.
///
/// # Errors
/// What the system says of the terminal.
pub(crate) fn run(catalog: &Catalog, mut app: App) -> io::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let signalled = stop.clone();
    // Relaxed: the flag carries no data.
    ctrlc::set_handler(move || signalled.store(true, Ordering::Relaxed))
        .map_err(|error| io::Error::other(format!("signals cannot be handled: {error}")))?;
    // Also restores the terminal before the message of a panic.
    let mut terminal = ratatui::try_init()?;
    let result = events(&mut terminal, catalog, &mut app, &stop);
    let restored = ratatui::try_restore();
    let gone = !io::stdout().is_terminal();
    if gone {
        // Its destructor would print that the cursor cannot be shown, to nobody, and panic.
        std::mem::forget(terminal);
    }
    match result.and(restored) {
        Err(error) if gone || is_gone(&error) => Ok(()),
        result => result,
    }
}

/// Whether nobody looks any more.
fn is_gone(error: &io::Error) -> bool {
    // EIO is what a terminal says whose other end was closed.
    const EIO: i32 = 5;
    error.kind() == ErrorKind::BrokenPipe || cfg!(unix) && error.raw_os_error() == Some(EIO)
}

fn events(
    terminal: &mut DefaultTerminal,
    catalog: &Catalog,
    app: &mut App,
    stop: &AtomicBool,
) -> io::Result<()> {
    // Terminals without a second screen still show what was printed before.
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
                // A terminal that was closed is none any more.
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

/// What the terminal sends, read by a thread of its own: crossterm never returns from reading a terminal
/// that was closed, so nothing else may wait for it.
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

/// Does what a key asks for; whether the browser goes on.
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
