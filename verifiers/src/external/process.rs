//! One run of a verifier command: its pipes, each served by a thread, and how it is ended.
//!
//! Threads report to the supervisor by [`Event`]s with the number of the run. So the last output of a
//! killed process is not confused with the output of its successor. All input is bounded.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::options::VerifierLog;
use super::supervisor::Event;

/// Longest line of stdout, in bytes.
const MAX_LINE: u64 = 1 << 20;
/// Longest line of stderr that is passed on, in bytes; the rest of the line is dropped.
const MAX_STDERR_LINE: u64 = 1000;
/// Maximum number of lines of stderr that are passed on from one run.
const MAX_STDERR_LINES: usize = 200;
/// How long a process may run after its input was closed, before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// How long a new process is watched for an early exit before it gets requests.
const FIRST_LOOK: Duration = Duration::from_millis(100);

/// A running process.
pub(super) struct Process {
    child: Child,
    /// Lines for the process's stdin, which is closed when this is dropped.
    lines: Option<Sender<Vec<u8>>>,
    pub(super) started: Instant,
}

impl Process {
    /// Starts `command` as run number `run`.
    pub(super) fn start(
        command: &str,
        run: u64,
        events: &SyncSender<Event>,
        log: VerifierLog,
    ) -> std::io::Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A process group of its own: everything that the shell started can be killed together, and
        // Ctrl-C stops this program without interrupting an answer in progress.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut shell, 0);
        let mut child = shell.spawn()?;
        let (lines, to_write) = channel();
        let report = |why: &'static str| {
            let events = events.clone();
            // If the supervisor has ended, no report is needed.
            move || drop(events.send(Event::Ended { run, why: why.to_owned() }))
        };
        if let Some(stdin) = child.stdin.take() {
            let closed = report("closed its input");
            thread::spawn(move || write_lines(stdin, &to_write, closed));
        }
        if let Some(stdout) = child.stdout.take() {
            let events = events.clone();
            thread::spawn(move || read_lines(stdout, run, &events));
        }
        if let Some(stderr) = child.stderr.take() {
            thread::spawn(move || pass_on(stderr, &log));
        }
        Ok(Self { child, lines: Some(lines), started: Instant::now() })
    }

    /// Waits a moment in case the process exits immediately, as a shell does that cannot find its
    /// command. Returns its exit status, or `None` if it is still running.
    pub(super) fn ends_at_once(&mut self) -> Option<ExitStatus> {
        while self.started.elapsed() < FIRST_LOOK {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// Passes a line to the thread that writes it.
    pub(super) fn send(&self, line: Vec<u8>) {
        // If the writer has ended, it has already reported that.
        self.lines.as_ref().map(|lines| lines.send(line));
    }

    /// Kills the process and everything that it started.
    pub(super) fn kill(&mut self) {
        if cfg!(unix) {
            let kill = format!("kill -KILL -{}", self.child.id());
            // The group may have ended already.
            let _ = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Closes the process's input and waits for its exit; kills it if it does not exit.
    pub(super) fn close(&mut self) {
        self.lines = None;
        let asked = Instant::now();
        while asked.elapsed() < GRACE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.kill();
    }
}

fn write_lines(mut stdin: ChildStdin, lines: &Receiver<Vec<u8>>, closed: impl FnOnce()) {
    for line in lines {
        if stdin.write_all(&line).and_then(|()| stdin.flush()).is_err() {
            return closed();
        }
    }
}

fn read_lines(stdout: ChildStdout, run: u64, events: &SyncSender<Event>) {
    let mut stdout = BufReader::new(stdout);
    let why = loop {
        let mut line = Vec::new();
        match (&mut stdout).take(MAX_LINE).read_until(b'\n', &mut line) {
            Err(error) => break format!("cannot be read: {error}"),
            Ok(_) if line.last() == Some(&b'\n') => {}
            Ok(_) if line.len() as u64 == MAX_LINE => {
                break format!("wrote a line of more than {MAX_LINE} bytes");
            }
            Ok(_) => break "ended".to_owned(),
        }
        if events.send(Event::Line { run, line }).is_err() {
            return;
        }
    };
    let _ = events.send(Event::Ended { run, why });
}

/// Passes stderr on line by line. Lines beyond the limit are still read, so that the process is never
/// blocked.
fn pass_on(stderr: ChildStderr, log: &VerifierLog) {
    let mut stderr = BufReader::new(stderr);
    let mut passed = 0;
    let mut line = Vec::new();
    while matches!((&mut stderr).take(MAX_STDERR_LINE).read_until(b'\n', &mut line), Ok(1..)) {
        let cut = line.last() != Some(&b'\n');
        if passed < MAX_STDERR_LINES {
            log(&format!("verifier: {}", String::from_utf8_lossy(&line).trim_end()));
        } else if passed == MAX_STDERR_LINES {
            log("verifier: ... (further lines of its stderr are dropped)");
        }
        passed += 1;
        line.clear();
        if cut && skip_line(&mut stderr).is_err() {
            return;
        }
    }
}

/// Reads to the end of a line and discards it.
fn skip_line(input: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let read = end.map_or(buffer.len(), |at| at + 1);
        input.consume(read);
        if end.is_some() || read == 0 {
            return Ok(());
        }
    }
}
