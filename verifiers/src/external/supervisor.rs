//! The thread that owns the verifier process: it sends requests, matches answers by id, enforces the time
//! limit, and restarts the process when it fails.
//!
//! Several requests are in flight, so a process may work on them in parallel and answer in any order. If
//! the process fails while several requests are open, none of them is blamed: the next process gets them
//! one by one, and only a request that was alone during a failure is answered without a verdict. So one
//! bad input costs its own verdict and no other.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::options::CommandOptions;
use super::process::Process;
use super::protocol::{Question, Reply, finding};
use crate::{About, Finding, VerifyError};

/// Maximum number of requests in flight (not tuned; more than the cores that a process is likely to use).
const WINDOW: usize = 16;
/// Number of failures, without an answer in between, that ends the run. It is above 1, because several bad
/// inputs may come one after the other.
const MAX_FAILURES: u32 = 20;
/// The same limit for a command that has never answered: the command itself is assumed to be wrong.
const MAX_FIRST_FAILURES: u32 = 5;
/// Number of crashes with the same request as the only open one, after which this request gets no verdict. It
/// is above 1, because a crash may have another cause.
const MAX_CRASHES: u32 = 2;
/// Maximum number of lines between two replies that are not replies.
const MAX_NOISE: u32 = 1000;
/// Number of lines shown that are not replies.
const SHOWN_NOISE: u32 = 5;

/// Events for the supervisor.
pub(super) enum Event {
    /// A request to send.
    Job(Job),
    /// A line from the process.
    Line { run: u64, line: Vec<u8> },
    /// The process has ended or closed a pipe.
    Ended { run: u64, why: String },
    /// No more requests will come.
    Stop,
}

/// A question and the channel for its answer.
pub(super) struct Job {
    pub(super) question: Question,
    pub(super) about: About,
    /// Number of failures of a process while this was the only open request.
    pub(super) faults: u32,
    pub(super) reply: SyncSender<Finding>,
}

impl Job {
    fn answer(self, finding: Finding) {
        // The receiver may be gone.
        let _ = self.reply.send(finding);
    }
}

/// Kind of failure of a process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failed {
    TimedOut,
    Crashed,
}

/// The process, and the requests that wait for it.
pub(super) struct Supervisor {
    options: CommandOptions,
    events: SyncSender<Event>,
    inbox: Receiver<Event>,
    failure: Arc<OnceLock<String>>,
    process: Option<Process>,
    /// Number of the current run of the command.
    run: u64,
    /// Requests that have not been sent yet.
    waiting: VecDeque<Job>,
    /// Requests that were open when a process failed; each is sent alone, before all others.
    suspects: VecDeque<Job>,
    /// Requests sent to the process and not answered, by id, with the time of sending.
    open: BTreeMap<u64, (Job, Instant)>,
    /// Whether the open request is a suspect, which is sent alone.
    alone: bool,
    next_id: u64,
    last_reply: Instant,
    /// Whether the command has ever answered.
    answers: bool,
    failures: u32,
    noise: u32,
}

impl Supervisor {
    pub(super) fn new(
        options: CommandOptions,
        events: SyncSender<Event>,
        inbox: Receiver<Event>,
        failure: Arc<OnceLock<String>>,
    ) -> Self {
        Self {
            options,
            events,
            inbox,
            failure,
            process: None,
            run: 0,
            waiting: VecDeque::new(),
            suspects: VecDeque::new(),
            open: BTreeMap::new(),
            alone: false,
            next_id: 0,
            last_reply: Instant::now(),
            answers: false,
            failures: 0,
            noise: 0,
        }
    }

    /// Starts the process.
    pub(super) fn launch(&mut self) -> Result<(), VerifyError> {
        let CommandOptions { command, log, .. } = &self.options;
        self.run += 1;
        self.noise = 0;
        let started = Process::start(command, self.run, &self.events, log.clone());
        let failed = |e: std::io::Error| VerifyError::Command {
            command: command.clone(),
            detail: format!(
                "cannot be started: {e}; check the command and the memory that is free"
            ),
        };
        self.process = Some(started.map_err(failed)?);
        Ok(())
    }

    /// Starts the process for the first time, and checks that it does not exit immediately.
    pub(super) fn first_launch(&mut self) -> Result<(), VerifyError> {
        self.launch()?;
        match self.process.as_mut().and_then(Process::ends_at_once) {
            None => Ok(()),
            Some(status) => Err(VerifyError::Command {
                command: self.options.command.clone(),
                detail: format!(
                    "ended at once ({status}); it must read requests until its input ends"
                ),
            }),
        }
    }

