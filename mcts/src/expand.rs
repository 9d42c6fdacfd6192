//! The expansion of one node: its policy requests (candidate steps, a judgement or hidden state of each, and
//! log-probabilities of an injected step), and the children made from the responses.
//!
//! Each candidate's sampling seed is derived from (seed, problem, node path, index), so the same step is
//! sampled whatever else is in flight. If the next step of the reference solution is injected, it is one more
//! candidate, with its own request for log-probabilities. `search::grow` sends the requests and sets rewards;
//! this file does not read the tree's statistics. [`Subject`] holds problem, prompt, settings and verifier of
//! the tree.

use std::sync::Arc;

use regrowth_datasets::{Finish, TokenId, stream_key};
use regrowth_policy::{Boundary, Candidate, Hidden, Judge, Judgement, Propose, Score, Scores};
use regrowth_verifiers::{Finding, is_thinking};

use crate::config::DepthLimit;
use crate::judging::{JudgedStep, judge_request};
use crate::likelihood::{Finished, log_likelihood};
use crate::probe::StateProbe;
use crate::search::{ReferenceStep, Subject};
use crate::similar::similarity;
use crate::state::StepState;
use crate::{SearchConfig, SkipReason};

/// A step and its position in the tree: everything stored about a node except its search statistics.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ProposedStep {
    /// The sampled step.
    pub(crate) sampled: regrowth_datasets::Step,
    /// Whether the log-probabilities may serve as the reference's in DPO: the step was sampled at temperature 1
    /// without top-k, top-p or min-p truncation.
    pub(crate) logps_exact: bool,
    /// Whether the step was injected from the reference solution instead of sampled.
    pub(crate) injected: bool,
    /// Number of reference-solution steps on the path if the whole path follows the reference
    /// solution; otherwise `None`.
    pub(crate) reference_steps: Option<usize>,
    /// Tokens sampled when the node was expanded.
    pub(crate) expansion_tokens: u64,
    /// Index among the siblings at each depth, from the root's child down to this step.
    pub(crate) path: Vec<u32>,
    /// Number of steps from the root; the root has 0.
    pub(crate) depth: u32,
    /// Tokens of the solution up to and including this step.
    pub(crate) tokens: usize,
    /// Log-probability of the solution up to and including this step.
    pub(crate) log_likelihood: f64,
    /// Whether the solution ends here.
    pub(crate) terminal: bool,
    /// Features that the answer judge (`--judge answers`) uses in addition to the answer's likelihood; `None`
    /// for unfinished solutions and with other judges.
    pub(crate) finished: Option<Finished>,
    /// C: the judge's probability that the step is right, in [0, 1]; `None` if it is unknown or was not
    /// requested.
    pub(crate) self_evaluation: Option<f64>,
    /// Prior, rounded to the precision of [`crate::tree::Edge`].
    pub(crate) prior: f64,
    /// O: the outcome, nonzero only if the solution ends here (arXiv:2405.00451, eq. 2).
    pub(crate) outcome: f64,
    /// R = O + C. The reward is R less the parent's R, less `cost`.
    pub(crate) value: f64,
    /// Penalty for false equations in the step, subtracted from the reward.
    pub(crate) cost: f64,
    /// Findings of the verifier command and of the equation checker (`verifiers/src/calculator.rs`).
    pub(crate) findings: Vec<Finding>,
    /// The policy's hidden state at the end of the step; `None` unless hidden states are requested.
    pub(crate) state: Option<StepState>,
}

impl ProposedStep {
    /// The root: the problem before any step.
    pub(crate) fn root() -> Self {
        Self {
            sampled: regrowth_datasets::Step {
                ids: Vec::new(),
                text: String::new(),
                logps: Vec::new(),
                finish: Finish::Boundary,
            },
            logps_exact: true,
            injected: false,
            reference_steps: Some(0),
            expansion_tokens: 0,
            path: Vec::new(),
            depth: 0,
            tokens: 0,
            log_likelihood: 0.0,
            terminal: false,
            finished: None,
            self_evaluation: None,
            prior: 1.0,
            outcome: 0.0,
            value: 0.0,
            cost: 0.0,
            findings: Vec::new(),
            state: None,
        }
    }
}

/// An expansion in progress, with the responses received so far.
#[derive(Debug)]
pub(crate) struct Expansion {
    /// Token ids of the prompt and of the steps up to and including the expanded node.
    prefix: Arc<[TokenId]>,
    /// Text of the solution up to and including the expanded node.
    solution: String,
    /// Number of candidates requested.
    asked: usize,
    /// Number of tokens left for the solution; a child that uses all of them is terminal.
    room: usize,
    /// Whether the candidates are forced completions: they end the solution.
    forced: bool,
    /// The sampled candidates; `None` until they are received, and after the children are selected.
    sampled: Option<Vec<Candidate>>,
    /// The step of the reference solution to inject; `None` if there is none.
    reference: Option<ReferenceStep>,
    /// Log-probabilities of the injected step's tokens.
    reference_logps: Option<Vec<f32>>,
    /// The candidates that become children; empty until everything is sampled.
    accepted: Vec<Accepted>,
    judgements: Vec<Option<Judgement>>,
    first_judge: u64,
    /// Hidden states at the ends of the candidates; empty unless they are requested.
    states: Vec<Option<StepState>>,
    first_state: u64,
}

