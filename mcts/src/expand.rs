//! The expansion of one node: one request for candidates, one for a judgement of each, and the
//! children that come of it.
//!
//! It knows nothing of the tree's statistics or of other nodes. Candidates are keyed by (seed,
//! problem, node path, index), so the same step is sampled whatever else is in flight.

use std::collections::BTreeSet;
use std::sync::Arc;

use regrowth_datasets::{Finish, TokenId, stream_key};
use regrowth_policy::{Boundary, Candidate, Judge, Judgement, Propose};

use crate::search::Subject;
use crate::{DepthLimit, SearchConfig, Skip};

/// A step in its place: what a tree keeps of a node beside its statistics.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    /// The step as it was sampled.
    pub(crate) sampled: regrowth_datasets::Step,
    /// Whether its log-probabilities are the ones it was drawn with.
    pub(crate) logps_exact: bool,
    /// Index among its siblings at every depth, from the root's child on.
    pub(crate) path: Vec<u32>,
    /// Steps from the problem.
    pub(crate) depth: u32,
    /// Tokens of the solution up to and with this step.
    pub(crate) tokens: usize,
    /// Whether the solution ends here.
    pub(crate) terminal: bool,
    /// The policy's judgement.
    pub(crate) self_evaluation: Option<f64>,
    /// O.
    pub(crate) outcome: f64,
    /// R.
    pub(crate) value: f64,
}

impl Step {
    /// The place of the problem itself, before any step.
    pub(crate) fn root() -> Self {
        Self {
            sampled: regrowth_datasets::Step {
                ids: Vec::new(),
                text: String::new(),
                logps: Vec::new(),
                finish: Finish::Boundary,
            },
            logps_exact: true,
            path: Vec::new(),
            depth: 0,
            tokens: 0,
            terminal: false,
            self_evaluation: None,
            outcome: 0.0,
            value: 0.0,
        }
    }
}

/// A node whose children are being fetched.
#[derive(Debug)]
pub(crate) struct Expansion {
    prefix: Arc<[TokenId]>,
    solution: String,
    asked: usize,
    /// Tokens that the children may have, and whether they end the solution in any case.
    max_tokens: usize,
    budget_ends: bool,
    forced: bool,
    candidates: Option<Vec<Candidate>>,
    judgements: Vec<Option<Judgement>>,
    first_judge: u64,
    judged: bool,
}

impl Expansion {
    /// The expansion of the node at `place` and the request that starts it.
    pub(crate) fn new(
        subject: &Subject<'_>,
        place: &Step,
        prefix: Arc<[TokenId]>,
        solution: String,
    ) -> Result<(Self, Propose), Skip> {
        let config = subject.config;
        let left = config.max_solution_tokens.saturating_sub(place.tokens);
        let room = left.min(subject.limits.context.saturating_sub(prefix.len()));
        if room == 0 {
            return Err(Skip::NoRoom);
        }
        let forced = is_forced(config, place.depth);
        let max_tokens = if forced { room } else { room.min(config.max_step_tokens) };
        let asked = breadth(config, place.depth, !subject.problem.choices.is_empty());
        let request = Propose {
            prefix: prefix.clone(),
            keys: keys(config.seed, &subject.problem.id, &place.path, asked),
            sampling: config.sampling,
            greedy_first: config.greedy_first,
            boundary: if forced { Boundary::End } else { config.boundary.clone() },
            max_tokens,
        };
        let expansion = Self {
            prefix,
            solution,
            asked,
            max_tokens,
            budget_ends: max_tokens == room,
            forced,
            candidates: None,
            judgements: Vec::new(),
            first_judge: 0,
            judged: false,
        };
        Ok((expansion, request))
    }

