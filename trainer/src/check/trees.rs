//! Estimates the cost of a tree without the model, by running the search on steps as long as the sampled
//! ones.
//!
//! A stand-in policy answers at once: a step is as long as a step of a sampled solution at the same depth,
//! and solutions end where the sampled ones end. Selection, breadth, depth limit and commits are therefore
//! the real ones; only values and priors are drawn from hashes.

use std::sync::Arc;

use regrowth_datasets::{Finish, Problem, Step, TokenId, stream_key};
use regrowth_mcts::{RunOptions, Search, SearchConfig};
use regrowth_policy::{
    Boundary, Call, Candidate, Candidates, HiddenState, Judgement, Limits, Policy, PolicyError,
    Prompt, Propose, Request, Response, Scores, Usage,
};
use regrowth_verifiers::{Verdict, Verifier};
use serde::Serialize;

use super::steps::Cutting;
use crate::TrainError;

/// Number of trees to grow.
const TREES: usize = 16;
/// Token in the middle of a step, and last token of a step.
const INNER: TokenId = 0;
const LAST: TokenId = 1;
/// Smallest first token of a step. The first token makes candidates distinct.
const FIRST: TokenId = 2;

/// Average cost of one tree.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct TreeCost {
    /// Sampled tokens.
    pub sampled_tokens: f64,
    /// Tokens of the prompt and of the judge's questions.
    pub other_tokens: f64,
    /// Number of model requests.
    pub model_calls: f64,
    /// Seconds, if as many trees grow at once as problems were sampled in the check.
    pub seconds: f64,
}

/// Grows trees of steps like those of `solutions`; a solution is right with probability `right`.
pub(super) fn tree_cost(
    policy: &dyn Policy,
    problems: &[Problem],
    search: &SearchConfig,
    (solutions, right): (&[&Cutting], f64),
    tokens_per_second: f64,
) -> Result<Option<TreeCost>, TrainError> {
    let lengths = solutions.iter().map(|c| c.lengths(&search.boundary, search.max_step_tokens));
    let lengths: Vec<Vec<usize>> = lengths.filter(|steps| !steps.is_empty()).collect();
    let (Some(problem), false) = (problems.first(), lengths.is_empty()) else { return Ok(None) };
    let problems: Vec<Problem> =
        (0..TREES).map(|i| Problem { id: format!("{i}"), ..problem.clone() }).collect();
    let prompt = policy.prompt(problem)?.ids.len();
    let stand_in = StandIn { lengths, limits: policy.limits() };
    let (mut sampled, mut calls, mut judged) = (0, 0, 0);
    let on_tree = |tree: regrowth_mcts::TreeRecord| {
        sampled += tree.sampled_tokens;
        calls += tree.propose_calls + tree.judge_calls + tree.score_calls;
        judged += tree.judge_calls;
    };
    let (coin, options) = (Coin { right }, RunOptions::default());
    let found = Search::new(&stand_in, &coin, search)
        .options(&options)
        // The stand-in's hidden states carry no information, so any probe will do.
        .probe(Some(Arc::default()))
        .run(&problems, on_tree)?;
    let trees = found.trees.max(1) as f64;
    let asked = judged as f64 * policy.limits().question as f64 / trees;
    let (sampled_tokens, other_tokens) = (sampled as f64 / trees, prompt as f64 + asked);
    Ok((found.trees > 0).then(|| TreeCost {
        sampled_tokens,
        other_tokens,
        model_calls: calls as f64 / trees,
        seconds: (sampled_tokens + other_tokens) / tokens_per_second.max(1e-9),
    }))
}

/// A policy without a model whose steps are as long as sampled ones.
struct StandIn {
    /// Number of tokens of each step of each solution.
    lengths: Vec<Vec<usize>>,
    limits: Limits,
}

/// Maps a key to a number in [0, 1).
fn unit(key: u64) -> f64 {
    (key >> 11) as f64 / (1u64 << 53) as f64
}

