//! Searches many problems concurrently with one policy: a few worker threads and a sliding window
//! of trees, without a barrier between batches.
//!
//! `worker` runs them and fetches the answers of the policy. Trees are delivered in the order of
//! the problems (`delivery`), and a new one starts only when one is delivered, so memory is bounded
//! by the window.

mod delivery;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam::channel::unbounded;
use regrowth_datasets::Problem;
use regrowth_policy::{Policy, Usage};
use regrowth_verifiers::Verifier;
use serde::{Deserialize, Serialize};

use self::delivery::Delivery;
use self::worker::Worker;
use crate::probe::StateProbe;
use crate::record::TreeRecord;
use crate::{SearchConfig, SearchError, SkipReason};

/// Options for running a search; none of them changes how a tree grows.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Threads that advance trees, at least 1 (default 1: the policy does the work).
    pub threads: usize,
    /// Trees in flight at once, at least 1; `None` takes four times the number of calls that the
    /// policy wants in flight (measured: with twice that number instead of four times, one batch in
    /// five was not full).
    pub trees_in_flight: Option<usize>,
    /// Round of the run, from 1; 0 outside a run. Written into every row.
    pub round: u32,
    /// Identity of the policy that judges in place of the searched one. Written into every row.
    pub judge: Option<String>,
    /// Set to true from anywhere, stops the search soon; delivered trees stay.
    pub cancel: Arc<AtomicBool>,
    /// Whether a cancelled search also delivers finished trees that come after an unfinished one
    /// (default false: the delivered trees are then those of the first problems without a gap, so a
    /// later search can continue after the last one).
    pub keep_all: bool,
    /// Counts completed simulations, those of unfinished trees included, for whoever shows progress.
    pub simulated: Arc<AtomicU64>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            threads: 1,
            trees_in_flight: None,
            round: 0,
            judge: None,
            cancel: Arc::default(),
            keep_all: false,
            simulated: Arc::default(),
        }
    }
}

impl RunOptions {
    /// Returns the window size W for this policy: the tree of problem i + W starts when that of
    /// problem i is delivered.
    #[must_use]
    pub fn window(&self, policy: &dyn Policy) -> usize {
        let wanted = || policy.limits().in_flight.max(1).saturating_mul(4);
        self.trees_in_flight.unwrap_or_else(wanted)
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
    /// Solutions in these trees with verdict `Undecided`, by reason; their outcome is that of a
    /// wrong solution, or 0 where a verifier command gave no verdict (`verifier_...`).
    #[serde(default)]
    pub undecided: BTreeMap<String, u64>,
    /// Requests for candidates and for judgements, those of unfinished trees included.
    pub model_calls: u64,
    /// Tokens of these trees that must be computed; see [`TreeRecord::unique_tokens`].
    pub unique_tokens: u64,
    /// Tokens that the answered requests really cost, skipped and unfinished trees included.
    pub usage: Usage,
    /// Trees that were given up, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// The first few given up: problem id and reason in full.
    pub skipped_examples: Vec<(String, String)>,
    /// Whether the outcome reward saw the reference answers: then `correct` is no accuracy.
    pub oracle: bool,
    /// Whether the result depends on timing, through a time-based stopping rule or a cancellation:
    /// another run may then give different trees.
    pub timed: bool,
    /// Whether the search was cancelled before its end.
    pub cancelled: bool,
}

/// Receives the progress and the trees of a search, in the calling thread.
pub trait SearchObserver {
    /// Called when a tree has ended, before it is delivered in problem order; `tree` is `None` if
    /// the problem was skipped.
    fn ended(&mut self, tree: Option<&TreeRecord>) {
        let _ = tree;
    }

    /// The tree of a problem, or the reason why there is none, in the order of the problems.
    fn delivered(&mut self, problem: &Problem, result: Result<TreeRecord, SkipReason>);
}

/// Adapts a closure to [`SearchObserver`]; skipped problems are ignored.
struct OnTree<F>(F);

impl<F: FnMut(TreeRecord)> SearchObserver for OnTree<F> {
    fn delivered(&mut self, _: &Problem, result: Result<TreeRecord, SkipReason>) {
        if let Ok(tree) = result {
            (self.0)(tree);
        }
    }
}

/// A search of many problems with one policy.
///
/// The same problems, configuration and policy give the same trees for any [`RunOptions`] but the
/// round. A tree whose request fails is skipped and counted.
pub struct Search<'a> {
    policy: &'a dyn Policy,
    verifier: &'a dyn Verifier,
    config: &'a SearchConfig,
    options: Option<&'a RunOptions>,
    probe: Option<Arc<StateProbe>>,
}

impl<'a> Search<'a> {
    /// A search with the default [`RunOptions`].
    pub fn new(
        policy: &'a dyn Policy,
        verifier: &'a dyn Verifier,
        config: &'a SearchConfig,
    ) -> Self {
        Self { policy, verifier, config, options: None, probe: None }
    }

