//! Samples solutions within a time limit, with a model of any speed.
//!
//! All solutions are extended together, a few tokens per wave. Waves are short compared with the time limit,
//! so the partial solutions at the limit can be used. The first waves show how many problems can be finished
//! in time. The time limit determines the length and number of the solutions, but not their text, because all
//! waves have the same length.

use std::time::Instant;

use crossbeam::channel::unbounded;
use regrowth_datasets::{Finish, Problem, TokenId, stream_key};
use regrowth_mcts::SearchConfig;
use regrowth_policy::{
    Boundary, Call, Candidate, Policy, PolicyError, Prompt, Propose, Request, Response,
};
use regrowth_verifiers::{Verifier, is_thinking, whole_turn};
use serde::Serialize;

use crate::TrainError;

/// Maximum number of problems: a handful that a person can read.
pub const MOST_PROBLEMS: usize = 8;
/// Number of tokens of a solution per wave; a wave's random stream depends on its start position.
const WAVE: usize = 16;
/// Assumed number of tokens of a solution before any is known: between GSM8K (270) and MATH.
const EXPECTED_TOKENS: f64 = 320.0;
/// Maximum share of the time spent on prompts.
const PROMPT_SHARE: f64 = 0.25;

/// What ended a solution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The model's EOS, or a line that states the answer.
    Complete,
    /// The token limit of a solution, or the context limit.
    CutOff,
    /// The time limit of this check.
    Unfinished,
}

impl End {
    /// Whether the solution is complete or cut off as in a search, i.e. not ended by the time limit.
    #[must_use]
    pub fn is_final(self) -> bool {
        self != Self::Unfinished
    }
}

/// A partial solution.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) problem: usize,
    pub(super) prompt: Prompt,
    pub(super) ids: Vec<TokenId>,
    /// Sum of the log-probabilities of its tokens.
    log_prob: f64,
    pub(super) end: End,
}

/// The sampled solutions, and their tokens and time.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    pub(super) drafts: Vec<Draft>,
    /// Number of tokens sampled in all waves.
    pub(super) tokens: usize,
    /// Time of all waves, in seconds.
    pub(super) seconds: f64,
}

impl Drawn {
    pub(super) fn mean_log_prob(&self) -> f64 {
        let tokens: usize = self.drafts.iter().map(|d| d.ids.len()).sum();
        self.drafts.iter().map(|d| d.log_prob).sum::<f64>() / tokens.max(1) as f64
    }
}

/// Samples solutions in waves, with one request per open solution.
pub(super) struct Waves<'a> {
    pub(super) policy: &'a dyn Policy,
    pub(super) verifier: &'a dyn Verifier,
    pub(super) problems: &'a [Problem],
    pub(super) search: &'a SearchConfig,
    pub(super) deadline: Instant,
    pub(super) drawn: Drawn,
}

