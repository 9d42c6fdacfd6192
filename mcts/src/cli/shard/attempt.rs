//! Assigns a part of a search to a process: attempts, each in a separate folder.
//!
//! The first process creates `attempt-0001` (creating a folder is atomic on NFS as well), and rewrites
//! `owner.json` in it every few seconds. Another process with the same part waits until one of these holds:
//! the file states that its owner has ended; the owner's lock is free (if both run on the same machine); the
//! file has not changed for [`Timing::silence`] by the waiting process's own clock. It then creates the next
//! attempt and copies the finished model calls of the earlier ones.
//!
//! Invariant: a process writes only into its own attempt. A process that was assumed to be dead and wakes up
//! can damage nothing; it stops when it sees the later attempt. The first attempt to be complete counts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use regrowth_datasets::{FolderLock, atomic_write};
use regrowth_policy::LOG_FILE;
use serde::{Deserialize, Serialize};

use super::super::failure::Failure;
use super::super::folder::JUDGE_LOG;
use super::super::log;
use super::super::paths::unwritten;
use super::record::ShardRecord;
use super::unread;
use crate::config::VERDICTS_FILE;

/// Prefix of the name of an attempt's folder.
const FOLDER: &str = "attempt-";

/// File that states the owner of an attempt.
const OWNER: &str = "owner.json";

/// Logs that a later attempt copies: the answers of the policy, of the judge and of the verifier.
const LOGS: [&str; 3] = [LOG_FILE, JUDGE_LOG, VERDICTS_FILE];

/// Interval of heartbeats, and the time without one after which a process is assumed to be dead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    pub(super) beat: Duration,
    pub(super) silence: Duration,
}

impl Timing {
    /// A restarting file server is usually unavailable for less than this silence.
    pub(super) const DEFAULT: Self =
        Self { beat: Duration::from_secs(5), silence: Duration::from_secs(60) };
}

/// Content of `owner.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Owner {
    version: u32,
    host: String,
    pid: u32,
    /// Identifies one boot of one machine; empty if the system does not provide it.
    boot: String,
    /// Number of heartbeats so far.
    beats: u64,
    /// Whether the owner has ended by itself, so that no process needs to wait.
    ended: bool,
}

impl Owner {
    fn this_process() -> Self {
        let kernel = |name: &str| {
            let text = std::fs::read_to_string(Path::new("/proc/sys/kernel").join(name));
            text.map(|text| text.trim().to_owned()).unwrap_or_default()
        };
        let (host, boot) = (kernel("hostname"), kernel("random/boot_id"));
        Self { version: 1, host, pid: std::process::id(), boot, beats: 0, ended: false }
    }

    /// Rewrites the file in place: on NFS, a reader that opens the file then sees the new content. A file
    /// renamed into place does not guarantee this.
    fn write(&self, attempt: &Path) -> io::Result<()> {
        std::fs::write(attempt.join(OWNER), serde_json::to_vec(self)?)
    }
}

/// Result of claiming a part.
pub(in crate::cli) enum Claim {
    /// The part is complete, in this folder.
    Complete(PathBuf),
    /// This process works on the part.
    Mine(Attempt),
}

/// The attempt that this process works on.
pub(in crate::cli) struct Attempt {
    path: PathBuf,
    number: u32,
    lost: Arc<AtomicBool>,
    /// Ends the heartbeat thread when dropped.
    stop: Option<Sender<()>>,
    heart: Option<JoinHandle<()>>,
    /// Held while the process is running, if the file system supports locks.
    _lock: Option<FolderLock>,
}

/// Waits until no process works on the part in `folder`, and claims it.
pub(super) fn claim(
    folder: &Path,
    timing: Timing,
    cancel: &Arc<AtomicBool>,
) -> Result<Claim, Failure> {
    std::fs::create_dir_all(folder).map_err(|e| unread(folder, &e))?;
    let mut watched: Option<Watched> = None;
    loop {
        let found = attempts(folder)?;
        if let Some((_, done)) = found.iter().find(|(_, path)| ShardRecord::is_in(path)) {
            return Ok(Claim::Complete(done.clone()));
        }
        let last = found.last().map_or(0, |(number, _)| *number);
        if let Some((_, path)) = found.last() {
            let seen = watched.take().filter(|seen| seen.path == *path);
            let seen = watched.insert(seen.unwrap_or_else(|| Watched::new(path, timing)));
            if !seen.is_over(timing) {
                std::thread::sleep(timing.beat.min(Duration::from_secs(1)));
                continue;
            }
            // The attempt may have been completed since its record was checked above.
            if ShardRecord::is_in(path) {
                continue;
            }
        }
        let number = last + 1;
        let path = folder.join(format!("{FOLDER}{number:04}"));
        match std::fs::create_dir(&path) {
            Ok(()) => {
                let heart = Heart::new(path, number, cancel);
                return Attempt::begin(heart, &found, timing).map(Claim::Mine);
            }
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unread(&path, &error)),
        }
    }
}

