//! Many trees in flight over one policy: a few threads, a window of problems, no barrier.
//!
//! It knows nothing of what a tree does with its answers, nor of how they come (`worker`). Trees are
//! delivered in the order of the problems, and a new one starts only when one is delivered, so memory
//! is bounded by the window.

mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::channel::{Receiver, Sender, unbounded};
use regrowth_datasets::Problem;
use regrowth_policy::{Policy, Usage};
use regrowth_verifiers::Verifier;
use serde::{Deserialize, Serialize};

use self::worker::Worker;
use crate::record::TreeRecord;
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
    /// Whether a time budget had a say in the trees: then another run may give others.
    pub timed: bool,
    /// Whether the search was cancelled before its end.
    pub cancelled: bool,
}

/// How many skipped problems a summary names.
const SKIPPED_EXAMPLES: usize = 20;

/// Grows a tree for every problem and hands it to `on_tree`, in the order of the problems; a tree
/// that is given up is counted. See [`search_each`].
///
/// # Errors
/// Those of [`search_each`].
pub fn search_problems(
    policy: &dyn Policy,
    verifier: &dyn Verifier,
    problems: &[Problem],
    config: &SearchConfig,
    options: &RunOptions,
    mut on_tree: impl FnMut(TreeRecord),
) -> Result<SearchSummary, SearchError> {
    search_each(policy, verifier, problems, config, options, |_, result| {
        if let Ok(tree) = result {
            on_tree(tree);
        }
    })
}

/// Grows a tree for every problem and hands it, or the reason why there is none, to `on_end`, in the
/// order of the problems.
///
/// The same problems, configuration and policy give the same trees for any [`RunOptions`] but the
/// round. A tree whose request fails is given up.
///
/// # Errors
/// [`SearchError::Config`] for a setting out of range, [`SearchError::Policy`] when the policy
/// stopped for good, [`SearchError::Dropped`] when it let calls go without an answer,
/// [`SearchError::Panicked`] when it, or the verifier, panicked in a thread of the search.
pub fn search_each(
    policy: &dyn Policy,
    verifier: &dyn Verifier,
    problems: &[Problem],
    config: &SearchConfig,
    options: &RunOptions,
    mut on_end: impl FnMut(&Problem, Result<TreeRecord, Skip>),
) -> Result<SearchSummary, SearchError> {
    config.check()?;
    crate::config::check("threads", "at least 1", options.threads, options.threads >= 1)?;
    let window = options.trees_in_flight;
    let window = window.unwrap_or_else(|| policy.limits().in_flight.max(1).saturating_mul(4));
    crate::config::check("trees_in_flight", "at least 1", window, window >= 1)?;
    let stop = AtomicBool::new(false);
    // A thread holds a tree at least, or it has nothing to do.
    let threads = options.threads.min(window).min(problems.len().max(1));
    let shared = Shared { policy, verifier, problems, config, options, stop: &stop };
    let (jobs, job_queue) = unbounded();
    let (done, finished) = unbounded();
    for index in 0..window.min(problems.len()) {
        // The queue is open: this function holds its other end.
        let _ = jobs.send(index);
    }
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        let per_worker = window.div_ceil(threads);
        for _ in 0..threads {
            let worker = Worker::new(shared, job_queue.clone(), done.clone(), per_worker);
            scope.spawn(move || worker.run());
        }
        drop((job_queue, done));
        deliver(shared, jobs, &finished, window, &mut on_end)
    })
}

/// Tells the workers that nobody waits for them any more, also where `on_end` panics.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
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
    on_end: &mut dyn FnMut(&Problem, Result<TreeRecord, Skip>),
) -> Result<SearchSummary, SearchError> {
    let mut summary = SearchSummary {
        problems: shared.problems.len() as u64,
        oracle: shared.config.value.oracle,
        timed: shared.config.is_timed(),
        ..SearchSummary::default()
    };
    let mut early = BTreeMap::new();
    let mut next = 0;
    while next < shared.problems.len() {
        let Ok(report) = finished.recv() else { break };
        let done = report?;
        early.insert(done.index, done);
        while let Some(done) = early.remove(&next) {
            let start = next.saturating_add(window);
            if start < shared.problems.len() {
                let _ = jobs.send(start);
            }
            let problem = &shared.problems[next];
            summary.add(problem, &done);
            on_end(problem, done.result);
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
