//! Whole solutions of many problems, a window of them in flight, delivered in order.
//!
//! A solution is asked for in one request and ends at EOS, at the token budget, or with the line
//! that states its answer, as a search's does. The reference answer is looked at only when the text
//! is complete; same seed, same texts, whatever else is in flight.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam::channel::{Sender, unbounded};
use regrowth_datasets::{Finish, Problem, TokenId, stream_key};
use regrowth_mcts::SearchError;
use regrowth_policy::{
    Answered, Boundary, Call, Candidate, Policy, PolicyError, Prompt, Propose, Request, Response,
    Sampling, StopAt, Usage,
};
use regrowth_verifiers::{Statement, Verdict, Verifier, is_thinking, whole_turn};

use super::ask::receive;
use crate::TrainError;

/// What is asked for each problem.
#[derive(Debug, Clone)]
pub struct SamplePlan {
    /// Seed of every random number.
    pub seed: u64,
    /// Solutions of each problem, at least 1.
    pub samples: usize,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Tokens of one solution at most, at least 1.
    pub max_tokens: usize,
    /// What a solution ends at besides EOS; it is cut before a text of these, as other programs do
    /// with their `stop` strings.
    pub stop_at: StopAt,
    /// Set to true from anywhere, stops soon with [`TrainError::Interrupted`].
    pub cancel: Arc<AtomicBool>,
}

impl SamplePlan {
    /// One greedy solution of at most `max_tokens` tokens.
    #[must_use]
    pub fn greedy(max_tokens: usize) -> Self {
        Self {
            seed: 0,
            samples: 1,
            sampling: Sampling::greedy(),
            max_tokens,
            stop_at: StopAt::default(),
            cancel: Arc::default(),
        }
    }
}

/// One solution of one problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The solution, cut behind the line that states its answer.
    pub text: String,
    /// Token ids as sampled, before any cut.
    pub ids: Vec<TokenId>,
    /// Log-probability of all of them.
    pub logp: f64,
    /// Why the solution ended: a stop where it was cut.
    pub finish: Finish,
    /// The answer that it states, or why it states none.
    pub statement: Statement,
    /// What the verifier says.
    pub verdict: Verdict,
}

impl Attempt {
    /// Whether the answer is right.
    #[must_use]
    pub fn is_correct(&self) -> bool {
        self.verdict.is_correct()
    }
}

/// The solutions of one problem.
#[derive(Debug, Clone)]
pub struct Solved {
    /// Index of the problem in the list that was given.
    pub index: usize,
    /// Token ids of its prompt; empty if it could not be asked.
    pub prompt: Arc<[TokenId]>,
    /// The solutions, in the order of their keys; empty if the problem could not be asked.
    pub attempts: Vec<Attempt>,
    /// Why there is no attempt.
    pub failure: Option<String>,
    /// What it cost.
    pub usage: Usage,
}

impl Solved {
    /// Whether the first solution is right; without one the problem counts as not solved.
    #[must_use]
    pub fn is_correct(&self) -> bool {
        self.attempts.first().is_some_and(Attempt::is_correct)
    }
}

/// Who is asked what, and who checks the answers.
#[derive(Clone, Copy)]
pub struct Evaluation<'a> {
    /// Answers.
    pub policy: &'a dyn Policy,
    /// Checks the answers.
    pub verifier: &'a dyn Verifier,
    /// What is asked.
    pub problems: &'a [Problem],
    /// How it is asked.
    pub plan: &'a SamplePlan,
}

impl Evaluation<'_> {
    /// Asks for solutions of every problem and hands them over in the order of the problems.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] when cancelled, [`TrainError::Policy`] when the policy stopped for
    /// good, whatever `on_solved` returns.
    pub fn solve(
        &self,
        on_solved: &mut dyn FnMut(Solved) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let Self { policy, verifier, problems, plan } = *self;
        let (reply, answers) = unbounded();
        let mut window =
            Window { policy, problems, plan, reply, early: BTreeMap::new(), submitted: 0 };
        let width = policy.limits().in_flight.max(1);
        for next in 0..problems.len() {
            window.fill((next + width).min(problems.len()));
            while !matches!(window.early.get(&next), Some(State::Done(_))) {
                let answered = receive(&answers, &plan.cancel)?;
                window.take(answered, verifier)?;
            }
            if let Some(State::Done(solved)) = window.early.remove(&next) {
                on_solved(solved)?;
            }
        }
        Ok(())
    }
}