impl Waves<'_> {
    /// Samples one solution of each of the first problems, as many as the time allows.
    pub(super) fn sample(
        mut self,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Drawn, TrainError> {
        let wanted = self.problems.len().min(MOST_PROBLEMS);
        if wanted == 0 {
            return Ok(self.drawn);
        }
        self.begin(1)?;
        if !self.draw()? {
            return Ok(self.drawn);
        }
        let fit = PROMPT_SHARE * self.left() / self.drawn.seconds.max(1e-6);
        self.begin(wanted.min((fit as usize).max(1)))?;
        let mut count = 1;
        while self.open() > 0 {
            let (tokens, seconds) = (self.drawn.tokens, self.drawn.seconds);
            if !self.draw()? {
                break;
            }
            count += 1;
            // The second wave includes computing the prompts; the third is the first at full speed.
            if count == 3 {
                let (tokens, seconds) = (self.drawn.tokens - tokens, self.drawn.seconds - seconds);
                let rate = tokens as f64 / seconds.max(1e-6);
                self.keep((self.left() * rate / EXPECTED_TOKENS).round() as usize);
            }
            let (open, all) = (self.open(), self.drawn.drafts.len());
            progress(all - open, all);
        }
        Ok(self.drawn)
    }

    /// Remaining seconds.
    fn left(&self) -> f64 {
        self.deadline.saturating_duration_since(Instant::now()).as_secs_f64()
    }

    /// Number of open solutions.
    fn open(&self) -> usize {
        self.drawn.drafts.iter().filter(|d| !d.end.is_final()).count()
    }

    /// Begins further solutions, until there are `count`.
    fn begin(&mut self, count: usize) -> Result<(), TrainError> {
        for problem in self.drawn.drafts.len()..count {
            let prompt = self.policy.prompt(&self.problems[problem])?;
            let (ids, end) = (Vec::new(), End::Unfinished);
            self.drawn.drafts.push(Draft { problem, prompt, ids, log_prob: 0.0, end });
        }
        Ok(())
    }

    /// Drops open solutions that would not be finished in time, so that `count` remain (at least two). Ended
    /// solutions are kept.
    fn keep(&mut self, count: usize) {
        let mut open = 0;
        self.drawn.drafts.retain(|draft| {
            open += usize::from(!draft.end.is_final());
            draft.end.is_final() || open <= count.max(2)
        });
    }

    /// Runs one wave over all open solutions. Returns false if the time is up.
    fn draw(&mut self) -> Result<bool, TrainError> {
        let started = Instant::now();
        let (reply, answers) = unbounded();
        let mut waiting = 0;
        for index in 0..self.drawn.drafts.len() {
            if let Some(request) = self.request(index) {
                self.policy.submit(Call::new(index as u64, request, reply.clone()));
                waiting += 1;
            }
        }
        drop(reply);
        for _ in 0..waiting {
            let Ok(answered) = answers.recv_deadline(self.deadline) else { return Ok(false) };
            match answered.result {
                Ok(Response::Candidates(mut found)) if !found.candidates.is_empty() => {
                    self.take(answered.request_id as usize, found.candidates.remove(0))?;
                }
                Ok(_) => return Err(PolicyError::Model("no candidate".into()).into()),
                Err(error) => return Err(error.into()),
            }
        }
        self.drawn.seconds += started.elapsed().as_secs_f64();
        Ok(Instant::now() < self.deadline)
    }

    /// Returns the request for the next part of a solution; `None` if the solution has ended.
    fn request(&mut self, index: usize) -> Option<Request> {
        let draft = &mut self.drawn.drafts[index];
        if draft.end.is_final() {
            return None;
        }
        let context = self.policy.limits().context.saturating_sub(draft.prompt.ids.len());
        let room = self.search.max_solution_tokens.min(context).saturating_sub(draft.ids.len());
        if room == 0 {
            draft.end = End::CutOff;
            return None;
        }
        let id = self.problems[draft.problem].id.as_bytes();
        let drawn = (draft.ids.len() as u64).to_le_bytes();
        Some(Request::Propose(Propose {
            prefix: [&*draft.prompt.ids, &draft.ids].concat().into(),
            keys: vec![stream_key(self.search.seed, &[b"check", id, &drawn])],
            sampling: self.search.sampling,
            greedy_first: false,
            boundary: Boundary::End,
            stop_at: self.search.stop_at.clone(),
            max_tokens: WAVE.min(room),
        }))
    }

    fn take(&mut self, index: usize, candidate: Candidate) -> Result<(), TrainError> {
        let draft = &mut self.drawn.drafts[index];
        let step = candidate.step;
        self.drawn.tokens += step.ids.len();
        draft.log_prob += step.logps.iter().map(|&l| f64::from(l)).sum::<f64>();
        draft.ids.extend(step.ids);
        let problem = &self.problems[draft.problem];
        let text = self.policy.decode(&draft.ids)?;
        // A line that states the answer ends a solution, as in a search.
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let thinks = is_thinking(&whole_turn(&draft.prompt.text, &text));
        let states =
            !thinks && lines.into_iter().any(|line| self.verifier.states_answer(problem, line));
        if states || matches!(step.finish, Finish::Eos | Finish::Stop) {
            draft.end = End::Complete;
        }
        Ok(())
    }
}
