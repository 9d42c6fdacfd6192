//! An append-only log of everything a policy answered, and a policy that keeps one.
//!
//! It knows nothing of searches: a search is deterministic, so one that runs again over its log
//! asks the same questions and gets the same answers without the model, up to where it was cut
//! off. One JSON object a line, written in one call before the answer is passed on; a torn last
//! line, as `kill -9` leaves one, is cut off when the log is opened again.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use dashmap::{DashMap, DashSet};
use regrowth_datasets::{Problem, TokenId, stream_key};
use serde::{Deserialize, Serialize};

use crate::{Answered, Call, Caller, Limits, Policy, PolicyError, Prompt, Request, Response};

/// Version of the log.
pub const LOG_VERSION: u32 = 1;

/// How often answers are forced to the disk, for the case that the machine stops and not only the
/// process.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// Name of the log in the folder of a search.
pub const LOG_FILE: &str = "steps.jsonl";

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Row {
    /// The first line: whose answers these are.
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

/// Whose answers a log holds.
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
    /// That of the answers of `policy`.
    fn of(policy: &dyn Policy) -> Self {
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

/// Hash of a request or a problem: equal ones have equal keys.
pub(crate) fn key_of(thing: &impl Serialize) -> Result<String, PolicyError> {
    let bytes = serde_json::to_vec(thing).map_err(|e| PolicyError::Request(e.to_string()))?;
    // Two independent 64-bit halves: no accident among any number of requests.
    let (high, low) = (stream_key(0, &[&bytes]), stream_key(1, &[&bytes]));
    Ok(format!("{high:016x}{low:016x}"))
}

/// Where the whole rows of a log end.
struct End {
    /// Bytes of whole rows.
    whole: u64,
    /// What the line behind them is, where there is one.
    damage: Option<String>,
}

/// A log as it was read: prompts in memory, answers by their place in the file.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: Mutex<File>,
    pub(crate) header: Header,
    prompts: HashMap<String, Prompt>,
    encoded: HashMap<String, Vec<TokenId>>,
    decoded: HashMap<Vec<TokenId>, String>,
    /// Offset and length of the line with the answer.
    answers: HashMap<String, (u64, usize)>,
}

impl Log {
    /// Reads the log at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, PolicyError> {
        let (log, end) = Self::read_whole(path)?;
        match end.damage {
            Some(detail) => Err(PolicyError::File { path: path.to_owned(), detail }),
            None => Ok(log),
        }
    }

    /// Reads the log at `path` up to its first line that is no row.
    fn read_whole(path: &Path) -> Result<(Self, End), PolicyError> {
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
                (None, Ok(Row::Header(header))) => log = Some(Self::empty(path, header, &file)?),
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

    fn take(&mut self, row: Row, offset: u64, length: usize) {
        match row {
            // A second header says nothing new.
            Row::Header(_) => {}
            Row::Prompt { key, text, ids } => {
                self.prompts.insert(key, Prompt { text, ids: ids.into() });
            }
            Row::Encoded { text, ids } => {
                self.encoded.insert(text, ids);
            }
            Row::Decoded { ids, text } => {
                self.decoded.insert(ids, text);
            }
            Row::Answer { key, .. } => {
                self.answers.insert(key, (offset, length));
            }
        }
    }

    /// The recorded prompt of a problem.
    pub(crate) fn prompt(&self, problem: &Problem) -> Result<Option<Prompt>, PolicyError> {
        Ok(self.prompts.get(&key_of(problem)?).cloned())
    }

    /// The recorded ids of a text.
    pub(crate) fn encoded(&self, text: &str) -> Option<Vec<TokenId>> {
        self.encoded.get(text).cloned()
    }

    /// The recorded text of ids.
    pub(crate) fn decoded(&self, ids: &[TokenId]) -> Option<String> {
        self.decoded.get(ids).cloned()
    }

    /// The recorded answer to a request.
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
            // Nothing can panic while this lock is held; a poisoned one is as good.
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(offset)).map_err(|e| bad(e.to_string()))?;
            file.read_exact(&mut line).map_err(|e| bad(e.to_string()))?;
        }
        match serde_json::from_slice(&line) {
            Ok(Row::Answer { response, .. }) => Ok(response),
            _ => Err(bad(format!("changed under this program at byte {offset}"))),
        }
    }
}

/// A policy whose every answer is kept, and that asks nothing twice: what the log holds is answered
/// from the log.
pub struct Recording {
    inner: Arc<dyn Policy>,
    /// What was recorded before: the log, and what stands before it.
    logs: Vec<Log>,
    damage: Option<String>,
    shared: Arc<Shared>,
    /// Answers of the inner policy come here first.
    reply: Sender<Answered>,
}

