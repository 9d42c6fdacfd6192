//! Where threads meet: the few nodes that nearly every simulation passes.
//!
//! It knows nothing of expansions or lanes. Below the trunk hang parts of the tree that one thread
//! holds at a time; in the trunk visits are counted by locked additions, but not one by one: a
//! thread leases the way to a part for a number of simulations, announces them as under way, and
//! adds what they brought in one go. So what all threads read changes rarely, and each meets the
//! visits of the others' leases as unobserved samples (WU-UCT, arXiv:1810.11755).

use super::walker::score;
use crate::select::SelectionRule;
use crate::tree::bits::MOST_IN_FLIGHT;
use crate::tree::node::{Link, Node, Together};
use crate::tree::{NodeId, NodeState, Tree};

/// A part has at most one in so many of the tree's visits, for each thread: enough parts that
/// threads rarely meet.
const PARTS: u64 = 8;
/// A lease is one in so many of the visits that its part has (a measurement: with half as many
/// simulations two threads lose a seventh of their speed to each other's caches).
const LEASES: u64 = 8;
/// Most simulations of a lease (a measurement: more gain nothing).
const MOST_LEASE: u64 = 512;

/// One thread's view of the trunk.
pub(in crate::tree) struct Trunk<'a> {
    tree: &'a Tree,
    rule: SelectionRule,
    /// This thread's number, from 1.
    number: u16,
    threads: u64,
    /// Most simulations of a lease: those of all leases fit the counter of the root.
    most: u64,
    /// Visits from which a node belongs to the trunk.
    threshold: u64,
    /// Children that others hold, of the node that is passed.
    busy: Vec<usize>,
}

/// The way through the trunk to a part, for some simulations.
pub(super) struct Lease<'a> {
    /// From the root to the parent of the part.
    pub(super) way: Vec<Passed<'a>>,
    pub(super) part: NodeId,
    /// The part's first node.
    pub(super) node: &'a Node,
    /// Simulations announced and not brought in.
    announced: u64,
    /// Those of them that were not begun.
    pub(super) left: u64,
    /// Those that have ended.
    done: u64,
}

/// A node of the trunk on the way to a part.
pub(super) struct Passed<'a> {
    node: &'a Node,
    /// The step that was taken there.
    pub(super) step: usize,
    /// Of the step that leads to the node.
    reward: f64,
    /// Sum of the returns of the simulations that are done.
    returns: i64,
}

impl<'a> Lease<'a> {
    pub(super) fn new(node: &'a Node, part: NodeId) -> Self {
        Self { way: vec![], part, node, announced: 0, left: 0, done: 0 }
    }

    /// Takes so many more simulations on.
    pub(super) fn add(&mut self, simulations: u64) {
        self.announced += simulations;
        self.left += simulations;
    }

    /// Whether somebody is or will be in its part for it.
    pub(super) fn is_live(&self) -> bool {
        self.announced > self.done
    }

    /// Ends one of its simulations, which has brought the part this value.
    #[inline]
    pub(super) fn end(&mut self, mut value: f64, gamma: f64) {
        self.done += 1;
        for passed in self.way.iter_mut().rev() {
            passed.returns = passed.returns.wrapping_add(Node::to_fixed(value));
            value = passed.reward + gamma * value;
        }
    }
}

impl<'a> Trunk<'a> {
    pub(in crate::tree) fn new(
        tree: &'a Tree,
        rule: SelectionRule,
        number: u16,
        threads: u16,
        leaves: usize,
    ) -> Self {
        let threads = u64::from(threads);
        // A thread has a lease for each lane at most, and one to come.
        let most = (MOST_IN_FLIGHT / (threads * (leaves as u64 + 1))).clamp(1, MOST_LEASE);
        Self { tree, rule, number, threads, most, threshold: 1, busy: vec![] }
    }

    /// Select, through the trunk to the first node below it that can be had, which this thread
    /// holds then; `None` when others hold all that could be searched, or the simulations that are
    /// under way have to end first.
    pub(super) fn find(&mut self, way: &mut Vec<Passed<'a>>) -> Option<(NodeId, &'a Node)> {
        way.clear();
        let mut id = self.tree.root();
        let mut node = self.tree.node(id);
        self.threshold = 1 + node.counts().0 / (PARTS * self.threads);
        loop {
            let link = node.link();
            if !link.is_trunk() {
                // Only the root can get here unheld.
                return (!way.is_empty() || self.hold(node, link)).then_some((id, node));
            }
            let (step, child) = self.pick(node, link)?;
            way.push(Passed { node, step, reward: node.reward(), returns: 0 });
            id = link.first() + step as NodeId;
            node = child;
        }
    }

    /// The child with the highest score of those that are trunk, held by this thread, or free and
    /// now held by it.
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
            if link.is_trunk() || self.hold(child, link) {
                return Some((step, child));
            }
            if link.holder() == self.number {
                // Due to join the trunk: in a moment the best way leads through it.
                return None;
            }
            self.busy.push(step);
        }
    }

    /// Whether this thread holds the node, from now on or already. One that is due to join the
    /// trunk is not entered again, so that its last simulation soon gives it back.
    fn hold(&self, node: &Node, link: Link) -> bool {
        if link.holder() == self.number {
            return !self.is_due(node);
        }
        node.hold(link, self.number)
    }

    /// Whether the part has grown enough for its first node to join the trunk. The end of a
    /// solution never does: there is nothing below it.
    fn is_due(&self, part: &Node) -> bool {
        part.link().state() == NodeState::Expanded && part.counts().0 >= self.threshold
    }

    /// Simulations that may go to this part before the trunk is looked at again.
    pub(super) fn size(&self, part: &Node) -> u64 {
        (part.counts().0 / LEASES).clamp(1, self.most)
    }

    /// Announces so many more simulations of a lease.
    pub(super) fn extend(&self, lease: &mut Lease<'a>, simulations: u64) {
        lease.add(simulations);
        for passed in &lease.way {
            passed.node.enter::<Together>(simulations);
            self.tree.set_hint(passed.node, self.rule);
        }
    }

    /// Brings in what is done, from the deepest node of the trunk to the root.
    pub(super) fn bring_in(&self, lease: &mut Lease<'a>) {
        let done = std::mem::take(&mut lease.done);
        if done == 0 {
            return;
        }
        lease.announced -= done;
        for passed in lease.way.iter_mut().rev() {
            self.tree.count(passed.node, done, std::mem::take(&mut passed.returns));
            self.tree.set_hint(passed.node, self.rule);
        }
    }

    /// Ends a lease: what was announced and not done is taken back, and the part is given back,
    /// as trunk if it has grown enough.
    pub(super) fn close(&self, lease: &mut Lease<'a>) {
        let missing = lease.announced - lease.done;
        (lease.announced, lease.left) = (lease.done, 0);
        for passed in lease.way.iter().filter(|_| missing > 0) {
            passed.node.undo::<Together>(missing);
        }
        self.bring_in(lease);
        self.give_back(lease.node);
    }

    /// Gives back a part that no simulation of this thread is in any more.
    pub(super) fn give_back(&self, part: &Node) {
        part.release(self.is_due(part));
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