    /// Serves requests until a stop event comes.
    pub(super) fn run(mut self) {
        loop {
            self.send();
            let event = match self.deadline() {
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    self.inbox.recv_timeout(left)
                }
                None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(Event::Job(job)) => self.waiting.push_back(job),
                Ok(Event::Line { run, line }) if run == self.run => self.take(&line),
                Ok(Event::Ended { run, why }) if run == self.run => {
                    self.fail(Failed::Crashed, &why);
                }
                // Output of a process that was killed already.
                Ok(Event::Line { .. } | Event::Ended { .. }) => {}
                Err(RecvTimeoutError::Timeout) => {
                    let limit = self.options.timeout.as_secs_f64();
                    self.fail(Failed::TimedOut, &format!("gave no answer in {limit} s"));
                }
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(mut process) = self.process.take() {
            process.close();
        }
    }

    /// Sends as many requests as may be open now.
    fn send(&mut self) {
        if self.failure.get().is_some() {
            self.refuse_all();
        }
        loop {
            let suspected = self.alone && !self.open.is_empty();
            let room = match self.suspects.is_empty() && !suspected {
                true => self.open.len() < WINDOW,
                false => self.open.is_empty(),
            };
            if !room || self.suspects.is_empty() && self.waiting.is_empty() {
                return;
            }
            if self.process.is_none()
                && let Err(error) = self.launch()
            {
                return self.give_up(error.to_string());
            }
            self.alone = !self.suspects.is_empty();
            let Some(job) = self.suspects.pop_front().or_else(|| self.waiting.pop_front()) else {
                return;
            };
            let id = self.next_id;
            self.next_id += 1;
            if let Some(process) = &self.process {
                process.send(job.question.line(id));
            }
            self.open.insert(id, (job, Instant::now()));
        }
    }

    /// Deadline of the next reply: the time limit after the latest of three moments: the oldest open request
    /// was sent, the last reply arrived, the process started. A process that works on one request after the
    /// other thus has the time limit for each. `None` if no request is open.
    fn deadline(&self) -> Option<Instant> {
        let oldest = self.open.values().map(|(_, sent)| *sent).min()?;
        let started = self.process.as_ref().map_or(oldest, |process| process.started);
        Some(oldest.max(self.last_reply).max(started) + self.options.timeout)
    }

    /// Handles a line from the process.
    fn take(&mut self, line: &[u8]) {
        match Reply::read(line) {
            Reply::To(id, fields) => match self.open.remove(&id) {
                Some((job, _)) => {
                    (self.failures, self.noise, self.last_reply) = (0, 0, Instant::now());
                    self.answers = true;
                    let found = finding(job.about, &fields);
                    job.answer(found);
                }
                None => self.give_up(self.unasked(id)),
            },
            Reply::Other(quote) => {
                self.noise += 1;
                if self.noise <= SHOWN_NOISE {
                    let expected = "expected a JSON object with `id`";
                    (self.options.log)(&format!("verifier: no reply: {quote}; {expected}"));
                }
                if self.noise > MAX_NOISE {
                    let why = format!("wrote {MAX_NOISE} lines that are no replies");
                    self.fail(Failed::Crashed, &why);
                }
            }
        }
    }

    /// Error text for an answer to a request that is not open: verdicts may be mixed up.
    fn unasked(&self, id: u64) -> String {
        let asked = match id < self.next_id {
            true => "answered before or given to an earlier process",
            false => "never asked",
        };
        let open: Vec<String> = self.open.keys().map(u64::to_string).collect();
        format!(
            "verifier command `{}` answered id {id}, which was {asked} (open: {}); answer each request \
             once, with its id",
            self.options.command,
            open.join(", ")
        )
    }

    /// Kills a process that failed, and decides what happens to its requests.
    fn fail(&mut self, failed: Failed, why: &str) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
        // Further events of this run are ignored.
        self.run += 1;
        if self.open.is_empty() {
            // The process is started again when there is a request.
            return;
        }
        self.failures += 1;
        let most = if self.answers { MAX_FAILURES } else { MAX_FIRST_FAILURES };
        let open = std::mem::take(&mut self.open);
        (self.options.log)(&format!(
            "verifier {why} with {} open requests; restarted ({} of {most} failures in a row)",
            open.len(),
            self.failures
        ));
        self.blame(open.into_values().map(|(job, _)| job).collect(), failed, why);
        if self.failures >= most {
            self.give_up(format!(
                "verifier command `{}` {why}; it failed {most} times in a row without giving an answer: run \
                 it by hand with a request as in docs/judges.md, mend it, and give the same command again",
                self.options.command
            ));
        }
    }

    /// Decides what happens to the requests that were open when a process failed.
    fn blame(&mut self, mut open: Vec<Job>, failed: Failed, why: &str) {
        let fault = match failed {
            Failed::TimedOut => "timeout",
            Failed::Crashed => "crashed",
        };
        if let [job] = open.as_mut_slice() {
            job.faults += 1;
            let guilty = failed == Failed::TimedOut || job.faults >= MAX_CRASHES;
            if guilty
                && self.answers
                && let Some(job) = open.pop()
            {
                let finding = Finding::faulty(job.about, fault);
                return job.answer(Finding { trace: why.to_owned(), ..finding });
            }
            // Put the request last: an answer to another request shows that the command itself works.
            return self.suspects.extend(open);
        }
        for job in open.into_iter().rev() {
            self.suspects.push_front(job);
        }
    }

    /// Ends all verification: findings so far are kept, no more requests are sent.
    fn give_up(&mut self, why: String) {
        let _ = self.failure.set(why);
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
        self.run += 1;
        self.refuse_all();
    }

    fn refuse_all(&mut self) {
        let open = std::mem::take(&mut self.open).into_values().map(|(job, _)| job);
        for job in open.chain(self.suspects.drain(..)).chain(self.waiting.drain(..)) {
            let about = job.about;
            job.answer(Finding::faulty(about, "stopped"));
        }
    }
}
