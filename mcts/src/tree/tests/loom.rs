//! Every interleaving of small races, under loom's memory model.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p regrowth-mcts --no-default-features --lib --release loom`

use loom::sync::Arc;
use loom::thread;

use super::{edge, from_the_root};
use crate::tree::walk::{Budget, Trunk, Walker, run};
use crate::tree::{Edge, Evaluator, NodeState, Tree, mean_value};
use crate::{BackupWeights, FirstPlay, Selection, SelectionRule};

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
            // A reader sees no children, or all of them as they were made.
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
    // One thread still finishes a simulation from the old root while another has re-rooted. All
    // interleavings with at most two preemptions; without the bound it takes minutes.
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

/// Two steps of two children each; the first child of the root ends the game.
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

/// Two threads that meet in the trunk, hold what is below it, give it back and promote it.
fn walk(weights: BackupWeights, before: u64) {
    let rule = SelectionRule { selection: Selection::Puct, c: 1.0, first_play: FirstPlay::Own };
    let mut model = loom::model::Builder::new();
    // Takes many minutes; see `concurrency.md`.
    model.preemption_bound = Some(1);
    model.check(move || {
        let mut tree = Tree::new(1.0, weights);
        tree.prepare(rule);
        let tree = Arc::new(tree);
        // So many alone, then one each.
        let work = |number, simulations| {
            let tree = tree.clone();
            move || {
                let trunk = Trunk::new(&tree, rule, number, 2, 1);
                run(Walker::new(&tree, &Steps, rule, 1, Some(trunk)), &Budget::new(simulations));
            }
        };
        work(1, before)();
        let other = thread::spawn(work(1, 1));
        work(2, 1)();
        other.join().expect("joined");
        let mut tree = Arc::try_unwrap(tree).ok().expect("the others have left");
        tree.settle(rule);
        assert_eq!(tree.visits(0), before + 2);
        for id in from_the_root(&tree) {
            assert_eq!(tree.in_flight(id), 0);
            let children = tree.children(id);
            let below: u64 = children.clone().map(|c| tree.visits(c)).sum();
            if !children.is_empty() {
                assert_eq!(tree.visits(id), below + 1);
                let children = children.map(|c| (tree.visits(c), tree.q(c)));
                let serial = mean_value(weights, children);
                assert!(weights == BackupWeights::Returns || tree.v(id) == serial);
            }
        }
    });
}

#[test]
fn walkers_lose_nothing_where_they_meet() {
    for before in [0, 2] {
        walk(BackupWeights::Returns, before);
        walk(BackupWeights::AtLeastOne, before);
    }
}
