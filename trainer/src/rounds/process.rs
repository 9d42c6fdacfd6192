//! Runs a shell command in its own process group, so that all processes it starts end with it.

use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// Interval at which a running process is polled.
pub(super) const POLL: Duration = Duration::from_millis(50);

/// Time that a process has to end after SIGTERM, before it is killed.
pub(super) const GRACE: Duration = Duration::from_secs(20);

/// A running command and all processes that it started.
pub(super) struct ProcessGroup {
    leader: Child,
}

impl ProcessGroup {
    /// Starts a command as the leader of a new process group.
    pub(super) fn start(command: &mut Command) -> std::io::Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        Ok(Self { leader: command.spawn()? })
    }

    /// Id of the process group.
    pub(super) fn id(&self) -> u32 {
        self.leader.id()
    }

    /// Returns the exit status of the command; `None` while it is running.
    pub(super) fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.leader.try_wait()
    }

    /// Sends SIGTERM to the group.
    pub(super) fn ask_to_end(&mut self) -> std::io::Result<()> {
        self.signal("TERM")
    }

    /// Sends SIGKILL to the group and waits for the command.
    pub(super) fn kill(&mut self) -> std::io::Result<ExitStatus> {
        self.signal("KILL")?;
        self.leader.wait()
    }

    /// Ends the group with SIGTERM, and with SIGKILL if it is still running after [`GRACE`].
    pub(super) fn end(&mut self) -> std::io::Result<()> {
        self.ask_to_end()?;
        let asked = Instant::now();
        while asked.elapsed() < GRACE {
            if self.ended()?.is_some() {
                // The leader has ended; kill the processes that it left behind.
                return self.signal("KILL");
            }
            std::thread::sleep(POLL);
        }
        self.kill().map(drop)
    }

    fn signal(&mut self, name: &str) -> std::io::Result<()> {
        if cfg!(unix) { signal_group(self.id(), name) } else { self.leader.kill() }
    }
}

/// Sends a signal to a process group. It is no error if the group has ended.
pub(super) fn signal_group(group: u32, name: &str) -> std::io::Result<()> {
    let kill = format!("kill -{name} -{group} 2> /dev/null");
    Command::new("sh").args(["-c", &kill]).status().map(drop)
}