/// A candidate that becomes a child: neither empty nor a duplicate.
#[derive(Debug)]
struct Accepted {
    candidate: Candidate,
    injected: bool,
    on_reference: bool,
}

/// A child before it is valued and added to the tree.
pub(crate) struct Child {
    pub(crate) step: ProposedStep,
    /// Text of the solution up to and including the step.
    pub(crate) solution: String,
    /// Whether the answer is right. Set only after examination, and only if the solution ends here and the
    /// oracle is on.
    pub(crate) correct: Option<bool>,
    /// Why the verifier could not decide. `correct` is then `Some(false)`, or `None` if it was a verifier
    /// command.
    pub(crate) undecided: Option<String>,
}

impl Expansion {
    /// Prepares the expansion of the node whose step is `place`. Returns the expansion and its request for
    /// candidates.
    ///
    /// # Errors
    /// [`SkipReason::NoRoom`] if the context or the solution's token limit leaves no token.
    pub(crate) fn new(
        subject: &Subject<'_>,
        place: &ProposedStep,
        prefix: Arc<[TokenId]>,
        solution: String,
    ) -> Result<(Self, Propose), SkipReason> {
        let config = subject.config;
        let left = config.max_solution_tokens.saturating_sub(place.tokens);
        // The judge's question comes after the step and has to fit into the context as well.
        let question = config.value.question_room(subject.limits.question);
        let room = left.min(subject.limits.context.saturating_sub(prefix.len() + question));
        if room == 0 {
            return Err(SkipReason::NoRoom);
        }
        let forced = is_forced(config, place.depth);
        let max_tokens = if forced { room } else { room.min(subject.step_tokens) };
        let asked = breadth(config, place.depth, !subject.problem.choices.is_empty());
        let request = Propose {
            prefix: prefix.clone(),
            keys: keys(config.seed, &subject.problem.id, &place.path, asked),
            sampling: config.sampling,
            greedy_first: config.greedy_first,
            boundary: if forced { Boundary::End } else { config.boundary.clone() },
            stop_at: config.stop_at.clone(),
            max_tokens,
        };
        let reference = place.reference_steps.and_then(|done| subject.reference.next(done, forced));
        let expansion = Self {
            prefix,
            solution,
            asked,
            room,
            forced,
            sampled: None,
            reference: reference.filter(|step| step.ids.len() <= room),
            reference_logps: None,
            accepted: Vec::new(),
            judgements: Vec::new(),
            first_judge: 0,
            states: Vec::new(),
            first_state: 0,
        };
        Ok((expansion, request))
    }

    /// The request for the log-probabilities of the injected step; `None` if no step is injected.
    pub(crate) fn score(&self) -> Option<Score> {
        let step = self.reference.as_ref()?;
        Some(Score { prefix: self.prefix.clone(), continuation: step.ids.clone() })
    }

    /// Stores the sampled candidates.
    pub(crate) fn set_candidates(&mut self, candidates: Vec<Candidate>) -> Result<(), SkipReason> {
        if self.sampled.is_some() || candidates.len() > self.asked {
            return Err(SkipReason::WrongAnswer);
        }
        for candidate in &candidates {
            check_logps(&candidate.step.logps, candidate.step.ids.len())?;
        }
        self.sampled = Some(candidates);
        Ok(())
    }

    /// Stores the log-probabilities of the injected step.
    pub(crate) fn set_scores(&mut self, scores: Scores) -> Result<(), SkipReason> {
        let step = self.reference.as_ref().ok_or(SkipReason::WrongAnswer)?;
        check_logps(&scores.logps, step.ids.len())?;
        self.reference_logps = Some(scores.logps);
        Ok(())
    }

    /// Selects the candidates that become children, once everything is sampled. Returns the number of dropped
    /// duplicates; `None` if not everything is sampled yet or children were already selected.
    pub(crate) fn select_children(
        &mut self,
        subject: &Subject<'_>,
    ) -> Result<Option<u64>, SkipReason> {
        let scored = self.reference.is_none() || self.reference_logps.is_some();
        if !self.accepted.is_empty() || !scored {
            return Ok(None);
        }
        let Some(sampled) = self.sampled.take() else { return Ok(None) };
        let mut duplicates = 0;
        for candidate in sampled {
            if candidate.step.ids.is_empty() {
                continue;
            }
            if self.repeats(&candidate.step, subject.config.similarity) {
                duplicates += 1;
            } else {
                let on_reference = self.is_reference(&candidate.step.ids);
                self.accepted.push(Accepted { candidate, injected: false, on_reference });
            }
        }
        self.inject();
        if self.accepted.is_empty() { Err(SkipReason::NoCandidate) } else { Ok(Some(duplicates)) }
    }

