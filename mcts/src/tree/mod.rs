//! The shape and the statistics of one tree: who is whose child, how often each node was visited,
//! what it is worth.
//!
//! It knows nothing of steps, policies or verifiers: an edge is a prior, a reward and whether the
//! solution ends behind it. Any number of threads may read and grow a tree at once; the protocol is
//! told in `concurrency.md`. Counts are summed, values are recomputed from them: at rest Q and V are
//! a pure function of visits and rewards, whatever the order in which backups arrived.

mod arena;
pub(crate) mod bits;
mod edge;
mod memory;
mod node;
mod walk;

use std::collections::BTreeMap;
use std::ops::Range;

use self::arena::{Arena, prefetch};
use self::bits::MOST_CHILDREN;
pub use self::edge::{Edge, NodeState};
use self::node::{Link, Node, Together};
pub use self::walk::{Evaluator, GrowOptions, grow_shared};
use crate::{BackupWeights, ChildStats, SelectionRule};

/// How far ahead of their use new nodes are called from memory: about a dozen blocks (3 KiB).
const AHEAD: usize = 64;

/// Index of a node; the root is 0.
pub type NodeId = u32;

/// A tree of statistics.
pub struct Tree {
    arena: Arena,
    gamma: f64,
    weights: BackupWeights,
    /// Rule of the walkers' last hints.
    rule: Option<SelectionRule>,
    /// Whether only walkers have changed the tree since. No part of the protocol, so not loom's:
    /// it is read by who has the tree alone.
    hinted: std::sync::atomic::AtomicBool,
}

impl Tree {
    /// Memory of one node, without its text.
    pub const NODE_BYTES: usize = size_of::<Node>();

    /// A tree that is only a root.
    #[must_use]
    pub fn new(gamma: f64, weights: BackupWeights) -> Self {
        let hinted = std::sync::atomic::AtomicBool::new(false);
        let mut tree = Self { arena: Arena::new(), gamma, weights, rule: None, hinted };
        tree.clear();
        tree
    }

