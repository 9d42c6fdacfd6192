//! `--serve-command`: starts a server with a round's weights, watches it and ends it.
//!
//! The command runs through the shell with `REGROWTH_CHECKPOINT` (the weights to serve), `REGROWTH_MODEL`
//! (the name after the # of the policy) and `REGROWTH_RUN` (the folder of the run). The server counts as
//! started when every address of the policy accepts connections. Its output goes to `server.log`; if it does
//! not start in time, the error shows the last lines of the log. A server that ends by itself is restarted a
//! few times. `left_behind` ends the server of a killed run.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::left_behind::{GroupRecord, RUN, SERVER};
use super::observer::Control;
use super::process::{POLL, ProcessGroup};
use crate::TrainError;

/// File with the server's output.
const LOG: &str = "server.log";
/// Number of restarts of a server that ended by itself.
const RESTARTS: u32 = 3;
/// Maximum bytes and lines of the server's output in an error.
const SHOWN_BYTES: u64 = 4096;
const SHOWN_LINES: usize = 15;
/// Timeout of one connection attempt.
const CONNECT: Duration = Duration::from_secs(2);

/// Command that starts the servers of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeCommand {
    /// The command, run by the shell.
    pub command: String,
    /// Time limit until every address accepts connections.
    pub start_limit: Duration,
}

/// Command, weights and addresses of a server to start.
pub(super) struct ServeCall<'a> {
    pub(super) command: &'a ServeCommand,
    /// Folder of the run.
    pub(super) run: &'a Path,
    /// Weights to serve: a folder or a GGUF file.
    pub(super) checkpoint: &'a str,
    /// Specification of the policy, with the servers' addresses.
    pub(super) policy: &'a str,
    pub(super) log: Option<fn(&str)>,
}

/// A running server; dropping it ends the server.
pub(super) struct StartedServer {
    state: Arc<State>,
    watcher: Option<JoinHandle<()>>,
}

/// State that the watcher thread shares with the run.
#[derive(Default)]
struct State {
    stop: AtomicBool,
    /// Whether the server has accepted connections; a server that never did is not restarted.
    up: AtomicBool,
    /// Why the server has ended and is not restarted; `None` while it is watched.
    failed: Mutex<Option<String>>,
}

impl StartedServer {
    /// Starts the command and waits until the server accepts connections.
    pub(super) fn start(call: &ServeCall, control: &Control) -> Result<Self, TrainError> {
        let addresses = addresses(call.policy)?;
        if let Some(taken) = addresses.iter().find(|address| takes_connections(address)) {
            return Err(failed(&format!(
                "cannot serve at {taken}: something answers there already; end it, or name another port \
                 in --policy and in the command"
            )));
        }
        let log = call.run.join(LOG);
        let printed_before = std::fs::metadata(&log).map_or(0, |found| found.len());
        let mut shell = shell(call)?;
        let group = ProcessGroup::start(&mut shell)
            .map_err(|e| failed(&format!("`{}` cannot be started: {e}", call.command.command)))?;
        let state = Arc::<State>::default();
        let record = GroupRecord::write(call.run, SERVER, &group)?;
        let watch = Watch { group, shell, record, log: call.log };
        let shared = state.clone();
        let watcher = std::thread::Builder::new()
            .name("regrowth-server".into())
            .spawn(move || watch.run(&shared))
            .map_err(TrainError::io("a thread"))?;
        let started = Self { state, watcher: Some(watcher) };
        match started.wait_until_up(&addresses, call.command.start_limit, control)? {
            None => Ok(started),
            Some(why) => Err(failed(&format!(
                "`{}` {why} before it took connections at {}; {}",
                call.command.command,
                addresses.join(", "),
                last_lines(&log, printed_before)
            ))),
        }
    }

    /// Waits until all addresses accept connections. Returns the reason if the server ends or the time limit
    /// is reached first, otherwise `None`.
    fn wait_until_up(
        &self,
        addresses: &[String],
        limit: Duration,
        control: &Control,
    ) -> Result<Option<String>, TrainError> {
        let began = Instant::now();
        while !addresses.iter().all(|address| takes_connections(address)) {
            control.check()?;
            if let Some(why) = self.failure() {
                return Ok(Some(why));
            }
            if began.elapsed() >= limit {
                let seconds = limit.as_secs();
                return Ok(Some(format!("ran for {seconds} seconds (--serve-seconds)")));
            }
            std::thread::sleep(4 * POLL);
        }
        // Relaxed: only the watcher reads the flag, and may see it a moment later.
        self.state.up.store(true, Ordering::Relaxed);
        Ok(None)
    }

