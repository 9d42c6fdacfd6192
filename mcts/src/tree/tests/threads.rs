//! Sixteen threads on one tree, under the invariants of `concurrency.md`.

use std::sync::atomic::{AtomicU64, Ordering};

use super::from_the_root;
use crate::config::{BackupWeights, FirstPlay, Selection};
use crate::select::SelectionRule;
use crate::tree::walk::{Budget, SharedTop, WalkProgress, Walker, grow};
use crate::tree::{Edge, NodeState, Tree, mean_value};
use crate::tree::{Evaluator, GrowOptions};

/// A game whose states are hashes: branching factor 4, depth 12. The field is the root's hash.
struct Hashes(u64);

fn mix(hash: u64, step: u64) -> u64 {
    let mut z = hash.wrapping_add(step).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z ^= z >> 29;
    z = z.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 32)
}

fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

impl Evaluator for Hashes {
    type State = (u64, u32);

    fn root(&self) -> Self::State {
        (self.0, 0)
    }

    fn follow(&self, state: &mut Self::State, step: usize) {
        *state = (mix(state.0, step as u64 + 1), state.1 + 1);
    }

    fn expand(&self, state: &Self::State, edges: &mut Vec<Edge>) -> f64 {
        for step in 0..if state.1 < 12 { 4 } else { 0 } {
            let hash = mix(state.0, step + 9);
            let reward = 2.0 * unit(mix(hash, 1)) - 1.0;
            edges.push(Edge {
                prior: unit(hash) as f32,
                reward,
                terminal: hash.is_multiple_of(17),
            });
        }
        unit(mix(state.0, 99))
    }
}

const RULE: SelectionRule =
    SelectionRule { selection: Selection::Puct, c: 1.5, first_play: FirstPlay::Own };

/// Checks the invariants: a parent's visits are those of its children plus its own; nothing is in flight; no
/// child is lost or has two parents; stored values equal a serial recomputation from the leaves, bit for bit.
fn check(tree: &Tree, weights: BackupWeights, gamma: f64, simulations: u64) {
    assert_eq!(tree.visits(0), simulations);
    let order = from_the_root(tree);
    let mut values = vec![0.0; tree.arena.end() as usize];
    for &id in order.iter().rev() {
        assert_ne!(tree.state(id), NodeState::Expanding);
        assert_eq!(tree.in_flight(id), 0);
        assert!(tree.children(id).all(|child| tree.parent(child) == Some(id)));
        let visits: u64 = tree.children(id).map(|c| tree.visits(c)).sum();
        // A node's own visit is the one that expanded it; a terminal node keeps all its visits as its own.
        let own = tree.visits(id) - visits;
        match tree.state(id) {
            NodeState::Expanded => assert_eq!(own, 1),
            NodeState::Unexpanded => assert_eq!(own, 0),
            _ => {}
        }
        let children = tree.children(id);
        let q = |c: u32| tree.edge(c).reward + gamma * values[c as usize];
        values[id as usize] = mean_value(weights, children.map(|c| (tree.visits(c), q(c))));
        if weights != BackupWeights::Returns {
            assert_eq!(tree.v(id).to_bits(), values[id as usize].to_bits());
        }
    }
}

#[test]
fn sixteen_threads_leave_a_consistent_tree() {
    for weights in [BackupWeights::AtLeastOne, BackupWeights::Visits, BackupWeights::Returns] {
        for leaves_in_flight in [1, 8] {
            let mut tree = Tree::new(0.9, weights);
            // Alternate thread counts, so that several threads also start on an existing tree, and one thread
            // on a tree that several have grown.
            for (round, threads) in [16, 1, 16].into_iter().enumerate() {
                let options = GrowOptions { threads, leaves_in_flight };
                grow(&mut tree, &Hashes(1), RULE, 20_000, options);
                check(&tree, weights, 0.9, 20_000 * (round as u64 + 1));
            }
        }
    }
}

