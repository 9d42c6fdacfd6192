//! The search of arXiv:2405.00451, section 2.1: simulations from a search root down to an end, one
//! backup each, and after the budget a commit to a child, which becomes the next root.
//!
//! It knows nothing of requests. With W simulations in flight, simulation k starts after exactly
//! the results of simulations 1 to k - W are applied (at a commit all are), and results are applied
//! in the order of the simulations. Simulations that meet at a node which is being expanded wait
//! there and go on in their order. So the tree does not depend on the order of the answers: whoever
//! waits at a node is the first to pass below it, together with the others who wait there, and
//! nothing is applied between their choices.

use std::collections::VecDeque;
use std::time::Instant;

use rand::RngExt;
use regrowth_datasets::keyed_rng;

use super::finish::Ended;
use super::grow::Grow;
use crate::commit::{Contender, commit, spread};
use crate::select::{ParentStats, SelectionRule, select};
use crate::stop::Spent;
use crate::tree::{NodeId, NodeState, Tree};
use crate::{CommitRecord, DepthLimit, SearchConfig, noise};

/// A simulation that has started and is not yet backed up.
struct Simulation {
    path: Vec<NodeId>,
    /// Nodes that it was the one to expand.
    expanded: Vec<NodeId>,
    done: bool,
}

/// The plan of a Monte Carlo tree search.
pub(super) struct Simulate {
    /// Simulations `applied .. applied + running.len()`, in order.
    running: VecDeque<Simulation>,
    applied: u64,
    /// Applied simulations when the present search root was committed.
    base: u64,
    /// Simulations after which the next commit is due.
    target: u64,
    root: NodeId,
    /// Priors of the root's children with noise; empty without noise.
    noisy_priors: Vec<f64>,
    committed: Vec<NodeId>,
    /// What every commit saw of the root's children, where rows keep that.
    commits: Vec<CommitRecord>,
    /// When the tree was begun, where a rule asks for the time.
    begun: Option<Instant>,
    /// What the applied simulations have spent.
    nodes: u64,
    tokens: u64,
}

/// What a plan does next.
enum Move {
    /// It did something and can go on.
    On,
    /// It waits for an answer.
    Wait,
    /// It is finished.
    End,
}

impl Simulate {
    pub(super) fn new(config: &SearchConfig) -> Self {
        Self {
            running: VecDeque::new(),
            applied: 0,
            base: 0,
            target: config.simulations.saturating_mul(config.first_root_factor),
            root: 0,
            noisy_priors: Vec::new(),
            committed: Vec::new(),
            commits: Vec::new(),
            begun: config.is_timed().then(Instant::now),
            nodes: 1,
            tokens: 0,
        }
    }

    /// Starts, applies and commits as far as possible; true when the search is finished.
    pub(super) fn advance(&mut self, grow: &mut Grow<'_>) -> bool {
        while grow.refused.is_none() {
            match self.step(grow) {
                Move::On => {}
                Move::Wait => return false,
                Move::End => return true,
            }
        }
        false
    }

    fn step(&mut self, grow: &mut Grow<'_>) -> Move {
        let started = self.applied + self.running.len() as u64;
        let window = grow.subject.config.leaves_in_flight;
        if started < self.target && !self.is_stopped(grow, started) {
            if self.running.len() < window {
                self.start(grow);
                return Move::On;
            }
            return self.apply_first(grow);
        }
        if self.running.is_empty() { self.commit(grow) } else { self.apply_first(grow) }
    }

    /// Whether a stopping rule ends the budget of this root; every root has one simulation.
    fn is_stopped(&self, grow: &Grow<'_>, started: u64) -> bool {
        let rules = &grow.subject.config.stop;
        if rules.is_empty() || started == self.base {
            return false;
        }
        let children = grow.tree.children(self.root);
        let spent = Spent {
            simulations: self.applied,
            elapsed: self.begun.map(|begun| begun.elapsed()).unwrap_or_default(),
            nodes: self.nodes,
            sampled_tokens: self.tokens,
            simulations_left: self.target - self.applied,
            root_visits: children.map(|c| grow.tree.visits(c)).collect(),
        };
        rules.iter().any(|rule| rule.is_met(&spent))
    }

    /// Select: begins the next simulation at the search root.
    fn start(&mut self, grow: &mut Grow<'_>) {
        grow.tree.enter(self.root);
        let path = vec![self.root];
        self.running.push_back(Simulation { path, expanded: Vec::new(), done: false });
        self.descend(grow, self.running.len() - 1);
    }

    /// Backup: applies the oldest simulation, if it has reached its end.
    fn apply_first(&mut self, grow: &mut Grow<'_>) -> Move {
        match self.running.pop_front() {
            Some(first) if first.done => {
                grow.tree.backup(&first.path);
                self.applied += 1;
                for node in first.expanded {
                    grow.count_answers(node);
                    self.nodes += grow.tree.children(node).len() as u64;
                    self.tokens += grow.steps[node as usize].expansion_tokens;
                }
                Move::On
            }
            Some(first) => {
                self.running.push_front(first);
                Move::Wait
            }
            None => Move::Wait,
        }
    }

