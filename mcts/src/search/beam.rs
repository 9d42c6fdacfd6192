//! A step beam: all candidates of the best few partial solutions, level by level.
//!
//! A baseline at equal tokens, without visits or backups. Width 1 with a depth limit of 1 is
//! best-of-n: whole solutions, the highest value wins. Between levels a stopping rule may end it;
//! before it has a whole solution, the rule leaves it one partial solution.

use std::time::Instant;

use super::grow::GrowingTree;
use crate::SearchConfig;
use crate::stop::Spent;
use crate::tree::{NodeId, NodeState};

/// State of the beam strategy of one tree.
pub(super) struct Beam {
    width: usize,
    /// Nodes of the present level that are being expanded.
    level: Vec<NodeId>,
    started: bool,
    /// Ends of solutions, in the order in which they were found.
    ends: Vec<NodeId>,
    /// When the tree was begun, where a rule asks for the time.
    begun: Option<Instant>,
}

impl Beam {
    pub(super) fn new(width: usize, config: &SearchConfig) -> Self {
        let begun = config.is_timed().then(Instant::now);
        Self { width, level: Vec::new(), started: false, ends: Vec::new(), begun }
    }

    /// Goes to the next level when all of the present one is known; true when there is none.
    pub(super) fn advance(&mut self, growing: &mut GrowingTree<'_>) -> bool {
        if !self.started {
            self.started = true;
            self.open(growing, vec![growing.tree.root()]);
        }
        if self.level.iter().any(|&node| growing.tree.state(node) != NodeState::Expanded) {
            return false;
        }
        for &node in &self.level {
            growing.count_answers(node);
        }
        let children = self.level.iter().flat_map(|&node| growing.tree.children(node));
        let (ends, mut next): (Vec<_>, Vec<_>) =
            children.partition(|&node| growing.tree.state(node) == NodeState::Terminal);
        self.ends.extend(ends);
        // A stable sort: of equal values the earlier stays.
        next.sort_by(|&a, &b| value(growing, b).total_cmp(&value(growing, a)));
        next.truncate(self.kept(growing));
        let finished = next.is_empty();
        self.open(growing, next);
        finished
    }

    /// Partial solutions that go on to the next level.
    fn kept(&self, growing: &GrowingTree<'_>) -> usize {
        match (self.is_stopped(growing), self.ends.is_empty()) {
            (false, _) => self.width,
            (true, true) => 1,
            (true, false) => 0,
        }
    }

    fn is_stopped(&self, growing: &GrowingTree<'_>) -> bool {
        let is_right = |node: &&NodeId| growing.steps[**node as usize].outcome > 0.0;
        let right = self.ends.iter().filter(is_right).count() as u64;
        let spent = Spent {
            simulations: 0,
            elapsed: self.begun.map(|begun| begun.elapsed()).unwrap_or_default(),
            nodes: growing.steps.len() as u64,
            sampled_tokens: growing.counts.sampled_tokens,
            simulations_left: 0,
            root_visits: Vec::new(),
            right,
            wrong: self.ends.len() as u64 - right,
        };
        growing.subject.config.stop.iter().any(|rule| rule.is_met(&spent))
    }

    fn open(&mut self, growing: &mut GrowingTree<'_>, level: Vec<NodeId>) {
        for &node in &level {
            growing.expand(node);
        }
        self.level = level;
    }

    /// The path to the end with the highest value, the first of equals.
    pub(super) fn end(&self, growing: &GrowingTree<'_>) -> Vec<NodeId> {
        let best = self.ends.iter().copied().reduce(|best, next| {
            if value(growing, next) > value(growing, best) { next } else { best }
        });
        best.map(|node| growing.path(node)).unwrap_or_default()
    }
}

/// R of a node.
fn value(growing: &GrowingTree<'_>, node: NodeId) -> f64 {
    growing.steps[node as usize].value
}
