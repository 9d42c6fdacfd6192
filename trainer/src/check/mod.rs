//! Checks a policy before a long run, on a handful of solutions split into steps.
//!
//! `sample` samples the solutions within a time limit. `steps` splits them at boundaries and recommends
//! settings. `trees` estimates the cost of a search by growing trees of such steps without the model.
//! `server` tests what a server supports. The figures come from a handful of problems: they are for planning,
//! not for reports.

mod sample;
mod server;
mod steps;
mod trees;

use std::time::{Duration, Instant};

use regrowth_datasets::{Finish, Problem};
use regrowth_mcts::SearchConfig;
use regrowth_policy::Policy;
use regrowth_verifiers::{ProblemVerifier, Statement, Verifier, whole_turn};
use serde::Serialize;

use self::sample::{Draft, Drawn, Waves};
pub use self::sample::{End, MOST_PROBLEMS};
pub use self::server::ServerProbe;
pub use self::steps::Recommended;
use self::steps::{Cutting, recommend};
pub use self::trees::TreeCost;
use self::trees::tree_cost;
use crate::TrainError;
use crate::rounds::RunConfig;

/// Share of solutions at or above which a warning is given.
pub const WARN_SHARE: f64 = 0.2;

/// Results of the check.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// Number of problems, each with one solution.
    pub problems: usize,
    /// Number of finished solutions in which the verifier found no answer.
    pub no_answer: usize,
    /// Number of solutions that reached `max_solution_tokens` or the context limit.
    pub cut_off: usize,
    /// Number of solutions that the time limit ended; the other figures do not count them.
    pub unfinished: usize,
    /// Number of finished solutions with a right answer.
    pub correct: usize,
    /// Median number of steps of the finished solutions.
    pub steps_per_solution: f64,
    /// Median number of tokens of a step.
    pub tokens_per_step: f64,
    /// Share of steps without content, which only announce what follows.
    pub steps_without_content: f64,
    /// Mean number of tokens of the finished solutions.
    pub tokens_per_solution: f64,
    /// Mean log-probability of a sampled token, before temperature, top-k, top-p and min-p.
    pub mean_log_prob: f64,
    /// Sampled tokens per second over all problems, including the time of their prompts.
    pub tokens_per_second: f64,
    /// Memory of the policy, in MiB: the planned maximum if it is in this process, otherwise the peak of this
    /// process. `None` if unknown.
    pub memory_mib: Option<u64>,
    /// Cost of a tree with these settings; `None` if no solution was finished.
    pub tree: Option<TreeCost>,
    /// Recommended settings.
    pub recommended: Recommended,
    /// Results about the server; `None` for a model in this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerProbe>,
    /// The first prompt.
    pub prompt: String,
    /// The solutions.
    pub samples: Vec<Sample>,
}

/// One solution.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// Id of the problem.
    pub problem: String,
    /// Its reference answer.
    pub reference: String,
    /// The steps, in the order of the solution.
    pub steps: Vec<StepText>,
    /// What ended the solution.
    pub end: End,
    /// Answer that the verifier extracted; empty if none.
    pub answer: String,
    /// Whether the answer is right; false if the solution is unfinished.
    pub correct: bool,
}

/// One step of a solution.
#[derive(Debug, Clone, Serialize)]
pub struct StepText {
    /// Text of the step.
    pub text: String,
    /// Number of tokens of the step.
    pub tokens: usize,
    /// Whether the step has content, rather than only announcing what follows.
    pub content: bool,
}

