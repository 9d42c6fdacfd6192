//! One thread's simulations: several on their way down at once, each a level further in its turn.
//!
//! Here every node has this thread as its only writer: the whole tree where one thread grows it, or
//! a part that the thread holds (`trunk`). So counts are added by a load and a store. Turns are
//! taken because a descent waits for memory at every level; meanwhile the others go on.

use std::hint::select_unpredictable;

use super::trunk::{Lease, Trunk};
use super::{Budget, Evaluator};
use crate::BackupWeights;
use crate::select::{ChildStats, Hint, SelectionRule};
use crate::tree::arena::{Supply, prefetch};
use crate::tree::node::{Alone, Link, Node};
use crate::tree::{Edge, NodeId, NodeState, Tree};

/// One thread's way through the tree.
pub(in crate::tree) struct Walker<'a, E: Evaluator> {
    ground: Ground<'a, E>,
    lanes: Vec<Lane<'a, E::State>>,
    /// Where other threads are about.
    trunk: Option<Trunk<'a>>,
    /// One for each part that this thread holds; the places of those that are over serve again.
    leases: Vec<Lease<'a>>,
    /// The one that new simulations are for.
    current: usize,
    /// Ids for new nodes.
    supply: Supply<'a>,
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
    /// Whether scores of children look at their parent's value: asked of the rule once and not at
    /// every node.
    looks_at_parent: bool,
}

/// One simulation on its way.
struct Lane<'a, S> {
    state: S,
    /// Which of the walker's leases it belongs to.
    lease: usize,
    /// Nodes from the first of its part to the present one; empty while no simulation is under way.
    path: Vec<&'a Node>,
    /// Id of the last of `path`.
    id: NodeId,
    /// Its children, if it had any when the lane got there, and they lie in one chunk, and their
    /// scores do not look at the node's value.
    children: &'a [Node],
    /// Id of the first of them.
    first: NodeId,
    /// Its share of their scores.
    scale: f32,
}

impl<S> Lane<'_, S> {
    fn new(state: S) -> Self {
        Self { state, lease: 0, path: vec![], id: 0, children: &[], first: 0, scale: 0.0 }
    }
}

