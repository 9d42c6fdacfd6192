//! Journals: JSON lines files with one row per problem and a checksum per row. A written row survives a kill
//! of the process.
//!
//! While incomplete, the file is `NAME.part`, with one checksum line per row in `NAME.sums`; when complete,
//! it is renamed to `NAME`. A callback computes missing and corrupted rows, so a corrupted byte costs one
//! row. A row takes many model calls, and several rows are computed at once; finished calls are logged in a
//! file next to the journal until it is complete ([`recorded`]). A kill therefore loses only the calls in
//! flight.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use regrowth_datasets::{JsonlReader, Problem, atomic_write, write_jsonl};
use regrowth_policy::{Policy, Recording};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::observer::Observer;
use crate::artefact::{hex_sha256, remove};
use crate::{TrainError, calls};

/// Interval of fsync. It limits the loss if the machine stops; if only the process stops, nothing written is
/// lost.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// Number of repairs of a file before [`complete`] returns an error.
const REPAIRS: usize = 3;

/// Callback that stores one row: problem id, row.
pub(super) type Sink<'a, T> = dyn FnMut(&str, &T) -> Result<(), TrainError> + 'a;

/// Callback that computes the rows of these problems and passes them to the sink in problem order. It may
/// omit problems.
pub(super) type Make<'a, T> =
    dyn FnMut(&[Problem], &mut dyn Observer, &mut Sink<T>) -> Result<(), TrainError> + 'a;

/// One line of a checksum file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sum {
    /// Id of the row's problem.
    id: String,
    /// Offset just after the row and its line break, in bytes.
    end: u64,
    /// SHA-256 of the row including its line break.
    sha256: String,
}

/// Completes the file `path`: calls `make` for rows that are missing or do not match their checksums.
///
/// # Errors
/// Errors of `make`, I/O errors, and [`TrainError::File`] if the file is corrupted again after each repair.
/// Rows already written are kept.
pub(super) fn complete<T: Serialize>(
    path: &Path,
    problems: &[Problem],
    observer: &mut dyn Observer,
    make: &mut Make<T>,
) -> Result<(), TrainError> {
    for _ in 0..=REPAIRS {
        if !path.exists() {
            grow(path, problems, observer, make)?;
        }
        match inspect(path, problems)? {
            State::Whole => {
                Calls::ALL.iter().try_for_each(|calls| Recording::remove(&calls.of(path)))?;
                return Ok(());
            }
            State::Unknown(what) => {
                observer.log(&format!("{}: {what}; made again", path.display()));
                remove(path)?;
                remove(&beside(path, "part"))?;
                remove(&beside(path, "sums"))?;
            }
            State::Longer => {
                let what = "rows at its end have no checksum; made again";
                observer.log(&format!("{}: {what}", path.display()));
                let part = beside(path, "part");
                std::fs::rename(path, &part).map_err(TrainError::io(&part))?;
            }
            State::Damaged(lines) => {
                let mut rows = BTreeMap::new();
                let mut again = Vec::new();
                for (line, id) in &lines {
                    let what = "does not match its checksum; made again";
                    observer.log(&format!("{}:{}: `{id}` {what}", path.display(), line + 1));
                    again.extend(problems.iter().find(|p| p.id == *id).cloned());
                }
                make(&again, observer, &mut |id, row| {
                    rows.insert(id.to_owned(), to_line(path, row)?);
                    Ok(())
                })?;
                repair(path, &lines, &rows)?;
            }
        }
    }
    Err(TrainError::File {
        path: path.to_owned(),
        detail: "is damaged again after each repair; check the disk".into(),
    })
}

/// The policy whose calls a call log contains. The log is next to the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Calls {
    /// The policy that computes the rows.
    Own,
    /// The base policy, for the KL estimate.
    Initial,
    /// The judge policy.
    Judge,
}

impl Calls {
    const ALL: [Self; 3] = [Self::Own, Self::Initial, Self::Judge];

    /// Path of the call log of the journal `path`.
    fn of(self, path: &Path) -> PathBuf {
        let ending = match self {
            Self::Own => "calls",
            Self::Initial => "initial.calls",
            Self::Judge => "judge.calls",
        };
        beside(path, ending)
    }
}

/// Wraps `policy` so that its answers are logged next to `path` until that file is complete. Calls that an
/// interrupted run had finished are answered from the log.
pub(super) fn recorded(
    path: &Path,
    whose: Calls,
    policy: Arc<dyn Policy>,
    observer: &mut dyn Observer,
) -> Result<Arc<Recording>, TrainError> {
    calls::recorded(&whose.of(path), policy, &mut |text| observer.log(text))
}

/// Whether the file exists, complete or begun.
pub(super) fn is_begun(path: &Path) -> bool {
    let begun = [beside(path, "part"), Calls::Own.of(path)];
    path.exists() || begun.iter().any(|path| path.exists())
}