    /// Makes it only a root again; its memory is kept for the next search.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.hinted = false.into();
        let root = self.arena.reserve(1).start;
        self.arena.get(root).fill(root, 1.0, 0.0, false);
    }

    /// The root of the problem.
    #[must_use]
    pub fn root(&self) -> NodeId {
        0
    }

    /// Number of nodes, the root included; while others grow the tree, some may not be published
    /// yet. Ids are the numbers below it, but where several threads have grown the tree some of
    /// those are no node's and some nodes lie above.
    #[must_use]
    pub fn len(&self) -> usize {
        self.arena.len() as usize
    }

    /// Whether the root is the only node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 1
    }

    fn node(&self, id: NodeId) -> &Node {
        self.arena.get(id)
    }

    /// Where the node stands.
    #[must_use]
    pub fn state(&self, id: NodeId) -> NodeState {
        self.node(id).link().state()
    }

    /// The node's parent; `None` for the root.
    #[must_use]
    pub fn parent(&self, id: NodeId) -> Option<NodeId> {
        (id != self.root()).then(|| self.node(id).parent())
    }

    /// The node's children, in the order in which they were proposed.
    #[must_use]
    pub fn children(&self, id: NodeId) -> Range<NodeId> {
        self.node(id).link().children()
    }

    /// Claims the node for expansion; false when somebody has it already or it has no need.
    pub fn claim(&self, id: NodeId) -> bool {
        self.node(id).claim()
    }

    /// Publishes the children of a node that the caller has claimed; returns their ids. Without
    /// edges the node turns out to be terminal.
    ///
    /// # Panics
    /// When there are 2^19 edges or more.
    pub fn expand(&self, id: NodeId, edges: &[Edge]) -> Range<NodeId> {
        debug_assert_eq!(self.state(id), NodeState::Expanding);
        self.hinted.store(false, std::sync::atomic::Ordering::Relaxed);
        let ids = |count| self.arena.reserve(count);
        self.publish(id, self.node(id), edges, ids, |_, _| {})
    }

    /// [`Tree::expand`], where the new nodes get these `ids` and each is `dressed` before others
    /// see it.
    #[inline]
    fn publish(
        &self,
        id: NodeId,
        node: &Node,
        edges: &[Edge],
        ids: impl FnOnce(u32) -> Range<NodeId>,
        dress: impl Fn(&Node, &Edge),
    ) -> Range<NodeId> {
        if edges.is_empty() {
            node.publish_end();
            return 0..0;
        }
        assert!(edges.len() <= MOST_CHILDREN, "fewer than 2^19 children");
        let ids = ids(edges.len() as u32);
        let fill = |(child, edge): (&Node, &Edge)| {
            child.fill(id, edge.prior, edge.reward, edge.terminal);
            dress(child, edge);
        };
        let split = self.arena.is_split(&ids);
        if split {
            self.arena.range(ids.clone()).zip(edges).for_each(fill);
        } else {
            // SAFETY: the ids were reserved just now and lie in one chunk.
            let children = unsafe { self.arena.slice(ids.start, edges.len() as u32) };
            // The next ones will probably lie behind these.
            prefetch(children.as_ptr().wrapping_add(AHEAD), children.len());
            children.iter().zip(edges).for_each(fill);
        }
        node.publish(ids.clone(), split);
        ids
    }

    /// Counts a simulation that has reached the node as under way; at most 65,535 at once.
    pub fn enter(&self, id: NodeId) {
        self.node(id).enter::<Together>(1);
    }

    /// Takes back [`Tree::enter`] for every node of a path whose simulation failed.
    pub fn undo(&self, path: &[NodeId]) {
        path.iter().for_each(|&id| self.node(id).undo::<Together>(1));
    }

    /// Ends a simulation whose nodes were entered: from the leaf to the start of the path, one
    /// visit more, one in flight less, and the value brought up to date; above the start of the
    /// path the value alone.
    pub fn backup(&self, path: &[NodeId]) {
        self.hinted.store(false, std::sync::atomic::Ordering::Relaxed);
        let mut value = 0.0;
        for node in path.iter().rev().map(|&id| self.node(id)) {
            self.count(node, 1, Node::to_fixed(value));
            value = node.reward() + self.gamma * value;
        }
        if self.weights == BackupWeights::Returns {
            return;
        }
        if let Some(&start) = path.first() {
            self.refresh_above(start);
        }
    }

    /// Gives steps, each told by its node, other rewards (finite numbers), and V of all above them the
    /// value that follows. Returns that were counted before keep the old ones.
    pub fn set_rewards(&mut self, rewards: &[(NodeId, f64)]) {
        *self.hinted.get_mut() = false;
        for &(id, reward) in rewards {
            debug_assert!(reward.is_finite());
            self.node(id).set_reward(reward);
        }
        if self.weights == BackupWeights::Returns {
            return;
        }
        // Siblings have the same nodes above them: once for all of them.
        let one_of_each: BTreeMap<_, _> =
            rewards.iter().map(|&(id, _)| (self.parent(id), id)).collect();
        for id in one_of_each.into_values() {
            self.refresh_above(id);
        }
    }

    /// Recomputes V of all nodes above one.
    fn refresh_above(&self, id: NodeId) {
        let mut above = self.parent(id);
        while let Some(id) = above {
            self.refresh(self.node(id), 0);
            above = self.parent(id);
        }
    }

    /// Counts `visits` that were under way and brought returns of this sum, where others may count
    /// as well.
    fn count(&self, node: &Node, visits: u64, returns: i64) {
        if self.weights == BackupWeights::Returns {
            node.add_returns::<Together>(returns);
            node.complete::<Together>(visits, true);
        } else {
            self.refresh(node, visits);
        }
    }

    /// Counts visits, or none, and recomputes V of a node from its children, again if another
    /// thread began to do so meanwhile: the last to store has seen every child's last value
    /// (`concurrency.md`, "Recomputed values").
    fn refresh(&self, node: &Node, visits: u64) {
        let mut number = node.announce(visits);
        let link = node.link();
        if link.count() == 0 {
            return;
        }
        loop {
            node.set_value(self.mean_of(link));
            let latest = node.announced();
            if latest == number {
                return;
            }
            number = latest;
        }
    }

    /// `V(s) = sum w_c Q_c / sum w_c` (method, section 1).
    fn mean_of(&self, link: Link) -> f64 {
        let stats = |child: &Node| (child.counts().0, self.q_of(child));
        match self.children_of(link) {
            Some(children) => mean_value(self.weights, children.iter().map(stats)),
            None => mean_value(self.weights, self.arena.range(link.children()).map(stats)),
        }
    }

    /// The children that a node's link tells of; `None` if they lie in two chunks.
    #[inline]
    fn children_of(&self, link: Link) -> Option<&[Node]> {
        // SAFETY: 1. links are made by `publish` alone, which says whether they are split, and were
        // loaded with Acquire; 2. a node without children has the range 0..0, and the chunk of the
        // root is there.
        (!link.is_split()).then(|| unsafe { self.arena.slice(link.first(), link.count()) })
    }

    fn v_of(&self, node: &Node) -> f64 {
        match (self.weights, node.counts().0) {
            (BackupWeights::Returns, 0) => 0.0,
            (BackupWeights::Returns, visits) => node.sum() / f64::from(visits as u32),
            _ => node.value(),
        }
    }

    fn q_of(&self, node: &Node) -> f64 {
        node.reward() + self.gamma * self.v_of(node)
    }

    /// `Q(s, a) = r(s, a) + gamma V(s')`.
    #[must_use]
    pub fn q(&self, id: NodeId) -> f64 {
        self.q_of(self.node(id))
    }

    /// V of the node's state; 0 where nothing below it is known.
    #[must_use]
    pub fn v(&self, id: NodeId) -> f64 {
        self.v_of(self.node(id))
    }

    /// Completed visits of the node.
    #[must_use]
    pub fn visits(&self, id: NodeId) -> u64 {
        self.node(id).counts().0
    }

    /// Visits of the node that are under way.
    #[must_use]
    pub fn in_flight(&self, id: NodeId) -> u64 {
        self.node(id).counts().1
    }

    /// The node's edge, with its last reward.
    #[must_use]
    pub fn edge(&self, id: NodeId) -> Edge {
        let node = self.node(id);
        let terminal = node.link().state() == NodeState::Terminal;
        Edge { prior: node.prior(), reward: node.reward(), terminal }
    }

    /// What selection sees of the node.
    #[must_use]
    pub fn stats(&self, id: NodeId) -> ChildStats {
        self.stats_of(self.node(id))
    }

    fn stats_of(&self, node: &Node) -> ChildStats {
        let (visits, in_flight) = node.counts();
        let v = self.v_of(node);
        let prior = f64::from(node.prior());
        ChildStats { prior, visits, in_flight, q: node.reward() + self.gamma * v, v }
    }
}

/// Weighted mean of children's Q, each given as (visits, Q) in creation order; 0 when all weights
/// are 0 (method, section 1, both forms; returns weigh like visits).
#[must_use]
pub fn mean_value(weights: BackupWeights, children: impl IntoIterator<Item = (u64, f64)>) -> f64 {
    let (mut sum, mut total) = (0.0, 0.0);
    for (visits, q) in children {
        let weight = match weights {
            BackupWeights::AtLeastOne => visits.max(1),
            BackupWeights::Visits | BackupWeights::Returns => visits,
        } as f64;
        sum += weight * q;
        total += weight;
    }
    if total > 0.0 { sum / total } else { 0.0 }
}

#[cfg(test)]
mod tests;
