//! The file format of a log: its rows, reading up to a corrupted row, and appending.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use regrowth_datasets::{Problem, TokenId, stream_key};
use serde::{Deserialize, Serialize};

use crate::{Limits, Policy, PolicyError, Prompt, Request, Response};

/// Version of the log's format.
pub const LOG_VERSION: u32 = 1;

/// Name of the log in the folder of a search.
pub const LOG_FILE: &str = "steps.jsonl";

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LogRow {
    /// The first line: facts about the policy that gave the answers.
    Header(Header),
    /// The prompt of a problem.
    Prompt { key: String, text: String, ids: Vec<TokenId> },
    /// Token ids of a text.
    Encoded { text: String, ids: Vec<TokenId> },
    /// Text of token ids.
    Decoded { ids: Vec<TokenId>, text: String },
    /// The answer to a request.
    Answer { key: String, response: Response },
}

/// Facts about the policy that gave the answers of a log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) version: u32,
    pub(crate) policy: String,
    pub(crate) context: usize,
    pub(crate) in_flight: usize,
    #[serde(default)]
    pub(crate) question: usize,
    pub(crate) eos: Option<TokenId>,
}

impl Header {
    /// Builds the header for the answers of `policy`.
    pub(super) fn of(policy: &dyn Policy) -> Self {
        let Limits { context, in_flight, question } = policy.limits();
        Self {
            version: LOG_VERSION,
            policy: policy.identity().to_owned(),
            context,
            in_flight,
            question,
            eos: policy.eos(),
        }
    }
}

/// Returns a hash of a request or a problem; equal ones have equal keys.
pub(crate) fn key_of(thing: &impl Serialize) -> Result<String, PolicyError> {
    let bytes = serde_json::to_vec(thing).map_err(|e| PolicyError::Request(e.to_string()))?;
    // Two independent 64-bit halves make accidental collisions practically impossible.
    let (high, low) = (stream_key(0, &[&bytes]), stream_key(1, &[&bytes]));
    Ok(format!("{high:016x}{low:016x}"))
}

/// The end of the complete rows of a log.
pub(super) struct End {
    /// Size of the complete rows in bytes.
    pub(super) whole: u64,
    /// Describes the corrupted line after them, if there is one.
    pub(super) damage: Option<String>,
}

/// A log that was read: prompts are in memory, answers are read from the file when needed.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: Mutex<File>,
    pub(crate) header: Header,
    prompts: HashMap<String, Prompt>,
    encoded: HashMap<String, Vec<TokenId>>,
    decoded: HashMap<Vec<TokenId>, String>,
    /// Offset and length of the line with each answer, by the request's key.
    pub(super) answers: HashMap<String, (u64, usize)>,
}

impl Log {
    /// Reads the log at `path`; a corrupted row is an error.
    pub(crate) fn open(path: &Path) -> Result<Self, PolicyError> {
        let (log, end) = Self::read_whole(path)?;
        match end.damage {
            Some(detail) => Err(PolicyError::File { path: path.to_owned(), detail }),
            None => Ok(log),
        }
    }

    /// Reads the log at `path` up to the first line that is not a row.
    pub(super) fn read_whole(path: &Path) -> Result<(Self, End), PolicyError> {
        let bad = |detail: String| PolicyError::File { path: path.to_owned(), detail };
        let file = File::open(path).map_err(|e| bad(e.to_string()))?;
        let mut lines = BufReader::new(&file);
        let mut line = Vec::new();
        let mut offset = 0u64;
        let mut number = 0usize;
        let mut log: Option<Self> = None;
        let mut damage = None;
        loop {
            line.clear();
            let length = lines.read_until(b'\n', &mut line).map_err(|e| bad(e.to_string()))?;
            if line.last() != Some(&b'\n') {
                break;
            }
            number += 1;
            let row = serde_json::from_slice(&line);
            let row = row.map_err(|e| format!("line {number}: {e}; expected a log row"));
            match (&mut log, row) {
                (None, Ok(LogRow::Header(header))) => log = Some(Self::empty(path, header, &file)?),
                (Some(log), Ok(row)) => log.take(row, offset, length),
                (None, Ok(_)) => {
                    return Err(bad("line 1: expected the header of a log".to_owned()));
                }
                (None, Err(detail)) => return Err(bad(detail)),
                (Some(_), Err(detail)) => {
                    damage = Some(detail);
                    break;
                }
            }
            offset += length as u64;
        }
        let log = log.ok_or_else(|| bad("expected a log, found no whole line".to_owned()))?;
        Ok((log, End { whole: offset, damage }))
    }

