//! The search of arXiv:2405.00451, section 2.1. Each simulation descends from the search root to a terminal
//! node and is backed up once. When a root's simulation budget is used up, the search commits to one of its
//! children, which becomes the next search root.
//!
//! Unlike in most MCTS, a simulation does not end at the leaf that it expands. It descends further until its
//! solution ends, at the latest by a forced completion, or until it reaches a depth limit relative to the
//! search root.
//!
//! The resulting tree does not depend on the order in which policy responses arrive. With W simulations in
//! flight (`leaves_in_flight`), simulation k (from 0) starts after exactly the backups of simulations 0 to k - W,
//! and of all simulations before the last commit: a commit waits until all are backed up. Simulations are backed up
//! in the order in which they started. Simulations that arrive at a node whose expansion is pending wait there. When
//! the expansion is complete, they resume in the order in which they started. Each sees new children plus the
//! in-flight visits of the simulations that resumed before it, so its selection depends on this order alone and not
//! on when the response arrived.

use std::collections::VecDeque;
use std::time::Instant;

use rand::RngExt;
use regrowth_datasets::keyed_rng;

use super::finish::Ended;
use super::grow::GrowingTree;
use crate::commit::{RootChildStats, commit, spread};
use crate::config::DepthLimit;
use crate::record::CommitRecord;
use crate::select::{ParentStats, SelectionRule, select};
use crate::stop::Spent;
use crate::tree::{NodeId, NodeState, Tree};
use crate::{SearchConfig, noise};

/// A simulation that has started and is not yet backed up.
struct Simulation {
    path: Vec<NodeId>,
    /// Nodes whose expansion this simulation requested.
    expanded: Vec<NodeId>,
    /// Whether the simulation has reached its end and waits for its backup.
    done: bool,
}

/// State of the MCTS strategy of one tree between two policy responses.
pub(super) struct MctsState {
    /// Simulations in flight, oldest first. Simulation numbers (from 0) are `completed .. completed +
    /// running.len()`.
    running: VecDeque<Simulation>,
    /// Simulations backed up so far.
    completed: u64,
    /// `completed` when the current search root was committed.
    completed_at_root: u64,
    /// Value of `completed` at which the next commit is due: `completed_at_root` plus this root's simulation
    /// budget.
    commit_at: u64,
    /// The search root.
    root: NodeId,
    /// Priors of the root's children with Dirichlet noise; empty without noise.
    noisy_priors: Vec<f64>,
    /// The committed path, without the tree's root.
    committed: Vec<NodeId>,
    /// Q and visits of the root's children at each commit; empty unless `commit_values` is set.
    commits: Vec<CommitRecord>,
    /// When the search began; `None` without a time limit.
    started_at: Option<Instant>,
    /// Nodes, sampled tokens, right and wrong solutions of the simulations backed up so far, for the stopping
    /// rules.
    nodes: u64,
    tokens: u64,
    right: u64,
    wrong: u64,
}

/// Result of [`MctsState::step`].
enum Progress {
    /// Progress was made; call again.
    Made,
    /// Nothing to do until the next policy response.
    Blocked,
    /// The search is finished.
    Finished,
}

impl MctsState {
    pub(super) fn new(config: &SearchConfig) -> Self {
        Self {
            running: VecDeque::new(),
            completed: 0,
            completed_at_root: 0,
            commit_at: config.simulations.saturating_mul(config.first_root_factor),
            root: 0,
            noisy_priors: Vec::new(),
            committed: Vec::new(),
            commits: Vec::new(),
            started_at: config.is_timed().then(Instant::now),
            nodes: 1,
            tokens: 0,
            right: 0,
            wrong: 0,
        }
    }