/// What the thread that writes shares with those that ask.
struct Shared {
    path: PathBuf,
    header: Header,
    file: Mutex<File>,
    pending: DashMap<u64, Pending>,
    /// Keys of the prompts and texts that were written down since the log was opened.
    written: DashSet<String>,
    next_ticket: AtomicU64,
}

/// A call that was passed on.
struct Pending {
    key: String,
    caller: Caller,
}

impl Recording {
    /// Records `inner` in the log at `path`, which is continued if it exists.
    ///
    /// # Errors
    /// [`PolicyError::File`] when the file is no log or holds the answers of another policy,
    /// [`PolicyError::Write`] when it cannot be written.
    pub fn open(inner: Arc<dyn Policy>, path: &Path) -> Result<Self, PolicyError> {
        let header = Header::of(&*inner);
        let file = open(path, &header)?;
        let (log, End { whole, damage }) = Log::read_whole(path)?;
        let mut logs = vec![log];
        let before = before(path);
        if before.exists() {
            logs.push(Log::read_whole(&before)?.0);
        }
        if let Some(other) = logs.iter().find(|log| log.header.policy != header.policy) {
            let (theirs, ours) = (&other.header.policy, &header.policy);
            let detail = format!(
                "holds answers of the policy {theirs}, expected {ours}; choose another folder or \
                 remove it"
            );
            return Err(PolicyError::File { path: path.to_owned(), detail });
        }
        // What is behind the last whole row: a torn line, or what a power cut left.
        file.set_len(whole).map_err(|e| unwritten(path, &e))?;
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            header,
            file: Mutex::new(file),
            pending: DashMap::new(),
            written: DashSet::new(),
            next_ticket: AtomicU64::new(0),
        });
        let (reply, answers) = unbounded();
        let writer = shared.clone();
        std::thread::spawn(move || writer.write_answers(&answers));
        Ok(Self { inner, logs, damage, shared, reply })
    }

    /// Answers that were in the log when it was opened.
    #[must_use]
    pub fn recorded(&self) -> usize {
        self.logs.iter().map(|log| log.answers.len()).sum()
    }

    /// Begins the log anew; what it held stands before it until the next time this is called, and is
    /// given up then. Whoever knows that answers from before the last call are needed no more bounds
    /// the size of a log by this.
    ///
    /// # Errors
    /// [`PolicyError::Write`] when the files cannot be replaced.
    pub fn rotate(&self) -> Result<(), PolicyError> {
        let path = &self.shared.path;
        let mut file = self.shared.file.lock().unwrap_or_else(PoisonError::into_inner);
        std::fs::rename(path, before(path)).map_err(|e| unwritten(path, &e))?;
        *file = open(path, &self.shared.header)?;
        self.shared.written.clear();
        Ok(())
    }

    /// Removes the log at `path` and what stands before it.
    ///
    /// # Errors
    /// [`PolicyError::Write`] when they are there and cannot be removed.
    pub fn remove(path: &Path) -> Result<(), PolicyError> {
        for path in [path, &before(path)] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(unwritten(path, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What the logs hold of something.
    fn known<T>(
        &self,
        look: impl Fn(&Log) -> Result<Option<T>, PolicyError>,
    ) -> Result<Option<T>, PolicyError> {
        self.logs.iter().find_map(|log| look(log).transpose()).transpose()
    }

    /// What was wrong with the log when it was opened, where rows had to be given up: the answers from
    /// there on are asked for again.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Passes a call on; its answer will come to the writing thread.
    fn pass_on(&self, call: Call) {
        let key = match key_of(&call.request) {
            Ok(key) => key,
            Err(error) => return call.caller.answer(Err(error)),
        };
        // Relaxed: only uniqueness matters.
        let ticket = self.shared.next_ticket.fetch_add(1, Ordering::Relaxed);
        let Call { request, caller } = call;
        self.shared.pending.insert(ticket, Pending { key, caller });
        self.inner.submit(Call::new(ticket, request, self.reply.clone()));
    }
}

impl Shared {
    /// Appends a row in one write, so that a reader finds it whole or not at all.
    fn append(&self, row: &Row) -> Result<(), PolicyError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        append(&mut file, row).map_err(|e| unwritten(&self.path, &e))
    }

    /// Appends a row unless it was appended before.
    fn append_once(&self, row: &Row) -> Result<(), PolicyError> {
        match self.written.insert(key_of(row)?) {
            true => self.append(row),
            false => Ok(()),
        }
    }

    /// Forces what was appended to the disk.
    fn sync(&self) {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // A disk that fails says so at the next row.
        let _ = file.sync_data();
    }

    /// Writes answers down and passes them on, until nobody can answer any more.
    fn write_answers(&self, answers: &Receiver<Answered>) {
        let mut unsynced: Option<Instant> = None;
        loop {
            if unsynced.is_some_and(|since| since.elapsed() >= SYNC_EVERY) {
                self.sync();
                unsynced = None;
            }
            let answered = match answers.recv_timeout(SYNC_EVERY) {
                Ok(answered) => answered,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let Some((_, pending)) = self.pending.remove(&answered.ticket) else { continue };
            unsynced.get_or_insert_with(Instant::now);
            let result = answered.result.and_then(|response| {
                // What JSON cannot hold is passed on and left out; it is asked again next time.
                if is_finite(&response) {
                    let (key, response) = (pending.key, response.clone());
                    self.append(&Row::Answer { key, response })?;
                }
                Ok(response)
            });
            pending.caller.answer(result);
        }
    }
}

/// Where what a log held before it was begun anew stands.
fn before(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".before");
    PathBuf::from(name)
}

/// The log at `path`, ready to be continued; with its header alone where there was nothing.
fn open(path: &Path, header: &Header) -> Result<File, PolicyError> {
    let unwritten = |e: std::io::Error| unwritten(path, &e);
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(unwritten)?;
    if !has_whole_line(path).map_err(unwritten)? {
        file.set_len(0).map_err(unwritten)?;
        append(&mut file, &Row::Header(header.clone())).map_err(unwritten)?;
    }
    Ok(file)
}

fn unwritten(path: &Path, error: &std::io::Error) -> PolicyError {
    PolicyError::Write { path: path.to_owned(), detail: error.to_string() }
}

fn append(file: &mut File, row: &Row) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(row)?;
    line.push(b'\n');
    file.write_all(&line)
}

