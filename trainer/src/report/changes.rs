//! Test problems before and after training: which were gained and lost, and of which kind.

use std::collections::{BTreeMap, HashMap};

use regrowth_datasets::{Finish, Problem};
use regrowth_mcts::foreign::readable;
use regrowth_verifiers::{Statement, whole_turn};
use serde::Serialize;

use super::sources::Sources;
use super::words::{percent, points, unanswered};
use crate::rounds::{EvalRow, TEST, path_of};
use crate::stats::{Paired, p_value};

/// Problems of each list that the page shows (taste; the rest is in the files).
const SHOWN: usize = 60;
/// Kinds of problems that the table has at most; more would be ids, not kinds.
const KINDS: usize = 12;

/// The section.
#[derive(Debug, Serialize)]
pub(super) struct Changes {
    /// The round that is compared with round 0.
    round: u32,
    gained: Changed,
    lost: Changed,
    /// What the rows of `kinds` have in common: a level, a data set.
    kind: &'static str,
    kinds: Vec<Kind>,
    /// Whether questions and references are known.
    has_questions: bool,
    /// The file that has all of them.
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
    /// What was read as the answer, or why nothing was.
    answer: String,
    text: String,
}

/// A group of test problems.
#[derive(Debug, Serialize)]
struct Kind {
    name: String,
    n: u64,
    before: String,
    after: String,
    difference: String,
    interval: String,
    gained: u64,
    lost: u64,
    p: String,
}

impl Changes {
    /// Compares the best round, or the last where none beat round 0, with round 0; `None` without
    /// answers of both.
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
        let (kind, kinds) = kinds(&both, &problems);
        let file = path_of(sources.run, TEST);
        Some(Self {
            round: compared,
            gained: changed(false),
            lost: changed(true),
            kind,
            kinds,
            file: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            has_questions: both.iter().any(|(a, _)| problems.contains_key(a.id.as_str())),
        })
    }

    /// The kinds with the largest gain and the largest loss, in words.
    pub(super) fn kinds_in_words(&self) -> Option<String> {
        let points = |k: &Kind| k.gained as f64 / k.n as f64 - k.lost as f64 / k.n as f64;
        let most = self.kinds.iter().max_by(|a, b| points(a).total_cmp(&points(b)))?;
        let least = self.kinds.iter().min_by(|a, b| points(a).total_cmp(&points(b)))?;
        let told = |k: &Kind| {
            format!(
                "{} {} ({} to {}, {} points)",
                self.kind, k.name, k.before, k.after, k.difference
            )
        };
        Some(match most.name == least.name {
            true => format!("All problems are of {}.", told(most)),
            false => {
                let round = self.round;
                format!("After round {round} most on {}; least on {}.", told(most), told(least))
            }
        })
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

/// What an answer says, as the verifier reads it.
fn answer(problem: Option<&Problem>, row: &EvalRow, prompt: &str) -> Answer {
    let stated = match (&row.failure, &row.unanswered, problem) {
        (Some(failure), _, _) => format!("no solution: {failure}"),
        (_, Some(reason), _) => unanswered(reason),
        (_, _, Some(problem)) => {
            // A prompt may open a thought that the solution closes.
            let turn = whole_turn(prompt, &row.text);
            Statement::of(problem, &turn, Finish::Eos).answer
        }
        _ => String::new(),
    };
    Answer { right: row.correct, answer: readable(&stated), text: readable(row.text.trim()) }
}

/// The kind of a problem; `None` where it has none.
type Key<'a> = &'a dyn Fn(&EvalRow) -> Option<String>;

/// The problems by level, where the set has levels; else by data set, where there are several.
fn kinds(
    both: &[(&EvalRow, &EvalRow)],
    problems: &HashMap<&str, &Problem>,
) -> (&'static str, Vec<Kind>) {
    let level = |row: &EvalRow| row.level.map(|level| level.to_string());
    let source = |row: &EvalRow| problems.get(row.id.as_str()).map(|p| p.source.clone());
    // Files that were put together of several sets often tell them by the beginning of an id.
    let prefix = |row: &EvalRow| {
        let end = row.id.find(|c: char| !c.is_alphabetic()).filter(|&end| end > 0)?;
        Some(row.id[..end].to_owned())
    };
    let by: [(&'static str, Key); 3] = [("level", &level), ("set", &source), ("set", &prefix)];
    by.into_iter()
        .map(|(kind, key)| (kind, grouped(both, key)))
        .find(|(_, kinds)| (2..=KINDS).contains(&kinds.len()))
        .unwrap_or_default()
}

fn grouped(both: &[(&EvalRow, &EvalRow)], key: Key) -> Vec<Kind> {
    let mut groups: BTreeMap<(u64, String), Vec<(bool, bool)>> = BTreeMap::new();
    for (before, after) in both {
        let Some(name) = key(before) else { continue };
        // Levels are numbers and sort as such.
        let number = name.parse().unwrap_or_default();
        groups.entry((number, name)).or_default().push((before.correct, after.correct));
    }
    groups.into_iter().map(|((_, name), outcomes)| kind(&name, &outcomes)).collect()
}

fn kind(name: &str, outcomes: &[(bool, bool)]) -> Kind {
    let compared = Paired::of(outcomes.iter().copied());
    let share = |right: usize| percent(right as f64 / outcomes.len().max(1) as f64);
    Kind {
        name: readable(name),
        n: compared.n,
        before: share(outcomes.iter().filter(|o| o.0).count()),
        after: share(outcomes.iter().filter(|o| o.1).count()),
        difference: points(compared.difference),
        interval: format!("{} to {}", points(compared.ci95[0]), points(compared.ci95[1])),
        gained: compared.gained,
        lost: compared.lost,
        p: p_value(compared.p_value),
    }
}