/// Problems that are asked or answered but not yet handed over.
struct Window<'a> {
    policy: &'a dyn Policy,
    problems: &'a [Problem],
    plan: &'a SamplePlan,
    reply: Sender<Answered>,
    early: BTreeMap<usize, State>,
    submitted: usize,
}

enum State {
    /// Asked, with this prompt.
    Asked(Prompt),
    Done(Solved),
}

impl Window<'_> {
    /// Asks for the problems before `end` that are not asked yet.
    fn fill(&mut self, end: usize) {
        while self.submitted < end {
            let index = self.submitted;
            self.submitted += 1;
            let state = match self.request(index) {
                Ok((prompt, request)) => {
                    let (request_id, request) = (index as u64, Request::Propose(request));
                    self.policy.submit(Call::new(request_id, request, self.reply.clone()));
                    State::Asked(prompt)
                }
                Err(error) => State::Done(failed(index, Arc::from([]), &error)),
            };
            self.early.insert(index, state);
        }
    }

    fn request(&self, index: usize) -> Result<(Prompt, Propose), PolicyError> {
        let problem = &self.problems[index];
        let prompt = self.policy.prompt(problem)?;
        let length = prompt.ids.len();
        let room = self.policy.limits().context.saturating_sub(length);
        if room == 0 {
            let detail = format!("the prompt of {length} tokens fills the context");
            return Err(PolicyError::Request(detail));
        }
        let key = |sample: usize| {
            let parts: [&[u8]; 3] =
                [b"solve", problem.id.as_bytes(), &(sample as u64).to_le_bytes()];
            stream_key(self.plan.seed, &parts)
        };
        let request = Propose {
            prefix: prompt.ids.clone(),
            keys: (0..self.plan.samples).map(key).collect(),
            sampling: self.plan.sampling,
            greedy_first: false,
            boundary: Boundary::End,
            stop_at: self.plan.stop_at.clone(),
            max_tokens: self.plan.max_tokens.min(room),
        };
        Ok((prompt, request))
    }

    /// Files an answer.
    fn take(&mut self, answered: Answered, verifier: &dyn Verifier) -> Result<(), TrainError> {
        let index = answered.request_id as usize;
        let Prompt { text: asked, ids: prompt } = match self.early.get(&index) {
            Some(State::Asked(prompt)) => prompt.clone(),
            _ => return Ok(()),
        };
        let solved = match answered.result {
            Ok(Response::Candidates(found)) => {
                let problem = &self.problems[index];
                let attempts = found
                    .candidates
                    .into_iter()
                    .map(|c| attempt((problem, &asked), c, &self.plan.stop_at.strings, verifier))
                    .collect();
                if let Some(why) = verifier.failure() {
                    return Err(SearchError::Verifier(why).into());
                }
                Solved { index, prompt, attempts, failure: None, usage: found.usage }
            }
            Ok(_) => {
                let error = PolicyError::Model("the answer is not of the kind asked for".into());
                failed(index, prompt, &error)
            }
            Err(error) if error.is_final() => return Err(error.into()),
            Err(error) => failed(index, prompt, &error),
        };
        self.early.insert(index, State::Done(solved));
        Ok(())
    }
}

fn failed(index: usize, prompt: Arc<[TokenId]>, error: &PolicyError) -> Solved {
    let failure = Some(error.to_string());
    Solved { index, prompt, attempts: Vec::new(), failure, usage: Usage::default() }
}

fn attempt(
    (problem, prompt): (&Problem, &str),
    candidate: Candidate,
    stop: &[String],
    verifier: &dyn Verifier,
) -> Attempt {
    let step = candidate.step;
    let text = cut((problem, prompt), &step.text, stop, verifier).to_owned();
    // What stands before a stop string or another problem is finished.
    let whole = text.len() == step.text.len();
    let finish = if whole { step.finish } else { Finish::Stop };
    let turn = whole_turn(prompt, &text);
    let statement = Statement::of(problem, &turn, finish);
    let verdict = verifier.verify_finished(problem, &turn, finish);
    Attempt { text, logp: step.logp(), ids: step.ids, finish, statement, verdict }
}

