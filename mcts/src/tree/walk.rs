//! Several threads on one tree, for evaluators that answer at once: games, cheap value functions,
//! benchmarks.
//!
//! It knows nothing of policies: a tree that waits for a model is [`crate::TreeSearch`], and many of
//! them keep a model busy without sharing one. What is exact here with several threads, and what is
//! not, is said in `concurrency.md`: counts and values at rest are, the choice of the next leaf
//! depends on timing.

use std::sync::atomic::{AtomicU64, Ordering};

use super::node::{Access, Alone, Link, Node, Together};
use super::{Edge, NodeId, NodeState, Tree};
use crate::select::{ParentStats, SelectionRule};

/// Something to search: states that are reached by steps, and what is known of each.
pub trait Evaluator: Sync {
    /// A state on the way down; cheap to make from the root.
    type State;

    /// The state of the root.
    fn root(&self) -> Self::State;

    /// Moves `state` to its child number `step`, from 0.
    fn follow(&self, state: &mut Self::State, step: usize);

    /// Fills `edges`, which is empty, with the children of `state` and returns an estimate of its
    /// value; no edges make it terminal. Called once for every state. A panic makes the state
    /// terminal and goes on to the caller of [`grow_shared`] when the other threads are done.
    fn expand(&self, state: &Self::State, edges: &mut Vec<Edge>) -> f64;
}

/// Simulations that a thread takes from the common budget at once.
const SHARE: u64 = 64;

/// Runs `simulations` more simulations on `tree` with `threads` threads. One simulation is one
/// descent by `rule`, one expansion and one backup of the new leaf's value.
///
/// The tree is borrowed alone: one thread then needs no locked instruction.
pub fn grow_shared<E: Evaluator>(
    tree: &mut Tree,
    evaluator: &E,
    rule: SelectionRule,
    simulations: u64,
    threads: usize,
) {
    let tree = &*tree;
    let left = AtomicU64::new(simulations);
    if threads <= 1 {
        return Walker::new(tree, evaluator, rule).run::<Alone>(&left, false);
    }
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| Walker::new(tree, evaluator, rule).run::<Together>(&left, true));
        }
    });
}

/// One thread's way through the tree.
struct Walker<'a, E> {
    tree: &'a Tree,
    evaluator: &'a E,
    rule: SelectionRule,
    path: Vec<&'a Node>,
    edges: Vec<Edge>,
}

impl<'a, E: Evaluator> Walker<'a, E> {
    fn new(tree: &'a Tree, evaluator: &'a E, rule: SelectionRule) -> Self {
        Self { tree, evaluator, rule, path: Vec::new(), edges: Vec::new() }
    }

    /// Simulates until the common budget is used up. With others about, nodes on the way are
    /// `marked` as in flight, which turns the others to other leaves.
    fn run<A: Access>(&mut self, left: &AtomicU64, marked: bool) {
        loop {
            // Relaxed: a budget, nothing more.
            let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                (left > 0).then(|| left.saturating_sub(SHARE))
            });
            let Ok(before) = taken else { return };
            for _ in 0..before.min(SHARE) {
                while !self.simulate::<A>(marked) {
                    // Another thread is expanding the leaf; it will be done in a moment.
                    std::thread::yield_now();
                }
            }
        }
    }

    /// One simulation; false when it met a node that another thread was expanding, and was undone.
    fn simulate<A: Access>(&mut self, marked: bool) -> bool {
        self.path.clear();
        let mut state = self.evaluator.root();
        let mut id = self.tree.root();
        let mut node = self.tree.node(id);
        loop {
            self.path.push(node);
            if marked {
                node.enter::<A>();
            }
            let link = node.link();
            match link.state {
                NodeState::Expanded => {
                    let step;
                    (step, node) = self.pick(node, link, marked);
                    self.evaluator.follow(&mut state, step);
                    id = link.first + step as NodeId;
                }
                NodeState::Terminal => {
                    self.tree.backup_nodes::<A>(&self.path, 0.0, marked);
                    return true;
                }
                NodeState::Unexpanded | NodeState::Expanding => {
                    return self.expand::<A>(id, node, &state, marked);
                }
            }
        }
    }

    /// The child of an expanded node with the highest score, the first of equals.
    fn pick(&self, node: &'a Node, link: Link, marked: bool) -> (usize, &'a Node) {
        let (visits, in_flight) = node.counts();
        // Without its own visit, if that is marked.
        let visits = visits + in_flight - u64::from(marked);
        let scorer = self.rule.at(ParentStats { visits, v: self.tree.v_of(node) });
        let mut best = (0, node, f64::NEG_INFINITY);
        let children = self.tree.arena.range(link.first..link.first + link.count);
        for (step, child) in children.enumerate() {
            let score = scorer.score(&self.tree.stats_of(child));
            if step == 0 || score > best.2 {
                best = (step, child, score);
            }
        }
        (best.0, best.1)
    }

    fn expand<A: Access>(
        &mut self,
        id: NodeId,
        leaf: &Node,
        state: &E::State,
        marked: bool,
    ) -> bool {
        if !leaf.claim() {
            if marked {
                self.path.iter().for_each(|node| node.undo::<A>());
            }
            return false;
        }
        self.edges.clear();
        let claimed = Claimed { leaf, path: &self.path, marked };
        let value = self.evaluator.expand(state, &mut self.edges);
        std::mem::forget(claimed);
        self.tree.expand(id, &self.edges);
        self.tree.backup_nodes::<A>(&self.path, value, marked);
        true
    }
}

/// A claim that is given back if the evaluator panics, so that nobody waits for its node.
struct Claimed<'a> {
    leaf: &'a Node,
    path: &'a [&'a Node],
    marked: bool,
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        self.leaf.publish_end();
        if self.marked {
            self.path.iter().for_each(|node| node.undo::<Together>());
        }
    }
}
