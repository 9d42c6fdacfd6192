//! The shared top: the few nodes near the root that all threads update.
//!
//! Every subtree below the shared top is locked by one thread at a time. In the shared top, visits are
//! counted by atomic additions, a batch at a time: a thread first announces a batch by adding its size as
//! in-flight visits to the nodes on the path to its subtree. It then runs the simulations and adds the sum of
//! their returns once per node. So the counters that all threads read change rarely, and each thread sees the
//! batches of the others as unobserved samples (WU-UCT, arXiv:1810.11755).

use super::walker::score;
use crate::select::SelectionRule;
use crate::tree::bits::MAX_IN_FLIGHT;
use crate::tree::node::{Link, Node, Shared};
use crate::tree::{NodeId, NodeState, Tree};

/// A subtree root with more than `1 / (SUBTREES_PER_THREAD * threads)` of the tree's visits joins the shared
/// top, so that there are enough subtrees and threads rarely select the same one.
const SUBTREES_PER_THREAD: u64 = 8;
/// A batch is `1 / BATCH_SHARE` of the visits of its subtree. Measured: with batches half as large, two
/// threads lose a seventh of their speed to cache traffic.
const BATCH_SHARE: u64 = 8;
/// Largest batch. Measured: larger ones gain nothing.
const MAX_BATCH: u64 = 512;

/// One thread's view of the shared top.
pub(in crate::tree) struct SharedTop<'a> {
    tree: &'a Tree,
    rule: SelectionRule,
    /// Owner number of this thread in node locks, from 1 (0: unlocked).
    owner: u16,
    threads: u64,
    /// Upper bound of the batch size, chosen so that the in-flight visits of all threads fit in the root's
    /// counter.
    max_batch: u64,
    /// Number of visits from which a node joins the shared top.
    join_threshold: u64,
    /// Scratch buffer of `pick`: indices of children that other threads have locked.
    locked_elsewhere: Vec<usize>,
}

/// Simulations of one subtree whose in-flight visits are added to the shared top together.
pub(super) struct SimulationBatch<'a> {
    /// Nodes from the root to the parent of the subtree.
    pub(super) path: Vec<PathNode<'a>>,
    pub(super) subtree: NodeId,
    /// Root of the subtree.
    pub(super) node: &'a Node,
    /// Number of simulations announced and not yet flushed.
    announced: u64,
    /// Number of announced simulations that have not started.
    pub(super) not_started: u64,
    /// Number of announced simulations that have finished.
    finished: u64,
}

/// A node of the shared top on the path to a subtree.
pub(super) struct PathNode<'a> {
    node: &'a Node,
    /// Index of the child on the path.
    pub(super) step: usize,
    /// Reward of the step that leads to the node.
    reward: f64,
    /// Sum of the returns of the finished simulations (fixed-point number).
    returns: i64,
}

impl<'a> SimulationBatch<'a> {
    pub(super) fn new(node: &'a Node, subtree: NodeId) -> Self {
        Self { path: vec![], subtree, node, announced: 0, not_started: 0, finished: 0 }
    }

    /// Adds simulations to the batch.
    pub(super) fn add(&mut self, simulations: u64) {
        self.announced += simulations;
        self.not_started += simulations;
    }

    /// Whether a simulation of the batch is running or has yet to start.
    pub(super) fn is_live(&self) -> bool {
        self.announced > self.finished
    }

    /// Records a finished simulation. `value` is its return as seen from the parent of the subtree's root,
    /// including the reward of the step to that root.
    #[inline]
    pub(super) fn end(&mut self, mut value: f64, gamma: f64) {
        self.finished += 1;
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
        owner: u16,
        threads: u16,
        leaves: usize,
    ) -> Self {
        let threads = u64::from(threads);
        // A thread has at most one batch for each descent, plus the batch that is being opened.
        let max_batch = (MAX_IN_FLIGHT / (threads * (leaves as u64 + 1))).clamp(1, MAX_BATCH);
        Self { tree, rule, owner, threads, max_batch, join_threshold: 1, locked_elsewhere: vec![] }
    }

    /// Selects a path from the root through the shared top to the best unlocked subtree root below it, and
    /// locks that root. Returns `None` if other threads have locked all candidates, or if simulations in
    /// flight have to end first.
    pub(super) fn lock_subtree(
        &mut self,
        path: &mut Vec<PathNode<'a>>,
    ) -> Option<(NodeId, &'a Node)> {
        path.clear();
        let mut id = self.tree.root();
        let mut node = self.tree.node(id);
        self.join_threshold = 1 + node.counts().0 / (SUBTREES_PER_THREAD * self.threads);
        loop {
            let link = node.link();
            if !link.is_shared() {
                // `pick` has locked every other node; only the tree's root may still be unlocked.
                return (!path.is_empty() || self.lock(node, link)).then_some((id, node));
            }
            let (step, child) = self.pick(node, link)?;
            path.push(PathNode { node, step, reward: node.reward(), returns: 0 });
            id = link.first() + step as NodeId;
            node = child;
        }
    }

