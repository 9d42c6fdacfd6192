//! An append-only log of everything a policy answered, and a policy that keeps one.
//!
//! A search is deterministic, so one that runs again over its log asks the same questions and gets
//! the same answers without the model, up to where it was cut off. One JSON object per line, written
//! in one call before the answer is passed on; a torn last line, as `kill -9` leaves one, is cut
//! off when the log is opened again.

mod log;

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use dashmap::{DashMap, DashSet};
use regrowth_datasets::{Problem, TokenId};

use self::log::{End, LogRow, append, open, unwritten};
pub(crate) use self::log::{Header, Log, key_of};
pub use self::log::{LOG_FILE, LOG_VERSION};
use crate::{
    Answered, Call, Caller, Limits, Policy, PolicyError, Prompt, Response, ServerFeatures,
};

/// How often answers are forced to the disk, for the case that the machine stops and not only the
/// process.
const SYNC_EVERY: Duration = Duration::from_secs(5);

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
        let request_id = self.shared.next_ticket.fetch_add(1, Ordering::Relaxed);
        let Call { request, caller } = call;
        self.shared.pending.insert(request_id, Pending { key, caller });
        self.inner.submit(Call::new(request_id, request, self.reply.clone()));
    }
}

impl Shared {
    /// Appends a row in one write, so that a reader finds it whole or not at all.
    fn append(&self, row: &LogRow) -> Result<(), PolicyError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        append(&mut file, row).map_err(|e| unwritten(&self.path, &e))
    }

    /// Appends a row unless it was appended before.
    fn append_once(&self, row: &LogRow) -> Result<(), PolicyError> {
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
            let Some((_, pending)) = self.pending.remove(&answered.request_id) else { continue };
            unsynced.get_or_insert_with(Instant::now);
            let result = answered.result.and_then(|response| {
                // What JSON cannot hold is passed on and left out; it is asked again next time.
                if is_finite(&response) {
                    let (key, response) = (pending.key, response.clone());
                    self.append(&LogRow::Answer { key, response })?;
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

/// Whether every number of an answer is one that JSON can hold.
fn is_finite(response: &Response) -> bool {
    match response {
        Response::Candidates(got) => {
            got.candidates.iter().flat_map(|c| &c.step.logps).all(|l| l.is_finite())
        }
        Response::Judgement(got) => got.mass.is_finite() && got.correct.is_none_or(f64::is_finite),
        Response::Scores(got) => got.logps.iter().all(|l| l.is_finite()),
        // Not written as a JSON number.
        Response::Hidden(_) => true,
    }
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

    fn server(&self) -> Option<&ServerFeatures> {
        self.inner.server()
    }

    fn prompt(&self, problem: &Problem) -> Result<Prompt, PolicyError> {
        let prompt = self.inner.prompt(problem)?;
        if self.known(|log| log.prompt(problem))?.as_ref() != Some(&prompt) {
            let (text, ids) = (prompt.text.clone(), prompt.ids.to_vec());
            self.shared.append_once(&LogRow::Prompt { key: key_of(problem)?, text, ids })?;
        }
        Ok(prompt)
    }

    fn encode(&self, text: &str) -> Result<Vec<TokenId>, PolicyError> {
        let ids = self.inner.encode(text)?;
        if self.known(|log| Ok(log.encoded(text)))?.as_ref() != Some(&ids) {
            self.shared
                .append_once(&LogRow::Encoded { text: text.to_owned(), ids: ids.clone() })?;
        }
        Ok(ids)
    }

    fn decode(&self, ids: &[TokenId]) -> Result<String, PolicyError> {
        let text = self.inner.decode(ids)?;
        if self.known(|log| Ok(log.decoded(ids)))?.as_ref() != Some(&text) {
            self.shared.append_once(&LogRow::Decoded { ids: ids.to_vec(), text: text.clone() })?;
        }
        Ok(text)
    }

    fn eos(&self) -> Option<TokenId> {
        self.inner.eos()
    }

    fn gives_hidden_states(&self) -> bool {
        self.inner.gives_hidden_states()
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
