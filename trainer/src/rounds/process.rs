//! A shell command in a process group of its own, so that whatever it started ends with it.

use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// How often a waiting process is looked at.
pub(super) const POLL: Duration = Duration::from_millis(50);

/// How long a process that was asked to end may take.
pub(super) const GRACE: Duration = Duration::from_secs(20);

/// A running command and everything that it started.
pub(super) struct ProcessGroup {
    leader: Child,
}

impl ProcessGroup {
    /// Starts a command as the leader of a new group.
    pub(super) fn start(command: &mut Command) -> std::io::Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        Ok(Self { leader: command.spawn()? })
    }

    /// Id of the group.
    pub(super) fn id(&self) -> u32 {
        self.leader.id()
    }

    /// How the command ended, if it has.
    pub(super) fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.leader.try_wait()
    }

    /// Asks the group to end.
    pub(super) fn ask_to_end(&mut self) -> std::io::Result<()> {
        self.signal("TERM")
    }

    /// Ends the group at once.
    pub(super) fn kill(&mut self) -> std::io::Result<ExitStatus> {
        self.signal("KILL")?;
        self.leader.wait()
    }

    /// Asks the group to end, and makes it end if it has not within [`GRACE`].
    pub(super) fn end(&mut self) -> std::io::Result<()> {
        self.ask_to_end()?;
        let asked = Instant::now();
        while asked.elapsed() < GRACE {
            if self.ended()?.is_some() {
                // The leader is gone; what it started and left behind goes as well.
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

/// Sends a signal to a process group; one that is gone is no error.
pub(super) fn signal_group(group: u32, name: &str) -> std::io::Result<()> {
    let kill = format!("kill -{name} -{group} 2> /dev/null");
    Command::new("sh").args(["-c", &kill]).status().map(drop)
}