    /// The child with the highest score among the children that are in the shared top or that this thread has
    /// locked or can lock. Locks the child if needed.
    fn pick(&mut self, node: &'a Node, link: Link) -> Option<(usize, &'a Node)> {
        let (visits, in_flight) = node.counts();
        let scale = self.rule.bonus_factor(visits + in_flight);
        let fpu = self.rule.parent_fpu(|| self.tree.v_of(node));
        self.locked_elsewhere.clear();
        loop {
            let children = self.tree.arena.range(link.children()).enumerate();
            let free = children.filter(|(step, _)| !self.locked_elsewhere.contains(step));
            let (step, child) = best(free.map(|(i, child)| (i, child, scale, fpu)))?;
            let link = child.link();
            if link.is_shared() || self.lock(child, link) {
                return Some((step, child));
            }
            if link.owner() == self.owner {
                // This thread's own subtree is due to join the shared top: wait for its simulations to end
                // instead of selecting a worse sibling.
                return None;
            }
            self.locked_elsewhere.push(step);
        }
    }

    /// Tries to lock the node. Returns whether this thread now holds the lock and may start simulations
    /// there. Returns false also for its own subtree if that is due to join the shared top: no new simulation
    /// may start there, so that the running ones end and the subtree is unlocked soon.
    fn lock(&self, node: &Node, link: Link) -> bool {
        if link.owner() == self.owner {
            return !self.is_due(node);
        }
        node.lock(link, self.owner)
    }

    /// Whether the subtree has enough visits for its root to join the shared top. A terminal node never
    /// joins, because there is nothing below it.
    fn is_due(&self, subtree: &Node) -> bool {
        subtree.link().state() == NodeState::Expanded && subtree.counts().0 >= self.join_threshold
    }

    /// Number of simulations in the next batch for this subtree.
    pub(super) fn batch_size(&self, subtree: &Node) -> u64 {
        (subtree.counts().0 / BATCH_SHARE).clamp(1, self.max_batch)
    }

    /// Adds `simulations` in-flight visits to the shared-top nodes on the path of the batch.
    pub(super) fn announce(&self, batch: &mut SimulationBatch<'a>, simulations: u64) {
        batch.add(simulations);
        for node in &batch.path {
            node.node.enter::<Shared>(simulations);
            self.tree.set_score_terms(node.node, self.rule);
        }
    }

    /// Adds the finished simulations to the shared top, from its deepest node to the root.
    pub(super) fn flush(&self, batch: &mut SimulationBatch<'a>) {
        let finished = std::mem::take(&mut batch.finished);
        if finished == 0 {
            return;
        }
        batch.announced -= finished;
        for node in batch.path.iter_mut().rev() {
            self.tree.count(node.node, finished, std::mem::take(&mut node.returns));
            self.tree.set_score_terms(node.node, self.rule);
        }
    }

    /// Ends a batch: removes the in-flight visits of simulations that did not finish, and unlocks the
    /// subtree. Its root joins the shared top if it has enough visits.
    pub(super) fn close(&self, batch: &mut SimulationBatch<'a>) {
        let missing = batch.announced - batch.finished;
        (batch.announced, batch.not_started) = (batch.finished, 0);
        for node in batch.path.iter().filter(|_| missing > 0) {
            node.node.undo::<Shared>(missing);
        }
        self.flush(batch);
        self.unlock(batch.node);
    }

    /// Unlocks a subtree in which this thread has no simulations left. Its root joins the shared top if it
    /// has enough visits.
    pub(super) fn unlock(&self, subtree: &Node) {
        subtree.release(self.is_due(subtree));
    }
}

/// The child with the highest score; ties go to the first child.
fn best<'a>(
    children: impl Iterator<Item = (usize, &'a Node, f32, Option<f32>)>,
) -> Option<(usize, &'a Node)> {
    let mut best: Option<(usize, &Node, f32)> = None;
    for (step, child, scale, fpu) in children {
        let score = score(child, scale, fpu);
        if best.is_none_or(|(_, _, top)| score > top) {
            best = Some((step, child, score));
        }
    }
    best.map(|(step, child, _)| (step, child))
}
