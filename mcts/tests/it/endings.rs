//! Searches that end abnormally: by a panic, by a cancellation, or without a verdict.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::{problems, verifier};
use regrowth_datasets::{Problem, TokenId};
use regrowth_mcts::config::ValueConfig;
use regrowth_mcts::driver::SearchObserver;
use regrowth_mcts::{RunOptions, Search, SearchConfig, SearchError, SkipReason, TreeRecord};
use regrowth_policy::decorate::Around;
use regrowth_policy::{Call, Policy, Scripted};
use regrowth_verifiers::{Verdict, Verifier};

/// A policy that panics at its hundredth call, in the calling thread.
struct Panicking(Scripted, AtomicU64);

impl Around for Panicking {
    fn inner(&self) -> &dyn Policy {
        &self.0
    }
    fn take(&self, call: Call) {
        assert!(self.1.fetch_add(1, Ordering::Relaxed) < 100, "no call more");
        self.0.submit(call);
    }
}

/// A verifier that panics at its hundredth solution.
struct Confused(AtomicU64);

impl Verifier for Confused {
    fn verify(&self, problem: &Problem, solution: &str) -> Verdict {
        assert!(self.0.fetch_add(1, Ordering::Relaxed) < 100, "no solution more");
        verifier().verify(problem, solution)
    }
    fn states_answer(&self, problem: &Problem, step: &str) -> bool {
        verifier().states_answer(problem, step)
    }
}

#[test]
fn a_panic_stops_the_search_with_an_error_that_repeats_it() {
    let config = SearchConfig::default();
    let policies: [&dyn Policy; 2] = [&Panicking(Scripted::new(), 0.into()), &Scripted::new()];
    let checks: [&dyn Verifier; 2] = [&verifier(), &Confused(0.into())];
    for ((policy, check), word) in policies.into_iter().zip(checks).zip(["call", "solution"]) {
        // `usize::MAX` is more threads than any system supports; the search starts at most one thread per
        // tree.
        for threads in [3, usize::MAX] {
            let options = RunOptions { threads, ..RunOptions::default() };
            let result =
                Search::new(policy, check, &config).options(&options).run(&problems(40), |_| {});
            let error = result.expect_err("a panic");
            assert!(matches!(&error, SearchError::Panicked { message } if message.contains(word)));
        }
    }
}

#[test]
fn cancelling_keeps_the_delivered_trees_in_order() {
    let options = RunOptions { threads: 2, ..RunOptions::default() };
    let cancel = options.cancel.clone();
    let (problems, config) = (problems(3000), SearchConfig::default());
    let mut ids = Vec::new();
    let policy = Scripted::new();
    let summary = Search::new(&policy, &verifier(), &config)
        .options(&options)
        .run(&problems, |tree| {
            ids.push(tree.problem.id);
            if ids.len() == 5 {
                cancel.store(true, Ordering::Relaxed);
            }
        })
        .expect("a search");
    assert!(summary.cancelled && ids.len() >= 5 && ids.len() < 3000);
    assert!(ids.iter().zip(&problems).all(|(id, problem)| *id == problem.id));
}

/// A policy that never answers requests about the first problem.
struct Stuck {
    inner: Scripted,
    first: Vec<TokenId>,
    held: Mutex<Vec<Call>>,
}

impl Around for Stuck {
    fn inner(&self) -> &dyn Policy {
        &self.inner
    }
    fn take(&self, call: Call) {
        if call.request.prefix().starts_with(&self.first) {
            self.held.lock().expect("calls").push(call);
        } else {
            self.inner.submit(call);
        }
    }
}

/// Cancels the search when all trees but one have ended.
struct Watch {
    left: usize,
    cancel: Arc<AtomicBool>,
    ids: Vec<String>,
}

impl SearchObserver for Watch {
    fn ended(&mut self, _: Option<&TreeRecord>) {
        self.left -= 1;
        self.cancel.store(self.left == 1, Ordering::Relaxed);
    }
    fn delivered(&mut self, problem: &Problem, _: Result<TreeRecord, SkipReason>) {
        self.ids.push(problem.id.clone());
    }
}

#[test]
fn a_cancelled_search_delivers_trees_behind_an_unfinished_one_where_that_is_asked_for() {
    let (problems, config) = (problems(5), SearchConfig::default());
    let first = Scripted::new().prompt(&problems[0]).expect("a prompt").ids.to_vec();
    for keep_all in [true, false] {
        let (held, first) = (Vec::new().into(), first.clone());
        let policy = Stuck { inner: Scripted::new(), first, held };
        let options = RunOptions { keep_all, ..RunOptions::default() };
        let mut watch = Watch { left: 5, cancel: options.cancel.clone(), ids: Vec::new() };
        let found = Search::new(&policy, &verifier(), &config)
            .options(&options)
            .observe(&problems, &mut watch);
        let found = found.expect("a search");
        let kept = if keep_all { 4 } else { 0 };
        let wanted: Vec<_> = problems[1..=kept].iter().map(|p| p.id.clone()).collect();
        assert_eq!((watch.ids, found.trees), (wanted, kept as u64));
        assert!(found.cancelled && found.timed);
        // The unanswered request about the first problem counts as a call; usage covers answered requests only.
        let rest = Search::new(&Scripted::new(), &verifier(), &config)
            .options(&RunOptions::default())
            .run(&problems[1..], |_| {});
        let rest = rest.expect("a search");
        assert_eq!(found.model_calls, rest.model_calls + 1);
        assert_eq!(found.usage, rest.usage);
    }
}

/// A verifier that cannot decide about answers with an odd last digit.
struct Undecided;

impl Verifier for Undecided {
    fn verify(&self, problem: &Problem, solution: &str) -> Verdict {
        match solution.chars().rev().find_map(|c| c.to_digit(10)) {
            Some(digit) if digit % 2 == 1 => Verdict::Undecided("odd".to_owned()),
            _ => verifier().verify(problem, solution),
        }
    }
    fn states_answer(&self, problem: &Problem, step: &str) -> bool {
        verifier().states_answer(problem, step)
    }
}

#[test]
fn undecided_solutions_count_as_wrong_and_are_counted() {
    let (policy, config) = (Scripted::new(), SearchConfig::default());
    let mut odd = 0;
    let on_tree = |tree: TreeRecord| {
        for (id, node) in tree.nodes.iter().enumerate().filter(|(_, node)| node.terminal) {
            if Undecided.verify(&tree.problem, &tree.text(id as u32))
                == Verdict::Undecided("odd".to_owned())
            {
                assert_eq!(node.outcome, -1.0);
                odd += 1;
            }
        }
    };
    let options = RunOptions::default();
    let found =
        Search::new(&policy, &Undecided, &config).options(&options).run(&problems(6), on_tree);
    let found = found.expect("a search");
    assert!(odd > 0);
    assert_eq!(found.undecided.get("odd"), Some(&odd));
    let blind = ValueConfig { oracle: false, ..ValueConfig::default() };
    let config = SearchConfig { value: blind, ..config };
    let found =
        Search::new(&policy, &Undecided, &config).options(&options).run(&problems(6), |_| {});
    assert!(found.expect("a search").undecided.is_empty());
}
