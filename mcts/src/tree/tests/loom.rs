//! Runs every interleaving of small races under loom's memory model.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p regrowth-mcts --no-default-features --lib --release loom`

use loom::sync::Arc;
use loom::thread;

use super::{edge, from_the_root};
use crate::config::{BackupWeights, FirstPlay, Selection};
use crate::select::SelectionRule;
use crate::tree::arena::{Arena, Supply};
use crate::tree::node::{Exclusive, Node, Shared};
use crate::tree::walk::{Budget, SharedTop, WalkProgress, Walker};
use crate::tree::{Claimed, Edge, Evaluator, NodeState, Tree, mean_value};

fn tree(weights: BackupWeights) -> Tree {
    let tree = Tree::new(1.0, weights);
    assert!(tree.claim(0));
    tree.expand(0, &[edge(0.25, true), edge(0.5, true)]);
    tree
}

#[test]
fn one_of_two_threads_expands_and_the_other_sees_whole_children() {
    loom::model(|| {
        let tree = Arc::new(Tree::new(1.0, BackupWeights::AtLeastOne));
        let other = tree.clone();
        let expander = thread::spawn(move || {
            let won = other.claim(0);
            if won {
                other.expand(0, &[edge(0.25, true), edge(0.5, false)]);
            }
            won
        });
        let mine = tree.claim(0);
        if mine {
            tree.expand(0, &[edge(0.25, true), edge(0.5, false)]);
        } else {
            // A reader sees no children, or all of them with their final content.
            let seen: Vec<_> = tree.children(0).map(|c| tree.edge(c)).collect();
            assert!(seen.is_empty() || seen == [edge(0.25, true), edge(0.5, false)]);
            assert!(tree.children(0).all(|c| tree.parent(c) == Some(0)));
        }
        assert_ne!(mine, expander.join().expect("joined"));
        assert_eq!(tree.state(0), NodeState::Expanded);
        assert_eq!(tree.len(), 3);
    });
}

/// Two backups that share the root.
fn race(weights: BackupWeights) {
    loom::model(move || {
        let tree = Arc::new(tree(weights));
        for path in [[0, 1], [0, 2]] {
            path.iter().for_each(|&id| tree.enter(id));
        }
        let other = tree.clone();
        let backup = thread::spawn(move || other.backup(&[0, 1]));
        tree.backup(&[0, 2]);
        backup.join().expect("joined");
        assert_eq!((tree.visits(0), tree.in_flight(0)), (2, 0));
        assert_eq!(tree.v(0), 0.375);
    });
}

#[test]
fn two_recomputed_backups_leave_the_last_value() {
    race(BackupWeights::AtLeastOne);
    race(BackupWeights::Visits);
}

#[test]
fn two_summed_backups_lose_nothing() {
    race(BackupWeights::Returns);
}

#[test]
fn a_backup_below_a_new_root_reaches_the_old_one() {
    // One thread still finishes a simulation from the old root while another thread has moved the search
    // root. Runs all interleavings with at most two preemptions; without this bound the test takes minutes.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let tree = Tree::new(1.0, BackupWeights::AtLeastOne);
        assert!(tree.claim(0));
        tree.expand(0, &[edge(0.25, false)]);
        assert!(tree.claim(1));
        tree.expand(1, &[edge(0.5, true)]);
        [0, 1, 2].iter().for_each(|&id| tree.enter(id));
        [1, 2].iter().for_each(|&id| tree.enter(id));
        let tree = Arc::new(tree);
        let other = tree.clone();
        let old = thread::spawn(move || other.backup(&[0, 1, 2]));
        tree.backup(&[1, 2]);
        old.join().expect("joined");
        assert_eq!([0, 1, 2].map(|id| tree.visits(id)), [1, 2, 2]);
        assert!([0, 1, 2].iter().all(|&id| tree.in_flight(id) == 0));
        assert_eq!((tree.v(1), tree.v(0)), (0.5, 0.75));
    });
}