/// How it goes on.
#[derive(PartialEq)]
pub(in crate::tree) enum Turn {
    /// With a simulation that was begun, or is on its way.
    Goes,
    /// Not now: other threads hold everything that could be searched.
    Busy,
    /// No more: the budget is used up.
    Over,
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
        let looks_at_parent = rule.looks_at_parent();
        let ground = Ground { tree, evaluator, rule, marked: leaves > 1, looks_at_parent };
        let leases = vec![Lease::new(tree.node(tree.root()), tree.root())];
        let supply = Supply::new(&tree.arena);
        Self { ground, lanes, trunk, leases, current: 0, supply, edges: Vec::new(), leaf: None }
    }

    /// Takes every lane a level further, or to its next simulation.
    #[inline]
    pub(in crate::tree) fn turn(&mut self, budget: &Budget) -> Turn {
        let mut last = Turn::Goes;
        let mut next = 0;
        while let Some(number) = self.descend(next) {
            next = number + 1;
            if self.lanes[number].path.is_empty() || self.advance(number) {
                last = self.begin(number, budget);
            }
        }
        let rest = last != Turn::Goes && self.lanes.iter().all(|lane| lane.path.is_empty());
        if rest { last } else { Turn::Goes }
    }

    /// Begins a simulation at the first node of a part.
    #[inline]
    fn begin(&mut self, number: usize, budget: &Budget) -> Turn {
        if self.leases[self.current].left == 0 {
            let begun = self.lease(budget);
            if begun != Turn::Goes {
                return begun;
            }
        }
        let Self { ground, lanes, leases, current, .. } = self;
        let (lane, lease) = (&mut lanes[number], &mut leases[*current]);
        lease.left -= 1;
        lane.lease = *current;
        lane.state = ground.evaluator.root();
        for passed in &lease.way {
            ground.evaluator.follow(&mut lane.state, passed.step);
        }
        lane.id = lease.part;
        ground.reach(lane, lease.node);
        Turn::Goes
    }

    /// Takes simulations from the budget, for a part that this thread holds then; alone, all of
    /// them for the whole tree.
    fn lease(&mut self, budget: &Budget) -> Turn {
        let Some(trunk) = &mut self.trunk else {
            self.leases[0].add(budget.take(u64::MAX));
            return if self.leases[0].left > 0 { Turn::Goes } else { Turn::Over };
        };
        let mut way = Vec::new();
        let Some((part, node)) = trunk.find(&mut way) else {
            return if budget.is_over() { Turn::Over } else { Turn::Busy };
        };
        let live = |lease: &Lease<'_>| lease.is_live();
        let held = self.leases.iter().position(|lease| live(lease) && lease.part == part);
        let simulations = budget.take(trunk.size(node));
        if simulations == 0 {
            if held.is_none() {
                trunk.give_back(node);
            }
            return Turn::Over;
        }
        let place = held.or_else(|| self.leases.iter().position(|lease| !live(lease)));
        self.current = place.unwrap_or(self.leases.len());
        if place.is_none() {
            self.leases.push(Lease::new(node, part));
        }
        let lease = &mut self.leases[self.current];
        if held.is_none() {
            *lease = Lease::new(node, part);
            lease.way = way;
        }
        trunk.bring_in(lease);
        trunk.extend(lease, simulations);
        Turn::Goes
    }

    /// Select: takes the lanes from number `next` on a level down, until one has no children called
    /// for; that one's number.
    #[inline]
    fn descend(&mut self, next: usize) -> Option<usize> {
        let Self { ground, lanes, .. } = self;
        let lanes = lanes.get_mut(next..)?;
        let stays = lanes.iter_mut().position(|lane| {
            let children = lane.children;
            if children.is_empty() {
                return true;
            }
            let step = best(children.len(), |step| children[step].hint().score(lane.scale));
            ground.follow(lane, step, &children[step]);
            false
        });
        stays.map(|stays| next + stays)
    }

    /// Select where there is more to it, or expand and back up: true when a simulation has ended.
    fn advance(&mut self, number: usize) -> bool {
        let Self { ground, lanes, .. } = self;
        let lane = &mut lanes[number];
        let node = lane.path[lane.path.len() - 1];
        let link = node.link();
        if link.count() > 0 {
            let (step, child) = ground.pick(lane, node, link);
            ground.follow(lane, step, child);
            return false;
        }
        let value = match link.state() {
            NodeState::Terminal => 0.0,
            _ => self.expand(number, node),
        };
        self.end(number, value);
        true
    }

    /// Makes the children of the lane's node; the node's value.
    #[inline]
    fn expand(&mut self, number: usize, leaf: &'a Node) -> f64 {
        let Self { ground, lanes, supply, edges, .. } = self;
        let lane = &lanes[number];
        edges.clear();
        self.leaf = Some(leaf);
        let value = ground.evaluator.expand(&lane.state, edges);
        let dress = |child: &Node, edge: &Edge| child.set_hint(ground.rule.first_hint(edge));
        ground.tree.publish(lane.id, leaf, edges, |count| supply.take(count), dress);
        self.leaf = None;
        value
    }

    /// Backs a simulation up and takes the lane off its path.
    fn end(&mut self, number: usize, value: f64) {
        let lane = &mut self.lanes[number];
        let value = self.ground.back_up(&lane.path, value);
        lane.path.clear();
        lane.children = &[];
        let lease = &mut self.leases[lane.lease];
        lease.end(value, self.ground.tree.gamma);
        if let Some(trunk) = self.trunk.as_ref().filter(|_| !lease.is_live()) {
            trunk.close(lease);
        }
    }
}

impl<'a, E: Evaluator> Ground<'a, E> {
    /// Takes a lane a step down.
    #[inline]
    fn follow(&self, lane: &mut Lane<'a, E::State>, step: usize, child: &'a Node) {
        lane.id = lane.first + step as NodeId;
        self.evaluator.follow(&mut lane.state, step);
        self.reach(lane, child);
    }

