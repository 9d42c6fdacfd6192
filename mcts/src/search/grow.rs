//! Expands nodes: requests candidates, computes their values, and adds them to the tree.
//!
//! The strategy decides which node to expand. This is the only place that makes requests; it keeps the tree's
//! statistics and the texts of its steps synchronised. An "answer" here is the final answer of a solution.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regrowth_datasets::TokenId;
use regrowth_policy::{PolicyError, Request, Response, Usage};

use super::subject::{PolicyRequest, Subject};
use crate::SkipReason;
use crate::answers::{Answers, EndedSolution};
use crate::examine::{examine, step_score};
use crate::expand::{Child, Expansion, ProposedStep};
use crate::select::prior;
use crate::tree::{Edge, NodeId, Tree};
use crate::value::{Evaluation, StepObservation, reward, step_value, value};

/// A tree, the steps of its nodes, and the open requests.
pub(super) struct GrowingTree<'a> {
    pub(super) subject: Subject<'a>,
    pub(super) tree: Tree,
    pub(super) steps: Vec<ProposedStep>,
    pub(super) counts: Counts,
    pub(super) usage: Usage,
    /// Number of solutions with an undecided verdict, by reason.
    pub(super) undecided: BTreeMap<String, u64>,
    /// Answers of the solutions counted so far, if the judge is `answers`.
    answers: Answers,
    /// Why the last expansion could not be requested; `None` if it could.
    pub(super) refused: Option<SkipReason>,
    expansions: BTreeMap<NodeId, Expansion>,
    /// Open requests: from request id to the node whose expansion waits for the response.
    request_ids: BTreeMap<u64, NodeId>,
    next_request_id: u64,
    /// Requests not yet returned by [`Self::poll_requests`].
    pending_requests: Vec<PolicyRequest>,
}

/// Deterministic counts of one tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) propose_calls: u64,
    pub(super) judge_calls: u64,
    pub(super) score_calls: u64,
    pub(super) hidden_calls: u64,
    pub(super) sampled_tokens: u64,
    pub(super) duplicates: u64,
}

impl Counts {
    pub(super) fn model_calls(&self) -> u64 {
        self.propose_calls + self.judge_calls + self.score_calls + self.hidden_calls
    }
}

impl<'a> GrowingTree<'a> {
    pub(super) fn new(subject: Subject<'a>) -> Self {
        let config = subject.config;
        Self {
            tree: Tree::new(config.gamma, config.backup_weights),
            subject,
            steps: vec![ProposedStep::root()],
            counts: Counts::default(),
            usage: Usage::default(),
            undecided: BTreeMap::new(),
            answers: Answers::default(),
            refused: None,
            expansions: BTreeMap::new(),
            request_ids: BTreeMap::new(),
            next_request_id: 0,
            pending_requests: Vec::new(),
        }
    }

    pub(super) fn poll_requests(&mut self) -> Vec<PolicyRequest> {
        std::mem::take(&mut self.pending_requests)
    }

    /// Drops all open requests.
    pub(super) fn stop(&mut self) {
        self.expansions.clear();
        self.request_ids.clear();
        self.pending_requests.clear();
    }

    /// Claims a node and requests its children. Returns false if the node is terminal or already claimed. If the
    /// request cannot be made, sets `refused` and returns true.
    pub(super) fn expand(&mut self, node: NodeId) -> bool {
        if !self.tree.claim(node) {
            return false;
        }
        let prefix = self.prefix(node);
        let solution = self.solution(node);
        match Expansion::new(&self.subject, &self.steps[node as usize], prefix, solution) {
            Ok((expansion, propose)) => {
                let score = expansion.score();
                self.expansions.insert(node, expansion);
                self.counts.propose_calls += 1;
                self.request(node, Request::Propose(propose));
                if let Some(score) = score {
                    self.counts.score_calls += 1;
                    self.request(node, Request::Score(score));
                }
            }
            Err(skip) => self.refused = Some(skip),
        }
        true
    }

    fn request(&mut self, node: NodeId, request: Request) {
        let request_id = self.next_request_id;
        self.next_request_id += 1;
        self.request_ids.insert(request_id, node);
        self.pending_requests.push(PolicyRequest { request_id, request });
    }

    /// Stores one response. Returns the node whose expansion it completed, if any.
    pub(super) fn accept(
        &mut self,
        request_id: u64,
        result: Result<Response, PolicyError>,
    ) -> Result<Option<NodeId>, SkipReason> {
        let Some(node) = self.request_ids.remove(&request_id) else { return Ok(None) };
        let response = result.map_err(|error| SkipReason::Policy(error.to_string()))?;
        let Some(expansion) = self.expansions.get_mut(&node) else { return Ok(None) };
        match response {
            Response::Candidates(got) => {
                self.usage += got.usage;
                let tokens = got.candidates.iter().map(|c| c.step.ids.len() as u64).sum();
                self.counts.sampled_tokens += tokens;
                self.steps[node as usize].expansion_tokens = tokens;
                expansion.set_candidates(got.candidates)?;
            }
            Response::Scores(scores) => {
                self.usage += scores.usage;
                expansion.set_scores(scores)?;
            }
            Response::Judgement(judgement) => {
                self.usage += judgement.usage;
                expansion.set_judgement(request_id, judgement)?;
            }
            Response::Hidden(state) => {
                self.usage += state.usage;
                expansion.set_state(&self.subject, request_id, &state.values)?;
            }
        }
        if self.judge_if_ready(node)? {
            self.publish(node);
            return Ok(Some(node));
        }
        Ok(None)
    }