    /// Whether an accepted sibling has the same token ids or, if `threshold` is set, a text whose similarity
    /// is above it.
    fn repeats(&self, step: &regrowth_datasets::Step, threshold: Option<f64>) -> bool {
        self.accepted.iter().map(|s| &s.candidate.step).any(|other| {
            let alike = |most| similarity(&other.text, &step.text) > most;
            other.ids == step.ids || threshold.is_some_and(alike)
        })
    }

    fn is_reference(&self, ids: &[TokenId]) -> bool {
        self.reference.as_ref().is_some_and(|step| *step.ids == *ids)
    }

    /// Adds the next step of the reference solution unless the policy sampled it.
    fn inject(&mut self) {
        let sampled = self.accepted.iter().any(|s| s.on_reference);
        let (Some(step), Some(logps), false) =
            (self.reference.clone(), self.reference_logps.take(), sampled)
        else {
            return;
        };
        let ids = step.ids.to_vec();
        let step = regrowth_datasets::Step { ids, text: step.text, logps, finish: step.finish };
        let candidate = Candidate { step, logps_exact: false };
        self.accepted.push(Accepted { candidate, injected: true, on_reference: true });
    }

    /// The requests that judge the candidates, in order. Their request ids are consecutive, starting at
    /// `first`.
    pub(crate) fn judges(&mut self, subject: &Subject<'_>, first: u64) -> Vec<Judge> {
        let config = &subject.config.value;
        if !config.asks() {
            return Vec::new();
        }
        self.first_judge = first;
        self.judgements = vec![None; self.accepted.len()];
        let judge = |accepted: &Accepted| {
            judge_request(
                config,
                JudgedStep {
                    problem: subject.problem,
                    prefix: &self.prefix,
                    before: &self.solution,
                    step: &accepted.candidate.step,
                },
            )
        };
        self.accepted.iter().map(judge).collect()
    }

    /// Stores the judgement received for `request_id`.
    pub(crate) fn set_judgement(
        &mut self,
        request_id: u64,
        judgement: Judgement,
    ) -> Result<(), SkipReason> {
        if judgement.correct.is_some_and(|c| !(0.0..=1.0).contains(&c)) {
            return Err(SkipReason::WrongAnswer);
        }
        let index = request_id.checked_sub(self.first_judge).ok_or(SkipReason::WrongAnswer)?;
        let place = self.judgements.get_mut(index as usize).ok_or(SkipReason::WrongAnswer)?;
        *place = Some(judgement);
        Ok(())
    }

    /// The requests for the hidden states at the ends of the candidates, in order. Their request ids are
    /// consecutive, starting at `first`.
    pub(crate) fn states(&mut self, subject: &Subject<'_>, first: u64) -> Vec<Hidden> {
        if !subject.config.value.reads_states() {
            return Vec::new();
        }
        self.first_state = first;
        self.states = vec![None; self.accepted.len()];
        let state = |accepted: &Accepted| Hidden {
            prefix: self.prefix.clone(),
            step: Arc::from(accepted.candidate.step.ids.as_slice()),
        };
        self.accepted.iter().map(state).collect()
    }

    /// Stores the hidden state received for `request_id`.
    pub(crate) fn set_state(
        &mut self,
        subject: &Subject<'_>,
        request_id: u64,
        values: &[f32],
    ) -> Result<(), SkipReason> {
        let index = request_id.checked_sub(self.first_state).ok_or(SkipReason::WrongAnswer)?;
        let place = self.states.get_mut(index as usize).ok_or(SkipReason::WrongAnswer)?;
        if let Some(width) =
            subject.probe.and_then(StateProbe::width).filter(|&w| w != values.len())
        {
            return Err(SkipReason::Policy(format!(
                "the probe reads hidden states of {width} values, and this policy's have {}; give \
                 `search.value.probe` one that was fitted to this policy",
                values.len()
            )));
        }
        *place = Some(StepState::new(values));
        Ok(())
    }

    /// Whether all requests of the expansion are answered.
    pub(crate) fn is_complete(&self) -> bool {
        let judged = self.judgements.iter().all(Option::is_some);
        !self.accepted.is_empty() && judged && self.states.iter().all(Option::is_some)
    }

    /// The children, in the order of their candidates.
    pub(crate) fn into_children(
        mut self,
        subject: &Subject<'_>,
        parent: &ProposedStep,
    ) -> Vec<Child> {
        let accepted = std::mem::take(&mut self.accepted);
        let children = accepted.into_iter().enumerate();
        children.map(|(index, s)| self.child(subject, parent, index, s)).collect()
    }

