//! One thread's simulations: several on their way down at once, each a level further in its turn.
//!
//! Here every node has this thread as its only writer: the whole tree where one thread grows it, or
//! a part that the thread holds (`trunk`). So counts are added by a load and a store. Turns are
//! taken because a descent waits for memory at every level; meanwhile the others go on.

use super::trunk::{Entry, Trunk};
use super::{Budget, Evaluator};
use crate::BackupWeights;
use crate::select::{Hint, SelectionRule};
use crate::sync::yield_now;
use crate::tree::arena::prefetch;
use crate::tree::node::{Alone, Node};
use crate::tree::{Edge, NodeId, NodeState, Tree};

/// One thread's way through the tree.
pub(in crate::tree) struct Walker<'a, E: Evaluator> {
    ground: Ground<'a, E>,
    lanes: Vec<Lane<'a, E::State>>,
    /// Where other threads are about.
    trunk: Option<Trunk<'a>>,
    edges: Vec<Edge>,
    /// A leaf whose children are being made.
    leaf: Option<&'a Node>,
}

/// What all lanes of a walker share.
struct Ground<'a, E> {
    tree: &'a Tree,
    evaluator: &'a E,
    rule: SelectionRule,
    /// Whether nodes on the way are marked as in flight, which turns the other lanes elsewhere.
    marked: bool,
}

/// One simulation on its way.
pub(super) struct Lane<'a, S> {
    pub(super) state: S,
    /// Nodes above `path` that all threads share.
    pub(super) above: Vec<Passed<'a>>,
    /// Simulations that may still go the same way through the trunk.
    lease: u64,
    /// Nodes from the first that has this thread as its only writer to the present one; empty
    /// while no simulation is under way.
    path: Vec<&'a Node>,
    /// Id of the last of `path`.
    pub(super) id: NodeId,
    /// Id of the first.
    part: NodeId,
    /// Its children, if it had any when the lane got there and they lie in one chunk.
    children: &'a [Node],
    /// Its share of their scores.
    scale: f32,
}

/// A node of the trunk on a lane's way.
#[derive(Clone, Copy)]
pub(super) struct Passed<'a> {
    pub(super) id: NodeId,
    pub(super) node: &'a Node,
    /// The step that was taken there.
    pub(super) step: usize,
}

impl<S> Lane<'_, S> {
    fn new(state: S) -> Self {
        Self {
            state,
            above: vec![],
            lease: 0,
            path: vec![],
            id: 0,
            part: 0,
            children: &[],
            scale: 0.0,
        }
    }
}

impl<'a, E: Evaluator> Walker<'a, E> {
    pub(in crate::tree) fn new(
        tree: &'a Tree,
        evaluator: &'a E,
        rule: SelectionRule,
        leaves: usize,
        trunk: Option<Trunk<'a>>,
    ) -> Self {
        let lanes = (0..leaves).map(|_| Lane::new(evaluator.root())).collect();
        let ground = Ground { tree, evaluator, rule, marked: leaves > 1 };
        Self { ground, lanes, trunk, edges: Vec::new(), leaf: None }
    }

    /// Simulates until the common budget is used up.
    pub(in crate::tree) fn run(mut self, budget: &Budget) {
        let mut left = budget.take();
        let mut under_way = 0;
        while left > 0 || under_way > 0 {
            let mut moved = false;
            for number in 0..self.lanes.len() {
                if !self.lanes[number].path.is_empty() {
                    moved = true;
                    if !self.advance(number) {
                        continue;
                    }
                    if left > 0 && self.again(number) {
                        left = self.take(left, budget);
                    } else {
                        self.leave(number);
                        under_way -= 1;
                    }
                } else if left > 0 {
                    match self.start(number) {
                        Entry::Below => under_way += 1,
                        Entry::Ended => {}
                        Entry::Busy => continue,
                    }
                    moved = true;
                    left = self.take(left, budget);
                }
            }
            if !moved {
                // Other threads hold everything that could be searched; they need a moment.
                yield_now();
            }
        }
    }

    /// One simulation of the thread's share less; a new share when it is used up.
    fn take(&mut self, left: u64, budget: &Budget) -> u64 {
        if left > 1 {
            return left - 1;
        }
        self.trunk.iter_mut().for_each(Trunk::look);
        budget.take()
    }

    /// Begins a simulation at the root.
    fn start(&mut self, number: usize) -> Entry {
        let Self { ground, lanes, trunk, .. } = self;
        let lane = &mut lanes[number];
        lane.state = ground.evaluator.root();
        lane.id = ground.tree.root();
        let entry = match trunk {
            Some(trunk) => trunk.descend(ground.evaluator, lane),
            None => Entry::Below,
        };
        if matches!(entry, Entry::Below) {
            let node = ground.tree.node(lane.id);
            lane.part = lane.id;
            lane.lease = trunk.as_ref().map_or(0, |trunk| trunk.lease(node));
            ground.reach(lane, node);
        }
        entry
    }

    /// Begins a simulation where the lane's last one left the trunk, while its lease lasts.
    fn again(&mut self, number: usize) -> bool {
        let Self { ground, lanes, trunk: Some(trunk), .. } = self else { return false };
        let lane = &mut lanes[number];
        let part = lane.path[0];
        if lane.lease == 0 || !trunk.stays(part) {
            return false;
        }
        lane.lease -= 1;
        lane.path.clear();
        lane.state = ground.evaluator.root();
        for passed in &lane.above {
            ground.evaluator.follow(&mut lane.state, passed.step);
        }
        lane.id = lane.part;
        trunk.enter(&lane.above);
        ground.reach(lane, part);
        true
    }

