//! Many trees in flight over one policy: a few threads, a window of problems, no barrier.
//!
//! It knows nothing of what a tree does with its answers. Each worker owns its trees and a reply
//! channel; a tree that waits costs no thread. Trees are delivered in the order of the problems,
//! and a new one starts only when one is delivered, so memory is bounded by the window.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, never, select, unbounded};
use regrowth_datasets::Problem;
use regrowth_policy::{Answered, Call, Policy, Usage};
use regrowth_verifiers::Verifier;
use serde::{Deserialize, Serialize};

use crate::record::TreeRecord;
use crate::search::{Progress, Subject, TreeSearch};
use crate::{SearchConfig, SearchError, Skip};

/// How a search is run; nothing here changes a tree.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Threads that advance trees, at least 1 (default 1: the policy does the work).
    pub threads: usize,
    /// Trees in flight at once, at least 1; `None` takes four times the calls that the policy wants in
    /// flight (measured: with twice as many one batch in five was not full).
    pub trees_in_flight: Option<usize>,
    /// Round of the run, from 1; 0 outside a run. Written into every row.
    pub round: u32,
    /// Set to true from anywhere, stops the search soon; delivered trees stay.
    pub cancel: Arc<AtomicBool>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { threads: 1, trees_in_flight: None, round: 0, cancel: Arc::default() }
    }
}

/// What a search did, summed over its trees.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchSummary {
    /// Problems that were given.
    pub problems: u64,
    /// Trees that were finished and delivered.
    pub trees: u64,
    /// Nodes of these trees, roots included.
    pub nodes: u64,
    /// Simulations of these trees.
    pub simulations: u64,
    /// Trees whose committed answer is right.
    pub correct: u64,
    /// Requests for candidates and for judgements.
    pub model_calls: u64,
    /// Tokens of these trees that must be computed; see [`TreeRecord::unique_tokens`].
    pub unique_tokens: u64,
    /// Tokens that the requests really cost, skipped trees included.
    pub usage: Usage,
    /// Trees that were given up, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// The first few given up: problem id and reason in full.
    pub skipped_examples: Vec<(String, String)>,
    /// Whether the outcome reward saw the reference answers: then `correct` is no accuracy.
    pub oracle: bool,
    /// Whether the search was cancelled before its end.
    pub cancelled: bool,
}

/// How many skipped problems a summary names.
const SKIPPED_EXAMPLES: usize = 20;
/// How often a waiting worker looks whether the search is over.
const CANCEL_POLL: Duration = Duration::from_millis(50);
/// Looks without an answer after which a worker makes sure that its calls are still held by
/// somebody (a quarter of a second: taste).
const SILENT_POLLS: u32 = 5;

/// Grows a tree for every problem and hands it to `on_tree`, in the order of the problems.
///
/// The same problems, configuration and policy give the same trees for any [`RunOptions`] but the
/// round. A tree whose request fails is left out and counted.
///
/// # Errors
/// [`SearchError::Config`] for a setting out of range, [`SearchError::Policy`] when the policy
/// stopped for good, [`SearchError::Dropped`] when it let calls go without an answer.
pub fn search_problems(
    policy: &dyn Policy,
    verifier: &dyn Verifier,
    problems: &[Problem],
    config: &SearchConfig,
    options: &RunOptions,
    mut on_tree: impl FnMut(TreeRecord),
) -> Result<SearchSummary, SearchError> {
    config.check()?;
    crate::config::check("threads", "at least 1", options.threads, options.threads >= 1)?;
    let window = options.trees_in_flight.unwrap_or(4 * policy.limits().in_flight.max(1));
    crate::config::check("trees_in_flight", "at least 1", window, window >= 1)?;
    let stop = AtomicBool::new(false);
    let shared = Shared { policy, verifier, problems, config, options, stop: &stop };
    let (jobs, job_queue) = unbounded();
    let (done, finished) = unbounded();
    for index in 0..window.min(problems.len()) {
        // The queue is open: this function holds its other end.
        let _ = jobs.send(index);
    }
    std::thread::scope(|scope| {
        let per_worker = window.div_ceil(options.threads);
        for _ in 0..options.threads {
            let (jobs, done) = (job_queue.clone(), done.clone());
            scope.spawn(move || Worker::new(shared, jobs, done, per_worker).run());
        }
        drop((job_queue, done));
        let result = deliver(shared, jobs, &finished, window, &mut on_tree);
        stop.store(true, Ordering::Relaxed);
        result
    })
}

