//! A step beam: expands the best few partial solutions, level by level.
//!
//! A baseline for comparisons at equal numbers of tokens, without visits or backups. With width 1 and a depth
//! limit of 1 it is best-of-n: whole solutions are sampled, and the one with the highest value wins. A
//! stopping rule may end the beam between two levels; if no solution is finished yet, one partial solution is
//! still continued.

use std::time::Instant;

use super::grow::GrowingTree;
use crate::SearchConfig;
use crate::stop::Spent;
use crate::tree::{NodeId, NodeState};

/// State of the beam strategy of one tree.
pub(super) struct Beam {
    width: usize,
    /// Nodes of the current level, which are being expanded.
    level: Vec<NodeId>,
    started: bool,
    /// Terminal nodes, in the order in which they were found.
    ends: Vec<NodeId>,
    /// When the search began; `None` without a time limit.
    begun: Option<Instant>,
}

impl Beam {
    pub(super) fn new(width: usize, config: &SearchConfig) -> Self {
        let begun = config.is_timed().then(Instant::now);
        Self { width, level: Vec::new(), started: false, ends: Vec::new(), begun }
    }

    /// Moves to the next level if all nodes of the current one are expanded. Returns true if no level is
    /// left.
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
        // The sort is stable: nodes with equal values keep their order.
        next.sort_by(|&a, &b| value(growing, b).total_cmp(&value(growing, a)));
        next.truncate(self.kept(growing));
        let finished = next.is_empty();
        self.open(growing, next);
        finished
    }

    /// Number of partial solutions to continue on the next level.
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

    /// Path to the terminal node with the highest value; ties go to the first one found.
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
