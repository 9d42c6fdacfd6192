//! Searches many problems concurrently with one policy: a few worker threads and a sliding window
//! of trees, without a barrier between batches.
//!
//! `worker` advances the trees and receives the policy's responses. `delivery` delivers the trees in the
//! order of the problems. A new tree starts only when one is delivered, so the window bounds memory.

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
    /// Number of threads that advance trees, at least 1 (default 1: the policy does the work).
    pub threads: usize,
    /// Number of trees in flight at once, at least 1. `None` means four times the number of calls that the
    /// policy wants in flight (measured: with a factor of two, one batch in five was not full).
    pub trees_in_flight: Option<usize>,
    /// Round of the run, from 1; 0 outside a run. Written into every row.
    pub round: u32,
    /// Identity of the policy that judges in place of the searched one; `None` if the searched policy judges.
    /// Written into every row.
    pub judge: Option<String>,
    /// If set to true (by any thread), the search stops soon; trees already delivered are kept.
    pub cancel: Arc<AtomicBool>,
    /// Whether a cancelled search also delivers finished trees that come after an unfinished one
    /// (default false: the delivered trees are then those of the first problems without a gap, so a
    /// later search can continue after the last one).
    pub keep_all: bool,
    /// Number of completed simulations, including those of unfinished trees; read to show progress.
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

/// Counts of a search, summed over its trees.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchSummary {
    /// Number of problems to search.
    pub problems: u64,
    /// Number of trees finished and delivered.
    pub trees: u64,
    /// Number of nodes of these trees, including the roots.
    pub nodes: u64,
    /// Number of simulations of these trees.
    pub simulations: u64,
    /// Number of trees whose committed answer is right.
    pub correct: u64,
    /// Number of solutions in these trees with verdict `Undecided`, by reason. They have the outcome of a
    /// wrong solution, or 0 if a verifier command gave no verdict (`verifier_...`).
    #[serde(default)]
    pub undecided: BTreeMap<String, u64>,
    /// Number of requests to the policy (candidates, judgements, log-probabilities, hidden states), including
    /// those of skipped and unfinished trees.
    pub model_calls: u64,
    /// Number of tokens of these trees that must be computed at least once; see
    /// [`TreeRecord::unique_tokens`].
    pub unique_tokens: u64,
    /// Tokens that the answered requests actually cost, including those of skipped and unfinished trees.
    pub usage: Usage,
    /// Number of trees given up, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// The first few trees given up: problem id and full reason.
    pub skipped_examples: Vec<(String, String)>,
    /// Whether the outcome reward saw the reference answers. If so, `correct` is not an accuracy.
    pub oracle: bool,
    /// Whether the result depends on timing, because of a time-based stopping rule or a cancellation. Another
    /// run may then give different trees.
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

    /// Called for each problem, in the order of the problems, with its tree or the reason why it has none.
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
/// The same problems, configuration and policy give the same trees for any [`RunOptions`], except for its
/// fields `round` and `judge`, which are written into rows. A tree whose request fails is skipped and
/// counted.
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

    /// Sets the probe to use if the configuration selects `judge = "probe"`. Without it, the file in
    /// `value.probe` is used.
    #[must_use]
    pub fn probe(self, probe: Option<Arc<StateProbe>>) -> Self {
        Self { probe, ..self }
    }

    /// The probe that judges; `None` with another judge, or if no probe is set.
    fn judging_probe(&self) -> Result<Option<Arc<StateProbe>>, SearchError> {
        let value = &self.config.value;
        match (&self.probe, &value.probe) {
            _ if !value.judges_states() => Ok(None),
            (Some(probe), _) => Ok(Some(probe.clone())),
            (None, Some(path)) => Ok(Some(Arc::new(StateProbe::read(path.as_ref())?))),
            (None, None) => Ok(None),
        }
    }

    /// Grows a tree for every problem and passes it to `on_tree`, in the order of the problems.
    ///
    /// # Errors
    /// The errors of [`Self::observe`].
    pub fn run(
        &self,
        problems: &[Problem],
        on_tree: impl FnMut(TreeRecord),
    ) -> Result<SearchSummary, SearchError> {
        self.observe(problems, &mut OnTree(on_tree))
    }

    /// Grows a tree for every problem and passes it, or the reason why there is none, to `observer`, in the
    /// order of the problems.
    ///
    /// # Errors
    /// [`SearchError::Config`] if a setting is out of range, [`SearchError::Probe`] if the probe file cannot
    /// be read, [`SearchError::Policy`] if the policy failed permanently or left a call without an answer,
    /// [`SearchError::Verifier`] if the verifier failed permanently, [`SearchError::Panicked`] if the policy
    /// or the verifier panicked in a thread of the search.
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

/// Stops the workers when dropped, even if the observer panics.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Data that all workers share.
#[derive(Clone, Copy)]
struct Shared<'a> {
    policy: &'a dyn Policy,
    verifier: &'a dyn Verifier,
    problems: &'a [Problem],
    config: &'a SearchConfig,
    options: &'a RunOptions,
    probe: Option<&'a StateProbe>,
    /// Set when the delivery has ended. After a failure, responses may never arrive, so no worker should wait
    /// for them.
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
            // Sending cannot fail: this function holds a receiver of the queue.
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

/// Cost of a tree, finished or not.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    calls: u64,
    usage: Usage,
}

/// A tree whose search has ended.
struct Done {
    index: usize,
    result: Result<TreeRecord, SkipReason>,
    /// Number of solutions with an undecided verdict, by reason.
    undecided: BTreeMap<String, u64>,
    cost: Cost,
}

/// A message from a worker to the delivery.
enum Report {
    /// A tree has ended.
    Ended(Box<Done>),
    /// A tree that a cancelled search left unfinished, with its cost.
    Unfinished(Cost),
    /// The search cannot continue.
    Failed(SearchError),
}
