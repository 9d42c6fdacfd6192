//! Multiple choice by log-likelihood: the policy's answer is the option that it finds most likely.
//!
//! The prompt is `Question: {q}\nAnswer:`, and each option is scored as a continuation with a leading space,
//! as in the ARC tasks of the lm-evaluation-harness. Nothing is sampled.

use std::sync::Arc;

use regrowth_datasets::Problem;
use regrowth_policy::{Policy, Request, Response, Score};
use serde::Serialize;

use super::ask::ask_all;
use crate::TrainError;
use crate::stats::Share;

/// A policy's scores of the options of one problem.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OptionScores {
    /// Summed log-probability of each option, in order.
    pub logps: Vec<f64>,
    /// Whether the likeliest option is right (`acc`).
    pub correct: bool,
    /// Whether the likeliest option by log-probability per character is right (`acc_norm`).
    pub correct_norm: bool,
}

/// Accuracy by both criteria.
#[derive(Debug, Clone, Serialize)]
pub struct OptionSummary {
    /// Accuracy by summed log-probability.
    pub acc: Share,
    /// Accuracy by log-probability per character.
    pub acc_norm: Share,
}

/// Scores the options of every problem. A problem without options, or whose answer is not one of them, counts
/// as wrong. `seen` is called after each problem.
///
/// # Errors
/// If a text cannot be encoded or a request fails; errors of `seen`.
pub fn score_options(
    policy: &dyn Policy,
    problems: &[Problem],
    seen: &mut dyn FnMut(&OptionScores) -> Result<(), TrainError>,
) -> Result<Vec<OptionScores>, TrainError> {
    let width = policy.limits().in_flight.max(1);
    let mut all = Vec::with_capacity(problems.len());
    for chunk in problems.chunks(width) {
        let mut requests = Vec::new();
        for problem in chunk {
            let prompt = format!("Question: {}\nAnswer:", problem.question);
            let prefix: Arc<[_]> = policy.encode(&prompt)?.into();
            for choice in &problem.choices {
                let continuation = policy.encode(&format!(" {}", choice.text))?.into();
                requests.push(Request::Score(Score { prefix: prefix.clone(), continuation }));
            }
        }
        let mut answers = ask_all(policy, requests)?.into_iter();
        for problem in chunk {
            let mut logps = Vec::with_capacity(problem.choices.len());
            for answer in answers.by_ref().take(problem.choices.len()) {
                let Response::Scores(scores) = answer? else { continue };
                logps.push(scores.logps.iter().map(|&l| f64::from(l)).sum());
            }
            let scored = judge(problem, logps);
            seen(&scored)?;
            all.push(scored);
        }
    }
    Ok(all)
}

fn judge(problem: &Problem, logps: Vec<f64>) -> OptionScores {
    let gold = problem.choices.iter().position(|c| c.label == problem.answer);
    let length = |i: usize| problem.choices[i].text.chars().count().max(1) as f64;
    let normed: Vec<f64> = logps.iter().enumerate().map(|(i, l)| l / length(i)).collect();
    OptionScores {
        correct: gold.is_some() && best(&logps) == gold,
        correct_norm: gold.is_some() && best(&normed) == gold,
        logps,
    }
}

/// Index of the largest value; the first one on a tie, as in numpy's `argmax`.
pub(super) fn best(values: &[f64]) -> Option<usize> {
    (0..values.len()).rev().max_by(|&a, &b| values[a].total_cmp(&values[b]))
}

impl OptionSummary {
    /// Accuracy over problems.
    #[must_use]
    pub fn of(scores: &[OptionScores]) -> Self {
        Self {
            acc: Share::of(scores.iter().map(|s| s.correct)),
            acc_norm: Share::of(scores.iter().map(|s| s.correct_norm)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_datasets::{Split, tasks::problems_from_spec};
    use regrowth_policy::Scripted;

    #[test]
    fn the_norm_divides_by_characters() {
        let mut problem = problems_from_spec("choice", Split::Train, 0).unwrap().next().unwrap();
        problem.choices.truncate(2);
        problem.choices[0].text = "ab".into();
        problem.choices[1].text = "abcdefgh".into();
        problem.answer = problem.choices[1].label.clone();
        let scores = judge(&problem, vec![-2.0, -4.0]);
        assert!(!scores.correct && scores.correct_norm);
        problem.answer = "no such label".into();
        assert!(!judge(&problem, vec![-2.0, -4.0]).correct_norm);
        // The first one wins a tie, as in argmax.
        assert_eq!(best(&[-1.0, -1.0]), Some(0));
    }

    #[test]
    fn every_problem_is_scored() {
        let problems: Vec<Problem> =
            problems_from_spec("choice", Split::Train, 0).unwrap().take(100).collect();
        let scores = score_options(&Scripted::new(), &problems, &mut |_| Ok(())).unwrap();
        assert_eq!(scores.len(), 100);
        assert!(scores.iter().all(|s| s.logps.len() == 4 && s.logps.iter().all(|l| *l < 0.0)));
    }
}
