//! Searches of many trees with policies that fail, lose calls, are slow or want full batches. No test
//! measures time: counts show that something did not happen, however slow the machine is.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use crate::common::{problems, verifier};
use crossbeam::channel::{Receiver, Sender, unbounded};
use regrowth_datasets::TokenId;
use regrowth_mcts::{RunOptions, Search, SearchConfig, SearchError, TreeRecord};
use regrowth_policy::decorate::{
    Around, Cached, Delay, Delayed, FaultRates, Faulty, FollowUpTexts, FollowUps,
};
use regrowth_policy::{Call, Limits, Policy, PolicyError, Recording, Scripted};

#[test]
fn failures_skip_their_tree_by_reason_and_nothing_is_lost() {
    let inner: Arc<dyn Policy> = Arc::new(Scripted::new());
    let problems = problems(40);
    let cases = [
        (FaultRates { error: 0.01, ..FaultRates::default() }, "request_failed"),
        (FaultRates { empty: 0.02, ..FaultRates::default() }, "no_candidate"),
        (FaultRates { nan: 0.02, ..FaultRates::default() }, "bad_log_probabilities"),
    ];
    for (rates, reason) in cases {
        let policy = Faulty::new(inner.clone(), rates, 4);
        let run = |threads| {
            let options = RunOptions { threads, ..RunOptions::default() };
            let config = SearchConfig { leaves_in_flight: 3, ..SearchConfig::default() };
            let mut trees = Vec::new();
            let summary = Search::new(&policy, &verifier(), &config)
                .options(&options)
                .run(&problems, |t| {
                    trees.push(t);
                })
                .expect("a search");
            (trees, summary)
        };
        let (trees, summary) = run(1);
        let skipped = summary.skipped.get(reason).copied().unwrap_or_default();
        assert!(skipped > 0 && summary.trees > 0, "{reason}: {summary:?}");
        assert_eq!(summary.skipped.len(), 1);
        assert_eq!(skipped + summary.trees, 40);
        assert_eq!(summary.skipped_examples.len() as u64, skipped.min(20));
        assert_eq!(run(4).0, trees);
    }
}

/// A policy that reports once that it has ended, and leaves all other calls unanswered.
struct Gone(Scripted, Once);

impl Around for Gone {
    fn inner(&self) -> &dyn Policy {
        &self.0
    }
    fn take(&self, call: Call) {
        self.1.call_once(|| call.caller.answer(Err(PolicyError::Gone)));
    }
}

#[test]
fn a_policy_that_is_gone_stops_the_search_with_an_error() {
    let options = RunOptions { threads: 4, ..RunOptions::default() };
    let config = SearchConfig::default();
    let policy = Gone(Scripted::new(), Once::new());
    let result =
        Search::new(&policy, &verifier(), &config).options(&options).run(&problems(9), |_| {});
    assert!(matches!(result, Err(SearchError::Policy(PolicyError::Gone))));
}

#[test]
fn any_number_of_trees_in_flight_will_do() {
    let options = RunOptions { trees_in_flight: Some(usize::MAX), ..RunOptions::default() };
    let (policy, config) = (Scripted::new(), SearchConfig::default());
    let summary =
        Search::new(&policy, &verifier(), &config).options(&options).run(&problems(4), |_| {});
    assert_eq!(summary.expect("a search").trees, 4);
}

/// A policy that leaves some calls unanswered, and is slow with the others.
struct Forgetful {
    inner: Arc<dyn Policy>,
    /// Every call whose number is a multiple of this is dropped.
    every: u64,
    calls: AtomicU64,
    pause: Duration,
}

impl Around for Forgetful {
    fn inner(&self) -> &dyn Policy {
        &*self.inner
    }
    fn take(&self, call: Call) {
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if number.is_multiple_of(self.every) {
            return;
        }
        let (inner, pause) = (self.inner.clone(), self.pause);
        std::thread::spawn(move || {
            std::thread::sleep(pause);
            inner.submit(call);
        });
    }
}

#[test]
fn dropped_calls_are_an_error_through_every_decorator() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, every) in [("all", 1), ("some", 40)] {
        let inner: Arc<dyn Policy> = Arc::new(Scripted::new());
        let policy = || {
            let calls = 0.into();
            Arc::new(Forgetful { inner: inner.clone(), every, calls, pause: Duration::ZERO })
        };
        let log = Recording::open(policy(), &folder.path().join(name)).expect("a log");
        let decorated: [Arc<dyn Policy>; 4] = [
            policy(),
            Arc::new(log),
            Arc::new(Cached::new(policy())),
            Arc::new(FollowUps::new(policy(), FollowUpTexts::default())),
        ];
        for policy in decorated {
            let (config, problems) = (SearchConfig::default(), problems(9));
            let options = RunOptions { threads: 2, ..RunOptions::default() };
            let result = Search::new(&*policy, &verifier(), &config)
                .options(&options)
                .run(&problems, |_| {});
            assert!(matches!(result, Err(SearchError::Policy(PolicyError::Gone))));
        }
    }
}

#[test]
fn a_policy_that_is_slow_has_dropped_nothing() {
    // Longer than a worker waits before it checks whether calls were lost; a longer pause changes nothing.
    let inner: Arc<dyn Policy> = Arc::new(Scripted::new());
    let pause = Duration::from_millis(600);
    let policy = Forgetful { inner, every: u64::MAX, calls: 0.into(), pause };
    let config = SearchConfig { simulations: 1, max_depth: 2, ..SearchConfig::default() };
    let options = RunOptions::default();
    let summary =
        Search::new(&policy, &verifier(), &config).options(&options).run(&problems(4), |_| {});
    assert_eq!(summary.expect("a search").trees, 4);
}

