//! One tree as a small state machine: it says what it wants to know, is told, and goes on.
//!
//! It knows nothing of channels, threads or other trees; a tree that waits for the model is a
//! value at rest. The algorithm is that of arXiv:2405.00451, section 2.1: select, expand, evaluate
//! and continue down to an end, one backup, and after the budget commit to a child.
//!
//! With W simulations in flight, simulation k starts after exactly the results of simulations 1 to
//! k - W are applied, and results are applied in the order of the simulations. Simulations that
//! meet at a node which is being expanded wait there and go on in their order. So the tree does
//! not depend on the order in which answers arrive.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use regrowth_datasets::{Problem, TokenId, keyed_rng};
use regrowth_policy::{Limits, PolicyError, Prompt, Request, Response, Usage};
use regrowth_verifiers::Verifier;

use crate::expand::{Expansion, Step};
use crate::record::{NodeRecord, TREE_VERSION, TreeRecord};
use crate::select::{commit, prior, select, spread};
use crate::tree::{Edge, NodeId, NodeState, Tree};
use crate::value::{Observed, worth};
use crate::{DepthLimit, SearchConfig, Skip};

/// A request of a tree; its answer goes to [`TreeSearch::answer`] with the same ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// Unique within the tree.
    pub ticket: u64,
    /// What is asked.
    pub request: Request,
}

/// Where a tree stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It waits for answers.
    Waiting,
    /// It is complete.
    Finished,
    /// It was given up.
    Skipped(Skip),
}

/// What a tree is about: the same for its whole life.
#[derive(Clone)]
pub struct Subject<'a> {
    /// The problem.
    pub problem: &'a Problem,
    /// Its prompt.
    pub prompt: Prompt,
    /// How to search.
    pub config: &'a SearchConfig,
    /// Decides where a solution ends and, with the oracle, whether it is right.
    pub verifier: &'a dyn Verifier,
    /// What the policy can be asked.
    pub limits: Limits,
}

/// A simulation that has started and is not yet backed up.
struct Simulation {
    path: Vec<NodeId>,
    done: bool,
}

/// The search of one tree.
pub struct TreeSearch<'a> {
    subject: Subject<'a>,
    tree: Tree,
    steps: Vec<Step>,
    /// Simulations `applied .. applied + simulations.len()`, in order.
    simulations: std::collections::VecDeque<Simulation>,
    applied: u64,
    /// Simulations after which the search root is committed.
    target: u64,
    search_root: NodeId,
    committed: Vec<NodeId>,
    expansions: BTreeMap<NodeId, Expansion>,
    /// Which expansion waits for which ticket.
    tickets: BTreeMap<u64, NodeId>,
    next_ticket: u64,
    asks: Vec<Ask>,
    progress: Progress,
    counts: Counts,
    usage: Usage,
}

/// Deterministic counts of one tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    propose_calls: u64,
    judge_calls: u64,
    sampled_tokens: u64,
    duplicates: u64,
}

impl<'a> TreeSearch<'a> {
    /// A search that has asked its first questions.
    #[must_use]
    pub fn new(subject: Subject<'a>) -> Self {
        let config = subject.config;
        let mut search = Self {
            tree: Tree::new(config.gamma, config.backup_weights),
            subject,
            steps: vec![Step::root()],
            simulations: std::collections::VecDeque::new(),
            applied: 0,
            target: config.simulations.saturating_mul(config.first_root_factor),
            search_root: 0,
            committed: Vec::new(),
            expansions: BTreeMap::new(),
            tickets: BTreeMap::new(),
            next_ticket: 0,
            asks: Vec::new(),
            progress: Progress::Waiting,
            counts: Counts::default(),
            usage: Usage::default(),
        };
        search.advance();
        search
    }

    /// Takes the requests that are new since the last call.
    pub fn take_asks(&mut self) -> Vec<Ask> {
        std::mem::take(&mut self.asks)
    }