    fn child(
        &self,
        subject: &Subject<'_>,
        parent: &ProposedStep,
        index: usize,
        accepted: Accepted,
    ) -> Child {
        let sampled = accepted.candidate.step;
        let solution = format!("{}{}", self.solution, sampled.text);
        let turn = subject.turn(&solution);
        let answer_is_stated = || {
            let (problem, text) = (subject.problem, &sampled.text);
            !is_thinking(&turn)
                && subject.verifier.states_answer_finished(problem, text, sampled.finish)
        };
        let terminal = self.forced
            || matches!(sampled.finish, Finish::Eos | Finish::Stop)
            || sampled.ids.len() >= self.room
            || answer_is_stated();
        let reference = parent.reference_steps.filter(|_| accepted.on_reference);
        let log_likelihood = parent.log_likelihood + log_likelihood(&sampled.logps);
        let tokens = parent.tokens + sampled.ids.len();
        let value = &subject.config.value;
        let by_answer = terminal && value.judges_answers();
        let finished = by_answer.then(|| Finished::new(&turn, tokens, log_likelihood));
        let state = self.states.get(index).and_then(Option::clone);
        let self_evaluation = match finished {
            // Provisional: based on this solution alone. `GrowingTree::count_answers` recomputes the value from
            // all solutions with the same answer.
            Some(finished) => Some(value.likelihood.answer.at(log_likelihood, finished)),
            None if value.judges_likelihoods() => {
                Some(value.likelihood.confidence(log_likelihood, terminal))
            }
            None if value.judges_states() => subject
                .probe
                .zip(state.as_ref())
                .and_then(|(p, state)| p.confidence(state, terminal)),
            None => self.judgements.get(index).and_then(|j| (*j)?.correct),
        };
        let step = ProposedStep {
            tokens,
            log_likelihood,
            sampled,
            logps_exact: accepted.candidate.logps_exact,
            injected: accepted.injected,
            reference_steps: reference.map(|done| done + 1),
            path: parent.path.clone(),
            depth: parent.depth + 1,
            terminal,
            finished,
            self_evaluation,
            state,
            ..ProposedStep::root()
        };
        Child { step, solution, correct: None, undecided: None }
    }
}

/// Checks that there is one usable log-probability for each token.
fn check_logps(logps: &[f32], tokens: usize) -> Result<(), SkipReason> {
    let ok = logps.len() == tokens && logps.iter().all(|&l| usable(l));
    if ok { Ok(()) } else { Err(SkipReason::BadLogProbs) }
}

/// Whether a log-probability is finite and at most 0, with a tolerance for rounding.
fn usable(logp: f32) -> bool {
    logp.is_finite() && logp <= 1e-3
}

/// Whether the children of a node at `depth` are forced completions, i.e. the rest of the solution in one
/// step.
fn is_forced(config: &SearchConfig, depth: u32) -> bool {
    config.depth_limit != DepthLimit::Relative && depth + 1 >= config.max_depth
}

/// Number of candidates to sample at `depth`. The root keeps its breadth even if `max_depth` is 1 and every
/// candidate is a whole solution (instance-level preference pairs).
fn breadth(config: &SearchConfig, depth: u32, choice: bool) -> usize {
    match (depth, is_forced(config, depth)) {
        (0, _) => config.breadth[0],
        (_, true) if choice => config.final_breadth_choice,
        (_, true) => config.final_breadth,
        (_, false) => config.breadth[1],
    }
}

/// Returns the sampling seeds of a node's candidates, each derived from (run seed, problem id, node
/// path, index).
fn keys(seed: u64, problem: &str, path: &[u32], count: usize) -> Vec<u64> {
    let path: Vec<String> = path.iter().map(u32::to_string).collect();
    let path = path.join(".");
    (0..count as u64)
        .map(|index| {
            let parts: [&[u8]; 4] =
                [b"candidate", problem.as_bytes(), path.as_bytes(), &index.to_le_bytes()];
            stream_key(seed, &parts)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_completes_the_solution_but_for_a_limit_below_the_root() {
        let forced = |depth_limit, max_depth| -> Vec<u32> {
            let config = SearchConfig { depth_limit, max_depth, ..SearchConfig::default() };
            (0..5).filter(|&depth| is_forced(&config, depth)).collect()
        };
        assert_eq!(forced(DepthLimit::Absolute, 4), [3, 4]);
        assert_eq!(forced(DepthLimit::Both, 4), [3, 4]);
        assert_eq!(forced(DepthLimit::Relative, 4), [0; 0]);
        assert_eq!(forced(DepthLimit::Both, 1), [0, 1, 2, 3, 4]);
    }
}
