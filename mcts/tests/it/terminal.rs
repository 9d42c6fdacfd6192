//! The terminal browser in a pseudo-terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::common::{assert_code, mcts};

/// The query for a terminal's cursor position, and an answer.
const WHERE: &[u8] = b"\x1b[6n";
const THERE: &[u8] = b"\x1b[1;1R";

const PATIENCE: Duration = Duration::from_secs(30);

/// Starts to browse the trees of a small search. Returns the process and the other end of its terminal.
fn browse(folder: &std::path::Path) -> (Child, File) {
    let out = folder.join("out");
    let search = "search --policy scripted --problems builtin:choice --limit 2";
    assert_code(&mcts(&format!("{search} --out {}", out.display())), 0);
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&screen, size).unwrap();
    let name = ptsname(&screen, Vec::new()).unwrap().into_string().unwrap();
    let terminal =
        || -> Stdio { File::options().read(true).write(true).open(&name).unwrap().into() };
    let child = Command::new(env!("CARGO_BIN_EXE_mcts"))
        .args(["show", "--browse", "--trees"])
        .arg(&out)
        .env("TERM", "xterm")
        .stdin(terminal())
        .stdout(terminal())
        .stderr(terminal())
        .spawn()
        .unwrap();
    (child, File::from(screen))
}

/// Reads the output until it contains `text`, and answers queries for the cursor position.
fn wait_for(screen: &mut File, text: &str) {
    let (mut seen, mut answered, mut part) = (Vec::new(), 0, [0; 4096]);
    while !String::from_utf8_lossy(&seen).contains(text) {
        let n = screen.read(&mut part).unwrap();
        seen.extend_from_slice(&part[..n]);
        let asked = seen.windows(WHERE.len()).filter(|bytes| *bytes == WHERE).count();
        for _ in answered..asked {
            screen.write_all(THERE).unwrap();
        }
        answered = asked;
    }
}

/// Waits for the end of the process. Returns its exit code.
fn ended(child: &mut Child) -> Option<i32> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    panic!("the browser still runs after {PATIENCE:?}");
}

#[test]
fn a_key_ends_the_browser() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, mut screen) = browse(folder.path());
    wait_for(&mut screen, "q quit");
    screen.write_all(b"q").unwrap();
    assert_eq!(ended(&mut child), Some(0));
}

#[test]
fn a_terminal_that_goes_away_ends_the_browser() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, mut screen) = browse(folder.path());
    wait_for(&mut screen, "q quit");
    drop(screen);
    assert_eq!(ended(&mut child), Some(0));
}
