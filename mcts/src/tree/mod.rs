//! One search tree: parents and children, visit counts, Q and V.
//!
//! An edge holds a prior, a reward and whether the child is terminal; the caller keeps the texts of the steps
//! ([`crate::TreeSearch`]). Any number of threads may read and grow a tree at once, following the protocol in
//! `mcts/concurrency.md`. A backup adds to visit counts and recomputes V from the children. So once no
//! simulation is in flight, Q and V are a pure function of visits and rewards, whatever the order of the
//! backups (except with [`BackupWeights::Returns`], which sums returns instead).

mod arena;
pub(crate) mod bits;
mod edge;
mod memory;
mod node;
mod walk;

use std::collections::BTreeMap;
use std::ops::Range;

use self::arena::{Arena, prefetch};
use self::bits::MAX_CHILDREN;
pub use self::edge::{Edge, NodeState};
use self::node::{Link, Node, Shared};
pub use self::walk::{Evaluator, GrowOptions, grow_shared};
use crate::config::BackupWeights;
use crate::select::{ChildStats, SelectionRule};

/// Prefetch distance for new nodes, in nodes: about a dozen expansions (3 KiB).
const AHEAD: usize = 64;

/// Index of a node; the root is 0.
pub type NodeId = u32;

/// A node that the caller has claimed for expansion.
#[derive(Clone, Copy)]
struct Claimed<'a> {
    id: NodeId,
    node: &'a Node,
}

/// A search tree: the shape, visits and values of its nodes.
pub struct Tree {
    arena: Arena,
    /// Discount: `Q = r + gamma V`.
    gamma: f64,
    weights: BackupWeights,
    /// Rule used to compute the cached score terms ([`crate::select::ScoreTerms`]).
    rule: Option<SelectionRule>,
    /// Whether the cached score terms are current, i.e. since they were all computed, only the threads of
    /// [`grow_shared`] (which update the terms) have changed the tree. Read only through `&mut`, so it needs no loom atomic.
    scored: std::sync::atomic::AtomicBool,
}

impl Tree {
    /// Bytes of one node, without its text.
    pub const NODE_BYTES: usize = size_of::<Node>();

    /// A tree with only a root.
    #[must_use]
    pub fn new(gamma: f64, weights: BackupWeights) -> Self {
        let scored = std::sync::atomic::AtomicBool::new(false);
        let mut tree = Self { arena: Arena::new(), gamma, weights, rule: None, scored };
        tree.clear();
        tree
    }

