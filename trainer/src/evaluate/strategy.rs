//! Decoding strategies: one answer per problem, from one or several solutions or from a search, without the
//! reference.
//!
//! Majority voting is Wang et al. 2022 (arXiv:2203.11171). Best-of chooses the solution with the highest
//! self-evaluation by the policy. The search is the one that generates training data, with its oracle off; it
//! answers with its committed solution or by the votes of all its finished solutions. No strategy sees the
//! reference before the answer is chosen.

use std::str::FromStr;

use regrowth_datasets::Finish;
use regrowth_mcts::calibration::{Calibration, JudgedSolutions};
use regrowth_mcts::{RunOptions, Search, SearchConfig, TreeRecord};
use regrowth_policy::{Sampling, Usage};
use regrowth_verifiers::{Statement, Verifier, whole_turn};

use super::sample::{Attempt, Evaluation, SamplePlan, Solved};
use super::vote::{Ballot, elect};
use crate::TrainError;

/// Decoding strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoding {
    /// One greedy solution.
    Greedy,
    /// The most frequent answer of this number of samples.
    Majority(usize),
    /// The sample with the highest self-evaluation of this number of samples.
    BestOf(usize),
    /// The committed solution of a search with this number of simulations per root.
    Mcts(u64),
    /// The answer with the most votes among all solutions of a search with this number of simulations, all
    /// from the problem's root.
    MctsVote(u64),
}

impl FromStr for Decoding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || format!("`{text}`: expected greedy, majority@K, best-of@K, mcts@K or mcts-vote@K");
        if text == "greedy" {
            return Ok(Self::Greedy);
        }
        let (name, count) = text.split_once('@').ok_or_else(expected)?;
        let count: usize = count.parse().ok().filter(|&c| c >= 1).ok_or_else(expected)?;
        match name {
            "majority" => Ok(Self::Majority(count)),
            "best-of" => Ok(Self::BestOf(count)),
            "mcts" => Ok(Self::Mcts(count as u64)),
            "mcts-vote" => Ok(Self::MctsVote(count as u64)),
            _ => Err(expected()),
        }
    }
}

impl std::fmt::Display for Decoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Greedy => f.write_str("greedy"),
            Self::Majority(k) => write!(f, "majority@{k}"),
            Self::BestOf(k) => write!(f, "best-of@{k}"),
            Self::Mcts(k) => write!(f, "mcts@{k}"),
            Self::MctsVote(k) => write!(f, "mcts-vote@{k}"),
        }
    }
}

/// The answer to one problem.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Index of the problem.
    pub index: usize,
    /// The chosen solution; empty if there is none.
    pub text: String,
    /// The answer that it states and how the solution ended; `None` if there is no solution.
    pub stated: Option<(Statement, Finish)>,
    /// Whether the answer is right.
    pub correct: bool,
    /// All solutions that it was chosen from.
    pub texts: Vec<String>,
    /// Why there is no solution; `None` if there is one.
    pub failure: Option<String>,
    /// Token usage; zero for searches, whose usage is counted as a whole.
    pub usage: Usage,
}

/// Results of an evaluation in addition to its answers.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// Usage that is not counted per answer.
    pub usage: Usage,
    /// Calibration of the policy's self-evaluations; `None` unless a search requested them.
    pub self_evaluation: Option<Calibration>,
}