/// The attempts at a part, in the order of their numbers.
pub(super) fn attempts(folder: &Path) -> Result<Vec<(u32, PathBuf)>, Failure> {
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        other => other.map_err(|e| unread(folder, &e))?,
    };
    for entry in entries {
        let path = entry.map_err(|e| unread(folder, &e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(number) = name.strip_prefix(FOLDER).and_then(|number| number.parse().ok()) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// An attempt of another process, and the time since which it has not changed.
struct Watched {
    path: PathBuf,
    text: Vec<u8>,
    since: Instant,
}

impl Watched {
    fn new(path: &Path, timing: Timing) -> Self {
        let seen = Self { path: path.to_owned(), text: owner_text(path), since: Instant::now() };
        if !seen.has_ended() {
            let owner = serde_json::from_slice::<Owner>(&seen.text);
            let who = owner.map_or("another process".to_owned(), |owner| {
                format!("process {} on {}", owner.pid, owner.host)
            });
            log(format!(
                "{who} works at {}; it is taken over if it is silent for {:?}",
                path.display(),
                timing.silence
            ));
        }
        seen
    }

    /// Whether no process works on the attempt any more.
    fn is_over(&mut self, timing: Timing) -> bool {
        let text = owner_text(&self.path);
        if text != self.text {
            (self.text, self.since) = (text, Instant::now());
        }
        self.has_ended() || self.since.elapsed() >= timing.silence
    }

    /// Whether the owner has reported its end, or ran on this machine and does not hold its lock any more.
    fn has_ended(&self) -> bool {
        let Ok(owner) = serde_json::from_slice::<Owner>(&self.text) else { return false };
        let here = !owner.boot.is_empty() && owner.boot == Owner::this_process().boot;
        // Under one kernel a lock is reliable, whether the file system is local or not.
        owner.ended || here && FolderLock::is_held(&self.path).is_ok_and(|held| !held)
    }
}

fn owner_text(attempt: &Path) -> Vec<u8> {
    std::fs::read(attempt.join(OWNER)).unwrap_or_default()
}

impl Attempt {
    /// Writes the first heartbeat, and copies the logs of earlier attempts.
    fn begin(heart: Heart, earlier: &[(u32, PathBuf)], timing: Timing) -> Result<Self, Failure> {
        let (path, number, lost) = (heart.path.clone(), heart.number, heart.lost.clone());
        // Lock before the owner is written: then a free lock means that the owner is gone.
        let lock = FolderLock::hold(&path).ok().flatten();
        heart.owner.write(&path).map_err(|e| unread(&path, &e))?;
        let (stop, stopped) = bounded(0);
        let heart = std::thread::Builder::new()
            .name("regrowth-shard".into())
            .spawn(move || heart.beat(|| stopped.recv_timeout(timing.beat)))
            .map_err(|e| Failure::internal(format!("a thread: {e}")))?;
        let attempt =
            Self { path, number, lost, stop: Some(stop), heart: Some(heart), _lock: lock };
        LOGS.into_iter().try_for_each(|name| attempt.take_over(name, earlier))?;
        Ok(attempt)
    }

    /// Copies a log from the newest attempt that has it. The copy appears complete or not at all, so that a
    /// process that dies meanwhile leaves no truncated log.
    fn take_over(&self, name: &str, earlier: &[(u32, PathBuf)]) -> Result<(), Failure> {
        let has = |(_, path): &&(u32, PathBuf)| path.join(name).is_file();
        let Some((_, from)) = earlier.iter().rev().find(has) else { return Ok(()) };
        let from = from.join(name);
        log(format!("takes over {}", from.display()));
        let mut source = std::fs::File::open(&from).map_err(|e| unread(&from, &e))?;
        atomic_write(&self.path.join(name), |file| io::copy(&mut source, file).map(drop))
            .map_err(unwritten)
    }

    pub(in crate::cli) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether another process has taken over the part.
    pub(in crate::cli) fn is_lost(&self) -> bool {
        // Relaxed: the flag carries no data.
        self.lost.load(Ordering::Relaxed)
    }

    /// Marks the part as complete, and removes the logs of earlier attempts, which are no longer needed.
    pub(in crate::cli) fn complete(&self, record: &ShardRecord) -> Result<(), Failure> {
        record.write(&self.path)?;
        let Some(folder) = self.path.parent() else { return Ok(()) };
        for (number, path) in attempts(folder)? {
            if number < self.number {
                LOGS.iter().for_each(|name| drop(std::fs::remove_file(path.join(name))));
            }
        }
        Ok(())
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(heart) = self.heart.take() {
            let _ = heart.join();
        }
    }
}

/// The heartbeat thread.
struct Heart {
    path: PathBuf,
    number: u32,
    owner: Owner,
    lost: Arc<AtomicBool>,
    cancel: Arc<AtomicBool>,
}

impl Heart {
    fn new(path: PathBuf, number: u32, cancel: &Arc<AtomicBool>) -> Self {
        let (owner, cancel) = (Owner::this_process(), cancel.clone());
        Self { path, number, owner, lost: Arc::default(), cancel }
    }

    /// Writes heartbeats until `wait` reports that the attempt has ended.
    fn beat(mut self, wait: impl Fn() -> Result<(), RecvTimeoutError>) {
        while wait() == Err(RecvTimeoutError::Timeout) {
            self.owner.beats += 1;
            // A temporary failure of the file system is no reason to stop; writing the rows will show whether
            // it lasts.
            let _ = self.owner.write(&self.path);
            if !self.lost.load(Ordering::Relaxed) && self.is_superseded() {
                log(format!("{}: another process has taken over", self.path.display()));
                // Relaxed: the flags carry no data.
                self.lost.store(true, Ordering::Relaxed);
                self.cancel.store(true, Ordering::Relaxed);
            }
        }
        self.owner.ended = true;
        let _ = self.owner.write(&self.path);
    }

    fn is_superseded(&self) -> bool {
        let found = self.path.parent().and_then(|folder| attempts(folder).ok());
        found.is_some_and(|found| found.last().is_some_and(|(last, _)| *last > self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Timing =
        Timing { beat: Duration::from_millis(20), silence: Duration::from_secs(2) };

    fn mine(folder: &Path) -> Attempt {
        match claim(folder, FAST, &Arc::default()).unwrap() {
            Claim::Mine(attempt) => attempt,
            Claim::Complete(path) => panic!("{}", path.display()),
        }
    }

    #[test]
    fn what_ended_is_taken_over_at_once_with_its_logs() {
        let dir = tempfile::tempdir().unwrap();
        let first = mine(dir.path());
        std::fs::write(first.path().join(LOG_FILE), "rows\n").unwrap();
        drop(first);
        let second = mine(dir.path());
        assert!(second.path().ends_with("attempt-0002"));
        let taken = std::fs::read_to_string(second.path().join(LOG_FILE)).unwrap();
        assert_eq!(taken, "rows\n");
    }

    #[test]
    fn a_silent_owner_on_another_machine_is_taken_over_and_stops() {
        let dir = tempfile::tempdir().unwrap();
        let attempt = dir.path().join("attempt-0001");
        std::fs::create_dir(&attempt).unwrap();
        let mut owner = Owner { boot: "elsewhere".into(), ..Owner::this_process() };
        owner.write(&attempt).unwrap();
        // The owner writes heartbeats for longer than the silence.
        let alive = std::thread::spawn({
            let attempt = attempt.clone();
            move || {
                for _ in 0..150 {
                    std::thread::sleep(FAST.beat);
                    owner.beats += 1;
                    owner.write(&attempt).unwrap();
                }
            }
        });
        let second = mine(dir.path());
        assert!(alive.is_finished() && second.path().ends_with("attempt-0002"));
    }

    #[test]
    fn one_that_wakes_up_after_it_was_taken_over_stops() {
        let dir = tempfile::tempdir().unwrap();
        let cancel = Arc::<AtomicBool>::default();
        let Ok(Claim::Mine(first)) = claim(dir.path(), FAST, &cancel) else { panic!("claimed") };
        assert!(!first.is_lost());
        std::fs::create_dir(dir.path().join("attempt-0002")).unwrap();
        while !first.is_lost() {
            std::thread::sleep(FAST.beat);
        }
        assert!(cancel.load(Ordering::Relaxed));
    }

    #[test]
    fn of_many_that_wait_one_takes_over_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("attempt-0001")).unwrap();
        let working = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let attempt = mine(dir.path());
                    assert_eq!(working.fetch_add(1, Ordering::SeqCst), 0);
                    std::thread::sleep(2 * FAST.beat);
                    assert!(!attempt.is_lost());
                    working.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(attempts(dir.path()).unwrap().len(), 5);
    }
}