/// What all workers see.
#[derive(Clone, Copy)]
struct Shared<'a> {
    policy: &'a dyn Policy,
    verifier: &'a dyn Verifier,
    problems: &'a [Problem],
    config: &'a SearchConfig,
    options: &'a RunOptions,
    /// Set when the search has failed: answers may never come, so nobody should wait for them.
    stop: &'a AtomicBool,
}

impl Shared<'_> {
    fn is_over(&self) -> bool {
        // Relaxed: the flags carry no data, and soon is soon enough.
        self.options.cancel.load(Ordering::Relaxed) || self.stop.load(Ordering::Relaxed)
    }
}

/// One tree at its end.
struct Done {
    index: usize,
    result: Result<TreeRecord, Skip>,
    calls: u64,
    usage: Usage,
}

/// A worker's last word about a tree, or that the policy fails.
type Report = Result<Done, SearchError>;

/// Puts finished trees into the order of the problems and lets one start for each delivered.
fn deliver(
    shared: Shared<'_>,
    jobs: Sender<usize>,
    finished: &Receiver<Report>,
    window: usize,
    on_tree: &mut dyn FnMut(TreeRecord),
) -> Result<SearchSummary, SearchError> {
    let mut summary = SearchSummary {
        problems: shared.problems.len() as u64,
        oracle: shared.config.value.oracle,
        ..SearchSummary::default()
    };
    let mut early = BTreeMap::new();
    let mut next = 0;
    while next < shared.problems.len() {
        let Ok(report) = finished.recv() else { break };
        let done = report?;
        early.insert(done.index, done);
        while let Some(done) = early.remove(&next) {
            if next + window < shared.problems.len() {
                let _ = jobs.send(next + window);
            }
            summary.add(&shared.problems[next], &done);
            if let Ok(tree) = done.result {
                on_tree(tree);
            }
            next += 1;
        }
    }
    summary.cancelled = next < shared.problems.len();
    Ok(summary)
}

impl SearchSummary {
    fn add(&mut self, problem: &Problem, done: &Done) {
        self.model_calls += done.calls;
        self.usage += done.usage;
        match &done.result {
            Ok(tree) => {
                self.trees += 1;
                self.nodes += tree.nodes.len() as u64;
                self.simulations += tree.simulations;
                self.correct += u64::from(tree.correct);
                self.unique_tokens += tree.unique_tokens();
            }
            Err(skip) => {
                *self.skipped.entry(skip.reason().to_owned()).or_default() += 1;
                if self.skipped_examples.len() < SKIPPED_EXAMPLES {
                    self.skipped_examples.push((problem.id.clone(), skip.to_string()));
                }
            }
        }
    }
}

/// Advances its own trees with the answers that come.
struct Worker<'a> {
    shared: Shared<'a>,
    jobs: Receiver<usize>,
    done: Sender<Report>,
    /// Trees that it holds at most.
    capacity: usize,
    active: HashMap<u32, Active<'a>>,
    /// Number of the next tree; the upper half of its tickets.
    serial: u32,
    line: Line,
    /// A line that silence made the worker close; it is looked at until it has nothing to say.
    closed: Option<Line>,
    /// Looks since the last answer.
    silent: u32,
}

/// A channel for answers. Nothing tells a worker that a policy has dropped a call, but a channel
/// whose every sender is gone. So after a silence the worker goes on with a new line and keeps only
/// the receiving end of the old one: that closes when all its calls are answered, or dropped.
struct Line {
    reply: Option<Sender<Answered>>,
    answers: Receiver<Answered>,
    /// Calls that wait for an answer here.
    open: u64,
}

impl Line {
    fn new() -> Self {
        let (reply, answers) = unbounded();
        Self { reply: Some(reply), answers, open: 0 }
    }
}

/// A tree in flight.
struct Active<'a> {
    index: usize,
    search: TreeSearch<'a>,
}

impl<'a> Worker<'a> {
    fn new(
        shared: Shared<'a>,
        jobs: Receiver<usize>,
        done: Sender<Report>,
        capacity: usize,
    ) -> Self {
        let active = HashMap::new();
        let (line, closed) = (Line::new(), None);
        Self { shared, jobs, done, capacity, active, serial: 0, line, closed, silent: 0 }
    }