    /// Starts simulations, backs them up and commits, as far as the responses received so far allow. Returns
    /// true if the search is finished.
    pub(super) fn advance(&mut self, growing: &mut GrowingTree<'_>) -> bool {
        // `refused`: a request could not be made, so the problem is skipped.
        while growing.refused.is_none() {
            match self.step(growing) {
                Progress::Made => {}
                Progress::Blocked => return false,
                Progress::Finished => return true,
            }
        }
        false
    }

    fn step(&mut self, growing: &mut GrowingTree<'_>) -> Progress {
        let started = self.completed + self.running.len() as u64;
        let window = growing.subject.config.leaves_in_flight;
        if started < self.commit_at && !self.is_stopped(growing, started) {
            if self.running.len() < window {
                self.start(growing);
                return Progress::Made;
            }
            return self.back_up_oldest(growing);
        }
        if self.running.is_empty() { self.commit(growing) } else { self.back_up_oldest(growing) }
    }

    /// Whether a stopping rule ends this root's budget early. Every root gets at least one
    /// simulation.
    fn is_stopped(&self, growing: &GrowingTree<'_>, started: u64) -> bool {
        let rules = &growing.subject.config.stop;
        if rules.is_empty() || started == self.completed_at_root {
            return false;
        }
        let children = growing.tree.children(self.root);
        let spent = Spent {
            simulations: self.completed,
            elapsed: self.started_at.map(|started_at| started_at.elapsed()).unwrap_or_default(),
            nodes: self.nodes,
            sampled_tokens: self.tokens,
            simulations_left: self.commit_at - self.completed,
            root_visits: children.map(|c| growing.tree.visits(c)).collect(),
            right: self.right,
            wrong: self.wrong,
        };
        rules.iter().any(|rule| rule.is_met(&spent))
    }

    /// Select: begins the next simulation at the search root.
    fn start(&mut self, growing: &mut GrowingTree<'_>) {
        growing.tree.enter(self.root);
        let path = vec![self.root];
        self.running.push_back(Simulation { path, expanded: Vec::new(), done: false });
        self.descend(growing, self.running.len() - 1);
    }

    /// Backs up the oldest simulation if it has reached its end.
    fn back_up_oldest(&mut self, growing: &mut GrowingTree<'_>) -> Progress {
        match self.running.pop_front() {
            Some(first) if first.done => {
                growing.tree.backup(&first.path);
                self.completed += 1;
                for node in first.expanded {
                    // With the judge `answers`, this changes rewards of other solutions, so the order of backups matters.
                    growing.count_answers(node);
                    self.nodes += growing.tree.children(node).len() as u64;
                    self.tokens += growing.steps[node as usize].expansion_tokens;
                    let (right, wrong) = growing.finished_children(node);
                    self.right += right;
                    self.wrong += wrong;
                }
                Progress::Made
            }
            Some(first) => {
                self.running.push_front(first);
                Progress::Blocked
            }
            None => Progress::Blocked,
        }
    }

    /// Resumes all simulations that wait at `node`, oldest first. The expansion of `node` is now complete.
    pub(super) fn resume_waiting(&mut self, growing: &mut GrowingTree<'_>, node: NodeId) {
        for index in 0..self.running.len() {
            let simulation = &self.running[index];
            if !simulation.done && simulation.path.last() == Some(&node) {
                self.descend(growing, index);
            }
        }
    }

    /// Moves a simulation down until it ends or has to wait for an expansion.
    fn descend(&mut self, growing: &mut GrowingTree<'_>, index: usize) {
        while let Some(&leaf) = self.running[index].path.last() {
            let state = growing.tree.state(leaf);
            if state == NodeState::Terminal || self.at_relative_limit(growing, leaf) {
                self.running[index].done = true;
                return;
            }
            if state != NodeState::Expanded {
                if growing.expand(leaf) {
                    self.running[index].expanded.push(leaf);
                }
                return;
            }
            let child = self.pick(growing, leaf);
            growing.tree.enter(child);
            self.running[index].path.push(child);
        }
    }