#[test]
fn an_undone_simulation_leaves_the_others_counts() {
    loom::model(|| {
        let tree = Arc::new(tree(BackupWeights::Visits));
        let other = tree.clone();
        let failing = thread::spawn(move || {
            other.enter(0);
            other.enter(1);
            other.undo(&[0, 1]);
        });
        tree.enter(0);
        tree.enter(2);
        tree.backup(&[0, 2]);
        failing.join().expect("joined");
        assert_eq!(
            [0, 1, 2].map(|id| (tree.visits(id), tree.in_flight(id))),
            [(1, 0), (0, 0), (1, 0)]
        );
        assert_eq!(tree.v(0), 0.5);
    });
}

/// A game of two steps with two children each; the first child of the root is terminal.
struct Steps;

impl Evaluator for Steps {
    type State = Vec<usize>;

    fn root(&self) -> Self::State {
        Vec::new()
    }

    fn follow(&self, state: &mut Self::State, step: usize) {
        state.push(step);
    }

    fn expand(&self, state: &Self::State, edges: &mut Vec<Edge>) -> f64 {
        if state.len() < 2 {
            edges.extend([edge(0.25, state.is_empty()), edge(0.5, false)]);
        }
        0.5
    }
}

const RULE: SelectionRule =
    SelectionRule { selection: Selection::Puct, c: 1.0, first_play: FirstPlay::Own };

/// Runs one simulation if a subtree can be locked. Returns whether it ran. `run` would retry, which loom
/// could repeat forever.
fn simulate(tree: &Tree, number: u16) -> bool {
    let budget = Budget::new(1);
    let top = SharedTop::new(tree, RULE, number, 2, 1);
    let mut walker = Walker::new(tree, &Steps, RULE, 1, Some(top));
    loop {
        match walker.advance_all(&budget) {
            WalkProgress::Running => {}
            progress => return progress == WalkProgress::Done,
        }
    }
}

/// Runs `before` simulations on one thread, then two more on two threads, which both update the shared top,
/// lock a subtree below it, unlock it and promote it. `bound` is the maximum number of preemptions.
fn walk(weights: BackupWeights, before: u64, bound: Option<usize>) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = bound;
    model.check(move || {
        let tree = start(weights, before);
        let other = tree.clone();
        let second = thread::spawn(move || simulate(&other, 2));
        let first = simulate(&tree, 1);
        let second = second.join().expect("joined");
        assert!(first || second, "each was in the other's way");
        check(tree, weights, before + u64::from(first) + u64::from(second));
    });
}

fn start(weights: BackupWeights, simulations: u64) -> Arc<Tree> {
    let mut tree = Tree::new(1.0, weights);
    tree.prepare(RULE);
    assert!((0..simulations).all(|_| simulate(&tree, 1)));
    Arc::new(tree)
}

/// Checks the invariants after all threads have finished.
fn check(tree: Arc<Tree>, weights: BackupWeights, simulations: u64) {
    let mut tree = Arc::try_unwrap(tree).ok().expect("the others have left");
    tree.finalize(RULE);
    assert_eq!(tree.visits(0), simulations);
    for id in from_the_root(&tree) {
        assert_eq!((tree.in_flight(id), tree.node(id).link().owner()), (0, 0));
        let children = tree.children(id);
        if !children.is_empty() {
            let below: u64 = children.clone().map(|c| tree.visits(c)).sum();
            assert_eq!(tree.visits(id), below + 1);
            let serial = mean_value(weights, children.map(|c| (tree.visits(c), tree.q(c))));
            assert!(weights == BackupWeights::Returns || tree.v(id) == serial);
        }
    }
}

#[test]
fn walkers_that_meet_at_the_root_lose_nothing() {
    walk(BackupWeights::Returns, 0, None);
    walk(BackupWeights::AtLeastOne, 0, None);
}

#[test]
fn walkers_that_meet_in_the_trunk_lose_nothing() {
    // A bound of 3 takes two minutes and finds nothing more.
    walk(BackupWeights::Returns, 2, Some(2));
    walk(BackupWeights::AtLeastOne, 2, Some(2));
}

