//! Where threads meet: the few nodes that nearly every simulation passes.
//!
//! It knows nothing of expansions or turns. Below the trunk hang parts of the tree that one thread
//! holds at a time; in the trunk visits are counted by locked additions, but not one by one: a
//! thread announces a pack of visits as under way, uses it up, and adds what it brought in one go.
//! So the counters that all threads read change rarely, and each thread meets its own visits of the
//! pack, and those of others, as unobserved samples (WU-UCT, arXiv:1810.11755).

use super::Evaluator;
use super::walker::{Lane, Passed, score};
use crate::select::SelectionRule;
use crate::tree::node::{Link, Node, Together};
use crate::tree::{NodeId, NodeState, Tree};

/// How a descent through the trunk ended.
pub(super) enum Entry {
    /// At a node below the trunk that this thread holds now.
    Below,
    /// At the end of a solution that belongs to the trunk; the simulation is over.
    Ended,
    /// Nowhere: others hold all that could be searched.
    Busy,
}

/// Parts of the tree below the trunk for each thread, about: enough that threads rarely meet.
const PARTS: u64 = 16;
/// Packs of each thread that make up the visits of a node, at least.
const PACKS: u64 = 64;
/// Most visits of a pack (a measurement: more gain nothing).
const MOST_PACK: u64 = 64;
/// Most simulations that follow one through the trunk (taste: a few times fewer than a pack).
const MOST_LEASE: u64 = 15;
/// Places for packs, a power of two.
const PLACES: usize = if cfg!(loom) { 2 } else { 1024 };

/// One thread's share in the trunk.
pub(in crate::tree) struct Trunk<'a> {
    tree: &'a Tree,
    rule: SelectionRule,
    /// This thread's number, from 1.
    number: u16,
    threads: u64,
    /// Visits from which a node belongs to the trunk.
    threshold: u64,
    /// Packs by node; two nodes of one place take turns.
    packs: Vec<Pack<'a>>,
    /// Children that others hold, of the node that is passed.
    busy: Vec<usize>,
}

/// Visits of a node that are announced as under way, and what came of them.
#[derive(Clone, Copy)]
struct Pack<'a> {
    node: Option<&'a Node>,
    /// Announced and not yet begun.
    ahead: u64,
    /// Ended.
    done: u64,
    /// Sum of the returns of those.
    returns: i64,
    /// Visits that are brought in together.
    size: u64,
}

impl<'a> Trunk<'a> {
    pub(in crate::tree) fn new(
        tree: &'a Tree,
        rule: SelectionRule,
        number: u16,
        threads: u16,
    ) -> Self {
        let none = Pack { node: None, ahead: 0, done: 0, returns: 0, size: 1 };
        let packs = vec![none; PLACES];
        let mut trunk =
            Self { tree, rule, number, threads: threads.into(), threshold: 1, packs, busy: vec![] };
        trunk.look();
        trunk
    }

    /// Adapts the size of parts to that of the tree.
    pub(super) fn look(&mut self) {
        let visits = self.tree.node(self.tree.root()).counts().0;
        self.threshold = 1 + visits / (PARTS * self.threads);
    }

    /// Select, through the trunk and to the first node below it that can be had.
    pub(super) fn descend<E: Evaluator>(
        &mut self,
        evaluator: &E,
        lane: &mut Lane<'a, E::State>,
    ) -> Entry {
        lane.id = self.tree.root();
        let mut node = self.tree.node(lane.id);
        loop {
            let link = node.link();
            if !link.is_trunk() {
                // Only the root can get here unheld.
                if lane.above.is_empty() && !self.hold(node, link) {
                    return Entry::Busy;
                }
                self.enter(&lane.above);
                return Entry::Below;
            }
            lane.above.push(Passed { id: lane.id, node, step: 0 });
            if link.state() == NodeState::Terminal {
                self.enter(&lane.above);
                self.back_up(&lane.above, 0.0);
                lane.above.clear();
                return Entry::Ended;
            }
            let Some((step, child)) = self.pick(node, link) else {
                lane.above.clear();
                return Entry::Busy;
            };
            if let Some(passed) = lane.above.last_mut() {
                passed.step = step;
            }
            lane.id = link.first() + step as NodeId;
            evaluator.follow(&mut lane.state, step);
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
            let (step, child) = if link.is_split() || !self.busy.is_empty() {
                let children = self.tree.arena.range(link.children()).enumerate();
                let free = children.filter(|(step, _)| !self.busy.contains(step));
                best(free.map(|(step, child)| (step, child, score(child, scale, urgency))))?
            } else {
                let children = self.tree.arena.slice(link.children()).iter().enumerate();
                best(children.map(|(step, child)| (step, child, score(child, scale, urgency))))?
            };
            let link = child.link();
            if link.is_trunk() || self.hold(child, link) {
                return Some((step, child));
            }
            self.busy.push(step);
        }
    }

