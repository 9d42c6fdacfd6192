//! Findings of a verifier command, stored by the content of their requests.
//!
//! The file is a log of rows `{key, finding}`, so a resumed or replayed search sends no request twice and
//! gets the same findings. Faults are kept in memory only, so a later process sends their requests again.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use regrowth_datasets::{Problem, stream_key};
use serde::{Deserialize, Serialize};

use super::options::CommandOptions;
use super::protocol::Question;
use crate::{Claim, Finding, VerifyError};

#[derive(Serialize, Deserialize)]
struct Row {
    key: String,
    finding: Finding,
}

/// Findings by content.
pub(super) struct Verdicts {
    /// Part of every key, so that findings of another command are not used.
    command: String,
    known: Mutex<Known>,
}

struct Known {
    findings: HashMap<String, Finding>,
    log: Option<(PathBuf, File)>,
}

impl Verdicts {
    /// Reads the rows of the file in the options, up to a truncated row, and opens the file for
    /// appending.
    pub(super) fn open(options: &CommandOptions) -> Result<Self, VerifyError> {
        let mut known = Known { findings: HashMap::new(), log: None };
        if let Some(path) = &options.verdicts {
            let bad = |e: std::io::Error| VerifyError::Verifier(unwritten(path, &e));
            path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(bad)?;
            let mut file = OpenOptions::new();
            let file = file.create(true).append(true).read(true).open(path).map_err(bad)?;
            let whole = read(&file, &mut known.findings).map_err(bad)?;
            file.set_len(whole).map_err(bad)?;
            known.log = Some((path.clone(), file));
        }
        Ok(Self { command: options.command.clone(), known: Mutex::new(known) })
    }

    /// The key of a claim: two independent 64-bit hashes of the command and the request.
    pub(super) fn key(&self, problem: &Problem, claim: &Claim<'_>) -> String {
        let question = Question::new(problem, claim).text();
        let parts: [&[u8]; 3] = [b"verifier", self.command.as_bytes(), &question];
        format!("{:016x}{:016x}", stream_key(0, &parts), stream_key(1, &parts))
    }

    pub(super) fn get(&self, key: &str) -> Option<Finding> {
        self.known().findings.get(key).cloned()
    }

    /// Stores a finding. An existing one is kept, because two threads may have sent the same request at
    /// once.
    ///
    /// # Errors
    /// A message for the user if the file cannot be written.
    pub(super) fn put(&self, key: &str, finding: Finding) -> Result<(), String> {
        let mut known = self.known();
        if known.findings.contains_key(key) {
            return Ok(());
        }
        if let Some((path, file)) = known.log.as_mut().filter(|_| finding.fault.is_none()) {
            let row = Row { key: key.to_owned(), finding: finding.clone() };
            append(file, &row).map_err(|error| unwritten(path, &error))?;
        }
        known.findings.insert(key.to_owned(), finding);
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // No code panics under this lock, so poisoning can be ignored.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads rows up to a corrupt one; returns the length in bytes of the rows read.
fn read(file: &File, findings: &mut HashMap<String, Finding>) -> std::io::Result<u64> {
    let (mut lines, mut line, mut whole) = (BufReader::new(file), Vec::new(), 0);
    loop {
        line.clear();
        let length = lines.read_until(b'\n', &mut line)?;
        let Ok(row) = serde_json::from_slice::<Row>(&line) else { return Ok(whole) };
        if line.last() != Some(&b'\n') {
            return Ok(whole);
        }
        whole += length as u64;
        findings.insert(row.key, row.finding);
    }
}

fn append(file: &mut File, row: &Row) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(row)?;
    line.push(b'\n');
    file.write_all(&line)
}

fn unwritten(path: &Path, error: &std::io::Error) -> String {
    format!(
        "{}: {error}; the verifier's findings are kept there: make it readable and writable",
        path.display()
    )
}
