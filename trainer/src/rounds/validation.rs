//! Greedy accuracy of a policy on a list of problems, durable as rows.

use std::path::Path;

use super::context::RunContext;
use super::journal::{self, Calls};
use super::observer::Observer;
use super::test_evaluation::{EvalRow, ROW_VERSION};
use crate::TrainError;
use crate::evaluate::{Evaluation, SamplePlan, Solved};
use regrowth_datasets::{Problem, read_jsonl};
use regrowth_mcts::console::Work;

/// Which problems are asked, and where the answers go.
pub(super) struct ValidationJob<'a> {
    pub(super) path: &'a Path,
    pub(super) round: u32,
    /// What the phase is called.
    pub(super) phase: &'static str,
    pub(super) problems: &'a [Problem],
}

/// Greedy answers of the policy `spec` to all problems: what is not there yet is asked for and
/// written.
pub(super) fn measure(
    run: &RunContext,
    spec: &str,
    asked: &ValidationJob,
    observer: &mut dyn Observer,
) -> Result<Vec<EvalRow>, TrainError> {
    let &ValidationJob { path, round, phase, problems } = asked;
    journal::complete(path, problems, observer, &mut |todo, observer, sink| {
        let policy = run.policy(spec)?;
        observer.begin(round, phase, problems.len(), Work::Calls);
        observer.skip(problems.len() - todo.len());
        let policy = journal::recorded(path, Calls::Own, policy, observer)?;
        let verifier = run.verifier()?;
        let (mut right, mut asked, mut unanswered) = (0, 0, Vec::new());
        let plan = SamplePlan {
            cancel: run.control.cancel.clone(),
            ..SamplePlan::greedy(run.config.search.max_solution_tokens)
        };
        let (policy, verifier) = (&*policy, &*verifier);
        Evaluation { policy, verifier, problems: todo, plan: &plan }.solve(&mut |solved| {
            let row = row(&todo[solved.index], solved);
            asked += 1;
            right += usize::from(row.correct);
            observer.advance(1, format!("{right} of {asked} right"));
            // A policy that answers nothing leaves no rows, so the next process asks again.
            if row.failure.is_some() && unanswered.len() + 1 == asked {
                unanswered.push(row);
                return Ok(());
            }
            unanswered.drain(..).try_for_each(|row| sink(&row.id, &row))?;
            sink(&row.id, &row)
        })?;
        if asked > 0 && asked == problems.len() && unanswered.len() == asked {
            return Err(nothing(round, &unanswered));
        }
        unanswered.drain(..).try_for_each(|row| sink(&row.id, &row))?;
        observer.end();
        Ok(())
    })?;
    Ok(read_jsonl(path)?)
}

/// That no problem was answered, with the first reason.
fn nothing(round: u32, unanswered: &[EvalRow]) -> TrainError {
    let reason = unanswered.iter().find_map(|row| row.failure.clone()).unwrap_or_default();
    let asked = unanswered.len();
    TrainError::Unmeasured(format!(
        "round {round}: none of {asked} problems was answered: {reason}"
    ))
}

fn row(problem: &Problem, solved: Solved) -> EvalRow {
    let first = solved.attempts.first();
    EvalRow {
        version: ROW_VERSION,
        id: problem.id.clone(),
        level: problem.level,
        correct: solved.is_correct(),
        tokens: first.map_or(0, |a| a.ids.len() as u64),
        text: first.map(|a| a.text.clone()).unwrap_or_default(),
        unanswered: first
            .filter(|a| a.statement.reason.is_some())
            .map(|a| a.statement.source(a.finish).to_owned()),
        failure: solved.failure,
    }
}