    /// Whether this thread holds the node, from now on or already. One that has visits enough to
    /// be trunk is not entered again, so that the last simulation below it soon gives it back.
    fn hold(&self, node: &Node, link: Link) -> bool {
        if link.holder() == self.number {
            return node.counts().0 < self.threshold;
        }
        node.hold(link, self.number)
    }

    /// How many more simulations may go the way through the trunk that led to this part: fewer than
    /// one in 64 of the visits it has.
    pub(super) fn lease(&self, part: &Node) -> u64 {
        (part.counts().0 / PACKS).min(MOST_LEASE)
    }

    /// Whether a part that this thread holds is not due to join the trunk.
    pub(super) fn stays(&self, part: &Node) -> bool {
        part.link().state() == NodeState::Expanded && part.counts().0 < self.threshold
    }

    /// Gives a node back that no simulation of this thread is below any more; it joins the trunk
    /// when it has visits enough.
    pub(super) fn give_back(&self, node: &Node) {
        let grown = node.link().state() != NodeState::Unexpanded;
        node.release(grown && node.counts().0 >= self.threshold);
    }

    /// Counts a visit under way at each node of the trunk that was passed.
    pub(super) fn enter(&mut self, above: &[Passed<'a>]) {
        for &Passed { id, node, .. } in above {
            let pack = self.pack(id, node);
            if pack.ahead > 0 {
                pack.ahead -= 1;
                continue;
            }
            let size = (node.counts().0 / (PACKS * self.threads)).clamp(1, MOST_PACK);
            let pack = self.pack(id, node);
            (pack.size, pack.ahead) = (size, size - 1);
            node.enter::<Together>(size);
            self.tree.set_hint(node, self.rule);
        }
    }

    /// Backup, from the deepest node of the trunk to the root.
    pub(super) fn back_up(&mut self, above: &[Passed<'a>], leaf: f64) {
        let mut value = leaf;
        for &Passed { id, node, .. } in above.iter().rev() {
            let pack = self.pack(id, node);
            pack.done += 1;
            pack.returns = pack.returns.wrapping_add(Node::to_fixed(value));
            if pack.done >= pack.size {
                let (done, returns) = (pack.done, pack.returns);
                (pack.done, pack.returns) = (0, 0);
                self.bring_in(node, done, returns);
            }
            value = node.reward() + self.tree.gamma * value;
        }
    }

    /// Takes back the visit under way of each node.
    pub(super) fn undo(&mut self, above: &[Passed<'a>]) {
        above.iter().for_each(|passed| passed.node.undo::<Together>(1));
    }

    /// The pack of a node; another that is in its place is brought in first.
    fn pack(&mut self, id: NodeId, node: &'a Node) -> &mut Pack<'a> {
        let place = (id.wrapping_mul(0x9e37_79b1) >> 16) as usize % PLACES;
        let same = self.packs[place].node.is_some_and(|other| std::ptr::eq(other, node));
        if !same {
            self.empty(place);
            self.packs[place] = Pack { node: Some(node), ahead: 0, done: 0, returns: 0, size: 1 };
        }
        &mut self.packs[place]
    }

    /// Brings in what a place holds, and takes back what was announced and never begun.
    fn empty(&mut self, place: usize) {
        let Pack { node, ahead, done, returns, .. } = self.packs[place];
        let Some(node) = node else { return };
        if ahead > 0 {
            node.undo::<Together>(ahead);
        }
        if done > 0 {
            self.bring_in(node, done, returns);
        }
        self.packs[place].node = None;
    }

    fn bring_in(&self, node: &Node, visits: u64, returns: i64) {
        self.tree.count(node, visits, returns);
        self.tree.set_hint(node, self.rule);
    }
}

/// The child with the highest score, the first of equals.
fn best<'a>(scores: impl Iterator<Item = (usize, &'a Node, f32)>) -> Option<(usize, &'a Node)> {
    let mut best: Option<(usize, &Node, f32)> = None;
    for (step, child, score) in scores {
        if best.is_none_or(|(_, _, top)| score > top) {
            best = Some((step, child, score));
        }
    }
    best.map(|(step, child, _)| (step, child))
}

impl Drop for Trunk<'_> {
    fn drop(&mut self) {
        (0..self.packs.len()).for_each(|place| self.empty(place));
    }
}