/// Number of calls that a server answers together.
const BATCH: usize = 16;

/// A policy whose calls wait for a [`Server`].
struct Queue(Scripted, Sender<Call>);

impl Around for Queue {
    fn inner(&self) -> &dyn Policy {
        &self.0
    }
    fn take(&self, call: Call) {
        // A server that has ended has reported why.
        let _ = self.1.send(call);
    }
    fn limits_around(&self) -> Limits {
        Limits { in_flight: BATCH, ..self.0.limits() }
    }
}

/// One tree, as seen by a server.
struct Asking {
    prompt: Arc<[TokenId]>,
    /// Number of calls still to be answered, and number of these that wait.
    left: u64,
    waiting: u64,
}

/// Starts a batch when it is full, or when every tree that must be in flight waits for it: then a full batch
/// would never come.
struct Server {
    calls: Receiver<Call>,
    trees: Vec<Asking>,
    queue: VecDeque<(usize, Call)>,
}

impl Server {
    /// Answers all calls. Returns, for each batch, the number of unfinished trees in flight and the number of
    /// answered calls.
    fn run(mut self) -> Vec<(usize, usize)> {
        let mut batches = Vec::new();
        while self.trees.iter().any(|tree| tree.left > 0) {
            while self.queue.len() < BATCH && !self.all_wait() {
                self.hear();
            }
            let in_flight = self.in_flight().count();
            let batch: Vec<_> = self.queue.drain(..BATCH.min(self.queue.len())).collect();
            batches.push((in_flight, batch.len()));
            for (tree, call) in batch {
                self.trees[tree].left -= 1;
                self.trees[tree].waiting -= 1;
                Scripted::new().submit(call);
            }
        }
        batches
    }

    /// Receives the next call.
    fn hear(&mut self) {
        // A timeout this long passes only if the search waits for something else.
        let call = self.calls.recv_timeout(Duration::from_secs(120)).expect("a tree asks");
        let prefix = call.request.prefix();
        let tree = self.trees.iter().position(|tree| prefix.starts_with(&tree.prompt));
        let tree = tree.expect("a call of a tree");
        self.trees[tree].waiting += 1;
        self.queue.push_back((tree, call));
    }

    /// Unfinished trees among those that the search guarantees to have in flight: a fixed number after the
    /// last tree that could be delivered.
    fn in_flight(&self) -> impl Iterator<Item = &Asking> {
        let delivered = self.trees.iter().take_while(|tree| tree.left == 0).count();
        self.trees[delivered..].iter().take(4 * BATCH).filter(|tree| tree.left > 0)
    }

    fn all_wait(&self) -> bool {
        self.in_flight().all(|tree| tree.waiting > 0)
    }
}

#[test]
fn a_server_that_waits_for_full_batches_gets_them() {
    let (problems, config) = (problems(120), SearchConfig::default());
    let mut trees: Vec<TreeRecord> = Vec::new();
    let options = RunOptions { threads: 2, ..RunOptions::default() };
    Search::new(&Scripted::new(), &verifier(), &config)
        .options(&options)
        .run(&problems, |tree| {
            trees.push(tree);
        })
        .expect("a search");
    let asking = |tree: &TreeRecord| Asking {
        prompt: tree.prompt_ids.clone().into(),
        left: tree.propose_calls + tree.judge_calls + tree.score_calls,
        waiting: 0,
    };
    let (queue, calls) = unbounded();
    let server = Server { calls, trees: trees.iter().map(asking).collect(), queue: [].into() };
    let server = std::thread::spawn(move || server.run());
    let policy = Queue(Scripted::new(), queue);
    let mut same = trees.into_iter();
    Search::new(&policy, &verifier(), &config)
        .options(&options)
        .run(&problems, |tree| {
            assert_eq!(Some(tree), same.next());
        })
        .expect("a search");
    let batches = server.join().expect("every tree in flight asks");
    // While there are enough trees, every batch is full; most of the time there are enough trees.
    for &(in_flight, calls) in &batches {
        assert!(calls == BATCH || in_flight < BATCH, "{calls} calls of {in_flight} trees");
    }
    let calls: usize = batches.iter().map(|batch| batch.1).sum();
    assert!(calls > BATCH * batches.len() * 3 / 4, "{calls} calls in {} batches", batches.len());
}

#[test]
fn a_delayed_server_answers_every_call_once() {
    let delay = Delay { batch: 5, latency: Duration::ZERO, jitter: 0.0, seed: 1 };
    let policy = Delayed::new(Arc::new(Scripted::new()), delay);
    let (problems, config) = (problems(12), SearchConfig::default());
    let options = RunOptions { threads: 2, ..RunOptions::default() };
    let summary =
        Search::new(&policy, &verifier(), &config).options(&options).run(&problems, |_| {});
    let (sizes, counts) = (policy.sizes(), policy.counts());
    assert_eq!(counts.calls, summary.expect("a search").model_calls);
    assert_eq!(
        (counts.calls, counts.batches),
        (sizes.iter().sum::<usize>() as u64, sizes.len() as u64)
    );
    assert!(sizes.iter().all(|size| (1..=5).contains(size)), "{sizes:?}");
}