/// The text up to the first stop string and up to the end of the first line that states an answer:
/// models that were not taught to stop go on with another problem.
fn cut<'a>(
    (problem, prompt): (&Problem, &str),
    text: &'a str,
    stop: &[String],
    verifier: &dyn Verifier,
) -> &'a str {
    let stops = stop.iter().filter_map(|s| text.find(s.as_str()));
    let text = &text[..stops.min().unwrap_or(text.len())];
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        end += line.len();
        if verifier.states_answer(problem, line) && !is_thinking(&whole_turn(prompt, &text[..end]))
        {
            return &text[..end];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use regrowth_datasets::{Split, tasks::problems_from_spec};
    use regrowth_policy::Scripted;
    use regrowth_verifiers::ProblemVerifier;

    fn problems(n: usize) -> Vec<Problem> {
        problems_from_spec("arithmetic", Split::Validation, 0).unwrap().take(n).collect()
    }

    fn solve(
        problems: &[Problem],
        plan: &SamplePlan,
        on_solved: &mut dyn FnMut(Solved) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let (policy, verifier) = (&Scripted::new(), &ProblemVerifier);
        Evaluation { policy, verifier, problems, plan }.solve(on_solved)
    }

    fn texts(plan: &SamplePlan, problems: &[Problem]) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        solve(problems, plan, &mut |solved| {
            assert_eq!(solved.index, all.len());
            all.push(solved.attempts.into_iter().map(|a| a.text).collect());
            Ok(())
        })
        .unwrap();
        all
    }

    #[test]
    fn samples_come_in_order_and_do_not_depend_on_their_neighbours() {
        let problems = problems(150);
        let plan =
            SamplePlan { samples: 3, sampling: Sampling::default(), ..SamplePlan::greedy(256) };
        let all = texts(&plan, &problems);
        assert_eq!(all.len(), 150);
        assert!(all.iter().all(|t| t.len() == 3));
        assert_eq!(texts(&plan, &problems[100..]), all[100..]);
        assert_ne!(texts(&SamplePlan { seed: 1, ..plan }, &problems), all);
    }

    #[test]
    fn a_solution_ends_with_the_line_that_states_its_answer() {
        let problem = &problems(1)[0];
        let text = "1 + 1 = 2\n#### 2\nQuestion: another\n#### 7\n";
        assert_eq!(cut((problem, ""), text, &[], &ProblemVerifier), "1 + 1 = 2\n#### 2\n");
        let stop = ["= 2".to_owned()];
        assert_eq!(cut((problem, ""), text, &stop, &ProblemVerifier), "1 + 1 ");
    }

    #[test]
    fn a_thought_that_the_prompt_opened_ends_no_solution() {
        let problem = &problems(1)[0];
        let text = "So\n#### 2\nor\n#### 3\n</think>\n#### 4\nAnd\n#### 5\n";
        let cut = |prompt| cut((problem, prompt), text, &[], &ProblemVerifier);
        assert_eq!(cut(""), "So\n#### 2\n");
        assert_eq!(cut("Q<think>\n"), "So\n#### 2\nor\n#### 3\n</think>\n#### 4\n");
    }

    #[test]
    fn a_prompt_that_fills_the_context_is_a_failure_of_that_problem_alone() {
        let mut problems = problems(2);
        problems[0].question = "1 ".repeat(1 << 16);
        let mut failures = Vec::new();
        let plan = SamplePlan::greedy(64);
        solve(&problems, &plan, &mut |solved| {
            failures.push(solved.failure.is_some());
            Ok(())
        })
        .unwrap();
        assert_eq!(failures, [true, false]);
    }

    #[test]
    fn a_cancelled_evaluation_says_so() {
        let plan = SamplePlan::greedy(64);
        plan.cancel.store(true, Ordering::Relaxed);
        let result = solve(&problems(2), &plan, &mut |_| Ok(()));
        assert!(matches!(result, Err(TrainError::Interrupted)));
    }
}