#[test]
fn a_walker_that_gives_up_takes_its_lease_back() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let tree = start(BackupWeights::AtLeastOne, 2);
        let other = tree.clone();
        let failing = thread::spawn(move || {
            let top = SharedTop::new(&other, RULE, 2, 2, 1);
            let mut walker = Walker::new(&other, &Steps, RULE, 1, Some(top));
            // A batch is announced, but its simulation never ends.
            assert!(walker.advance_all(&Budget::new(1)) != WalkProgress::Done);
        });
        let done = simulate(&tree, 1);
        failing.join().expect("joined");
        check(tree, BackupWeights::AtLeastOne, 2 + u64::from(done));
    });
}

#[test]
fn who_holds_a_part_sees_what_earlier_holders_did() {
    loom::model(|| {
        let tree = Arc::new(tree(BackupWeights::Returns));
        let work = |number| {
            let tree = tree.clone();
            move || {
                let subtree = tree.node(1);
                let held = subtree.lock(subtree.link(), number);
                if held {
                    subtree.complete::<Exclusive>(1, false);
                    subtree.release(false);
                }
                held
            }
        };
        let other = thread::spawn(work(2));
        let mine = work(1)();
        let visits = u64::from(mine) + u64::from(other.join().expect("joined"));
        assert!(visits > 0, "each was in the other's way");
        assert_eq!(tree.visits(1), visits);
    });
}

#[test]
fn who_finds_a_part_promoted_sees_what_its_holder_did() {
    loom::model(|| {
        let tree = Arc::new(Tree::new(1.0, BackupWeights::Returns));
        let other = tree.clone();
        let owner = thread::spawn(move || {
            let subtree = other.node(0);
            assert!(subtree.lock(subtree.link(), 2));
            other.publish(
                Claimed { id: 0, node: subtree },
                &[edge(0.25, false)],
                |count| other.arena.reserve(count),
                |_, _| {},
            );
            subtree.complete::<Exclusive>(1, false);
            other.node(1).complete::<Exclusive>(1, false);
            subtree.release(true);
        });
        let subtree = tree.node(0);
        let joins = subtree.link().is_shared();
        if joins {
            assert_eq!([0, 1].map(|id| tree.visits(id)), [1, 1]);
            assert_eq!(tree.edge(1), edge(0.25, false));
            subtree.complete::<Shared>(1, false);
        }
        owner.join().expect("joined");
        assert_eq!(tree.visits(0), 1 + u64::from(joins));
    });
}

#[test]
fn leases_that_meet_are_counted_and_taken_back() {
    loom::model(|| {
        let tree = Arc::new(tree(BackupWeights::Returns));
        let batch = |announced, done| {
            let tree = tree.clone();
            move || {
                tree.node(0).enter::<Shared>(announced);
                tree.node(0).undo::<Shared>(announced - done);
                tree.count(tree.node(0), done, Node::to_fixed(0.5) * done as i64);
            }
        };
        let other = thread::spawn(batch(3, 2));
        batch(5, 4)();
        other.join().expect("joined");
        assert_eq!((tree.visits(0), tree.in_flight(0), tree.v(0)), (6, 0, 0.5));
    });
}

#[test]
fn no_id_is_handed_out_twice_or_lost() {
    loom::model(|| {
        let arena = Arc::new(Arena::new());
        let take = |counts: &'static [u32]| {
            let arena = arena.clone();
            move || {
                let mut supply = Supply::new(&arena);
                counts.iter().flat_map(|&count| supply.take(count)).collect::<Vec<_>>()
            }
        };
        let other = thread::spawn(take(&[3, 2]));
        let mut ids = take(&[1])();
        ids.extend(other.join().expect("joined"));
        assert_eq!(arena.len() as usize, ids.len());
        ids.extend(take(&[2, 2])());
        assert_eq!(arena.len() as usize, ids.len());
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
        assert!(ids.iter().all(|&id| id < arena.end()));
    });
}