/// Whether every number of an answer is one that JSON can hold.
fn is_finite(response: &Response) -> bool {
    match response {
        Response::Candidates(got) => {
            got.candidates.iter().flat_map(|c| &c.step.logps).all(|l| l.is_finite())
        }
        Response::Judgement(got) => got.mass.is_finite() && got.correct.is_none_or(f64::is_finite),
        Response::Scores(got) => got.logps.iter().all(|l| l.is_finite()),
    }
}

fn has_whole_line(path: &Path) -> std::io::Result<bool> {
    let mut line = Vec::new();
    BufReader::new(File::open(path)?).read_until(b'\n', &mut line)?;
    Ok(line.last() == Some(&b'\n'))
}

impl Policy for Recording {
    fn identity(&self) -> &str {
        self.inner.identity()
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn notes(&self) -> &[String] {
        self.inner.notes()
    }

    fn prompt(&self, problem: &Problem) -> Result<Prompt, PolicyError> {
        let prompt = self.inner.prompt(problem)?;
        if self.known(|log| log.prompt(problem))?.as_ref() != Some(&prompt) {
            let (text, ids) = (prompt.text.clone(), prompt.ids.to_vec());
            self.shared.append_once(&Row::Prompt { key: key_of(problem)?, text, ids })?;
        }
        Ok(prompt)
    }

    fn encode(&self, text: &str) -> Result<Vec<TokenId>, PolicyError> {
        let ids = self.inner.encode(text)?;
        if self.known(|log| Ok(log.encoded(text)))?.as_ref() != Some(&ids) {
            self.shared.append_once(&Row::Encoded { text: text.to_owned(), ids: ids.clone() })?;
        }
        Ok(ids)
    }

    fn decode(&self, ids: &[TokenId]) -> Result<String, PolicyError> {
        let text = self.inner.decode(ids)?;
        if self.known(|log| Ok(log.decoded(ids)))?.as_ref() != Some(&text) {
            self.shared.append_once(&Row::Decoded { ids: ids.to_vec(), text: text.clone() })?;
        }
        Ok(text)
    }

    fn eos(&self) -> Option<TokenId> {
        self.inner.eos()
    }

    fn submit(&self, call: Call) {
        match self.known(|log| log.answer(&call.request)) {
            Ok(Some(response)) => call.caller.answer(Ok(response)),
            Ok(None) => self.pass_on(call),
            Err(error) => call.caller.answer(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests;