    /// Works until there is no problem left, the search is cancelled or nobody listens.
    fn run(mut self) {
        let mut open = true;
        let (no_jobs, no_answers) = (never(), never());
        while !self.shared.is_over() && (open || !self.active.is_empty()) {
            let room = open && self.active.len() < self.capacity;
            let jobs = if room { self.jobs.clone() } else { no_jobs.clone() };
            let closed = self.closed.as_ref().map_or(&no_answers, |line| &line.answers).clone();
            let listened = select! {
                recv(self.line.answers) -> answered => answered.is_ok_and(|a| {
                    self.line.open -= 1;
                    self.on_answer(a)
                }),
                recv(closed) -> answered => self.on_late(answered.ok()),
                recv(jobs) -> job => match job {
                    Ok(index) => self.start(index),
                    Err(_) => { open = false; true }
                },
                default(CANCEL_POLL) => { self.on_silence(); true }
            };
            if !listened {
                return;
            }
        }
    }

    /// Closes the line after some silence, to learn whether its calls are still held.
    fn on_silence(&mut self) {
        self.silent += 1;
        if self.silent >= SILENT_POLLS && self.closed.is_none() && self.line.open > 0 {
            let mut line = std::mem::replace(&mut self.line, Line::new());
            line.reply = None;
            self.closed = Some(line);
        }
    }

    /// Takes an answer from the closed line, or its end; false when calls were dropped or nobody
    /// listens any more.
    fn on_late(&mut self, answered: Option<Answered>) -> bool {
        match (answered, &mut self.closed) {
            (Some(answered), Some(line)) => {
                line.open -= 1;
                self.on_answer(answered)
            }
            (None, Some(Line { open: calls @ 1.., .. })) => {
                let (policy, calls) = (self.shared.policy.identity().to_owned(), *calls);
                self.fail(SearchError::Dropped { policy, calls })
            }
            (_, closed) => {
                *closed = None;
                true
            }
        }
    }

    /// Begins a tree; false when nobody listens any more.
    fn start(&mut self, index: usize) -> bool {
        let shared = self.shared;
        let problem = &shared.problems[index];
        let subject = Subject::new(shared.policy, shared.verifier, problem, shared.config);
        let subject = match subject {
            Ok(subject) => subject,
            Err(error) if error.is_final() => return self.fail(error.into()),
            Err(error) => {
                let result = Err(Skip::Prompt(error.to_string()));
                return self.report(Done { index, result, calls: 0, usage: Usage::default() });
            }
        };
        let search = TreeSearch::new(subject);
        let serial = self.serial;
        self.serial += 1;
        self.active.insert(serial, Active { index, search });
        self.after_change(serial)
    }

    /// Hands an answer to its tree; false when nobody listens any more.
    fn on_answer(&mut self, answered: Answered) -> bool {
        self.silent = 0;
        // A policy that is gone or cannot write its log will not recover.
        let answered = match answered {
            Answered { result: Err(error), .. } if error.is_final() => {
                return self.fail(error.into());
            }
            answered => answered,
        };
        let serial = (answered.ticket >> 32) as u32;
        // A tree that was given up may still get answers.
        let Some(active) = self.active.get_mut(&serial) else { return true };
        active.search.answer(answered.ticket & u64::from(u32::MAX), answered.result);
        self.after_change(serial)
    }

    /// Submits what a tree newly asks, or reports its end.
    fn after_change(&mut self, serial: u32) -> bool {
        let Some(active) = self.active.get_mut(&serial) else { return true };
        for ask in active.search.take_asks() {
            let ticket = u64::from(serial) << 32 | ask.ticket;
            let Some(reply) = self.line.reply.clone() else { return false };
            self.line.open += 1;
            self.shared.policy.submit(Call { ticket, request: ask.request, reply });
        }
        if *active.search.progress() == Progress::Waiting {
            return true;
        }
        let Some(Active { index, search }) = self.active.remove(&serial) else { return true };
        let (calls, usage) = (search.model_calls(), search.usage());
        let skip = match search.progress() {
            Progress::Skipped(skip) => Some(skip.clone()),
            _ => None,
        };
        let record = search.record(self.shared.policy.identity(), self.shared.options.round);
        let result = record.ok_or_else(|| skip.unwrap_or(Skip::NoCandidate));
        self.report(Done { index, result, calls, usage })
    }

    fn report(&self, done: Done) -> bool {
        self.done.send(Ok(done)).is_ok()
    }

    fn fail(&self, error: SearchError) -> bool {
        // The worker stops either way.
        let _ = self.done.send(Err(error));
        false
    }
}