    /// Puts a lane on a node and calls for what its next turn will read.
    #[inline(always)]
    fn reach(&self, lane: &mut Lane<'a, E::State>, node: &'a Node) {
        lane.path.push(node);
        let link = node.link();
        lane.first = link.first();
        lane.children = match self.tree.children_of(link) {
            Some(children) if !self.looks_at_parent => children,
            _ => &[],
        };
        if !self.marked {
            let (visits, in_flight) = node.counts();
            lane.scale = self.rule.scale(visits + in_flight);
            return;
        }
        prefetch(lane.children.as_ptr(), lane.children.len());
        let (visits, in_flight) = node.enter::<Alone>(1);
        // Its own mark is none of the visits that a simulation chooses by.
        lane.scale = self.rule.scale(visits + in_flight - 1);
        node.set_bonus(self.rule.bonus(node.prior(), visits + in_flight));
    }

    /// The child with the highest score, the first of equals, where children lie in two chunks, or
    /// have come since, or depend on their parent.
    fn pick(&self, lane: &mut Lane<'a, E::State>, node: &Node, link: Link) -> (usize, &'a Node) {
        let urgency = self.rule.urgency(|| self.tree.v_of(node));
        let child = |step| self.tree.node(link.first() + step as NodeId);
        let step = best(link.count() as usize, |step| score(child(step), lane.scale, urgency));
        lane.first = link.first();
        (step, child(step))
    }

    /// Backup, leaf to root: visits, values, hints. The value of the path's first step.
    #[inline]
    fn back_up(&self, path: &[&Node], leaf: f64) -> f64 {
        let tree = self.tree;
        if tree.weights == BackupWeights::Returns {
            return self.back_up_by(path, leaf, |node, visits, value| {
                node.add_returns::<Alone>(Node::to_fixed(value)) / f64::from(visits as u32)
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

    /// [`Ground::back_up`], where `count` brings V up to date with a return, given the node's
    /// visits; the new V.
    #[inline]
    fn back_up_by(&self, path: &[&Node], leaf: f64, count: impl Fn(&Node, u64, f64) -> f64) -> f64 {
        let (gamma, rule, marked) = (self.tree.gamma, self.rule, self.marked);
        path.iter().rev().fold(leaf, |value, node| {
            let (visits, in_flight) = node.complete::<Alone>(1, marked);
            let v = count(node, visits, value);
            let (prior, reward) = (f64::from(node.prior()), node.reward());
            let q = reward + gamma * v;
            node.set_hint(rule.hint(&ChildStats { prior, visits, in_flight, q, v }));
            reward + gamma * value
        })
    }
}

/// At the end there is nothing to take back. After a panic of the evaluator there is: its leaf
/// becomes terminal, no mark stays and nothing is held, so that nobody waits for ever.
impl<E: Evaluator> Drop for Walker<'_, E> {
    fn drop(&mut self) {
        if let Some(leaf) = self.leaf {
            leaf.publish_end();
        }
        let Ground { tree, rule, marked, .. } = self.ground;
        for node in self.lanes.iter().flat_map(|lane| &lane.path).filter(|_| marked) {
            node.undo::<Alone>(1);
            tree.set_hint(node, rule);
        }
        let Some(trunk) = &self.trunk else { return };
        self.leases.iter_mut().filter(|lease| lease.is_live()).for_each(|lease| trunk.close(lease));
    }
}

/// Index of the highest score, the first of equals. Which one it is can hardly be foreseen, so
/// nothing may branch on it.
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

/// Score of a child where `urgency` stands for the value of one without visits.
pub(super) fn score(child: &Node, scale: f32, urgency: Option<f32>) -> f32 {
    let hint = child.hint();
    match urgency {
        Some(q) if child.counts().0 == 0 => Hint { q, ..hint }.score(scale),
        _ => hint.score(scale),
    }
}
