//! An append-only log of a policy's answers, and a policy that writes such a log.
//!
//! Given the same answers, a search sends the same requests. So a search that is run again with its log gets the
//! same answers without the model, up to the request at which it was interrupted. The log has one JSON object per
//! line. The line of an answer is written in one call before the answer is passed on. If `kill -9` left the
//! last line truncated, it is removed when the log is opened again.

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

/// Interval between syncs to disk, which protect against a crash of the machine and not only of the
/// process.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// A policy that logs every answer. Requests that the log already answers are not sent to the inner policy.
pub struct Recording {
    inner: Arc<dyn Policy>,
    /// Logs that existed when this one was opened: the log at its path, and the previous log (see
    /// [`Self::rotate`]).
    logs: Vec<Log>,
    damage: Option<String>,
    shared: Arc<Shared>,
    /// Channel on which the inner policy's answers arrive.
    reply: Sender<Answered>,
}

/// State shared between the writing thread and the calling threads.
struct Shared {
    path: PathBuf,
    header: Header,
    file: Mutex<File>,
    pending: DashMap<u64, Pending>,
    /// Keys of the prompts and texts that were written since the log was opened.
    written: DashSet<String>,
    next_ticket: AtomicU64,
}

/// A call that was passed on to the inner policy.
struct Pending {
    key: String,
    caller: Caller,
}

impl Recording {
    /// Logs the answers of `inner` at `path`; an existing log is continued.
    ///
    /// # Errors
    /// [`PolicyError::File`] if the file is not a log or has the answers of another policy,
    /// [`PolicyError::Write`] if it cannot be written.
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
        // Remove the data after the last complete row: a truncated line, or the result of a power failure.
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

    /// Returns the number of answers in the log when it was opened.
    #[must_use]
    pub fn recorded(&self) -> usize {
        self.logs.iter().map(|log| log.answers.len()).sum()
    }

    /// Starts a new log. The old log is kept as the previous log until the next call, which deletes it.
    /// Call this to bound the size of a log, when answers from before the last call are not needed any
    /// more.
    ///
    /// # Errors
    /// [`PolicyError::Write`] if the files cannot be replaced.
    pub fn rotate(&self) -> Result<(), PolicyError> {
        let path = &self.shared.path;
        let mut file = self.shared.file.lock().unwrap_or_else(PoisonError::into_inner);
        std::fs::rename(path, before(path)).map_err(|e| unwritten(path, &e))?;
        *file = open(path, &self.shared.header)?;
        self.shared.written.clear();
        Ok(())
    }

    /// Removes the log at `path` and its previous log.
    ///
    /// # Errors
    /// [`PolicyError::Write`] if they exist and cannot be removed.
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

    /// Returns the first value that `look` finds in the logs; `None` if no log has one.
    fn known<T>(
        &self,
        look: impl Fn(&Log) -> Result<Option<T>, PolicyError>,
    ) -> Result<Option<T>, PolicyError> {
        self.logs.iter().find_map(|log| look(log).transpose()).transpose()
    }

    /// Describes the corrupted row that was found when the log was opened; `None` if there was none. That
    /// row and all rows after it were dropped, and their requests are sent again.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Passes a call on to the inner policy; its answer arrives at the writing thread.
    fn pass_on(&self, call: Call) {
        let key = match key_of(&call.request) {
            Ok(key) => key,
            Err(error) => return call.caller.answer(Err(error)),
        };
        // Relaxed ordering: only uniqueness matters.
        let request_id = self.shared.next_ticket.fetch_add(1, Ordering::Relaxed);
        let Call { request, caller } = call;
        self.shared.pending.insert(request_id, Pending { key, caller });
        self.inner.submit(Call::new(request_id, request, self.reply.clone()));
    }
}

impl Shared {
    /// Appends a row in one write, so that a reader sees a complete row or none.
    fn append(&self, row: &LogRow) -> Result<(), PolicyError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        append(&mut file, row).map_err(|e| unwritten(&self.path, &e))
    }

    /// Appends a row unless the same row was appended since the log was opened or rotated.
    fn append_once(&self, row: &LogRow) -> Result<(), PolicyError> {
        match self.written.insert(key_of(row)?) {
            true => self.append(row),
            false => Ok(()),
        }
    }

    /// Syncs appended rows to disk.
    fn sync(&self) {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // If the disk fails, the next write reports it.
        let _ = file.sync_data();
    }

    /// Writes answers to the log and passes them on, until all senders are dropped.
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
                // An answer that JSON cannot represent is passed on but not logged; its request is sent
                // again next time.
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

/// Returns the path of the previous log.
fn before(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".before");
    PathBuf::from(name)
}

/// Whether JSON can represent every number of an answer.
fn is_finite(response: &Response) -> bool {
    match response {
        Response::Candidates(got) => {
            got.candidates.iter().flat_map(|c| &c.step.logps).all(|l| l.is_finite())
        }
        Response::Judgement(got) => got.mass.is_finite() && got.correct.is_none_or(f64::is_finite),
        Response::Scores(got) => got.logps.iter().all(|l| l.is_finite()),
        // Not written as JSON numbers.
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
