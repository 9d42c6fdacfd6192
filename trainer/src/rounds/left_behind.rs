//! Commands that a killed run left behind.
//!
//! A run records the process group of its server and of its trainer command in its folder. If the run is
//! killed, the next process on the folder ends them: they would hold a port or an accelerator, and write into
//! the run.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::process::{GRACE, POLL, ProcessGroup, signal_group};
use crate::TrainError;
use crate::artefact::{read_json, remove, write_json};

/// Environment variable with the absolute path of the run, by which its commands are recognised.
pub(super) const RUN: &str = "REGROWTH_RUN";

/// Files in the folder of a run that record a running command.
const RECORDS: [&str; 2] = [SERVER, TRAINER];
pub(super) const SERVER: &str = "server.json";
pub(super) const TRAINER: &str = "trainer.json";

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    version: u32,
    /// Id of the process group.
    group: u32,
}

/// The record of a running command; dropping it removes the file.
pub(super) struct GroupRecord(PathBuf);

impl GroupRecord {
    /// Records in the folder `run` that the command `name` ([`SERVER`] or [`TRAINER`]) is running.
    pub(super) fn write(run: &Path, name: &str, group: &ProcessGroup) -> Result<Self, TrainError> {
        let record = Self(run.join(name));
        record.update(group)?;
        Ok(record)
    }

    /// Records that the command now runs as another group.
    pub(super) fn update(&self, group: &ProcessGroup) -> Result<(), TrainError> {
        write_json(&self.0, &Record { version: 1, group: group.id() })
    }
}

impl Drop for GroupRecord {
    fn drop(&mut self) {
        // If the record cannot be removed, it points to a group that no longer runs, which does no harm.
        let _ = remove(&self.0);
    }
}

/// Ends the commands that a killed process on the run left behind: with SIGTERM, and with SIGKILL after
/// [`GRACE`].
pub(super) fn end_left_behind(run: &Path) -> Result<(), TrainError> {
    for path in RECORDS.map(|name| run.join(name)) {
        if let Ok(Some(record)) = read_json::<Record>(&path) {
            end(record.group, run)?;
        }
        remove(&path)?;
    }
    Ok(())
}

fn end(group: u32, run: &Path) -> Result<(), TrainError> {
    let run = std::path::absolute(run).map_err(TrainError::io(run))?;
    let failed = |e| TrainError::io(Path::new("sh"))(e);
    let started = Instant::now();
    let mut signal = "TERM";
    while is_running(group, &run) {
        signal_group(group, signal).map_err(failed)?;
        std::thread::sleep(4 * POLL);
        if started.elapsed() > GRACE {
            signal = "KILL";
        }
    }
    Ok(())
}

/// Whether a process of the group belongs to this run. Group ids are reused, so the environment is checked
/// too. Always false on systems without `/proc`.
fn is_running(group: u32, run: &Path) -> bool {
    let mark = format!("{RUN}={}\0", run.display()).into_bytes();
    let is_one = |process: &Path| {
        let stat = std::fs::read_to_string(process.join("stat")).ok()?;
        // Fields after the command name, which is in parentheses and may contain anything: state, parent,
        // group.
        let own = stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse::<u32>().ok()?;
        let environment = std::fs::read(process.join("environ")).ok()?;
        let marked = environment.windows(mark.len()).any(|part| part == mark);
        Some(own == group && marked)
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.into_iter().any(|process| is_one(&process.path()) == Some(true))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn what_a_killed_run_left_behind_is_ended() {
        for name in RECORDS {
            let dir = tempfile::tempdir().unwrap();
            let mut shell = Command::new("sh");
            shell.args(["-c", "sleep 900 & sleep 900"]).env(RUN, dir.path());
            let mut left = ProcessGroup::start(&mut shell).unwrap();
            std::mem::forget(GroupRecord::write(dir.path(), name, &left).unwrap());
            assert!(is_running(left.id(), dir.path()));
            assert!(!is_running(left.id(), Path::new("/other")));
            end_left_behind(dir.path()).unwrap();
            assert!(left.ended().unwrap().is_some());
            assert!(!dir.path().join(name).exists());
        }
    }
}