    fn at_relative_limit(&self, growing: &GrowingTree<'_>, node: NodeId) -> bool {
        let config = growing.subject.config;
        let depth = |id: NodeId| growing.steps[id as usize].depth;
        let limit = match config.depth_limit {
            // The expansion at depth `max_depth - 1` forces completions, whose nodes are terminal.
            DepthLimit::Absolute => return false,
            DepthLimit::Relative => config.max_depth,
            // The authors' `depth_limit = max_depth - 1`: see `DepthLimit::Both`.
            DepthLimit::Both => (config.max_depth - 1).max(1),
        };
        depth(node) - depth(self.root) >= limit
    }

    /// Selects a child of an expanded node.
    fn pick(&mut self, growing: &GrowingTree<'_>, node: NodeId) -> NodeId {
        let config = growing.subject.config;
        let tree = &growing.tree;
        let children = tree.children(node);
        if node == self.root && config.root_noise.is_some() && self.noisy_priors.is_empty() {
            let priors = children.clone().map(|c| growing.steps[c as usize].prior).collect();
            self.noisy_priors = noise::root_priors(&growing.subject, priors, self.committed.len());
        }
        let noisy: &[f64] = if node == self.root { &self.noisy_priors } else { &[] };
        let stats = children.clone().enumerate().map(|(i, c)| {
            let prior = noisy.get(i).copied().unwrap_or(growing.steps[c as usize].prior);
            crate::select::ChildStats { prior, ..tree.stats(c) }
        });
        // Subtract the simulations that wait at this node (including this one) from the parent's N: how many
        // had arrived before the policy responded depends on timing, and must not affect selection.
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

    /// Commits to a child of the search root by the commit rule. The child becomes the search root and keeps
    /// its subtree and counts. A terminal child ends the search.
    fn commit(&mut self, growing: &mut GrowingTree<'_>) -> Progress {
        let subject = &growing.subject;
        let tree = &growing.tree;
        let children = tree.children(self.root);
        // The authors' commit rules also use how unevenly the visits of a child are spread over its own children.
        let contender = |child: NodeId| {
            let visits: Vec<u64> = tree.children(child).map(|c| tree.visits(c)).collect();
            let spread = spread(subject.config.visit_spread, &visits);
            let children = visits.len();
            RootChildStats { stats: tree.stats(child), spread, children }
        };
        let contenders: Vec<_> = children.clone().map(contender).collect();
        let turn = (self.committed.len() as u64).to_le_bytes();
        let parts: [&[u8]; 3] = [b"commit", subject.problem.id.as_bytes(), &turn];
        let draw = keyed_rng(subject.config.seed, &parts).random::<f64>();
        let depth = growing.steps[self.root as usize].depth;
        let pick = commit(subject.config.commit, &contenders, depth, draw);
        if subject.config.commit_values {
            let stats = contenders.iter().map(|c| (c.stats.q, c.stats.visits));
            let (q, visits) = stats.unzip();
            self.commits.push(CommitRecord { q, visits });
        }
        self.root = children.start + pick.expect("a visited root has children") as NodeId;
        self.committed.push(self.root);
        self.noisy_priors.clear();
        self.completed_at_root = self.completed;
        self.commit_at = self.completed.saturating_add(subject.config.simulations);
        if tree.state(self.root) == NodeState::Terminal {
            Progress::Finished
        } else {
            Progress::Made
        }
    }

    /// Removes the in-flight visits of all running simulations from the tree.
    pub(super) fn undo(&mut self, tree: &mut Tree) {
        for simulation in self.running.drain(..) {
            tree.undo(&simulation.path);
        }
    }

    /// Number of simulations backed up so far, over all search roots.
    pub(super) fn completed(&self) -> u64 {
        self.completed
    }

    /// Returns the committed path, the statistics at each commit, and the number of simulations.
    pub(super) fn end(self) -> Ended {
        Ended { committed: self.committed, commits: self.commits, simulations: self.completed }
    }
}
