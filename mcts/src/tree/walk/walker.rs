//! The search loop of one thread. It keeps several simulations in flight and advances each by one tree level
//! in turn, so that the cache misses of one simulation overlap with the work of the others.
//!
//! This thread is the only writer of every node it updates here: of the whole tree if it is the only thread,
//! otherwise of the subtree that it has locked (`shared_top`). So counters are updated with a plain load and
//! store instead of an atomic read-modify-write.

use std::hint::select_unpredictable;

use super::shared_top::{SharedTop, SimulationBatch};
use super::{Budget, Evaluator};
use crate::config::BackupWeights;
use crate::select::{ChildStats, ScoreTerms, SelectionRule};
use crate::tree::arena::{Supply, prefetch};
use crate::tree::node::{Exclusive, Link, Node};
use crate::tree::{Claimed, Edge, NodeId, NodeState, Tree};

/// One thread's descents through the tree.
pub(in crate::tree) struct Walker<'a, E: Evaluator> {
    context: WalkContext<'a, E>,
    descents: Vec<Descent<'a, E::State>>,
    /// The shared top; `None` if this is the only thread.
    top: Option<SharedTop<'a>>,
    /// One batch of simulations for each subtree that this thread has locked; slots of finished
    /// batches are reused.
    batches: Vec<SimulationBatch<'a>>,
    /// The batch that new simulations belong to.
    current: usize,
    /// Reserved ids for new nodes.
    supply: Supply<'a>,
    edges: Vec<Edge>,
    /// The leaf that is being expanded.
    leaf: Option<&'a Node>,
}

/// Data that all descents of a walker share.
struct WalkContext<'a, E> {
    tree: &'a Tree,
    evaluator: &'a E,
    rule: SelectionRule,
    /// Whether nodes on a path get in-flight visits, which steer the other descents to other nodes.
    counts_in_flight: bool,
    /// Whether the children's scores depend on their parent's value ([`SelectionRule::needs_parent_value`]).
    needs_parent_value: bool,
}

/// A simulation in flight.
struct Descent<'a, S> {
    state: S,
    /// Index of the batch in [`Walker::batches`].
    batch: usize,
    /// Nodes from the subtree's root to the current one; empty while no simulation is running.
    path: Vec<&'a Node>,
    /// Id of the current node, the last of `path`.
    id: NodeId,
    /// Children of the current node for the fast path of selection. Empty, so that
    /// [`Walker::advance`] takes the general path, if the node had no children when the descent
    /// arrived, if they lie in two arena chunks, or if first-play urgency depends on the node's
    /// value.
    children: &'a [Node],
    /// Id of the first child.
    first: NodeId,
    /// Exploration factor of the current node, `c sqrt(N)` for PUCT. A child's score is `q + scale * u`
    /// ([`SelectionRule::bonus_factor`]).
    scale: f32,
}

impl<S> Descent<'_, S> {
    fn new(state: S) -> Self {
        Self { state, batch: 0, path: vec![], id: 0, children: &[], first: 0, scale: 0.0 }
    }
}

/// Result of [`Walker::advance_all`].
#[derive(PartialEq)]
pub(in crate::tree) enum WalkProgress {
    /// A simulation is running.
    Running,
    /// No simulation can start now, because other threads have locked every candidate subtree.
    Blocked,
    /// The budget is used up.
    Done,
}

impl<'a, E: Evaluator> Walker<'a, E> {
    pub(in crate::tree) fn new(
        tree: &'a Tree,
        evaluator: &'a E,
        rule: SelectionRule,
        leaves: usize,
        top: Option<SharedTop<'a>>,
    ) -> Self {
        let descents = (0..leaves).map(|_| Descent::new(evaluator.root())).collect();
        let needs_parent_value = rule.needs_parent_value();
        let context =
            WalkContext { tree, evaluator, rule, counts_in_flight: leaves > 1, needs_parent_value };
        let batches = vec![SimulationBatch::new(tree.node(tree.root()), tree.root())];
        let supply = Supply::new(&tree.arena);
        Self { context, descents, top, batches, current: 0, supply, edges: Vec::new(), leaf: None }
    }

    /// Advances every descent by one level, or starts its next simulation if it has none.
    #[inline]
    pub(in crate::tree) fn advance_all(&mut self, budget: &Budget) -> WalkProgress {
        let mut last = WalkProgress::Running;
        let mut next = 0;
        while let Some(number) = self.descend(next) {
            next = number + 1;
            if self.descents[number].path.is_empty() || self.advance(number) {
                last = self.begin(number, budget);
            }
        }
        let idle = last != WalkProgress::Running
            && self.descents.iter().all(|descent| descent.path.is_empty());
        if idle { last } else { WalkProgress::Running }
    }