#[test]
fn other_rules_and_a_small_tree_are_no_obstacle() {
    let first_play = [FirstPlay::Own, FirstPlay::Fixed(0.25), FirstPlay::BelowParent(0.5)];
    let mut tree = Tree::new(1.0, BackupWeights::Returns);
    let mut done = 0;
    for selection in [Selection::Uct, Selection::Puct] {
        for first_play in first_play {
            for simulations in [0, 1, 3, 300] {
                let rule = SelectionRule { selection, c: 1.0, first_play };
                let options = GrowOptions { threads: 4, leaves_in_flight: 3 };
                grow(&mut tree, &Hashes(1), rule, simulations, options);
                done += simulations;
                check(&tree, BackupWeights::Returns, 1.0, done);
            }
        }
    }
    tree.clear();
    assert!(tree.is_empty());
    grow(&mut tree, &Hashes(1), RULE, 100, GrowOptions::default());
    check(&tree, BackupWeights::Returns, 1.0, 100);
}

#[test]
fn one_thread_grows_the_same_tree_every_time() {
    let grow = |leaves_in_flight| {
        let mut tree = Tree::new(1.0, BackupWeights::Returns);
        let options = GrowOptions { threads: 1, leaves_in_flight };
        // In two calls: the second call needs nothing but the tree that the first one has grown.
        grow(&mut tree, &Hashes(1), RULE, 2_000, options);
        grow(&mut tree, &Hashes(1), RULE, 3_000, options);
        check(&tree, BackupWeights::Returns, 1.0, 5_000);
        (0..tree.len() as u32).map(|id| (tree.visits(id), tree.v(id).to_bits())).collect::<Vec<_>>()
    };
    assert_eq!(grow(1), grow(1));
    assert_eq!(grow(8), grow(8));
    assert_ne!(grow(1), grow(8));
}

/// Two walkers on one tree, run by this thread: in each round `turns[0]` turns of the first and `turns[1]` of
/// the second, so no scheduler is involved. Returns the value of the root, and the share of turns in which
/// the other walker had locked everything.
fn in_turns(root: u64, leaves: usize, turns: [usize; 2]) -> (f64, f64) {
    let mut tree = Tree::new(1.0, BackupWeights::Returns);
    tree.prepare(RULE);
    let (budget, game) = (Budget::new(SIMULATIONS), Hashes(root));
    let walker = |number| {
        let top = SharedTop::new(&tree, RULE, number, 2, leaves);
        Walker::new(&tree, &game, RULE, leaves, Some(top))
    };
    let mut walkers = [walker(1), walker(2)];
    let (mut all, mut busy, mut over) = (0, 0, false);
    while !over {
        over = true;
        for (walker, turns) in walkers.iter_mut().zip(turns) {
            for _ in 0..turns {
                let progress = walker.advance_all(&budget);
                all += 1;
                busy += u64::from(progress == WalkProgress::Blocked);
                over &= progress == WalkProgress::Done;
            }
        }
        assert!(all < 100 * SIMULATIONS, "each waits for the other");
    }
    drop(walkers);
    tree.finalize(RULE);
    check(&tree, BackupWeights::Returns, 1.0, SIMULATIONS);
    (tree.v(0), busy as f64 / all as f64)
}

const SIMULATIONS: u64 = 5_000;

/// Means over 100 trees with different roots.
fn mean(of: impl Fn(u64) -> (f64, f64)) -> (f64, f64) {
    let sum = |(a, b): (f64, f64), (c, d): (f64, f64)| (a + c, b + d);
    let (value, share) = (1..=100).map(of).fold((0.0, 0.0), sum);
    (value / 100.0, share / 100.0)
}