/// Checks `policy` on the first problems. `progress` is called with the number of finished solutions and the
/// number of all. The check ends after `limit`.
///
/// # Errors
/// If a prompt cannot be rendered, or the policy has failed for good.
pub fn check(
    policy: &dyn Policy,
    problems: &[Problem],
    search: &SearchConfig,
    limit: Duration,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Check, TrainError> {
    // The computation after sampling needs no model and little time.
    let deadline = Instant::now() + limit.mul_f64(0.9);
    let (prompt, server) = match problems.first() {
        Some(problem) => (policy.prompt(problem)?.text, server::probe(policy, problem)?),
        None => (String::new(), None),
    };
    let (verifier, drawn) = (&ProblemVerifier, Drawn::default());
    let drawn = Waves { policy, verifier, problems, search, deadline, drawn }.sample(progress)?;
    let cuttings: Vec<Cutting> =
        drawn.drafts.iter().map(|d| Cutting::of(policy, d)).collect::<Result<_, _>>()?;
    let finished: Vec<&Cutting> = cuttings
        .iter()
        .zip(&drawn.drafts)
        .filter(|(_, d)| d.end.is_final())
        .map(|(c, _)| c)
        .collect();
    let samples: Vec<Sample> = drawn
        .drafts
        .iter()
        .zip(&cuttings)
        .map(|(draft, cutting)| sample_of(&problems[draft.problem], draft, cutting, search))
        .collect();
    let ended = |end: End| samples.iter().filter(|s| s.end == end).count();
    let figures = steps::figures(&finished, &search.boundary, search.max_step_tokens);
    let correct = samples.iter().filter(|s| s.correct).count();
    let complete = samples.iter().filter(|s| s.end.is_final());
    let no_answer = complete.filter(|s| s.answer.is_empty()).count();
    let speed = drawn.tokens as f64 / drawn.seconds.max(1e-9);
    let right = correct as f64 / finished.len().max(1) as f64;
    Ok(Check {
        problems: samples.len(),
        no_answer,
        cut_off: ended(End::CutOff),
        unfinished: ended(End::Unfinished),
        correct,
        steps_per_solution: figures.steps,
        tokens_per_step: figures.step_tokens,
        steps_without_content: figures.without_content,
        tokens_per_solution: figures.tokens,
        mean_log_prob: drawn.mean_log_prob(),
        tokens_per_second: speed,
        memory_mib: crate::train::peak_memory().map(|bytes| bytes >> 20),
        tree: tree_cost(policy, problems, search, (&finished, right), speed)?,
        recommended: recommend(&finished, search, &drawn, ended(End::CutOff)),
        server,
        prompt,
        samples,
    })
}

/// Projected cost of a run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Projected {
    /// Number of trees of all rounds.
    pub trees: u64,
    /// Search time of all rounds, in seconds.
    pub search_seconds: f64,
    /// Number of greedy solutions of validation and test problems, over all rounds.
    pub answers: u64,
    /// Time of these solutions, in seconds.
    pub evaluate_seconds: f64,
}

impl Check {
    /// Returns an upper bound of the cost of a run with these settings, training excluded: a run has more
    /// sequences in flight than this check and samples faster. `None` if no solution was finished.
    #[must_use]
    pub fn projected(&self, config: &RunConfig) -> Option<Projected> {
        let tree = self.tree?;
        let rounds = u64::from(config.rounds);
        let trees = rounds * config.problems_per_round as u64;
        let tested = 2 * config.test_problems as u64;
        let answers = (rounds + 1) * config.validation_problems as u64 + tested;
        let answer = self.tokens_per_solution / self.tokens_per_second.max(1e-9);
        Some(Projected {
            trees,
            search_seconds: trees as f64 * tree.seconds,
            answers,
            evaluate_seconds: answers as f64 * answer,
        })
    }

    /// Returns the most important warnings for the user, one sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let all = self.problems - self.unfinished;
        let share = |count: usize| all > 0 && count as f64 >= WARN_SHARE * all as f64;
        let mut warnings = Vec::new();
        if all == 0 {
            warnings.push("no solution was finished in time; give it more with --seconds".into());
        }
        if share(self.no_answer) {
            warnings.push(format!(
                "the verifier finds no answer in {} of {all} solutions: what the prompt asks for and what \
                 the model writes differ",
                self.no_answer
            ));
        }
        if share(self.cut_off) {
            warnings.push(format!("{} of {all} solutions are cut off", self.cut_off));
        }
        warnings
    }
}

fn sample_of(problem: &Problem, draft: &Draft, cutting: &Cutting, search: &SearchConfig) -> Sample {
    let text = whole_turn(&draft.prompt.text, &cutting.text()).into_owned();
    let finish = if draft.end == End::CutOff { Finish::Length } else { Finish::Eos };
    let verdict = || ProblemVerifier.verify_finished(problem, &text, finish);
    let correct = draft.end.is_final() && verdict().is_correct();
    Sample {
        problem: problem.id.clone(),
        reference: problem.answer.clone(),
        steps: cutting.steps(&search.boundary, search.max_step_tokens),
        end: draft.end,
        answer: Statement::of(problem, &text, finish).answer,
        correct,
    }
}