    /// Files the candidates, without empty ones and duplicates; returns how many duplicates.
    pub(crate) fn set_candidates(&mut self, candidates: Vec<Candidate>) -> Result<u64, Skip> {
        if self.candidates.is_some() || candidates.len() > self.asked {
            return Err(Skip::WrongAnswer);
        }
        let mut seen = BTreeSet::new();
        let mut duplicates = 0;
        let mut kept = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let step = &candidate.step;
            if step.ids.is_empty() {
                continue;
            }
            if step.logps.len() != step.ids.len() || !step.logps.iter().all(|&l| usable(l)) {
                return Err(Skip::BadLogProbs);
            }
            if seen.insert(step.ids.clone()) {
                kept.push(candidate);
            } else {
                duplicates += 1;
            }
        }
        if kept.is_empty() {
            return Err(Skip::NoCandidate);
        }
        self.candidates = Some(kept);
        Ok(duplicates)
    }

    /// The requests that judge the candidates, in their order; their tickets start at `first`.
    pub(crate) fn judges(&mut self, subject: &Subject<'_>, first: u64) -> Vec<Judge> {
        let config = &subject.config.value;
        self.judged = config.self_evaluation;
        self.first_judge = first;
        if !self.judged {
            return Vec::new();
        }
        let candidates = self.candidates.as_deref().unwrap_or_default();
        self.judgements = vec![None; candidates.len()];
        let hint = subject.problem.solution.clone().filter(|_| config.hinted);
        let judge = |candidate: &Candidate| Judge {
            prefix: self.prefix.clone(),
            step: Arc::from(candidate.step.ids.as_slice()),
            hint: hint.clone(),
            order: config.order,
        };
        candidates.iter().map(judge).collect()
    }

    /// Files the judgement that `ticket` asked for.
    pub(crate) fn set_judgement(&mut self, ticket: u64, judgement: Judgement) -> Result<(), Skip> {
        if judgement.correct.is_some_and(|c| !(0.0..=1.0).contains(&c)) {
            return Err(Skip::WrongAnswer);
        }
        let index = ticket.checked_sub(self.first_judge).ok_or(Skip::WrongAnswer)?;
        let place = self.judgements.get_mut(index as usize).ok_or(Skip::WrongAnswer)?;
        *place = Some(judgement);
        Ok(())
    }

    /// Whether everything that was asked for has come.
    pub(crate) fn is_complete(&self) -> bool {
        self.candidates.is_some() && self.judgements.iter().all(Option::is_some)
    }

    /// The children: step, text of the solution up to it, and whether its answer is right where
    /// the solution ends and the oracle is on.
    pub(crate) fn into_children(
        self,
        subject: &Subject<'_>,
        parent: &Step,
    ) -> Vec<(Step, String, Option<bool>)> {
        let judgement = |i: usize| self.judgements.get(i).copied().flatten();
        let candidates = self.candidates.unwrap_or_default().into_iter().enumerate();
        let child = |(index, candidate): (usize, Candidate)| {
            let sampled = candidate.step;
            let solution = format!("{}{}", self.solution, sampled.text);
            let out_of_tokens = self.budget_ends && sampled.ids.len() >= self.max_tokens;
            let terminal = self.forced
                || sampled.finish == Finish::Eos
                || out_of_tokens
                || subject.verifier.states_answer(subject.problem, &sampled.text);
            let asks_reference = terminal && subject.config.value.oracle;
            let correct = asks_reference
                .then(|| subject.verifier.verify(subject.problem, &solution).is_correct());
            let step = Step {
                tokens: parent.tokens + sampled.ids.len(),
                sampled,
                logps_exact: candidate.logps_exact,
                path: parent.path.clone(),
                depth: parent.depth + 1,
                terminal,
                self_evaluation: judgement(index).and_then(|j| j.correct),
                outcome: 0.0,
                value: 0.0,
            };
            (step, solution, correct)
        };
        candidates.map(child).collect()
    }
}

/// A log-probability that arithmetic may have pushed a little above 0 is still one.
fn usable(logp: f32) -> bool {
    logp.is_finite() && logp <= 1e-3
}

/// Whether the children of a node at `depth` are completed to the end in one step.
fn is_forced(config: &SearchConfig, depth: u32) -> bool {
    config.depth_limit == DepthLimit::Absolute && depth + 1 >= config.max_depth
}

/// Candidates of a node at `depth`. With a depth limit of 1 the root keeps its breadth: whole
/// solutions, the instance-level variant.
fn breadth(config: &SearchConfig, depth: u32, choice: bool) -> usize {
    match (depth, is_forced(config, depth)) {
        (0, _) => config.breadth[0],
        (_, true) if choice => config.final_breadth_choice,
        (_, true) => config.final_breadth,
        (_, false) => config.breadth[1],
    }
}

/// One key per candidate: (run seed, problem id, node path, candidate index).
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