    /// Select, or expand and back up: one level of one simulation; true when it has ended.
    #[inline]
    fn advance(&mut self, number: usize) -> bool {
        let Self { ground, lanes, .. } = self;
        let lane = &mut lanes[number];
        let node = lane.path[lane.path.len() - 1];
        let link = node.link();
        match link.state() {
            NodeState::Expanded => {
                let (step, child) = ground.pick(lane, node);
                lane.id = link.first() + step as NodeId;
                ground.evaluator.follow(&mut lane.state, step);
                ground.reach(lane, child);
                false
            }
            NodeState::Terminal => {
                self.end(number, 0.0);
                true
            }
            NodeState::Unexpanded | NodeState::Expanding => {
                let value = self.expand(number, node);
                self.end(number, value);
                true
            }
        }
    }

    /// Makes the children of the lane's node; the node's value.
    fn expand(&mut self, number: usize, leaf: &'a Node) -> f64 {
        let Self { ground, lanes, edges, .. } = self;
        let lane = &lanes[number];
        edges.clear();
        self.leaf = Some(leaf);
        let value = ground.evaluator.expand(&lane.state, edges);
        ground.tree.publish(lane.id, edges, |child| ground.tree.set_hint(child, ground.rule));
        self.leaf = None;
        value
    }

    /// Backs a simulation up.
    fn end(&mut self, number: usize, value: f64) {
        let lane = &mut self.lanes[number];
        let value = self.ground.back_up(&lane.path, value);
        if let Some(trunk) = &mut self.trunk {
            trunk.back_up(&lane.above, value);
        }
    }

    /// Takes the lane off its path; what this thread held for it alone is given back.
    fn leave(&mut self, number: usize) {
        let lane = &mut self.lanes[number];
        let first = lane.path[0];
        lane.path.clear();
        lane.above.clear();
        if let Some(trunk) = &self.trunk {
            let same =
                |lane: &Lane<'_, _>| lane.path.first().is_some_and(|&n| std::ptr::eq(n, first));
            if !self.lanes.iter().any(same) {
                trunk.give_back(first);
            }
        }
    }
}

impl<'a, E: Evaluator> Ground<'a, E> {
    /// Puts a lane on a node and calls for what its next turn will read.
    #[inline]
    fn reach(&self, lane: &mut Lane<'a, E::State>, node: &'a Node) {
        lane.path.push(node);
        let (visits, in_flight) = node.counts();
        lane.scale = self.rule.scale(visits + in_flight);
        let link = node.link();
        lane.children = if link.is_split() { &[] } else { self.tree.arena.slice(link.children()) };
        if self.marked {
            prefetch(lane.children);
            node.enter::<Alone>(1);
            node.set_bonus(self.rule.bonus(node.prior(), visits + in_flight + 1));
        }
    }

    /// The child of an expanded node with the highest score, the first of equals.
    #[inline]
    fn pick(&self, lane: &Lane<'a, E::State>, node: &'a Node) -> (usize, &'a Node) {
        let urgency = self.rule.urgency(|| self.tree.v_of(node));
        if urgency.is_none() && !lane.children.is_empty() {
            let children = lane.children;
            let step = best(children.iter().map(|child| child.hint().score(lane.scale)));
            return (step, &children[step]);
        }
        // They lie in two chunks, or have come since, or depend on their parent.
        let link = node.link();
        let children = self.tree.arena.range(link.children());
        let step = best(children.map(|child| score(child, lane.scale, urgency)));
        (step, self.tree.node(link.first() + step as NodeId))
    }

    /// Backup, leaf to root: visits, values, hints. The value of the path's first step.
    fn back_up(&self, path: &[&Node], leaf: f64) -> f64 {
        let tree = self.tree;
        let mut value = leaf;
        for node in path.iter().rev() {
            node.complete::<Alone>(1, self.marked);
            if tree.weights == BackupWeights::Returns {
                node.add_returns::<Alone>(Node::to_fixed(value));
            } else if node.link().count() > 0 {
                node.set_value(tree.mean_of(node.link()));
            }
            tree.set_hint(node, self.rule);
            value = node.reward() + tree.gamma * value;
        }
        value
    }
}

/// At the end there is nothing to take back. After a panic of the evaluator there is: its leaf
/// becomes terminal, no mark stays and nothing is held, so that nobody waits for ever.
impl<E: Evaluator> Drop for Walker<'_, E> {
    fn drop(&mut self) {
        if let Some(leaf) = self.leaf {
            leaf.publish_end();
        }
        for number in 0..self.lanes.len() {
            let lane = &mut self.lanes[number];
            if lane.path.is_empty() {
                continue;
            }
            for node in lane.path.iter().filter(|_| self.ground.marked) {
                node.undo::<Alone>(1);
                self.ground.tree.set_hint(node, self.ground.rule);
            }
            if let Some(trunk) = &mut self.trunk {
                trunk.undo(&lane.above);
            }
            self.leave(number);
        }
    }
}

/// Index of the highest score, the first of equals.
#[inline]
fn best(scores: impl Iterator<Item = f32>) -> usize {
    let (mut best, mut top) = (0, f32::NEG_INFINITY);
    for (step, score) in scores.enumerate() {
        if score > top {
            (best, top) = (step, score);
        }
    }
    best
}

/// Score of a child where `urgency` stands for the value of one without visits.
pub(super) fn score(child: &Node, scale: f32, urgency: Option<f32>) -> f32 {
    let hint = child.hint();
    match urgency {
        Some(q) if child.counts().0 == 0 => Hint { q, ..hint }.score(scale),
        _ => hint.score(scale),
    }
}
