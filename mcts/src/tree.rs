//! The shape and the statistics of one tree: who is whose child, how often each node was visited,
//! what it is worth.
//!
//! It knows nothing of steps, policies or verifiers: an edge is a prior, a reward and whether the
//! solution ends behind it. Counts are summed, values are recomputed from them: Q and V are a pure
//! function of visits and rewards, so the order in which backups arrive cannot change them.

use std::ops::Range;

use crate::{BackupWeights, ChildStats};

/// Index of a node in creation order; the root is 0.
pub type NodeId = u32;

/// What is known of a step when its node is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    /// Prior of the step.
    pub prior: f64,
    /// Reward r(s, a) of the step.
    pub reward: f64,
    /// Whether the solution ends with the step.
    pub terminal: bool,
}

/// Where a node stands; it only ever moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// Nobody has asked for its children.
    Unexpanded,
    /// Somebody is fetching its children.
    Expanding,
    /// It has children.
    Expanded,
    /// It has none and never will.
    Terminal,
}

#[derive(Debug, Clone)]
struct Node {
    edge: Edge,
    parent: Option<NodeId>,
    children: Range<NodeId>,
    state: NodeState,
    visits: u64,
    in_flight: u64,
    value: f64,
}

/// A tree of statistics.
#[derive(Debug, Clone)]
pub struct Tree {
    nodes: Vec<Node>,
    gamma: f64,
    weights: BackupWeights,
}

impl Tree {
    /// A tree that is only a root.
    #[must_use]
    pub fn new(gamma: f64, weights: BackupWeights) -> Self {
        let mut tree = Self { nodes: Vec::new(), gamma, weights };
        tree.push(None, Edge { prior: 1.0, reward: 0.0, terminal: false });
        tree
    }

    /// The root of the problem.
    #[must_use]
    pub fn root(&self) -> NodeId {
        0
    }

    /// Number of nodes, the root included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether the root is the only node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    fn push(&mut self, parent: Option<NodeId>, edge: Edge) {
        let state = if edge.terminal { NodeState::Terminal } else { NodeState::Unexpanded };
        self.nodes.push(Node {
            edge,
            parent,
            children: 0..0,
            state,
            visits: 0,
            in_flight: 0,
            value: 0.0,
        });
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    /// Where the node stands.
    #[must_use]
    pub fn state(&self, id: NodeId) -> NodeState {
        self.node(id).state
    }

    /// The node's parent; `None` for the root.
    #[must_use]
    pub fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).parent
    }

    /// The node's children, in the order in which they were proposed.
    #[must_use]
    pub fn children(&self, id: NodeId) -> Range<NodeId> {
        self.node(id).children.clone()
    }

    /// Claims the node for expansion; false when somebody has it already or it has no need.
    pub fn claim(&mut self, id: NodeId) -> bool {
        let free = self.node(id).state == NodeState::Unexpanded;
        if free {
            self.node_mut(id).state = NodeState::Expanding;
        }
        free
    }

    /// Publishes the children of a claimed node, at least one; returns their ids.
    pub fn expand(&mut self, id: NodeId, edges: &[Edge]) -> Range<NodeId> {
        debug_assert_eq!(self.state(id), NodeState::Expanding);
        debug_assert!(!edges.is_empty());
        let first = self.nodes.len() as NodeId;
        for edge in edges {
            self.push(Some(id), *edge);
        }
        let children = first..self.nodes.len() as NodeId;
        let node = self.node_mut(id);
        node.children = children.clone();
        node.state = NodeState::Expanded;
        children
    }

    /// Counts a simulation that has reached the node as under way.
    pub fn enter(&mut self, id: NodeId) {
        self.node_mut(id).in_flight += 1;
    }

    /// Takes back [`Tree::enter`] for every node of a path whose simulation failed.
    pub fn undo(&mut self, path: &[NodeId]) {
        for &id in path {
            self.node_mut(id).in_flight -= 1;
        }
    }

    /// Ends a simulation: from the leaf to the start of the path, one visit more, one in flight
    /// less, and V of every node recomputed; above the start of the path V alone.
    pub fn backup(&mut self, path: &[NodeId]) {
        for &id in path.iter().rev() {
            self.node_mut(id).value = self.value_from_children(id);
            let node = self.node_mut(id);
            node.visits += 1;
            node.in_flight -= 1;
        }
        let mut above = path.first().and_then(|&id| self.parent(id));
        while let Some(id) = above {
            self.node_mut(id).value = self.value_from_children(id);
            above = self.parent(id);
        }
    }

    /// `V(s) = sum w_c Q_c / sum w_c` over all children (method, section 1).
    fn value_from_children(&self, id: NodeId) -> f64 {
        let children = self.children(id).map(|c| (self.node(c).visits, self.q(c)));
        mean_value(self.weights, children)
    }

    /// `Q(s, a) = r(s, a) + gamma V(s')`.
    #[must_use]
    pub fn q(&self, id: NodeId) -> f64 {
        let node = self.node(id);
        node.edge.reward + self.gamma * node.value
    }

    /// V of the node's state; 0 where it has no visited child.
    #[must_use]
    pub fn v(&self, id: NodeId) -> f64 {
        self.node(id).value
    }

    /// Completed visits of the node.
    #[must_use]
    pub fn visits(&self, id: NodeId) -> u64 {
        self.node(id).visits
    }

    /// Visits of the node that are under way.
    #[must_use]
    pub fn in_flight(&self, id: NodeId) -> u64 {
        self.node(id).in_flight
    }

    /// The node's edge as it was made.
    #[must_use]
    pub fn edge(&self, id: NodeId) -> Edge {
        self.node(id).edge
    }

    /// What selection sees of the node.
    #[must_use]
    pub fn stats(&self, id: NodeId) -> ChildStats {
        let node = self.node(id);
        ChildStats {
            prior: node.edge.prior,
            visits: node.visits,
            in_flight: node.in_flight,
            q: self.q(id),
            v: node.value,
        }
    }
}

/// Weighted mean of children's Q, each given as (visits, Q) in creation order; 0 when all weights
/// are 0 (method, section 1, both forms).
#[must_use]
pub fn mean_value(weights: BackupWeights, children: impl IntoIterator<Item = (u64, f64)>) -> f64 {
    let (mut sum, mut total) = (0.0, 0.0);
    for (visits, q) in children {
        let weight = match weights {
            BackupWeights::AtLeastOne => visits.max(1),
            BackupWeights::Visits => visits,
        } as f64;
        sum += weight * q;
        total += weight;
    }
    if total > 0.0 { sum / total } else { 0.0 }
}

#[cfg(test)]
mod tests {
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
        let mut tree = Tree::new(0.5, BackupWeights::AtLeastOne);
        assert!(tree.claim(0) && !tree.claim(0));
        let edge = |reward, terminal| Edge { prior: 1.0, reward, terminal };
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
        let mut tree = Tree::new(1.0, BackupWeights::Visits);
        tree.enter(0);
        tree.undo(&[0]);
        assert_eq!((tree.visits(0), tree.in_flight(0)), (0, 0));
    }
}