    /// Sets threads, trees in flight, and how the search is cancelled.
    #[must_use]
    pub fn options(self, options: &'a RunOptions) -> Self {
        Self { options: Some(options), ..self }
    }

    /// Lets this probe judge, where the configuration says `judge = "probe"`; without it the file that
    /// `value.probe` names does.
    #[must_use]
    pub fn probe(self, probe: Option<Arc<StateProbe>>) -> Self {
        Self { probe, ..self }
    }

    /// The probe that judges; none where another judge does.
    fn judging_probe(&self) -> Result<Option<Arc<StateProbe>>, SearchError> {
        let value = &self.config.value;
        match (&self.probe, &value.probe) {
            _ if !value.judges_states() => Ok(None),
            (Some(probe), _) => Ok(Some(probe.clone())),
            (None, Some(path)) => Ok(Some(Arc::new(StateProbe::read(path.as_ref())?))),
            (None, None) => Ok(None),
        }
    }

    /// Grows a tree for every problem and hands it to `on_tree`, in the order of the problems.
    ///
    /// # Errors
    /// Those of [`Self::observe`].
    pub fn run(
        &self,
        problems: &[Problem],
        on_tree: impl FnMut(TreeRecord),
    ) -> Result<SearchSummary, SearchError> {
        self.observe(problems, &mut OnTree(on_tree))
    }

    /// Grows a tree for every problem and hands it, or the reason why there is none, to `observer`, in
    /// the order of the problems.
    ///
    /// # Errors
    /// [`SearchError::Config`] for a setting out of range, [`SearchError::Policy`] when the policy
    /// stopped for good or let a call go without an answer, [`SearchError::Verifier`] when the verifier did, [`SearchError::Panicked`] when it, or the
    /// verifier, panicked in a thread of the search.
    pub fn observe(
        &self,
        problems: &[Problem],
        observer: &mut dyn SearchObserver,
    ) -> Result<SearchSummary, SearchError> {
        let &Self { policy, verifier, config, options, .. } = self;
        let default = RunOptions::default();
        let options = options.unwrap_or(&default);
        config.check()?;
        crate::config::check("threads", "at least 1", options.threads, options.threads >= 1)?;
        let window = options.window(policy);
        crate::config::check("trees_in_flight", "at least 1", window, window >= 1)?;
        let expected = "no `probe` judge and no `hidden_states`: servers show no hidden states; give \
                        --policy the model's weights";
        let shown = !config.value.reads_states() || policy.gives_hidden_states();
        crate::config::check("value.judge", expected, format!("{:?}", config.value.judge), shown)?;
        let probe = self.judging_probe()?;
        let (stop, probe) = (AtomicBool::new(false), probe.as_deref());
        let shared = Shared { policy, verifier, problems, config, options, probe, stop: &stop };
        shared.run(window, observer)
    }
}

/// Stops the workers when dropped, also if the observer panics.
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
    probe: Option<&'a StateProbe>,
    /// Set when the search has failed: answers may never come, so nobody should wait for them.
    stop: &'a AtomicBool,
}

impl Shared<'_> {
    /// Starts the workers, and delivers their trees in this thread.
    fn run(
        self,
        window: usize,
        observer: &mut dyn SearchObserver,
    ) -> Result<SearchSummary, SearchError> {
        // Start no more threads than trees in flight: the others would idle.
        let threads = self.options.threads.min(window).min(self.problems.len().max(1));
        let (jobs, job_queue) = unbounded();
        let (reports, ended) = unbounded();
        for index in 0..window.min(self.problems.len()) {
            // The queue is open: this function holds its other end.
            let _ = jobs.send(index);
        }
        std::thread::scope(|scope| {
            let _stop = StopAtEnd(self.stop);
            let per_worker = window.div_ceil(threads);
            for _ in 0..threads {
                let worker = Worker::new(self, job_queue.clone(), reports.clone(), per_worker);
                scope.spawn(move || worker.run());
            }
            drop((job_queue, reports));
            Delivery::new(self, jobs, window, observer).run(&ended)
        })
    }

    fn is_over(&self) -> bool {
        // Relaxed: the flags publish no data and need not be seen at once.
        self.options.cancel.load(Ordering::Relaxed) || self.stop.load(Ordering::Relaxed)
    }
}

/// What a tree cost, whether it was finished or not.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    calls: u64,
    usage: Usage,
}

/// One tree at its end.
struct Done {
    index: usize,
    result: Result<TreeRecord, SkipReason>,
    /// Solutions whose verdict was undecided, by reason.
    undecided: BTreeMap<String, u64>,
    cost: Cost,
}

/// A message from a worker to the delivery.
enum Report {
    /// A tree has ended.
    Ended(Box<Done>),
    /// A tree that a cancelled search left unfinished, with its cost.
    Unfinished(Cost),
    /// The search cannot go on.
    Failed(SearchError),
}