    /// Returns why the server has ended and is not restarted; `None` while it is watched.
    pub(super) fn failure(&self) -> Option<String> {
        self.state.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for StartedServer {
    fn drop(&mut self) {
        // Relaxed: the watcher is joined below.
        self.state.stop.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }
}

/// The watcher thread: restarts the server if it ends by itself, and ends it when `stop` is set.
struct Watch {
    group: ProcessGroup,
    shell: Command,
    record: GroupRecord,
    log: Option<fn(&str)>,
}

impl Watch {
    fn run(mut self, state: &State) {
        let mut restarts = 0;
        // Relaxed: the flags are polled, so a late value does no harm.
        while !state.stop.load(Ordering::Relaxed) {
            std::thread::sleep(POLL);
            let why = match self.group.ended() {
                Ok(None) => continue,
                Ok(Some(status)) => format!("ended with {status}"),
                Err(error) => format!("cannot be watched: {error}"),
            };
            // End processes that the command left behind: they would hold the port.
            let _ = self.group.end();
            let again = state.up.load(Ordering::Relaxed) && restarts < RESTARTS;
            if !again || self.restart().is_err() {
                *state.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
                return;
            }
            restarts += 1;
            if let Some(log) = self.log {
                log(&format!("the server {why}; started again ({restarts} of {RESTARTS} times)"));
            }
        }
        let _ = self.group.end();
    }

    fn restart(&mut self) -> Result<(), TrainError> {
        self.group = ProcessGroup::start(&mut self.shell).map_err(TrainError::io("sh"))?;
        self.record.update(&self.group)
    }
}

fn shell(call: &ServeCall) -> Result<Command, TrainError> {
    let run = std::path::absolute(call.run).map_err(TrainError::io(call.run))?;
    let path = run.join(LOG);
    let log = OpenOptions::new().create(true).append(true).open(&path);
    let log = log.map_err(TrainError::io(&path))?;
    let both = log.try_clone().map_err(TrainError::io(&path))?;
    let model = call.policy.split(',').next().and_then(|one| one.split_once('#'));
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &call.command.command])
        .env("REGROWTH_CHECKPOINT", call.checkpoint)
        .env("REGROWTH_MODEL", model.map_or("", |(_, name)| name))
        .env(RUN, run)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(both);
    Ok(shell)
}

/// Returns the last lines that were written to the log after its first `from` bytes, for an error.
fn last_lines(log: &Path, from: u64) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(end.saturating_sub(SHOWN_BYTES))))?;
        let mut text = Vec::new();
        file.take(SHOWN_BYTES).read_to_end(&mut text)?;
        Ok(text)
    };
    let text = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let all = log.display();
    if lines.is_empty() {
        return format!("it printed nothing into {all}");
    }
    // Server output may contain anything; control characters such as colour codes do not belong in an error.
    let plain = |line: &&str| line.chars().filter(|c| !c.is_control()).collect::<String>();
    let last = lines[lines.len().saturating_sub(SHOWN_LINES)..].iter().map(plain);
    let last: Vec<String> = last.collect();
    format!("all that it printed is in {all}, at last:\n  {}", last.join("\n  "))
}

/// Returns host and port of each of a policy's servers.
fn addresses(policy: &str) -> Result<Vec<String>, TrainError> {
    let address = |one: &str| {
        let (scheme, rest) = one.trim().split_once("://")?;
        let host = rest.split(['/', '#']).next().filter(|host| !host.is_empty())?;
        let with_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = if scheme == "https" { 443 } else { 80 };
        Some(if with_port { host.to_owned() } else { format!("{host}:{port}") })
    };
    let all: Option<Vec<String>> = policy.split(',').map(address).collect();
    all.ok_or_else(|| failed(&format!("`{policy}`: expected http://host:port/v1#model")))
}

fn takes_connections(address: &str) -> bool {
    let found = address.to_socket_addrs().into_iter().flatten();
    found.into_iter().any(|at| TcpStream::connect_timeout(&at, CONNECT).is_ok())
}

fn failed(detail: &str) -> TrainError {
    TrainError::Setting { name: "serve_command", detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_all_servers() {
        let found = addresses("http://a:8000/v1#m,https://b/v1#m, http://10.0.0.1/x").unwrap();
        assert_eq!(found, ["a:8000", "b:443", "10.0.0.1:80"]);
        assert!(addresses("scripted").is_err());
    }

    /// An address on which no server is listening.
    fn free() -> String {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().to_string()
    }

    /// Starts a command that does not come up within `seconds`; returns the error text.
    fn refused(dir: &Path, command: &str, address: &str, seconds: u64) -> String {
        let start_limit = Duration::from_secs(seconds);
        let call = ServeCall {
            command: &ServeCommand { command: command.to_owned(), start_limit },
            run: dir,
            checkpoint: "tiny",
            policy: &format!("http://{address}/v1#m"),
            log: None,
        };
        StartedServer::start(&call, &Control::default()).err().unwrap().to_string()
    }

    #[test]
    fn a_server_that_never_answers_is_named_with_what_it_did() {
        let dir = tempfile::tempdir().unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let command = "echo \"$REGROWTH_CHECKPOINT as $REGROWTH_MODEL\"; exit 3";
        let said = refused(dir.path(), command, &address, 60);
        assert!(said.contains("something answers there already"), "{said}");
        drop(taken);
        let said = refused(dir.path(), command, &address, 60);
        assert!(said.contains("exit status: 3") && said.contains(LOG), "{said}");
        assert!(said.ends_with("\n  tiny as m"), "{said}");
        let printed = std::fs::read_to_string(dir.path().join(LOG)).unwrap();
        assert_eq!(printed, "tiny as m\n");
        assert!(!dir.path().join(SERVER).exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_server_that_hangs_at_its_start_is_ended_and_its_last_lines_are_shown() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(LOG), "of an earlier start\n").unwrap();
        let command = "for i in $(seq 99); do printf '\\033[1mline %s\\n' $i; done; sleep 900";
        let began = Instant::now();
        let said = refused(dir.path(), command, &free(), 1);
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
        for words in ["ran for 1 seconds (--serve-seconds)", "\n  [1mline 85\n", "line 99"] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert!(!said.contains("line 84") && !said.contains("earlier"), "{said}");
        assert!(!dir.path().join(SERVER).exists());
        let said = refused(dir.path(), "sleep 900", &free(), 0);
        assert!(said.contains("printed nothing"), "{said}");
    }
}
