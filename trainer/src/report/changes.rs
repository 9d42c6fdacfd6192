//! Test problems gained and lost by training, and their kinds.

use std::collections::HashMap;

use regrowth_datasets::{Finish, Problem};
use regrowth_mcts::foreign::readable;
use regrowth_verifiers::{Statement, whole_turn};
use serde::Serialize;

use super::kinds::{Breakdown, breakdowns};
use super::mistakes::Mistakes;
use super::sources::Sources;
use super::words::unanswered;
use crate::rounds::{EvalRow, TEST, path_of};

/// Maximum number of problems per list on the page (our choice; the files contain all).
const SHOWN: usize = 60;

/// Data of the section.
#[derive(Debug, Serialize)]
pub(super) struct Changes {
    /// The round compared with round 0.
    round: u32,
    gained: Changed,
    lost: Changed,
    breakdowns: Vec<Breakdown>,
    mistakes: Mistakes,
    /// Whether questions and references are known.
    has_questions: bool,
    /// The file with the results of all test problems.
    file: String,
}

#[derive(Debug, Serialize)]
struct Changed {
    total: usize,
    problems: Vec<ChangedProblem>,
}

#[derive(Debug, Serialize)]
struct ChangedProblem {
    id: String,
    level: Option<u32>,
    question: String,
    choices: Vec<String>,
    reference: String,
    before: Answer,
    after: Answer,
}

#[derive(Debug, Serialize)]
struct Answer {
    right: bool,
    /// The extracted answer, or why none was found.
    answer: String,
    text: String,
}

impl Changes {
    /// Compares the best round with round 0; if no round beat round 0, compares the last round. `None` if one
    /// of the two has no answers.
    pub(super) fn of(sources: &Sources) -> Option<Self> {
        let best = sources.report.best_round;
        let compared = if best > 0 { best } else { sources.rounds.last()?.report.round };
        let rows = |number: u32| {
            let round = sources.rounds.iter().find(|r| r.report.round == number)?;
            (!round.answers.is_empty()).then_some(&round.answers)
        };
        let (before, after) = (rows(0)?, rows(compared).filter(|_| compared > 0)?);
        let problems: HashMap<&str, &Problem> =
            sources.test.iter().map(|p| (p.id.as_str(), p)).collect();
        let prompt = sources.report.prompt_example.as_deref().unwrap_or_default();
        let both: Vec<(&EvalRow, &EvalRow)> =
            before.iter().zip(after).filter(|(a, b)| a.id == b.id).collect();
        let changed = |was_right: bool| {
            let found =
                || both.iter().filter(|(a, b)| a.correct == was_right && b.correct != was_right);
            let shown = found()
                .take(SHOWN)
                .map(|(a, b)| changed_problem(problems.get(a.id.as_str()).copied(), a, b, prompt));
            Changed { total: found().count(), problems: shown.collect() }
        };
        let reason = |row: &EvalRow| {
            stated(problems.get(row.id.as_str()).copied(), row, prompt).err().map(|why| why.kind)
        };
        let file = path_of(sources.run, TEST);
        Some(Self {
            round: compared,
            gained: changed(false),
            lost: changed(true),
            breakdowns: breakdowns(&both, &problems),
            mistakes: Mistakes::of(&both, reason),
            file: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            has_questions: both.iter().any(|(a, _)| problems.contains_key(a.id.as_str())),
        })
    }

    /// Returns a sentence about the kinds with the largest gain and the largest loss.
    pub(super) fn kinds_in_words(&self) -> Option<String> {
        let told = self.breakdowns.first()?.in_words();
        Some(format!("After round {} {told}.", self.round))
    }
}

fn changed_problem(
    problem: Option<&Problem>,
    before: &EvalRow,
    after: &EvalRow,
    prompt: &str,
) -> ChangedProblem {
    let choices = problem.map(|p| p.choices.as_slice()).unwrap_or_default();
    ChangedProblem {
        id: readable(&before.id),
        level: before.level,
        question: problem.map(|p| readable(&p.question)).unwrap_or_default(),
        choices: choices.iter().map(|c| readable(&format!("({}) {}", c.label, c.text))).collect(),
        reference: problem.map(|p| readable(&p.answer)).unwrap_or_default(),
        before: answer(problem, before, prompt),
        after: answer(problem, after, prompt),
    }
}

/// Why a solution states no answer.
struct NoAnswer {
    /// The reason without details of this solution.
    kind: String,
    text: String,
}

/// Returns the answer that a solution states, as the verifier reads it; empty if the problem is not known.
fn stated(problem: Option<&Problem>, row: &EvalRow, prompt: &str) -> Result<String, NoAnswer> {
    let none = |kind: String| NoAnswer { text: kind.clone(), kind };
    if let Some(failure) = &row.failure {
        return Err(NoAnswer {
            text: format!("no solution: {failure}"),
            kind: "no solution, the policy failed".to_owned(),
        });
    }
    if let Some(reason) = &row.unanswered {
        return Err(none(unanswered(reason)));
    }
    let Some(problem) = problem else { return Ok(String::new()) };
    // The prompt may open a thinking block that the solution closes.
    let turn = whole_turn(prompt, &row.text);
    match Statement::of(problem, &turn, Finish::Eos).answer {
        // Files of older versions do not contain the reason.
        answer if answer.is_empty() => Err(none(unanswered("no_answer"))),
        answer => Ok(answer),
    }
}

fn answer(problem: Option<&Problem>, row: &EvalRow, prompt: &str) -> Answer {
    let stated = stated(problem, row, prompt).unwrap_or_else(|why| why.text);
    Answer { right: row.correct, answer: readable(&stated), text: readable(row.text.trim()) }
}