    /// Where the tree stands.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What the answered requests cost; depends on the policy's cache.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// The statistics of the tree so far.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Model calls so far.
    #[must_use]
    pub fn model_calls(&self) -> u64 {
        self.counts.propose_calls + self.counts.judge_calls
    }

    /// Gives the tree one answer. An answer to a ticket that is not waited for is ignored.
    pub fn answer(&mut self, ticket: u64, result: Result<Response, PolicyError>) {
        let Some(node) = self.tickets.remove(&ticket) else { return };
        if self.progress != Progress::Waiting {
            return;
        }
        let outcome = match result {
            Ok(response) => self.accept(node, ticket, response),
            Err(error) => Err(Skip::Policy(error.to_string())),
        };
        match outcome {
            Ok(true) => {
                self.finish_expansion(node);
                self.advance();
            }
            Ok(false) => {}
            Err(skip) => self.give_up(skip),
        }
    }

    /// Files one answer; true when the node's expansion has everything it asked for.
    fn accept(&mut self, node: NodeId, ticket: u64, response: Response) -> Result<bool, Skip> {
        let Some(expansion) = self.expansions.get_mut(&node) else { return Ok(false) };
        match response {
            Response::Candidates(got) => {
                self.usage += got.usage;
                let sampled = got.candidates.iter().map(|c| c.step.ids.len() as u64);
                self.counts.sampled_tokens += sampled.sum::<u64>();
                self.counts.duplicates += expansion.set_candidates(got.candidates)?;
                self.judge(node);
            }
            Response::Judgement(judgement) => {
                self.usage += judgement.usage;
                expansion.set_judgement(ticket, judgement)?;
            }
            Response::Scores(_) => return Err(Skip::WrongAnswer),
        }
        Ok(self.expansions[&node].is_complete())
    }

    /// Undoes everything in flight, so that the tree stays consistent, and stops.
    fn give_up(&mut self, skip: Skip) {
        for simulation in self.simulations.drain(..) {
            self.tree.undo(&simulation.path);
        }
        self.expansions.clear();
        self.tickets.clear();
        self.asks.clear();
        self.progress = Progress::Skipped(skip);
    }

    /// Starts, applies and commits as far as possible without another answer.
    fn advance(&mut self) {
        while self.progress == Progress::Waiting {
            let started = self.applied + self.simulations.len() as u64;
            let window = self.subject.config.leaves_in_flight as u64;
            let moved = if started < self.target {
                if started - self.applied < window { self.start() } else { self.apply_first() }
            } else if self.simulations.is_empty() {
                self.commit()
            } else {
                self.apply_first()
            };
            if !moved {
                return;
            }
        }
    }

    /// Select: begins the next simulation at the search root.
    fn start(&mut self) -> bool {
        let index = self.simulations.len();
        let path = vec![self.search_root];
        self.tree.enter(self.search_root);
        self.simulations.push_back(Simulation { path, done: false });
        self.descend(index);
        true
    }

    /// Backs up the oldest simulation, if it has reached its end.
    fn apply_first(&mut self) -> bool {
        match self.simulations.front() {
            Some(first) if first.done => {
                self.tree.backup(&first.path);
                self.simulations.pop_front();
                self.applied += 1;
                true
            }
            _ => false,
        }
    }

    /// Moves a simulation down until it ends or waits for an expansion.
    fn descend(&mut self, index: usize) {
        loop {
            let leaf = *self.simulations[index].path.last().expect("a path starts at a root");
            let stop = self.tree.state(leaf) == NodeState::Terminal || self.at_relative_limit(leaf);
            if stop {
                self.simulations[index].done = true;
                return;
            }
            if self.tree.state(leaf) != NodeState::Expanded {
                if self.tree.claim(leaf) {
                    self.propose(leaf);
                }
                return;
            }
            // The parent's count leaves out this simulation's own visit.
            let visits = self.tree.visits(leaf) + self.tree.in_flight(leaf) - 1;
            let children = self.tree.children(leaf);
            let stats = children.clone().map(|c| self.tree.stats(c));
            let pick = select(stats, visits, self.subject.config.c_puct);
            let child = children.start + pick.expect("an expanded node has children") as NodeId;
            self.tree.enter(child);
            self.simulations[index].path.push(child);
        }
    }