    /// Removes all nodes except the root; keeps the memory for the next search.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.scored = false.into();
        let root = self.arena.reserve(1).start;
        self.arena.get(root).fill(root, 1.0, 0.0, false);
    }

    /// Id of the root, the state before any step.
    #[must_use]
    pub fn root(&self) -> NodeId {
        0
    }

    /// Number of nodes, including the root. While other threads grow the tree, some of these nodes may not be
    /// published yet. Ids are `0..len()` if one thread grew the tree. Several threads leave gaps, so ids may
    /// be larger.
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

    /// Expansion state of the node.
    #[must_use]
    pub fn state(&self, id: NodeId) -> NodeState {
        self.node(id).link().state()
    }

    /// Parent of the node; `None` for the root.
    #[must_use]
    pub fn parent(&self, id: NodeId) -> Option<NodeId> {
        (id != self.root()).then(|| self.node(id).parent())
    }

    /// Children of the node, in the order in which they were proposed.
    #[must_use]
    pub fn children(&self, id: NodeId) -> Range<NodeId> {
        self.node(id).link().children()
    }

    /// Claims the node for expansion. Returns false if it is terminal, expanded or already claimed.
    pub fn claim(&self, id: NodeId) -> bool {
        self.node(id).claim()
    }

    /// Adds and publishes the children of a node that the caller has claimed. Returns their ids. If `edges`
    /// is empty, the node becomes terminal.
    ///
    /// # Panics
    /// If there are 2^19 edges or more.
    pub fn expand(&self, id: NodeId, edges: &[Edge]) -> Range<NodeId> {
        debug_assert_eq!(self.state(id), NodeState::Expanding);
        self.scored.store(false, std::sync::atomic::Ordering::Relaxed);
        let ids = |count| self.arena.reserve(count);
        self.publish(Claimed { id, node: self.node(id) }, edges, ids, |_, _| {})
    }

    /// [`Tree::expand`] with two hooks: `ids` reserves the ids, and `init_child` initialises each new node
    /// before it is published.
    #[inline]
    fn publish(
        &self,
        Claimed { id, node }: Claimed,
        edges: &[Edge],
        ids: impl FnOnce(u32) -> Range<NodeId>,
        init_child: impl Fn(&Node, &Edge),
    ) -> Range<NodeId> {
        if edges.is_empty() {
            node.publish_end();
            return 0..0;
        }
        assert!(edges.len() <= MAX_CHILDREN, "fewer than 2^19 children");
        let ids = ids(edges.len() as u32);
        let fill = |(child, edge): (&Node, &Edge)| {
            child.fill(id, edge.prior, edge.reward, edge.terminal);
            init_child(child, edge);
        };
        // Whether the children lie in more than one chunk, so that they are not one slice.
        let split = self.arena.is_split(&ids);
        if split {
            self.arena.range(ids.clone()).zip(edges).for_each(fill);
        } else {
            // SAFETY: the ids were reserved just now and lie in one chunk.
            let children = unsafe { self.arena.slice(ids.start, edges.len() as u32) };
            // The next expansion will probably use the nodes after these.
            prefetch(children.as_ptr().wrapping_add(AHEAD), children.len());
            children.iter().zip(edges).for_each(fill);
        }
        node.publish(ids.clone(), split);
        ids
    }

    /// Adds an in-flight visit to the node. A node holds at most 65,535 in-flight visits.
    pub fn enter(&self, id: NodeId) {
        self.node(id).enter::<Shared>(1);
    }

    /// Removes the in-flight visit from every node of a path whose simulation failed.
    pub fn undo(&self, path: &[NodeId]) {
        path.iter().for_each(|&id| self.node(id).undo::<Shared>(1));
    }

    /// Backs up a simulation whose nodes were entered ([`Tree::enter`]). On each node of the path, one
    /// in-flight visit becomes a completed visit and V is updated. On the ancestors of the path, only V is
    /// recomputed; with [`BackupWeights::Returns`], nothing changes there.
    pub fn backup(&self, path: &[NodeId]) {
        self.scored.store(false, std::sync::atomic::Ordering::Relaxed);
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

    /// Overwrites the rewards (finite numbers) of these nodes and recomputes V of their ancestors.
    /// Return sums already accumulated are not revised.
    pub fn set_rewards(&mut self, rewards: &[(NodeId, f64)]) {
        *self.scored.get_mut() = false;
        for &(id, reward) in rewards {
            debug_assert!(reward.is_finite());
            self.node(id).set_reward(reward);
        }
        if self.weights == BackupWeights::Returns {
            return;
        }
        // Siblings have the same ancestors: recompute those once per parent.
        let one_of_each: BTreeMap<_, _> =
            rewards.iter().map(|&(id, _)| (self.parent(id), id)).collect();
        for id in one_of_each.into_values() {
            self.refresh_above(id);
        }
    }

    /// Recomputes V of all ancestors of a node.
    fn refresh_above(&self, id: NodeId) {
        let mut above = self.parent(id);
        while let Some(id) = above {
            self.refresh(self.node(id), 0);
            above = self.parent(id);
        }
    }

    /// Completes `visits` in-flight visits whose returns sum to `returns` (fixed-point number). Safe while
    /// other threads do the same.
    fn count(&self, node: &Node, visits: u64, returns: i64) {
        if self.weights == BackupWeights::Returns {
            node.add_returns::<Shared>(returns);
            node.complete::<Shared>(visits, true);
        } else {
            self.refresh(node, visits);
        }
    }

    /// Completes `visits` in-flight visits (0 or more) and recomputes V of a node from its children. Repeats
    /// if another thread began a recomputation meanwhile, so the value stored last was computed from the
    /// latest value of every child. `announce` counts recomputations begun (`concurrency.md`, "Recomputed
    /// values").
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

    /// `V(s) = sum w_c Q_c / sum w_c` over the children ([`mean_value`]).
    fn mean_of(&self, link: Link) -> f64 {
        let stats = |child: &Node| (child.counts().0, self.q_of(child));
        match self.children_of(link) {
            Some(children) => mean_value(self.weights, children.iter().map(stats)),
            None => mean_value(self.weights, self.arena.range(link.children()).map(stats)),
        }
    }

    /// The node's children as one slice; `None` if they lie in two chunks.
    #[inline]
    fn children_of(&self, link: Link) -> Option<&[Node]> {
        // SAFETY: 1. only `publish` makes links, and it records whether the children are split between
        // chunks; the link was loaded with Acquire; 2. a node without children has the range 0..0, and the
        // chunk of the root exists.
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

    /// V of the node's state. 0 if the node has no children (with [`BackupWeights::Returns`]: no visits).
    #[must_use]
    pub fn v(&self, id: NodeId) -> f64 {
        self.v_of(self.node(id))
    }

    /// Completed visits of the node.
    #[must_use]
    pub fn visits(&self, id: NodeId) -> u64 {
        self.node(id).counts().0
    }

    /// In-flight visits of the node.
    #[must_use]
    pub fn in_flight(&self, id: NodeId) -> u64 {
        self.node(id).counts().1
    }

    /// Edge of the node, with the current reward ([`Tree::set_rewards`]).
    #[must_use]
    pub fn edge(&self, id: NodeId) -> Edge {
        let node = self.node(id);
        let terminal = node.link().state() == NodeState::Terminal;
        Edge { prior: node.prior(), reward: node.reward(), terminal }
    }

    /// Statistics of the node that selection reads.
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

/// Mean of the children's Q, weighted by `weights`; 0 if all weights are 0. `children` gives (visits, Q) in
/// creation order. [`BackupWeights::Returns`] weights like [`BackupWeights::Visits`].
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