    /// Starts a simulation at the root of a subtree.
    #[inline]
    fn begin(&mut self, number: usize, budget: &Budget) -> WalkProgress {
        if self.batches[self.current].not_started == 0 {
            let begun = self.batch(budget);
            if begun != WalkProgress::Running {
                return begun;
            }
        }
        let Self { context, descents, batches, current, .. } = self;
        let (descent, batch) = (&mut descents[number], &mut batches[*current]);
        batch.not_started -= 1;
        descent.batch = *current;
        descent.state = context.evaluator.root();
        for node in &batch.path {
            context.evaluator.follow(&mut descent.state, node.step);
        }
        descent.id = batch.subtree;
        context.enter_node(descent, batch.node);
        WalkProgress::Running
    }

    /// Opens or refills the current batch: locks the best free subtree and takes simulations from the budget
    /// for it. A single thread takes the whole budget for the whole tree.
    fn batch(&mut self, budget: &Budget) -> WalkProgress {
        let Some(top) = &mut self.top else {
            self.batches[0].add(budget.take(u64::MAX));
            return if self.batches[0].not_started > 0 {
                WalkProgress::Running
            } else {
                WalkProgress::Done
            };
        };
        let mut path = Vec::new();
        let Some((subtree, node)) = top.lock_subtree(&mut path) else {
            return if budget.is_over() { WalkProgress::Done } else { WalkProgress::Blocked };
        };
        let live = |batch: &SimulationBatch<'_>| batch.is_live();
        let held = self.batches.iter().position(|batch| live(batch) && batch.subtree == subtree);
        let simulations = budget.take(top.batch_size(node));
        if simulations == 0 {
            if held.is_none() {
                top.unlock(node);
            }
            return WalkProgress::Done;
        }
        let place = held.or_else(|| self.batches.iter().position(|batch| !live(batch)));
        self.current = place.unwrap_or(self.batches.len());
        if place.is_none() {
            self.batches.push(SimulationBatch::new(node, subtree));
        }
        let batch = &mut self.batches[self.current];
        if held.is_none() {
            *batch = SimulationBatch::new(node, subtree);
            batch.path = path;
        }
        top.flush(batch);
        top.announce(batch, simulations);
        WalkProgress::Running
    }

    /// Select, fast path: advances the descents from index `next` by one level each, and stops at the first
    /// one that needs the general path ([`Self::advance`]). Returns its index; `None` if there is none.
    #[inline]
    fn descend(&mut self, next: usize) -> Option<usize> {
        let Self { context, descents, .. } = self;
        let descents = descents.get_mut(next..)?;
        let needs_general = descents.iter_mut().position(|descent| {
            let children = descent.children;
            if children.is_empty() {
                return true;
            }
            let step =
                best(children.len(), |step| children[step].score_terms().score(descent.scale));
            context.follow(descent, step, &children[step]);
            false
        });
        needs_general.map(|needs_general| next + needs_general)
    }

    /// General path: selects a child or, at a leaf, expands it and backs up. Returns true if the simulation
    /// has ended.
    fn advance(&mut self, number: usize) -> bool {
        let Self { context, descents, .. } = self;
        let descent = &mut descents[number];
        let node = descent.path[descent.path.len() - 1];
        let link = node.link();
        if link.count() > 0 {
            let (step, child) = context.pick(descent, node, link);
            context.follow(descent, step, child);
            return false;
        }
        let value = match link.state() {
            NodeState::Terminal => 0.0,
            _ => self.expand(number, node),
        };
        self.end(number, value);
        true
    }

    /// Expands the descent's current node. Returns its value.
    #[inline]
    fn expand(&mut self, number: usize, leaf: &'a Node) -> f64 {
        let Self { context, descents, supply, edges, .. } = self;
        let descent = &descents[number];
        edges.clear();
        self.leaf = Some(leaf);
        let value = context.evaluator.expand(&descent.state, edges);
        let init_child =
            |child: &Node, edge: &Edge| child.set_score_terms(context.rule.first_score_terms(edge));
        let claimed = Claimed { id: descent.id, node: leaf };
        context.tree.publish(claimed, edges, |count| supply.take(count), init_child);
        self.leaf = None;
        value
    }

    /// Backs up the simulation and empties its path.
    fn end(&mut self, number: usize, value: f64) {
        let descent = &mut self.descents[number];
        let value = self.context.back_up(&descent.path, value);
        descent.path.clear();
        descent.children = &[];
        let batch = &mut self.batches[descent.batch];
        batch.end(value, self.context.tree.gamma);
        if let Some(top) = self.top.as_ref().filter(|_| !batch.is_live()) {
            top.close(batch);
        }
    }
}

impl<'a, E: Evaluator> WalkContext<'a, E> {
    /// Moves a descent to a child.
    #[inline]
    fn follow(&self, descent: &mut Descent<'a, E::State>, step: usize, child: &'a Node) {
        descent.id = descent.first + step as NodeId;
        self.evaluator.follow(&mut descent.state, step);
        self.enter_node(descent, child);
    }