/// Returns the leading intact rows of an incomplete or complete file by problem id. Stops at the first row
/// whose problem is not `wanted`; leaves out rows that do not match their checksums.
pub(super) fn intact<T: DeserializeOwned>(
    path: &Path,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<BTreeMap<String, T>, TrainError> {
    let part = beside(path, "part");
    let rows = if path.exists() { path } else { &part };
    let mut found = BTreeMap::new();
    let Ok(mut sums) = read_sums(path) else { return Ok(found) };
    sums.truncate(sums.iter().take_while(|sum| wanted(&sum.id)).count());
    each_row(rows, &sums, |line, bytes| {
        let Sum { id, sha256, .. } = &sums[line];
        let whole = bytes.filter(|bytes| hex_sha256(bytes) == *sha256);
        if let Some(row) = whole.and_then(|bytes| serde_json::from_slice(bytes).ok()) {
            found.insert(id.clone(), row);
        }
        Ok(())
    })
    .map_err(TrainError::io(rows))?;
    Ok(found)
}

/// Appends the rows after the last intact one and renames `NAME.part` to `NAME`.
fn grow<T: Serialize>(
    path: &Path,
    problems: &[Problem],
    observer: &mut dyn Observer,
    make: &mut Make<T>,
) -> Result<(), TrainError> {
    let mut journal = Journal::open(path)?;
    let done = match &journal.last {
        None => 0,
        Some(last) => match problems.iter().position(|p| p.id == last.id) {
            Some(index) => index + 1,
            None => {
                let part = beside(path, "part");
                observer.log(&format!("{}: rows of other problems; made again", part.display()));
                journal.restart()?;
                0
            }
        },
    };
    make(&problems[done..], observer, &mut |id, row| journal.append(id, row))?;
    journal.finish()
}

/// The incomplete file `NAME.part` and its checksums.
struct Journal {
    path: PathBuf,
    part: PathBuf,
    rows: File,
    sums: File,
    last: Option<Sum>,
    synced: Instant,
}

impl Journal {
    /// Opens `NAME.part` and truncates it after the last row that has a checksum.
    fn open(path: &Path) -> Result<Self, TrainError> {
        let open = |path: &Path| {
            let options = OpenOptions::new().read(true).append(true).create(true).clone();
            options.open(path).map_err(TrainError::io(path))
        };
        let (part, sums) = (beside(path, "part"), beside(path, "sums"));
        let (rows, mut sums_file) = (open(&part)?, open(&sums)?);
        let length = rows.metadata().map_err(TrainError::io(&part))?.len();
        let last = last_sum(&mut sums_file, length).map_err(TrainError::io(&sums))?;
        rows.set_len(last.as_ref().map_or(0, |l| l.end)).map_err(TrainError::io(&part))?;
        let synced = Instant::now();
        Ok(Self { path: path.to_owned(), part, rows, sums: sums_file, last, synced })
    }

    fn restart(&mut self) -> Result<(), TrainError> {
        self.last = None;
        let cut = self.sums.set_len(0).and_then(|()| self.rows.set_len(0));
        cut.map_err(TrainError::io(&self.part))
    }

    fn append(&mut self, id: &str, row: &impl Serialize) -> Result<(), TrainError> {
        let line = to_line(&self.part, row)?;
        let start = self.last.as_ref().map_or(0, |l| l.end);
        let sum = sum_of(id, start, &line);
        self.rows.write_all(&line).map_err(TrainError::io(&self.part))?;
        // Written after the row, so that a checksum implies that its row was written.
        let line = to_line(&self.part, &sum)?;
        self.sums.write_all(&line).map_err(TrainError::io(beside(&self.path, "sums")))?;
        self.last = Some(sum);
        if self.synced.elapsed() >= SYNC_EVERY {
            self.sync()?;
            self.synced = Instant::now();
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), TrainError> {
        let synced = self.rows.sync_all().and_then(|()| self.sums.sync_all());
        synced.map_err(TrainError::io(&self.part))
    }

    /// Syncs the rows and renames `NAME.part` to `NAME`.
    fn finish(self) -> Result<(), TrainError> {
        self.sync()?;
        std::fs::rename(&self.part, &self.path).map_err(TrainError::io(&self.path))?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).map_err(TrainError::io(folder))
    }
}

/// Returns the last complete checksum line whose row is in the file (of `rows` bytes), and truncates `sums`
/// after it.
fn last_sum(sums: &mut File, rows: u64) -> std::io::Result<Option<Sum>> {
    let length = sums.seek(SeekFrom::End(0))?;
    let mut end = line_start(sums, length)?;
    while end > 0 {
        let start = line_start(sums, end - 1)?;
        sums.seek(SeekFrom::Start(start))?;
        let mut line = Vec::new();
        BufReader::new(&*sums).read_until(b'\n', &mut line)?;
        if let Some(sum) = serde_json::from_slice::<Sum>(&line).ok().filter(|s| s.end <= rows) {
            sums.set_len(end)?;
            return Ok(Some(sum));
        }
        end = start;
    }
    sums.set_len(0)?;
    Ok(None)
}

/// Returns the offset at which the line that contains `at` starts: just after the last line break
/// before `at`.
fn line_start(file: &mut File, at: u64) -> std::io::Result<u64> {
    const BLOCK: u64 = 1 << 16;
    let mut end = at;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        block.resize((end - start) as usize, 0);
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block)?;
        if let Some(offset) = block.iter().rposition(|&b| b == b'\n') {
            return Ok(start + offset as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Result of checking a finished file against its checksums.
enum State {
    Whole,
    /// Lines, counted from 0, that do not match their checksums, with their problem ids.
    Damaged(BTreeMap<usize, String>),
    /// There are bytes after the last row that has a checksum.
    Longer,
    /// The checksums are missing, unreadable or of other problems; contains the reason.
    Unknown(String),
}

/// Returns what is wrong with a finished file; `None` if it matches its checksums.
pub(super) fn damage_of(path: &Path) -> Result<Option<String>, TrainError> {
    let state = read_sums(path).map(|sums| compare(path, &sums));
    let what = match state.unwrap_or_else(|what| Ok(State::Unknown(what)))? {
        State::Whole => return Ok(None),
        State::Damaged(lines) => {
            format!("line {} was changed", lines.keys().min().map_or(0, |l| l + 1))
        }
        State::Longer => "rows at its end have no checksum".to_owned(),
        State::Unknown(what) => what,
    };
    Ok(Some(format!("{}: {what}", path.display())))
}

fn inspect(path: &Path, problems: &[Problem]) -> Result<State, TrainError> {
    let sums = match read_sums(path) {
        Ok(sums) => sums,
        Err(what) => return Ok(State::Unknown(what)),
    };
    let mut ids = problems.iter().map(|p| &p.id);
    if !sums.iter().all(|sum| ids.any(|id| *id == sum.id)) {
        return Ok(State::Unknown("rows of other problems".into()));
    }
    compare(path, &sums)
}

/// Compares every row with its checksum.
fn compare(path: &Path, sums: &[Sum]) -> Result<State, TrainError> {
    let mut damaged = BTreeMap::new();
    let rest = each_row(path, sums, |line, bytes| {
        if bytes.is_none_or(|bytes| hex_sha256(bytes) != sums[line].sha256) {
            damaged.insert(line, sums[line].id.clone());
        }
        Ok(())
    })
    .map_err(TrainError::io(path))?;
    Ok(match (damaged.is_empty(), rest) {
        (_, true) => State::Longer,
        (true, false) => State::Whole,
        (false, false) => State::Damaged(damaged),
    })
}

/// Returns the checksums of a file, or an error text if they are missing or invalid.
fn read_sums(path: &Path) -> Result<Vec<Sum>, String> {
    let rows = JsonlReader::open(&beside(path, "sums")).map_err(|e| e.to_string())?;
    let sums: Vec<Sum> = rows.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    let ascending = sums.is_sorted_by(|a, b| a.end < b.end);
    if ascending { Ok(sums) } else { Err("its checksums are damaged".into()) }
}

/// Calls `row` with the line number and bytes of every row (`None` if the file is too short). Returns whether
/// bytes follow the last row.
fn each_row(
    path: &Path,
    sums: &[Sum],
    mut row: impl FnMut(usize, Option<&[u8]>) -> std::io::Result<()>,
) -> std::io::Result<bool> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut bytes = Vec::new();
    let mut start = 0;
    for (line, sum) in sums.iter().enumerate() {
        if sum.end > length {
            row(line, None)?;
            continue;
        }
        bytes.resize((sum.end - start) as usize, 0);
        reader.read_exact(&mut bytes)?;
        row(line, Some(&bytes))?;
        start = sum.end;
    }
    Ok(sums.last().map_or(0, |s| s.end) < length)
}

/// Rewrites the file and its checksums with `rows` in place of the corrupted lines.
fn repair(
    path: &Path,
    damaged: &BTreeMap<usize, String>,
    rows: &BTreeMap<String, Vec<u8>>,
) -> Result<(), TrainError> {
    let fail = |detail| TrainError::File { path: path.to_owned(), detail };
    let old = read_sums(path).map_err(fail)?;
    let mut new: Vec<Sum> = Vec::new();
    atomic_write(path, |out| {
        let mut end = 0;
        each_row(path, &old, |line, bytes| {
            let id = &old[line].id;
            let made = damaged.get(&line).map(|id| rows.get(id).map(Vec::as_slice));
            if let Some(bytes) = made.unwrap_or(bytes) {
                out.write_all(bytes)?;
                new.push(sum_of(id, end, bytes));
                end += bytes.len() as u64;
            }
            Ok(())
        })
        .map(|_| ())
    })?;
    Ok(write_jsonl(&beside(path, "sums"), new)?)
}

fn sum_of(id: &str, start: u64, line: &[u8]) -> Sum {
    Sum { id: id.to_owned(), end: start + line.len() as u64, sha256: hex_sha256(line) }
}

fn to_line(path: &Path, row: &impl Serialize) -> Result<Vec<u8>, TrainError> {
    let mut line = serde_json::to_vec(row).map_err(|e| TrainError::File {
        path: path.to_owned(),
        detail: format!("a row cannot be written as JSON: {e}"),
    })?;
    line.push(b'\n');
    Ok(line)
}

/// Returns `path` with `.` and `ending` appended.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