#[test]
fn two_threads_find_what_one_with_as_many_leaves_in_flight_does() {
    // The figures of `concurrency.md`. Two faults would exceed the losses allowed here: a thread that passes
    // over its own subtree, and batches as large as the number of visits of their subtree.
    let allowed = [(1, [1, 1], 0.13), (8, [1, 1], 0.1), (8, [5, 5], 0.1), (8, [1, 3], 0.45)];
    for (leaves, turns, loss) in allowed {
        let alone = |root| {
            let mut tree = Tree::new(1.0, BackupWeights::Returns);
            let options = GrowOptions { threads: 1, leaves_in_flight: 2 * leaves };
            grow(&mut tree, &Hashes(root), RULE, SIMULATIONS, options);
            (tree.v(0), 0.0)
        };
        let (one, _) = mean(alone);
        let (two, busy) = mean(|root| in_turns(root, leaves, turns));
        assert!(two > one - loss, "{leaves} {turns:?}: {two} {one}");
        assert!(busy < 0.05, "{leaves} {turns:?}: {busy}");
    }
}

#[test]
fn sums_of_returns_do_not_depend_on_their_order() {
    // Backing up the same paths with many threads gives the same bits as a serial backup.
    let build = || {
        let tree = Tree::new(1.0, BackupWeights::Returns);
        assert!(tree.claim(0));
        let edge = |reward| Edge { prior: 1.0, reward, terminal: true };
        tree.expand(0, &[edge(0.1), edge(-0.7), edge(0.3)]);
        tree
    };
    let (serial, parallel) = (build(), build());
    let paths: Vec<[u32; 2]> = (0..3000).map(|i| [0, 1 + i % 3]).collect();
    for path in &paths {
        path.iter().for_each(|&id| serial.enter(id));
        serial.backup(path);
    }
    std::thread::scope(|scope| {
        for subtree in paths.chunks(300) {
            let tree = &parallel;
            scope.spawn(move || {
                for path in subtree.iter().rev() {
                    path.iter().for_each(|&id| tree.enter(id));
                    tree.backup(path);
                }
            });
        }
    });
    assert_eq!(serial.v(0).to_bits(), parallel.v(0).to_bits());
}

#[test]
fn a_node_takes_48_bytes() {
    assert_eq!(Tree::NODE_BYTES, 48);
}

#[test]
fn a_panic_in_the_evaluator_leaves_a_consistent_tree() {
    for (threads, leaves_in_flight) in [(1, 1), (1, 8), (4, 1), (4, 8)] {
        for fault in [Fault::Root, Fault::Follow, Fault::Expand] {
            brittle(GrowOptions { threads, leaves_in_flight }, fault);
        }
    }
}

/// The method of the evaluator that panics.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Root,
    Follow,
    Expand,
}

fn brittle(options: GrowOptions, fault: Fault) {
    /// Panics at one state, or (for `root`) at one call.
    struct Brittle(Fault, AtomicU64);
    impl Evaluator for Brittle {
        type State = (u64, u32);
        fn root(&self) -> Self::State {
            let begun = self.1.fetch_add(1, Ordering::Relaxed);
            assert!(self.0 != Fault::Root || begun != 1_000, "a fault on purpose");
            Hashes(1).root()
        }
        fn follow(&self, state: &mut Self::State, step: usize) {
            Hashes(1).follow(state, step);
            assert!(self.0 != Fault::Follow || state.0 % 101 != 5, "a fault on purpose");
        }
        fn expand(&self, state: &Self::State, edges: &mut Vec<Edge>) -> f64 {
            assert!(self.0 != Fault::Expand || state.0 % 101 != 5, "a fault on purpose");
            Hashes(1).expand(state, edges)
        }
    }
    let mut tree = Tree::new(1.0, BackupWeights::Visits);
    let evaluator = Brittle(fault, AtomicU64::new(0));
    let broken = std::panic::AssertUnwindSafe(|| grow(&mut tree, &evaluator, RULE, 3_000, options));
    assert!(std::panic::catch_unwind(broken).is_err());
    for id in from_the_root(&tree) {
        assert_eq!((tree.in_flight(id), tree.node(id).link().owner()), (0, 0), "{fault:?}");
        assert_ne!(tree.state(id), NodeState::Expanding);
    }
    // Afterwards, no node is locked: more simulations run.
    let before = tree.visits(0);
    grow(&mut tree, &Hashes(1), RULE, 500, options);
    assert_eq!(tree.visits(0), before + 500);
}
