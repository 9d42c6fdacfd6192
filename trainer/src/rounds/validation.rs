//! Greedy answers of a policy to the validation or test problems, stored row by row.

use std::path::Path;
use std::sync::Arc;

use regrowth_datasets::{Problem, read_jsonl};
use regrowth_mcts::console::Work;
use regrowth_verifiers::Verifier;

use super::journal::{self, Calls, Sink};
use super::observer::{Control, Observer};
use super::on_demand::OnDemand;
use super::policies::Policies;
use super::sets::ProblemSets;
use super::test_evaluation::{EvalRow, ROW_VERSION};
use crate::TrainError;
use crate::evaluate::{Evaluation, SamplePlan, Solved};

/// Answers the run's problems with its policies.
pub(super) struct Evaluator<'a> {
    pub(super) policies: &'a Policies<'a>,
    pub(super) verifier: &'a OnDemand<'a, Arc<dyn Verifier>>,
    pub(super) sets: &'a ProblemSets,
    /// Maximum number of tokens of a solution.
    pub(super) max_tokens: usize,
    pub(super) control: &'a Control,
}

/// A policy, the problems that it answers, and the file of its answers.
struct Questions<'a> {
    spec: &'a str,
    problems: &'a [Problem],
    path: &'a Path,
    round: u32,
    /// Name of the phase in progress reports.
    phase: &'static str,
}

impl Evaluator<'_> {
    /// Returns the answers of the policy `spec` to the validation problems. Computes those that are not yet
    /// in the file `path`.
    pub(super) fn validate(
        &self,
        spec: &str,
        path: &Path,
        round: u32,
        observer: &mut dyn Observer,
    ) -> Result<Vec<EvalRow>, TrainError> {
        let problems = &self.sets.validation;
        self.answers(&Questions { spec, problems, path, round, phase: "validate" }, observer)
    }

    /// As [`Self::validate`], for the test problems.
    pub(super) fn test(
        &self,
        spec: &str,
        path: &Path,
        round: u32,
        observer: &mut dyn Observer,
    ) -> Result<Vec<EvalRow>, TrainError> {
        let problems = &self.sets.test;
        self.answers(&Questions { spec, problems, path, round, phase: "test" }, observer)
    }

    fn answers(
        &self,
        asked: &Questions,
        observer: &mut dyn Observer,
    ) -> Result<Vec<EvalRow>, TrainError> {
        journal::complete(asked.path, asked.problems, observer, &mut |todo, observer, sink| {
            self.ask(asked, todo, observer, sink)
        })?;
        Ok(read_jsonl(asked.path)?)
    }

    /// Answers `todo`, the problems of `asked` that have no answer in the file yet.
    fn ask(
        &self,
        asked: &Questions,
        todo: &[Problem],
        observer: &mut dyn Observer,
        sink: &mut Sink<EvalRow>,
    ) -> Result<(), TrainError> {
        let &Questions { spec, problems, path, round, phase } = asked;
        let policy = self.policies.get(spec)?;
        observer.begin(round, phase, problems.len(), Work::Calls);
        observer.skip(problems.len() - todo.len());
        let policy = journal::recorded(path, Calls::Own, policy, observer)?;
        let verifier = self.verifier.get()?;
        let cancel = self.control.cancel.clone();
        let plan = SamplePlan { cancel, ..SamplePlan::greedy(self.max_tokens) };
        let (policy, verifier) = (&*policy, &*verifier);
        let (mut right, mut asked, mut unanswered) = (0, 0, Vec::new());
        Evaluation { policy, verifier, problems: todo, plan: &plan }.solve(&mut |solved| {
            let row = row(&todo[solved.index], solved);
            asked += 1;
            right += usize::from(row.correct);
            observer.advance(1, format!("{right} of {asked} right"));
            // While no problem has been answered, failures are held back: a policy that answers nothing
            // leaves no rows, so the next process tries again.
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
    }
}

/// Returns the error that no problem was answered, with the first reason.
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
