//! One answer a problem, from one or several solutions or from a search without reference.
//!
//! Majority voting is Wang et al. 2022 (arXiv:2203.11171); best-of takes the solution that the
//! policy's own judgement likes best; the search is the one that makes training data, with its
//! oracle off. None of them sees the reference before the answer is chosen.

use std::str::FromStr;

use regrowth_datasets::{AnswerKind, Problem};
use regrowth_mcts::{Calibration, JudgedSolutions, RunOptions, SearchConfig, search_problems};
use regrowth_policy::{Policy, Sampling, Usage};
use regrowth_verifiers::{ChoiceOption, Chosen, Verifier, choose, extract};

use super::sample::{Attempt, SamplePlan, Solved, solve};
use crate::TrainError;

/// How one answer is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// One solution, the most likely token everywhere.
    Greedy,
    /// The most frequent answer of so many samples.
    Majority(usize),
    /// The sample with the highest self-evaluation of so many.
    BestOf(usize),
    /// The committed solution of a search with so many simulations a root.
    Mcts(u64),
}

impl FromStr for Strategy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}`: expected greedy, majority@K, best-of@K or mcts@K");
        if text == "greedy" {
            return Ok(Self::Greedy);
        }
        let (name, count) = text.split_once('@').ok_or_else(expected)?;
        let count: usize = count.parse().ok().filter(|&c| c >= 1).ok_or_else(expected)?;
        match name {
            "majority" => Ok(Self::Majority(count)),
            "best-of" => Ok(Self::BestOf(count)),
            "mcts" => Ok(Self::Mcts(count as u64)),
            _ => Err(expected()),
        }
    }
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Greedy => f.write_str("greedy"),
            Self::Majority(k) => write!(f, "majority@{k}"),
            Self::BestOf(k) => write!(f, "best-of@{k}"),
            Self::Mcts(k) => write!(f, "mcts@{k}"),
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
    /// Whether it is right.
    pub correct: bool,
    /// All solutions it was chosen from.
    pub texts: Vec<String>,
    /// Why there is no solution.
    pub failure: Option<String>,
    /// What it cost; zero per problem for searches, whose cost is counted as a whole.
    pub usage: Usage,
}

/// What an evaluation tells beside its answers.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// Cost that is not counted per answer.
    pub usage: Usage,
    /// The policy's self-evaluations against the outcomes, where a search asked for them.
    pub self_evaluation: Option<Calibration>,
}

/// Answers every problem, in order; returns what is not told per answer.
///
/// `plan` gives seed, sampling (of the strategies that sample) and token budget; `search` the shape
/// of the trees, of which simulations and oracle are overridden.
///
/// # Errors
/// As [`solve`], and when a setting of the search is out of range.
pub fn answer(
    policy: &dyn Policy,
    verifier: &dyn Verifier,
    problems: &[Problem],
    strategy: Strategy,
    plan: &SamplePlan,
    search: &SearchConfig,
    on_answer: &mut dyn FnMut(Answer) -> Result<(), TrainError>,
) -> Result<Beside, TrainError> {
    let (samples, sampling) = match strategy {
        Strategy::Greedy => (1, Sampling::greedy()),
        Strategy::Majority(k) => (k, plan.sampling),
        Strategy::BestOf(k) => {
            let mut config =
                SearchConfig { value: search.value.clone(), ..SearchConfig::best_of(k) };
            config.sampling = plan.sampling;
            return by_search(policy, verifier, problems, config, plan, on_answer);
        }
        Strategy::Mcts(k) => {
            let config = SearchConfig { simulations: k, ..search.clone() };
            return by_search(policy, verifier, problems, config, plan, on_answer);
        }
    };
    let plan = SamplePlan { samples, sampling, ..plan.clone() };
    solve(policy, verifier, problems, &plan, &mut |solved| {
        let problem = &problems[solved.index];
        let chosen = most_frequent(verifier, problem, &solved.attempts);
        on_answer(from_samples(solved, chosen))
    })?;
    Ok(Beside::default())
}

fn from_samples(solved: Solved, chosen: Option<usize>) -> Answer {
    let attempt = chosen.map(|i| &solved.attempts[i]);
    Answer {
        index: solved.index,
        text: attempt.map(|a| a.text.clone()).unwrap_or_default(),
        correct: attempt.is_some_and(Attempt::is_correct),
        texts: solved.attempts.iter().map(|a| a.text.clone()).collect(),
        failure: solved.failure,
        usage: solved.usage,
    }
}

/// Answers by the committed solutions of searches that do not see the reference.
fn by_search(
    policy: &dyn Policy,
    verifier: &dyn Verifier,
    problems: &[Problem],
    mut config: SearchConfig,
    plan: &SamplePlan,
    on_answer: &mut dyn FnMut(Answer) -> Result<(), TrainError>,
) -> Result<Beside, TrainError> {
    config.value.oracle = false;
    config.value.hinted = false;
    config.value.own_reasoning_bonus = false;
    config.inject_reference = false;
    config.seed = plan.seed;
    config.max_solution_tokens = plan.max_tokens;
    let options = RunOptions { cancel: plan.cancel.clone(), ..RunOptions::default() };
    let mut next = 0;
    let mut solutions = JudgedSolutions::default();
    let mut result = Ok(());
    let none = |index: usize| Answer {
        index,
        text: String::new(),
        correct: false,
        texts: Vec::new(),
        failure: Some("the search was given up".to_owned()),
        usage: Usage::default(),
    };
    let summary = search_problems(policy, verifier, problems, &config, &options, |tree| {
        solutions.add(&tree, verifier);
        // Trees come in the order of the problems; those between two were given up.
        while result.is_ok() && next < problems.len() {
            let index = next;
            next += 1;
            if problems[index].id == tree.problem.id {
                let text = tree.solution();
                let (correct, texts) = (tree.correct, vec![text.clone()]);
                result = on_answer(Answer { text, correct, texts, failure: None, ..none(index) });
                return;
            }
            result = on_answer(none(index));
        }
    })?;
    result?;
    if summary.cancelled {
        return Err(TrainError::Interrupted);
    }
    (next..problems.len()).try_for_each(|index| on_answer(none(index)))?;
    Ok(Beside { usage: summary.usage, self_evaluation: solutions.calibration() })
}

/// Index of the first solution with the most frequent answer; solutions without an answer vote only
/// if there is no other.
fn most_frequent(
    verifier: &dyn Verifier,
    problem: &Problem,
    attempts: &[Attempt],
) -> Option<usize> {
    let mut groups: Vec<(usize, String, usize)> = Vec::new();
    for (index, attempt) in attempts.iter().enumerate() {
        let key = stated(problem, &attempt.text);
        let same = groups
            .iter_mut()
            .find(|(_, other, _)| same_answer(verifier, problem, other, &key, &attempt.text));
        match same {
            Some(group) => group.2 += 1,
            None => groups.push((index, key, 1)),
        }
    }
    let votes = |(_, key, count): &(usize, String, usize)| (!key.is_empty(), *count);
    // The first of equals wins: `max_by_key` would take the last.
    groups.iter().rev().max_by_key(|g| votes(g)).map(|g| g.0)
}

/// The answer that a solution states, as text; empty if none.
fn stated(problem: &Problem, text: &str) -> String {
    if problem.kind != AnswerKind::Choice {
        return extract(text).text.trim().to_owned();
    }
    let options: Vec<ChoiceOption<'_>> =
        problem.choices.iter().map(|c| ChoiceOption { label: &c.label, text: &c.text }).collect();
    match choose(text, &options) {
        Chosen::Label(label, _) => label.to_owned(),
        Chosen::Conflict | Chosen::None => String::new(),
    }
}

/// Whether a solution's answer is the one of a group: by text, or by the verifier with the group's
/// answer in place of the reference.
fn same_answer(
    verifier: &dyn Verifier,
    problem: &Problem,
    group: &str,
    key: &str,
    text: &str,
) -> bool {
    if group == key {
        return true;
    }
    let comparable = matches!(problem.kind, AnswerKind::Number | AnswerKind::Math);
    if !comparable || group.is_empty() || key.is_empty() {
        return false;
    }
    let reference = Problem { answer: group.to_owned(), ..problem.clone() };
    verifier.verify(&reference, text).is_correct()
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_datasets::{Finish, Split, tasks::problems_from_spec};
    use regrowth_policy::Scripted;
    use regrowth_verifiers::{ProblemVerifier, Verdict};

    #[test]
    fn names_go_there_and_back() {
        for text in ["greedy", "majority@8", "best-of@4", "mcts@16"] {
            assert_eq!(text.parse::<Strategy>().unwrap().to_string(), text);
        }
        for text in ["majority", "majority@0", "best@4", "mcts@x", ""] {
            assert!(text.parse::<Strategy>().unwrap_err().contains("majority@K"), "{text}");
        }
    }

    fn attempt(text: &str) -> Attempt {
        Attempt { text: text.into(), ids: vec![], finish: Finish::Eos, verdict: Verdict::Different }
    }

    #[test]
    fn equal_answers_in_other_words_vote_together() {
        let problem = problems_from_spec("arithmetic", Split::Train, 0).unwrap().next().unwrap();
        let attempts = ["#### 7", "", "#### 12", "The answer is 12.0", ""].map(attempt);
        assert_eq!(most_frequent(&ProblemVerifier, &problem, &attempts), Some(2));
        assert_eq!(most_frequent(&ProblemVerifier, &problem, &attempts[..2]), Some(0));
        assert_eq!(most_frequent(&ProblemVerifier, &problem, &attempts[..1]), Some(0));
        assert_eq!(most_frequent(&ProblemVerifier, &problem, &[]), None);
    }

    #[test]
    fn every_strategy_answers_every_problem_in_order() {
        let problems: Vec<Problem> =
            problems_from_spec("choice", Split::Train, 0).unwrap().take(12).collect();
        for strategy in ["greedy", "majority@3", "best-of@3", "mcts@4"] {
            let mut indices = Vec::new();
            let beside = answer(
                &Scripted::new(),
                &ProblemVerifier,
                &problems,
                strategy.parse().unwrap(),
                &SamplePlan { sampling: Sampling::default(), ..SamplePlan::greedy(256) },
                &SearchConfig::default(),
                &mut |answer| {
                    assert!(!answer.text.is_empty(), "{strategy}");
                    indices.push(answer.index);
                    Ok(())
                },
            )
            .unwrap();
            assert_eq!(indices, (0..12).collect::<Vec<_>>(), "{strategy}");
            // Strategies that search ask for judgements, and these are held against the outcomes.
            let judged = beside.self_evaluation.is_some_and(|found| found.all.n > 0);
            assert_eq!(judged, ["best-of@3", "mcts@4"].contains(&strategy), "{strategy}");
        }
    }
}