    fn empty(path: &Path, header: Header, file: &File) -> Result<Self, PolicyError> {
        let bad = |detail: String| PolicyError::File { path: path.to_owned(), detail };
        if header.version > LOG_VERSION {
            return Err(bad(format!(
                "version {}; this program reads up to {LOG_VERSION}",
                header.version
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            file: Mutex::new(file.try_clone().map_err(|e| bad(e.to_string()))?),
            header,
            prompts: HashMap::new(),
            encoded: HashMap::new(),
            decoded: HashMap::new(),
            answers: HashMap::new(),
        })
    }

    fn take(&mut self, row: LogRow, offset: u64, length: usize) {
        match row {
            // A second header is ignored.
            LogRow::Header(_) => {}
            LogRow::Prompt { key, text, ids } => {
                self.prompts.insert(key, Prompt { text, ids: ids.into() });
            }
            LogRow::Encoded { text, ids } => {
                self.encoded.insert(text, ids);
            }
            LogRow::Decoded { ids, text } => {
                self.decoded.insert(ids, text);
            }
            LogRow::Answer { key, .. } => {
                self.answers.insert(key, (offset, length));
            }
        }
    }

    /// Returns the recorded prompt of a problem.
    pub(crate) fn prompt(&self, problem: &Problem) -> Result<Option<Prompt>, PolicyError> {
        Ok(self.prompts.get(&key_of(problem)?).cloned())
    }

    /// Returns the recorded ids of a text.
    pub(crate) fn encoded(&self, text: &str) -> Option<Vec<TokenId>> {
        self.encoded.get(text).cloned()
    }

    /// Returns the recorded text of ids.
    pub(crate) fn decoded(&self, ids: &[TokenId]) -> Option<String> {
        self.decoded.get(ids).cloned()
    }

    /// Returns the recorded answer to a request.
    pub(crate) fn answer(&self, request: &Request) -> Result<Option<Response>, PolicyError> {
        match self.answers.get(&key_of(request)?) {
            Some(&(offset, length)) => self.read(offset, length).map(Some),
            None => Ok(None),
        }
    }

    fn read(&self, offset: u64, length: usize) -> Result<Response, PolicyError> {
        let bad = |detail: String| PolicyError::File { path: self.path.clone(), detail };
        let mut line = vec![0; length];
        {
            // No code panics under this lock, so poisoning can be ignored.
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(offset)).map_err(|e| bad(e.to_string()))?;
            file.read_exact(&mut line).map_err(|e| bad(e.to_string()))?;
        }
        match serde_json::from_slice(&line) {
            Ok(LogRow::Answer { response, .. }) => Ok(response),
            _ => Err(bad(format!("changed under this program at byte {offset}"))),
        }
    }
}

/// Opens the log at `path` for appending; writes the header if the file is new or has no complete line.
pub(super) fn open(path: &Path, header: &Header) -> Result<File, PolicyError> {
    let unwritten = |e: std::io::Error| unwritten(path, &e);
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(unwritten)?;
    if !has_whole_line(path).map_err(unwritten)? {
        file.set_len(0).map_err(unwritten)?;
        append(&mut file, &LogRow::Header(header.clone())).map_err(unwritten)?;
    }
    Ok(file)
}

pub(super) fn unwritten(path: &Path, error: &std::io::Error) -> PolicyError {
    PolicyError::Write { path: path.to_owned(), detail: error.to_string() }
}

pub(super) fn append(file: &mut File, row: &LogRow) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(row)?;
    line.push(b'\n');
    file.write_all(&line)
}

fn has_whole_line(path: &Path) -> std::io::Result<bool> {
    let mut line = Vec::new();
    BufReader::new(File::open(path)?).read_until(b'\n', &mut line)?;
    Ok(line.last() == Some(&b'\n'))
}
