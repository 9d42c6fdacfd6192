//! The few nodes near the root that all threads update.
//!
//! Every subtree below the shared top is locked by one thread at a time. In the shared top, visits
//! are counted by atomic additions, a batch at a time: a thread announces a number of simulations
//! on the path to its subtree as in-flight visits, runs them, and adds their returns at once. So
//! the counters that all threads read change rarely, and each thread sees the batches of the others
//! as unobserved samples (WU-UCT, arXiv:1810.11755).

use super::walker::score;
use crate::select::SelectionRule;
use crate::tree::bits::MAX_IN_FLIGHT;
use crate::tree::node::{Link, Node, Shared};
use crate::tree::{NodeId, NodeState, Tree};

/// A subtree has at most `1 / (SUBTREES * threads)` of the tree's visits, so there are enough of
/// them that threads rarely want the same one.
const SUBTREES: u64 = 8;
/// A batch is `1 / BATCH_SHARE` of the visits of its subtree. Measured: with batches half as long,
/// two threads lose a seventh of their speed to cache traffic.
const BATCH_SHARE: u64 = 8;
/// Largest batch. Measured: larger ones gain nothing.
const MAX_BATCH: u64 = 512;

/// One thread's view of the shared top.
pub(in crate::tree) struct SharedTop<'a> {
    tree: &'a Tree,
    rule: SelectionRule,
    /// This thread's number, from 1.
    number: u16,
    threads: u64,
    /// Largest batch for which the in-flight visits of all threads fit the counter of the root.
    most: u64,
    /// Visits from which a node joins the shared top.
    threshold: u64,
    /// Children of the current node that other threads have locked.
    busy: Vec<usize>,
}

/// Simulations of one subtree whose visits are announced in the shared top together.
pub(super) struct VisitBatch<'a> {
    /// From the root to the parent of the subtree.
    pub(super) path: Vec<PathNode<'a>>,
    pub(super) subtree: NodeId,
    /// Root of the subtree.
    pub(super) node: &'a Node,
    /// Simulations announced and not flushed.
    announced: u64,
    /// Of these, not started.
    pub(super) left: u64,
    /// Of these, finished.
    done: u64,
}

/// A node of the shared top on the path to a subtree.
pub(super) struct PathNode<'a> {
    node: &'a Node,
    /// Index of the child that the path takes.
    pub(super) step: usize,
    /// Reward of the step that leads to the node.
    reward: f64,
    /// Sum of the returns of the finished simulations (fixed point).
    returns: i64,
}

impl<'a> VisitBatch<'a> {
    pub(super) fn new(node: &'a Node, subtree: NodeId) -> Self {
        Self { path: vec![], subtree, node, announced: 0, left: 0, done: 0 }
    }

    /// Adds simulations to the batch.
    pub(super) fn add(&mut self, simulations: u64) {
        self.announced += simulations;
        self.left += simulations;
    }

    /// Whether a simulation of the batch is running or still to start.
    pub(super) fn is_live(&self) -> bool {
        self.announced > self.done
    }

    /// Records the end of a simulation whose return at the subtree's root is `value`.
    #[inline]
    pub(super) fn end(&mut self, mut value: f64, gamma: f64) {
        self.done += 1;
        for node in self.path.iter_mut().rev() {
            node.returns = node.returns.wrapping_add(Node::to_fixed(value));
            value = node.reward + gamma * value;
        }
    }
}

impl<'a> SharedTop<'a> {
    pub(in crate::tree) fn new(
        tree: &'a Tree,
        rule: SelectionRule,
        number: u16,
        threads: u16,
        leaves: usize,
    ) -> Self {
        let threads = u64::from(threads);
        // A thread has at most one batch for each descent, and one that is being opened.
        let most = (MAX_IN_FLIGHT / (threads * (leaves as u64 + 1))).clamp(1, MAX_BATCH);
        Self { tree, rule, number, threads, most, threshold: 1, busy: vec![] }
    }