    /// Lets every simulation that waits at `node` go on, in the order of their numbers.
    pub(super) fn go_on(&mut self, grow: &mut Grow<'_>, node: NodeId) {
        for index in 0..self.running.len() {
            let simulation = &self.running[index];
            if !simulation.done && simulation.path.last() == Some(&node) {
                self.descend(grow, index);
            }
        }
    }

    /// Moves a simulation down until it ends or waits for an expansion.
    fn descend(&mut self, grow: &mut Grow<'_>, index: usize) {
        while let Some(&leaf) = self.running[index].path.last() {
            let state = grow.tree.state(leaf);
            if state == NodeState::Terminal || self.at_relative_limit(grow, leaf) {
                self.running[index].done = true;
                return;
            }
            if state != NodeState::Expanded {
                if grow.expand(leaf) {
                    self.running[index].expanded.push(leaf);
                }
                return;
            }
            let child = self.pick(grow, leaf);
            grow.tree.enter(child);
            self.running[index].path.push(child);
        }
    }

    fn at_relative_limit(&self, grow: &Grow<'_>, node: NodeId) -> bool {
        let config = grow.subject.config;
        let depth = |id: NodeId| grow.steps[id as usize].depth;
        let limit = match config.depth_limit {
            DepthLimit::Absolute => return false,
            DepthLimit::Relative => config.max_depth,
            DepthLimit::Both => (config.max_depth - 1).max(1),
        };
        depth(node) - depth(self.root) >= limit
    }

    /// The child of an expanded node that a simulation passes to.
    fn pick(&mut self, grow: &Grow<'_>, node: NodeId) -> NodeId {
        let config = grow.subject.config;
        let tree = &grow.tree;
        let children = tree.children(node);
        if node == self.root && config.root_noise.is_some() && self.noisy_priors.is_empty() {
            let priors = children.clone().map(|c| grow.steps[c as usize].prior).collect();
            self.noisy_priors = noise::root_priors(&grow.subject, priors, self.committed.len());
        }
        let noisy: &[f64] = if node == self.root { &self.noisy_priors } else { &[] };
        let stats = children.clone().enumerate().map(|(i, c)| {
            let prior = noisy.get(i).copied().unwrap_or(grow.steps[c as usize].prior);
            crate::ChildStats { prior, ..tree.stats(c) }
        });
        // The parent's count leaves out this simulation's own visit, and those of later ones that
        // wait here as well: how many have come before the answer is a matter of time.
        let waits = |s: &&Simulation| !s.done && s.path.last() == Some(&node);
        let waiting = self.running.iter().filter(waits).count() as u64;
        let visits = tree.visits(node) + tree.in_flight(node) - waiting;
        let parent = ParentStats { visits, v: tree.v(node) };
        let rule = SelectionRule {
            selection: config.selection,
            c: config.c_puct,
            first_play: config.first_play,
        };
        let pick = select(rule, parent, stats);
        children.start + pick.expect("an expanded node has children") as NodeId
    }

    /// Commit: makes the best child the search root, or ends the search. Its subtree and counts
    /// stay.
    fn commit(&mut self, grow: &mut Grow<'_>) -> Move {
        let subject = &grow.subject;
        let tree = &grow.tree;
        let children = tree.children(self.root);
        let contender = |child: NodeId| {
            let visits: Vec<u64> = tree.children(child).map(|c| tree.visits(c)).collect();
            let spread = spread(subject.config.visit_spread, &visits);
            let children = visits.len();
            Contender { stats: tree.stats(child), spread, children }
        };
        let contenders: Vec<_> = children.clone().map(contender).collect();
        let turn = (self.committed.len() as u64).to_le_bytes();
        let parts: [&[u8]; 3] = [b"commit", subject.problem.id.as_bytes(), &turn];
        let draw = keyed_rng(subject.config.seed, &parts).random::<f64>();
        let depth = grow.steps[self.root as usize].depth;
        let pick = commit(subject.config.commit, &contenders, depth, draw);
        if subject.config.commit_values {
            let stats = contenders.iter().map(|c| (c.stats.q, c.stats.visits));
            let (q, visits) = stats.unzip();
            self.commits.push(CommitRecord { q, visits });
        }
        self.root = children.start + pick.expect("a visited root has children") as NodeId;
        self.committed.push(self.root);
        self.noisy_priors.clear();
        self.base = self.applied;
        self.target = self.applied.saturating_add(subject.config.simulations);
        if tree.state(self.root) == NodeState::Terminal { Move::End } else { Move::On }
    }

    /// Takes back what is in flight.
    pub(super) fn undo(&mut self, tree: &mut Tree) {
        for simulation in self.running.drain(..) {
            tree.undo(&simulation.path);
        }
    }

    /// Completed simulations.
    pub(super) fn applied(&self) -> u64 {
        self.applied
    }

    /// What is kept of the search beside its tree.
    pub(super) fn end(self) -> Ended {
        Ended { committed: self.committed, commits: self.commits, simulations: self.applied }
    }
}