impl Evaluation<'_> {
    /// Answers every problem in order. Returns the results that are not per answer.
    ///
    /// The plan gives seed, sampling (of majority votes) and token budget. `search` gives shape and sampling
    /// of the trees; its simulations and oracle are overridden.
    ///
    /// # Errors
    /// As [`solve`](Self::solve), and if a setting of the search is out of range.
    pub fn answer(
        &self,
        strategy: Decoding,
        search: &SearchConfig,
        on_answer: &mut dyn FnMut(Answer) -> Result<(), TrainError>,
    ) -> Result<Beside, TrainError> {
        let Self { verifier, problems, plan, .. } = *self;
        let (samples, sampling) = match strategy {
            Decoding::Greedy => (1, Sampling::greedy()),
            Decoding::Majority(k) => (k, plan.sampling),
            Decoding::BestOf(k) => {
                let (value, sampling) = (search.value.clone(), search.sampling);
                let config = SearchConfig { value, sampling, ..SearchConfig::best_of(k) };
                return self.by_search(config, committed, on_answer);
            }
            Decoding::Mcts(k) => {
                let config = SearchConfig { simulations: k, ..search.clone() };
                return self.by_search(config, committed, on_answer);
            }
            Decoding::MctsVote(k) => {
                // All simulations start at the problem's root: voting needs no commits.
                let config =
                    SearchConfig { simulations: 1, first_root_factor: k, ..search.clone() };
                return self.by_search(config, voted, on_answer);
            }
        };
        let plan = SamplePlan { samples, sampling, ..plan.clone() };
        Evaluation { plan: &plan, ..*self }.solve(&mut |solved| {
            let ballots: Vec<Ballot<'_>> = solved
                .attempts
                .iter()
                .map(|a| Ballot { text: &a.text, answer: &a.statement.answer, weight: 1.0 })
                .collect();
            let chosen = elect(verifier, &problems[solved.index], &ballots);
            on_answer(from_samples(solved, chosen))
        })?;
        Ok(Beside::default())
    }

    /// Answers with searches that do not see the reference.
    fn by_search(
        &self,
        mut config: SearchConfig,
        choice: Choice,
        on_answer: &mut dyn FnMut(Answer) -> Result<(), TrainError>,
    ) -> Result<Beside, TrainError> {
        let Self { policy, verifier, problems, plan } = *self;
        without_reference(&mut config, plan);
        let options = RunOptions { cancel: plan.cancel.clone(), ..RunOptions::default() };
        let mut next = 0;
        let mut solutions = JudgedSolutions::default();
        let mut result = Ok(());
        let search = Search::new(policy, verifier, &config).options(&options);
        let summary = search.run(problems, |tree| {
            solutions.add(&tree, verifier);
            // Trees arrive in the order of the problems; problems missing in between were skipped.
            while result.is_ok() && next < problems.len() {
                let index = next;
                next += 1;
                if problems[index].id == tree.problem.id {
                    result = on_answer(chosen(index, &tree, choice, verifier));
                    return;
                }
                result = on_answer(given_up(index));
            }
        })?;
        result?;
        if summary.cancelled {
            return Err(TrainError::Interrupted);
        }
        (next..problems.len()).try_for_each(|index| on_answer(given_up(index)))?;
        Ok(Beside { usage: summary.usage, self_evaluation: solutions.calibration() })
    }
}

/// Settings of a search for evaluation: no part of it sees the reference answer.
fn without_reference(config: &mut SearchConfig, plan: &SamplePlan) {
    config.value.oracle = false;
    config.value.hinted = false;
    config.value.own_reasoning_bonus = false;
    config.inject_reference = false;
    config.seed = plan.seed;
    config.max_solution_tokens = plan.max_tokens;
}

/// Returns the answer chosen from a tree.
fn chosen(index: usize, tree: &TreeRecord, choice: Choice, verifier: &dyn Verifier) -> Answer {
    let ((text, finish), texts) = choice(tree, verifier);
    let turn = whole_turn(&tree.prompt, &text);
    let correct = verifier.verify_finished(&tree.problem, &turn, finish).is_correct();
    let stated = Some((Statement::of(&tree.problem, &turn, finish), finish));
    Answer { index, text, stated, correct, texts, failure: None, usage: Usage::default() }
}

/// Returns the answer to a problem whose search was skipped.
fn given_up(index: usize) -> Answer {
    Answer {
        index,
        text: String::new(),
        stated: None,
        correct: false,
        texts: Vec::new(),
        failure: Some("the search was given up".to_owned()),
        usage: Usage::default(),
    }
}

fn from_samples(solved: Solved, chosen: Option<usize>) -> Answer {
    let attempt = chosen.map(|i| &solved.attempts[i]);
    Answer {
        index: solved.index,
        text: attempt.map(|a| a.text.clone()).unwrap_or_default(),
        stated: attempt.map(|a| (a.statement.clone(), a.finish)),
        correct: attempt.is_some_and(Attempt::is_correct),
        texts: solved.attempts.iter().map(|a| a.text.clone()).collect(),
        failure: solved.failure,
        usage: solved.usage,
    }
}