    /// Selects through the shared top down to the first node below it that is free, and locks it.
    /// `None` when other threads have locked all candidates, or when simulations in flight have to
    /// end first.
    pub(super) fn find(&mut self, path: &mut Vec<PathNode<'a>>) -> Option<(NodeId, &'a Node)> {
        path.clear();
        let mut id = self.tree.root();
        let mut node = self.tree.node(id);
        self.threshold = 1 + node.counts().0 / (SUBTREES * self.threads);
        loop {
            let link = node.link();
            if !link.is_shared() {
                // Only the root can be unlocked here.
                return (!path.is_empty() || self.lock(node, link)).then_some((id, node));
            }
            let (step, child) = self.pick(node, link)?;
            path.push(PathNode { node, step, reward: node.reward(), returns: 0 });
            id = link.first() + step as NodeId;
            node = child;
        }
    }

    /// The child with the highest score of those that are in the shared top, locked by this thread,
    /// or free and now locked by it.
    fn pick(&mut self, node: &'a Node, link: Link) -> Option<(usize, &'a Node)> {
        let (visits, in_flight) = node.counts();
        let scale = self.rule.scale(visits + in_flight);
        let urgency = self.rule.urgency(|| self.tree.v_of(node));
        self.busy.clear();
        loop {
            let children = self.tree.arena.range(link.children()).enumerate();
            let free = children.filter(|(step, _)| !self.busy.contains(step));
            let (step, child) = best(free.map(|(i, child)| (i, child, scale, urgency)))?;
            let link = child.link();
            if link.is_shared() || self.lock(child, link) {
                return Some((step, child));
            }
            if link.owner() == self.number {
                // About to join the shared top: wait instead of taking a sibling.
                return None;
            }
            self.busy.push(step);
        }
    }

    /// Locks the node, or finds it locked by this thread already; false otherwise. A node that is
    /// due to join the shared top is not entered again, so that its last simulation can unlock it
    /// soon.
    fn lock(&self, node: &Node, link: Link) -> bool {
        if link.owner() == self.number {
            return !self.is_due(node);
        }
        node.lock(link, self.number)
    }

    /// Whether the subtree has enough visits for its root to join the shared top. A terminal node
    /// never does: there is nothing below it.
    fn is_due(&self, subtree: &Node) -> bool {
        subtree.link().state() == NodeState::Expanded && subtree.counts().0 >= self.threshold
    }

    /// Size of the next batch for this subtree.
    pub(super) fn size(&self, subtree: &Node) -> u64 {
        (subtree.counts().0 / BATCH_SHARE).clamp(1, self.most)
    }

    /// Announces `simulations` more as in-flight visits on the path of the batch.
    pub(super) fn extend(&self, batch: &mut VisitBatch<'a>, simulations: u64) {
        batch.add(simulations);
        for node in &batch.path {
            node.node.enter::<Shared>(simulations);
            self.tree.set_score_terms(node.node, self.rule);
        }
    }

    /// Adds the finished simulations to the shared top, from its deepest node to the root.
    pub(super) fn flush(&self, batch: &mut VisitBatch<'a>) {
        let done = std::mem::take(&mut batch.done);
        if done == 0 {
            return;
        }
        batch.announced -= done;
        for node in batch.path.iter_mut().rev() {
            self.tree.count(node.node, done, std::mem::take(&mut node.returns));
            self.tree.set_score_terms(node.node, self.rule);
        }
    }

    /// Ends a batch: withdraws the announced visits that were not made and unlocks the subtree. Its
    /// root joins the shared top if it has enough visits.
    pub(super) fn close(&self, batch: &mut VisitBatch<'a>) {
        let missing = batch.announced - batch.done;
        (batch.announced, batch.left) = (batch.done, 0);
        for node in batch.path.iter().filter(|_| missing > 0) {
            node.node.undo::<Shared>(missing);
        }
        self.flush(batch);
        self.unlock(batch.node);
    }

    /// Unlocks a subtree in which this thread has no simulation any more.
    pub(super) fn unlock(&self, subtree: &Node) {
        subtree.release(self.is_due(subtree));
    }
}

/// The child with the highest score, the first of equals.
fn best<'a>(
    children: impl Iterator<Item = (usize, &'a Node, f32, Option<f32>)>,
) -> Option<(usize, &'a Node)> {
    let mut best: Option<(usize, &Node, f32)> = None;
    for (step, child, scale, urgency) in children {
        let score = score(child, scale, urgency);
        if best.is_none_or(|(_, _, top)| score > top) {
            best = Some((step, child, score));
        }
    }
    best.map(|(step, child, _)| (step, child))
}