    /// Requests judgements once the candidates are complete. Returns whether no request of the expansion is
    /// open any more.
    fn judge_if_ready(&mut self, node: NodeId) -> Result<bool, SkipReason> {
        let first = self.next_request_id;
        let Some(expansion) = self.expansions.get_mut(&node) else { return Ok(false) };
        if let Some(duplicates) = expansion.select_children(&self.subject)? {
            self.counts.duplicates += duplicates;
            let judges = expansion.judges(&self.subject, first);
            self.counts.judge_calls += judges.len() as u64;
            let states = expansion.states(&self.subject, first + judges.len() as u64);
            self.counts.hidden_calls += states.len() as u64;
            let judges = judges.into_iter().map(Request::Judge);
            for request in judges.chain(states.into_iter().map(Request::Hidden)) {
                self.request(node, request);
            }
        }
        Ok(self.expansions[&node].is_complete())
    }

    /// Computes the values of a node's children and adds them to the tree.
    fn publish(&mut self, node: NodeId) {
        let Some(expansion) = self.expansions.remove(&node) else { return };
        let config = self.subject.config;
        let parent = &self.steps[node as usize];
        let parent_value = parent.value;
        let mut children = expansion.into_children(&self.subject, parent);
        examine(&self.subject, &mut children);
        let mut edges = Vec::with_capacity(children.len());
        for (index, child) in children.into_iter().enumerate() {
            let Child { mut step, solution, correct, undecided } = child;
            if let Some(reason) = undecided {
                *self.undecided.entry(reason).or_default() += 1;
            }
            let seen = StepObservation {
                self_evaluation: step.self_evaluation,
                verifier_score: step_score(&step.findings),
                correct,
                depth: step.depth,
                parent_value,
                solution: &solution,
                step: &step.sampled.text,
            };
            let step_value = step_value(&config.value, self.subject.problem, seen);
            step.outcome = step_value.outcome;
            step.value = step_value.value;
            step.cost = step_value.cost;
            step.path.push(index as u32);
            step.prior = prior(config.prior, &step.sampled.logps, config.prior_lambda);
            edges.push(Edge {
                prior: step.prior as f32,
                reward: step_value.reward,
                terminal: step.terminal,
            });
            self.steps.push(step);
        }
        self.tree.expand(node, &edges);
    }

    /// Judges the solutions that end in children of `node` by their answers, and rejudges all earlier
    /// solutions with the same answers. Does nothing unless the judge is `answers`. The strategy calls it
    /// once for each expanded node, in an order that does not depend on when responses arrived.
    pub(super) fn count_answers(&mut self, node: NodeId) {
        if !self.subject.config.value.judges_answers() {
            return;
        }
        let Subject { problem, verifier, .. } = self.subject;
        let mut touched = BTreeSet::new();
        for end in self.tree.children(node) {
            if let Some(finished) = self.steps[end as usize].finished {
                let text = self.solution(end);
                let turn = self.subject.turn(&text);
                let finish = self.steps[end as usize].sampled.finish;
                let solution = EndedSolution { node: end, text: &turn, finish, finished };
                let place = self.answers.add(verifier, problem, solution);
                touched.insert(place);
            }
        }
        let rewards: Vec<_> = touched.into_iter().flat_map(|answer| self.judge(answer)).collect();
        self.tree.set_rewards(&rewards);
    }

    /// Recomputes the self-evaluations of all solutions with this answer, from its current likelihood.
    /// Returns their rewards.
    fn judge(&mut self, answer: usize) -> Vec<(NodeId, f64)> {
        let config = &self.subject.config.value;
        let answer = &self.answers.all()[answer];
        let mut rewards = Vec::with_capacity(answer.solutions.len());
        for &(node, finished) in &answer.solutions {
            let above = self.tree.parent(node).map_or(0.0, |id| self.steps[id as usize].value);
            let step = &mut self.steps[node as usize];
            step.self_evaluation =
                Some(config.likelihood.answer.at(answer.log_likelihood, finished));
            let (self_evaluation, depth) = (step.self_evaluation, step.depth);
            let score = step_score(&step.findings);
            let evaluation = Evaluation { verifier_score: score, self_evaluation, depth };
            step.value = value(config, step.outcome, evaluation, above);
            rewards.push((node, reward(step.value, above, step.cost)));
        }
        rewards
    }

    /// Number of right and of wrong solutions among the children of `node`. Solutions with outcome 0 (no oracle,
    /// no verdict, or an answer that `choice_guard` devalues) are neither.
    pub(super) fn finished_children(&self, node: NodeId) -> (u64, u64) {
        let ends = self.tree.children(node).map(|id| &self.steps[id as usize]);
        ends.filter(|step| step.terminal).fold((0, 0), |(right, wrong), step| {
            (right + u64::from(step.outcome > 0.0), wrong + u64::from(step.outcome < 0.0))
        })
    }

    /// Ids from the root's child down to `node`.
    pub(super) fn path(&self, node: NodeId) -> Vec<NodeId> {
        let up = std::iter::successors(Some(node), |&id| self.tree.parent(id));
        let mut path: Vec<_> = up.filter(|&id| id != self.tree.root()).collect();
        path.reverse();
        path
    }

    /// Token ids of the prompt and of the steps up to and including `node`.
    fn prefix(&self, node: NodeId) -> Arc<[TokenId]> {
        let mut ids = self.subject.prompt.ids.to_vec();
        for id in self.path(node) {
            ids.extend_from_slice(&self.steps[id as usize].sampled.ids);
        }
        ids.into()
    }

    /// Text of the solution up to and including `node`.
    pub(super) fn solution(&self, node: NodeId) -> String {
        let path = self.path(node);
        path.iter().map(|&id| self.steps[id as usize].sampled.text.as_str()).collect()
    }
}