/// Text of a solution, and how it ended.
type Ended = (String, Finish);

/// Chooses the answer of a finished search; also returns all solutions that it was chosen from.
type Choice = fn(&TreeRecord, &dyn Verifier) -> (Ended, Vec<String>);

/// Chooses the committed solution.
fn committed(tree: &TreeRecord, _: &dyn Verifier) -> (Ended, Vec<String>) {
    let text = tree.solution();
    let last = tree.committed.last().map(|&id| &tree.nodes[id as usize]);
    let finish = last.and_then(|node| node.finish).unwrap_or(Finish::Eos);
    ((text.clone(), finish), vec![text])
}

/// Chooses the solution whose answer has the most votes; a terminal node has as many votes as visits.
fn voted(tree: &TreeRecord, verifier: &dyn Verifier) -> (Ended, Vec<String>) {
    let finishes: Vec<Finish> = tree
        .nodes
        .iter()
        .filter(|node| node.terminal)
        .map(|node| node.finish.unwrap_or(Finish::Eos))
        .collect();
    let ends = tree.nodes.iter().enumerate().filter(|(_, node)| node.terminal);
    let (texts, weights): (Vec<String>, Vec<f64>) =
        ends.map(|(id, node)| (tree.text(id as u32), node.visits as f64)).unzip();
    let read = |(text, &finish): (&String, &Finish)| {
        Statement::of(&tree.problem, &whole_turn(&tree.prompt, text), finish).answer
    };
    let answers: Vec<String> = texts.iter().zip(&finishes).map(read).collect();
    let ballots = texts.iter().zip(&answers).zip(weights);
    let ballots: Vec<Ballot<'_>> =
        ballots.map(|((text, answer), weight)| Ballot { text, answer, weight }).collect();
    let best = elect(verifier, &tree.problem, &ballots);
    let none = (String::new(), Finish::Eos);
    (best.map_or(none, |i| (texts[i].clone(), finishes[i])), texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_datasets::{Problem, Split, tasks::problems_from_spec};
    use regrowth_policy::Scripted;
    use regrowth_verifiers::ProblemVerifier;

    #[test]
    fn names_go_there_and_back() {
        for text in ["greedy", "majority@8", "best-of@4", "mcts@16", "mcts-vote@16"] {
            assert_eq!(text.parse::<Decoding>().unwrap().to_string(), text);
        }
        for text in ["majority", "majority@0", "best@4", "mcts@x", ""] {
            assert!(text.parse::<Decoding>().unwrap_err().contains("majority@K"), "{text}");
        }
    }

    #[test]
    fn every_strategy_answers_every_problem_in_order() {
        let problems: Vec<Problem> =
            problems_from_spec("choice", Split::Train, 0).unwrap().take(12).collect();
        for strategy in ["greedy", "majority@3", "best-of@3", "mcts@4", "mcts-vote@4"] {
            let mut indices = Vec::new();
            let plan = SamplePlan { sampling: Sampling::default(), ..SamplePlan::greedy(256) };
            let (policy, verifier) = (&Scripted::new(), &ProblemVerifier);
            let evaluation = Evaluation { policy, verifier, problems: &problems, plan: &plan };
            let search = SearchConfig::default();
            let beside = evaluation
                .answer(strategy.parse().unwrap(), &search, &mut |answer| {
                    assert!(!answer.text.is_empty(), "{strategy}");
                    indices.push(answer.index);
                    Ok(())
                })
                .unwrap();
            assert_eq!(indices, (0..12).collect::<Vec<_>>(), "{strategy}");
            // Strategies that search request judgements, and these are compared with the outcomes.
            let judged = beside.self_evaluation.is_some_and(|found| found.all.n > 0);
            assert_eq!(
                judged,
                ["best-of@3", "mcts@4", "mcts-vote@4"].contains(&strategy),
                "{strategy}"
            );
        }
    }
}
