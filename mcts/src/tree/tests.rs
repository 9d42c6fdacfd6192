//! Tests of the tree: worked values here, the guarantees of `concurrency.md` under real threads in `threads`,
//! and under loom in `loom`.

#[cfg(loom)]
mod loom;

#[cfg(not(loom))]
mod threads;

use super::*;

fn edge(reward: f64, terminal: bool) -> Edge {
    Edge { prior: 1.0, reward, terminal }
}

/// All nodes, parents before their children. Checks that no node is lost and none has two parents.
fn from_the_root(tree: &Tree) -> Vec<NodeId> {
    let mut order = vec![tree.root()];
    let mut next = 0;
    while let Some(&id) = order.get(next) {
        order.extend(tree.children(id));
        next += 1;
    }
    let seen: std::collections::BTreeSet<_> = order.iter().copied().collect();
    assert_eq!(seen.len(), order.len(), "a node with two parents");
    assert_eq!(order.len(), tree.len(), "a lost child");
    order
}

#[cfg(not(loom))]
mod serial {
    use super::*;

    #[test]
    fn backup_weights_have_the_worked_values() {
        let children = [(3, 1.2), (0, 0.3)];
        assert!((mean_value(BackupWeights::AtLeastOne, children) - 0.975).abs() < 1e-12);
        assert!((mean_value(BackupWeights::Visits, children) - 1.2).abs() < 1e-12);
        assert_eq!(mean_value(BackupWeights::Visits, [(0, 1.0)]), 0.0);
    }

    #[test]
    fn a_backup_reaches_the_start_of_its_path() {
        let tree = Tree::new(0.5, BackupWeights::AtLeastOne);
        assert!(tree.claim(0) && !tree.claim(0));
        assert_eq!(tree.expand(0, &[edge(0.2, false), edge(0.4, true)]), 1..3);
        assert!(tree.claim(1));
        tree.expand(1, &[edge(1.0, true)]);
        let path = [0, 1, 3];
        path.iter().for_each(|&id| tree.enter(id));
        tree.backup(&path);
        assert_eq!(path.map(|id| (tree.visits(id), tree.in_flight(id))), [(1, 0); 3]);
        assert_eq!(tree.q(3), 1.0);
        assert_eq!(tree.q(1), 0.2 + 0.5 * 1.0);
        assert_eq!(tree.v(0), (0.7 + 0.4) / 2.0);
        assert_eq!((tree.q(2), tree.visits(2)), (0.4, 0));
    }

    #[test]
    fn an_undone_path_leaves_no_trace() {
        let tree = Tree::new(1.0, BackupWeights::Visits);
        tree.enter(0);
        tree.undo(&[0]);
        assert_eq!((tree.visits(0), tree.in_flight(0)), (0, 0));
    }
}
