//! Tree-parallel search: one or more threads run several simulations of one tree at once, for evaluators that
//! return immediately (games, cheap value functions). Used by `mcts countdown`.
//!
//! Trees that wait for a model use [`crate::TreeSearch`]; many such trees keep a model busy without sharing a
//! tree. `walker` is the loop of one thread; `shared_top` holds the nodes that all threads update.
//! `concurrency.md` lists which results are exact with several threads and which are not.

mod shared_top;
mod walker;

use std::sync::atomic::{AtomicU64, Ordering};

pub(super) use self::shared_top::SharedTop;
pub(super) use self::walker::{WalkProgress, Walker};
use super::node::{MAX_OWNERS, Node};
use super::{Edge, Tree};
use crate::config::BackupWeights;
use crate::select::SelectionRule;
use crate::sync::yield_now;

/// A problem to search: states, the steps between them, and an estimate of each state's value.
pub trait Evaluator: Sync {
    /// A state during a descent; cheap to make from the root.
    type State;

    /// The state of the root.
    fn root(&self) -> Self::State;

    /// Moves `state` to its child with index `step`, from 0.
    fn follow(&self, state: &mut Self::State, step: usize);

    /// Fills `edges`, which is empty, with the children of `state` and returns an estimate of its value. If
    /// no edge is added, the state becomes terminal. Called once for every state. A panic makes the state
    /// terminal; it is passed on to the caller of [`grow_shared`] when the other threads have finished.
    fn expand(&self, state: &Self::State, edges: &mut Vec<Edge>) -> f64;
}

/// Number of simulations of one tree that are in flight at once. All fields affect the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrowOptions {
    /// Number of threads, at least 1 (default 1; with more, the tree depends on timing). At most one thread
    /// per CPU core is started, because more threads would only share the cores.
    pub threads: usize,
    /// Number of simulations that each thread keeps in flight and advances in turn, 1 to 64 (default 1: a
    /// serial search). While one simulation waits for its nodes to come from memory, the others continue; 16
    /// were measured to be 1.9 times as fast as 1 on a large tree.
    pub leaves_in_flight: usize,
}

impl Default for GrowOptions {
    fn default() -> Self {
        Self { threads: 1, leaves_in_flight: 1 }
    }
}

/// Maximum number of simulations of one thread in flight.
const MAX_LEAVES: usize = 64;
/// Maximum number of threads: their in-flight visits must fit a node's counter.
const MAX_THREADS: usize = 255;
// Every thread has an owner number, and the in-flight visits of all batches fit the counter.
const _: () = assert!(MAX_THREADS <= MAX_OWNERS);

/// Runs `simulations` more simulations on `tree`. Each simulation is a descent by `rule`, an expansion and a
/// backup of the new leaf's value.
///
/// The exclusive borrow of the tree lets a single thread work without atomic read-modify-write instructions.
pub fn grow_shared<E: Evaluator>(
    tree: &mut Tree,
    evaluator: &E,
    rule: SelectionRule,
    simulations: u64,
    options: GrowOptions,
) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = options.threads.min(cores);
    grow(tree, evaluator, rule, simulations, GrowOptions { threads, ..options });
}

/// [`grow_shared`] without the limit of one thread per CPU core.
pub(super) fn grow<E: Evaluator>(
    tree: &mut Tree,
    evaluator: &E,
    rule: SelectionRule,
    simulations: u64,
    options: GrowOptions,
) {
    tree.prepare(rule);
    let leaves = options.leaves_in_flight.clamp(1, MAX_LEAVES);
    let threads = options.threads.clamp(1, MAX_THREADS);
    let budget = Budget::new(simulations);
    let shared = &*tree;
    if threads == 1 {
        return run(Walker::new(shared, evaluator, rule, leaves, None), &budget);
    }
    let threads = threads as u16;
    let work = |number| {
        let top = SharedTop::new(shared, rule, number, threads, leaves);
        run(Walker::new(shared, evaluator, rule, leaves, Some(top)), &budget);
    };
    let together = std::panic::AssertUnwindSafe(|| {
        std::thread::scope(|scope| {
            for number in 2..=threads {
                scope.spawn(move || work(number));
            }
            // The calling thread already has a core, so it works as well.
            work(1);
        });
    });
    // Even if an evaluator panicked, recompute the values before resuming the panic.
    let panic = std::panic::catch_unwind(together).err();
    tree.finalize(rule);
    if let Some(panic) = panic {
        std::panic::resume_unwind(panic);
    }
}

/// Runs one thread's simulations until the common budget is used up.
pub(super) fn run<E: Evaluator>(mut walker: Walker<'_, E>, budget: &Budget) {
    loop {
        match walker.advance_all(budget) {
            WalkProgress::Running => {}
            WalkProgress::Blocked => yield_now(),
            WalkProgress::Done => return,
        }
    }
}

/// Number of simulations that no thread has taken yet.
pub(super) struct Budget(AtomicU64);

impl Budget {
    pub(super) fn new(simulations: u64) -> Self {
        Self(AtomicU64::new(simulations))
    }

    /// Takes at most `most` simulations. Returns the number taken. Relaxed: no other memory access is ordered
    /// by this counter.
    fn take(&self, most: u64) -> u64 {
        let rest = |left: u64| (left > 0).then(|| left.saturating_sub(most));
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest);
        taken.map_or(0, |before| before.min(most))
    }

    /// Whether the budget is used up.
    fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

impl Tree {
    /// Computes the score terms of all nodes for `rule`, unless they are current.
    pub(super) fn prepare(&mut self, rule: SelectionRule) {
        if self.rule != Some(rule) || !*self.scored.get_mut() {
            for node in self.arena.range(0..self.arena.end()) {
                self.set_score_terms(node, rule);
            }
            self.rule = Some(rule);
            *self.scored.get_mut() = true;
        }
    }

    fn set_score_terms(&self, node: &Node, rule: SelectionRule) {
        node.set_score_terms(rule.score_terms(&self.stats_of(node)));
    }

    /// Recomputes the values of the shared top, children first, after all threads have finished. Below the
    /// shared top, values are current, because every node there had one writer at a time.
    pub(super) fn finalize(&mut self, rule: SelectionRule) {
        let mut top = vec![self.node(self.root())];
        let mut next = 0;
        while let Some(node) = top.get(next) {
            let children = self.arena.range(node.link().children());
            top.extend(children.filter(|child| child.link().is_shared()));
            next += 1;
        }
        for node in top.into_iter().rev() {
            if self.weights != BackupWeights::Returns && node.link().count() > 0 {
                node.set_value(self.mean_of(node.link()));
            }
            self.set_score_terms(node, rule);
        }
    }
}