    /// Enters a node and prefetches its children, which the next level will read.
    #[inline(always)]
    fn enter_node(&self, descent: &mut Descent<'a, E::State>, node: &'a Node) {
        descent.path.push(node);
        let link = node.link();
        descent.first = link.first();
        descent.children = match self.tree.children_of(link) {
            Some(children) if !self.needs_parent_value => children,
            _ => &[],
        };
        if !self.counts_in_flight {
            let (visits, in_flight) = node.counts();
            descent.scale = self.rule.bonus_factor(visits + in_flight);
            return;
        }
        prefetch(descent.children.as_ptr(), descent.children.len());
        let (visits, in_flight) = node.enter::<Exclusive>(1);
        // Exclude this simulation's own in-flight visit from the parent count.
        descent.scale = self.rule.bonus_factor(visits + in_flight - 1);
        node.set_bonus(self.rule.bonus(node.prior(), visits + in_flight));
    }

    /// The child with the highest score; ties go to the first child. Used for the cases that
    /// [`Descent::children`] excludes.
    fn pick(
        &self,
        descent: &mut Descent<'a, E::State>,
        node: &Node,
        link: Link,
    ) -> (usize, &'a Node) {
        let fpu = self.rule.parent_fpu(|| self.tree.v_of(node));
        let child = |step| self.tree.node(link.first() + step as NodeId);
        let step = best(link.count() as usize, |step| score(child(step), descent.scale, fpu));
        descent.first = link.first();
        (step, child(step))
    }

    /// Backs up from leaf to root: visits, values, score terms. Returns the return as seen from the parent of
    /// the path's first node, including that node's reward.
    #[inline]
    fn back_up(&self, path: &[&Node], leaf: f64) -> f64 {
        let tree = self.tree;
        if tree.weights == BackupWeights::Returns {
            return self.back_up_by(path, leaf, |node, visits, value| {
                node.add_returns::<Exclusive>(Node::to_fixed(value)) / f64::from(visits as u32)
            });
        }
        self.back_up_by(path, leaf, |node, _, _| {
            let link = node.link();
            if link.count() > 0 {
                node.set_value(tree.mean_of(link));
            }
            node.value()
        })
    }

    /// [`WalkContext::back_up`] for one kind of backup. `count(node, visits, return)` updates the node's V
    /// and returns it.
    #[inline]
    fn back_up_by(&self, path: &[&Node], leaf: f64, count: impl Fn(&Node, u64, f64) -> f64) -> f64 {
        let (gamma, rule, counts_in_flight) = (self.tree.gamma, self.rule, self.counts_in_flight);
        path.iter().rev().fold(leaf, |value, node| {
            let (visits, in_flight) = node.complete::<Exclusive>(1, counts_in_flight);
            let v = count(node, visits, value);
            let (prior, reward) = (f64::from(node.prior()), node.reward());
            let q = reward + gamma * v;
            node.set_score_terms(rule.score_terms(&ChildStats { prior, visits, in_flight, q, v }));
            reward + gamma * value
        })
    }
}

/// If the evaluator panicked, makes its leaf terminal, removes in-flight visits and unlocks subtrees, so that
/// no other thread waits forever. After a normal end there is nothing to undo.
impl<E: Evaluator> Drop for Walker<'_, E> {
    fn drop(&mut self) {
        if let Some(leaf) = self.leaf {
            leaf.publish_end();
        }
        let WalkContext { tree, rule, counts_in_flight, .. } = self.context;
        for node in
            self.descents.iter().flat_map(|descent| &descent.path).filter(|_| counts_in_flight)
        {
            node.undo::<Exclusive>(1);
            tree.set_score_terms(node, rule);
        }
        let Some(top) = &self.top else { return };
        self.batches.iter_mut().filter(|batch| batch.is_live()).for_each(|batch| top.close(batch));
    }
}

/// Index of the highest score; ties go to the first. The comparison is unpredictable, so it is compiled to a
/// conditional move and not to a branch.
#[inline]
fn best(count: usize, score: impl Fn(usize) -> f32) -> usize {
    let (mut best, mut top) = (0, f32::NEG_INFINITY);
    for step in 0..count {
        let score = score(step);
        let better = score > top;
        best = select_unpredictable(better, step, best);
        top = select_unpredictable(better, score, top);
    }
    best
}

/// Score of a child. If `fpu` (first-play urgency, lc0's FPU) is given and the child has no visits, `fpu`
/// replaces Q.
pub(super) fn score(child: &Node, scale: f32, fpu: Option<f32>) -> f32 {
    let score_terms = child.score_terms();
    match fpu {
        Some(q) if child.counts().0 == 0 => ScoreTerms { q, ..score_terms }.score(scale),
        _ => score_terms.score(scale),
    }
}
