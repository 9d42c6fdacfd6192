//! Who works at a part of a search: attempts, each in a folder of its own.
//!
//! The first process makes `attempt-0001` (making a folder is atomic on NFS as well), and rewrites
//! `owner.json` in it every few seconds. Another process that is given the same part waits until that
//! file says that its owner has ended, until the owner's lock is free on the machine that both run on,
//! or until the file has not changed for [`Timing::silence`] by the waiting process's own clock. It then
//! makes the next attempt and copies the model calls that were finished in the earlier ones.
//!
//! Invariant: a process writes into its own attempt only. One that was taken for dead and wakes up can
//! spoil nothing; it stops when it sees the later attempt. What is complete first counts.

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
use super::super::log;
use super::super::paths::unwritten;
use super::super::search::JUDGE_LOG;
use super::record::ShardRecord;
use super::unread;
use crate::config::VERDICTS_FILE;

/// With this the name of an attempt's folder begins.
const FOLDER: &str = "attempt-";

/// Who works at an attempt.
const OWNER: &str = "owner.json";

/// What a later attempt takes over: the answers of the policy, of the judge and of the verifier.
const LOGS: [&str; 3] = [LOG_FILE, JUDGE_LOG, VERDICTS_FILE];

/// How often a sign of life is given, and after which time without one a process counts as dead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    pub(super) beat: Duration,
    pub(super) silence: Duration,
}

impl Timing {
    /// A file server that restarts is away for less than this silence, mostly.
    pub(super) const DEFAULT: Self =
        Self { beat: Duration::from_secs(5), silence: Duration::from_secs(60) };
}

/// `owner.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Owner {
    version: u32,
    host: String,
    pid: u32,
    /// Tells one start of one machine from all others; empty where the system does not say.
    boot: String,
    /// Signs of life so far.
    beats: u64,
    /// Whether it has ended by itself, so that nobody need wait.
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

    /// Rewrites the file in place: on NFS a reader that opens it then sees the new content, which a
    /// file of that name that was renamed into place does not promise.
    fn write(&self, attempt: &Path) -> io::Result<()> {
        std::fs::write(attempt.join(OWNER), serde_json::to_vec(self)?)
    }
}

/// What became of asking for a part.
pub(in crate::cli) enum Claim {
    /// It is complete, in this folder.
    Complete(PathBuf),
    /// This process works at it.
    Mine(Attempt),
}

/// The attempt that this process works at.
pub(in crate::cli) struct Attempt {
    path: PathBuf,
    number: u32,
    lost: Arc<AtomicBool>,
    /// Ends the thread that gives signs of life, by being dropped.
    stop: Option<Sender<()>>,
    heart: Option<JoinHandle<()>>,
    /// Held as long as the process lives, where the file system has locks.
    _lock: Option<FolderLock>,
}

/// Waits until nobody works at the part in `folder`, and takes it.
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
            // It may have ended since the look at its record.
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

/// The attempts at a part, by their numbers.
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

/// An attempt of another process, and since when it has not changed.
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

    /// Whether nobody works there any more.
    fn is_over(&mut self, timing: Timing) -> bool {
        let text = owner_text(&self.path);
        if text != self.text {
            (self.text, self.since) = (text, Instant::now());
        }
        self.has_ended() || self.since.elapsed() >= timing.silence
    }

    /// Whether the owner said that it ends, or is gone from this machine.
    fn has_ended(&self) -> bool {
        let Ok(owner) = serde_json::from_slice::<Owner>(&self.text) else { return false };
        let here = !owner.boot.is_empty() && owner.boot == Owner::this_process().boot;
        // Under one kernel a lock tells surely, be the file system local or not.
        owner.ended || here && FolderLock::is_held(&self.path).is_ok_and(|held| !held)
    }
}

fn owner_text(attempt: &Path) -> Vec<u8> {
    std::fs::read(attempt.join(OWNER)).unwrap_or_default()
}

impl Attempt {
    /// Gives the first sign of life, and takes over what earlier attempts have.
    fn begin(heart: Heart, earlier: &[(u32, PathBuf)], timing: Timing) -> Result<Self, Failure> {
        let (path, number, lost) = (heart.path.clone(), heart.number, heart.lost.clone());
        // Before the owner is named: a free lock means that it is gone.
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

    /// Copies a log from the newest attempt that has it. It is there whole or not at all, so that a
    /// process that dies meanwhile leaves nothing short.
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

    /// Whether another process has taken the part over.
    pub(in crate::cli) fn is_lost(&self) -> bool {
        // Relaxed: the flag carries no data.
        self.lost.load(Ordering::Relaxed)
    }

    /// Says that the part is complete, and removes the logs of earlier attempts, which nobody takes over
    /// any more.
    pub(in crate::cli) fn complete(&self, record: &ShardRecord) -> Result<(), Failure> {
        record.write(&self.path)?;
        let Some(folder) = self.path.parent() else { return Ok(()) };
        for (number, path) in attempts(folder)? {
            if number < self.number {
                // They only take space.
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

/// The thread that gives signs of life.
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

    /// Beats until `wait` says that the attempt has ended.
    fn beat(mut self, wait: impl Fn() -> Result<(), RecvTimeoutError>) {
        while wait() == Err(RecvTimeoutError::Timeout) {
            self.owner.beats += 1;
            // A file system that fails for a moment is no reason to stop; the rows will tell.
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
        // It gives signs of life for longer than the silence.
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