    fn at_relative_limit(&self, node: NodeId) -> bool {
        let depth = |id: NodeId| self.steps[id as usize].depth;
        let config = self.subject.config;
        config.depth_limit == DepthLimit::Relative
            && depth(node) - depth(self.search_root) >= config.max_depth
    }

    /// Expand: asks for the children of a claimed node.
    fn propose(&mut self, node: NodeId) {
        let prefix = self.prefix(node);
        let solution = self.solution(node);
        let place = &self.steps[node as usize];
        match Expansion::new(&self.subject, place, prefix, solution) {
            Ok((expansion, request)) => {
                self.expansions.insert(node, expansion);
                self.counts.propose_calls += 1;
                self.ask(node, Request::Propose(request));
            }
            Err(skip) => self.give_up(skip),
        }
    }

    /// Evaluate: asks for a judgement of every new child.
    fn judge(&mut self, node: NodeId) {
        let first = self.next_ticket;
        let Some(expansion) = self.expansions.get_mut(&node) else { return };
        let judges = expansion.judges(&self.subject, first);
        self.counts.judge_calls += judges.len() as u64;
        for judge in judges {
            self.ask(node, Request::Judge(judge));
        }
    }

    fn ask(&mut self, node: NodeId, request: Request) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.tickets.insert(ticket, node);
        self.asks.push(Ask { ticket, request });
    }

    /// Publishes the children of a node and lets every simulation that waits there go on, in the
    /// order of their numbers.
    fn finish_expansion(&mut self, node: NodeId) {
        let Some(expansion) = self.expansions.remove(&node) else { return };
        let config = self.subject.config;
        let parent = &self.steps[node as usize];
        let parent_value = parent.value;
        let children = expansion.into_children(&self.subject, parent);
        let mut edges = Vec::with_capacity(children.len());
        for (index, (mut step, solution, correct)) in children.into_iter().enumerate() {
            let worth = worth(
                &config.value,
                self.subject.problem,
                Observed {
                    self_evaluation: step.self_evaluation,
                    correct,
                    depth: step.depth,
                    parent_value,
                    solution: &solution,
                },
            );
            step.outcome = worth.outcome;
            step.value = worth.value;
            step.path.push(index as u32);
            let prior = prior(config.prior, &step.sampled.logps, config.prior_lambda);
            edges.push(Edge { prior, reward: worth.reward, terminal: step.terminal });
            self.steps.push(step);
        }
        self.tree.expand(node, &edges);
        for index in 0..self.simulations.len() {
            let waits =
                !self.simulations[index].done && self.simulations[index].path.last() == Some(&node);
            if waits {
                self.descend(index);
            }
        }
    }

    /// Commit: makes the best child the search root, or ends the search. Its subtree and counts
    /// stay.
    fn commit(&mut self) -> bool {
        let children = self.tree.children(self.search_root);
        let stats: Vec<_> = children.clone().map(|c| self.tree.stats(c)).collect();
        let spreads: Vec<_> = children
            .clone()
            .map(|c| {
                let visits: Vec<_> = self.tree.children(c).map(|g| self.tree.visits(g)).collect();
                spread(&visits)
            })
            .collect();
        let parts: [&[u8]; 3] = [
            b"commit",
            self.subject.problem.id.as_bytes(),
            &(self.committed.len() as u64).to_le_bytes(),
        ];
        let draw = keyed_rng(self.subject.config.seed, &parts).random::<f64>();
        match commit(self.subject.config.commit, &stats, &spreads, draw) {
            Some(pick) => {
                self.search_root = children.start + pick as NodeId;
                self.committed.push(self.search_root);
                self.target = self.applied.saturating_add(self.subject.config.simulations);
                if self.tree.state(self.search_root) == NodeState::Terminal {
                    self.progress = Progress::Finished;
                }
            }
            None => self.give_up(Skip::NoCandidate),
        }
        true
    }

    /// Ids from the root's child to `node`.
    fn path(&self, node: NodeId) -> Vec<NodeId> {
        let up = std::iter::successors(Some(node), |&id| self.tree.parent(id));
        let mut path: Vec<_> = up.filter(|&id| id != 0).collect();
        path.reverse();
        path
    }

    /// Prompt and steps up to and with `node`.
    fn prefix(&self, node: NodeId) -> Arc<[TokenId]> {
        let mut ids = self.subject.prompt.ids.to_vec();
        for id in self.path(node) {
            ids.extend_from_slice(&self.steps[id as usize].sampled.ids);
        }
        ids.into()
    }

    /// Text of the solution up to and with `node`.
    fn solution(&self, node: NodeId) -> String {
        let path = self.path(node);
        path.iter().map(|&id| self.steps[id as usize].sampled.text.as_str()).collect()
    }

    /// The finished tree as a row; `None` before it is finished.
    #[must_use]
    pub fn record(self, policy: &str, round: u32) -> Option<TreeRecord> {
        if self.progress != Progress::Finished {
            return None;
        }
        let last = *self.committed.last()?;
        let solution = self.solution(last);
        let subject = self.subject;
        let correct = subject.verifier.verify(subject.problem, &solution).is_correct();
        let order = breadth_first(&self.tree);
        let mut place = vec![0; order.len()];
        for (new, &old) in order.iter().enumerate() {
            place[old as usize] = new as u32;
        }
        let mut steps: Vec<_> = self.steps.into_iter().map(Some).collect();
        let nodes = order.iter().filter_map(|&id| {
            let parent = self.tree.parent(id).map(|p| place[p as usize]);
            Some(node_record(&self.tree, id, parent, steps[id as usize].take()?))
        });
        Some(TreeRecord {
            version: TREE_VERSION,
            round,
            policy: policy.to_owned(),
            seed: subject.config.seed,
            oracle: subject.config.value.oracle,
            hinted: subject.config.value.hinted,
            problem: subject.problem.clone(),
            prompt: subject.prompt.text.clone(),
            prompt_ids: subject.prompt.ids.to_vec(),
            nodes: nodes.collect(),
            committed: self.committed.iter().map(|&id| place[id as usize]).collect(),
            correct,
            simulations: self.applied,
            propose_calls: self.counts.propose_calls,
            judge_calls: self.counts.judge_calls,
            sampled_tokens: self.counts.sampled_tokens,
            duplicates: self.counts.duplicates,
        })
    }
}

/// All nodes, parents before children and siblings together.
fn breadth_first(tree: &Tree) -> Vec<NodeId> {
    let mut order = vec![tree.root()];
    let mut next = 0;
    while let Some(&id) = order.get(next) {
        order.extend(tree.children(id));
        next += 1;
    }
    order
}

fn node_record(tree: &Tree, id: NodeId, parent: Option<u32>, step: Step) -> NodeRecord {
    let edge = tree.edge(id);
    NodeRecord {
        parent,
        depth: step.depth,
        finish: (id != 0).then_some(step.sampled.finish),
        text: step.sampled.text,
        ids: step.sampled.ids,
        logps: step.sampled.logps,
        logps_exact: step.logps_exact,
        terminal: step.terminal,
        prior: edge.prior,
        visits: tree.visits(id),
        reward: edge.reward,
        q: tree.q(id),
        v: tree.v(id),
        self_evaluation: step.self_evaluation,
        outcome: step.outcome,
    }
}