impl StandIn {
    fn step(&self, request: &Propose, key: u64) -> Step {
        let done = request.prefix.iter().filter(|&&id| id == LAST).count();
        let pick = stream_key(key, &[b"solution"]);
        let solution = &self.lengths[(pick % self.lengths.len() as u64) as usize];
        let rest = solution.get(done..).filter(|rest| !rest.is_empty());
        let rest = rest.unwrap_or(&solution[solution.len() - 1..]);
        let whole = request.boundary == Boundary::End;
        let (length, ended) =
            if whole { (rest.iter().sum(), true) } else { (rest[0], rest.len() == 1) };
        // The first token makes the step distinct, the last token ends it.
        let length = length.min(request.max_tokens).max(2);
        let mut ids = vec![INNER; length];
        ids[length - 1] = LAST;
        ids[0] = FIRST + (key as u32 >> 1);
        let logps =
            (0..length as u64).map(|at| -unit(stream_key(key, &[&at.to_le_bytes()])) as f32);
        let finish = if ended { Finish::Eos } else { Finish::Boundary };
        Step { text: format!("{key}\n"), logps: logps.collect(), ids, finish }
    }

    fn answer(&self, request: &Request) -> Response {
        let usage = Usage::default();
        match request {
            Request::Propose(propose) => {
                let candidate =
                    |&key: &u64| Candidate { step: self.step(propose, key), logps_exact: true };
                let candidates = propose.keys.iter().map(candidate).collect();
                Response::Candidates(Candidates { candidates, usage })
            }
            Request::Judge(judge) => {
                let first = judge.step.first().copied().unwrap_or_default();
                let correct = unit(stream_key(u64::from(first), &[b"judge"]));
                Response::Judgement(Judgement { correct: Some(correct), mass: 1.0, usage })
            }
            Request::Hidden(_) => Response::Hidden(HiddenState { values: vec![0.0], usage }),
            Request::Score(score) => {
                let tokens = score.continuation.len();
                Response::Scores(Scores {
                    logps: vec![-0.5; tokens],
                    greedy: vec![false; tokens],
                    usage,
                })
            }
        }
    }
}

impl Policy for StandIn {
    fn identity(&self) -> &str {
        "stand-in"
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn prompt(&self, _problem: &Problem) -> Result<Prompt, PolicyError> {
        Ok(Prompt { text: String::new(), ids: Arc::from([INNER]) })
    }

    fn encode(&self, text: &str) -> Result<Vec<TokenId>, PolicyError> {
        // A token of English and mathematics has about three bytes.
        Ok(vec![INNER; text.len().div_ceil(3)])
    }

    fn decode(&self, _ids: &[TokenId]) -> Result<String, PolicyError> {
        Ok(String::new())
    }

    fn eos(&self) -> Option<TokenId> {
        None
    }

    fn submit(&self, call: Call) {
        let response = self.answer(&call.request);
        call.caller.answer(Ok(response));
    }
}

/// A verifier that accepts solutions with probability `right`.
struct Coin {
    right: f64,
}

impl Verifier for Coin {
    fn verify(&self, _problem: &Problem, solution: &str) -> Verdict {
        match unit(stream_key(0, &[b"coin", solution.as_bytes()])) < self.right {
            true => Verdict::Equal,
            false => Verdict::Different,
        }
    }

    fn states_answer(&self, _problem: &Problem, _step: &str) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_datasets::{Split, tasks::problems_from_spec};
    use regrowth_policy::Scripted;

    fn cost(search: &SearchConfig, text: &str) -> TreeCost {
        let problems: Vec<Problem> =
            problems_from_spec("arithmetic", Split::Train, 0).unwrap().take(1).collect();
        let solution = Cutting::of_text(text);
        tree_cost(&Scripted::new(), &problems, search, (&[&solution], 0.5), 100.0).unwrap().unwrap()
    }

    #[test]
    fn a_tree_of_whole_solutions_costs_its_solutions() {
        // Ten tokens per solution, four solutions.
        let found = cost(&SearchConfig::best_of(4), "1 2 3 4 5\n1 2 3 4 5\n");
        assert_eq!(found.sampled_tokens, 40.0);
        assert!((found.seconds - (40.0 + found.other_tokens) / 100.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn more_simulations_and_longer_steps_cost_more() {
        let search = SearchConfig { simulations: 2, ..SearchConfig::default() };
        let short = cost(&search, "1 2 3\n1 2 3\n1 2 3\n");
        let long = cost(&search, "1 2 3 4 5 6\n1 2 3 4 5 6\n1 2 3 4 5 6\n");
        let more = cost(&SearchConfig { simulations: 16, ..search }, "1 2 3\n1 2 3\n1 2 3\n");
        assert!(long.sampled_tokens > 1.5 * short.sampled_tokens, "{short:?} {long:?}");
        assert!(more.model_calls > short.model_calls, "{short:?} {more:?}");
    }
}
