//! Greedy accuracy of a policy on a list of problems, durable as rows.

use std::path::Path;

use regrowth_datasets::{Problem, read_jsonl};
use regrowth_policy::Policy;
use regrowth_verifiers::ProblemVerifier;

use super::config::RunConfig;
use super::driver::{Control, Observer};
use super::exam::{EvalRow, ROW_VERSION};
use super::journal;
use crate::TrainError;
use crate::evaluate::{SamplePlan, Solved, solve};

/// Greedy answers of one policy to all problems: what is not in `path` yet is asked for and
/// written.
pub(super) fn measure(
    path: &Path,
    policy: &mut dyn FnMut() -> Result<std::sync::Arc<dyn Policy>, TrainError>,
    problems: &[Problem],
    config: &RunConfig,
    (round, phase): (u32, &'static str),
    control: &Control,
    observer: &mut dyn Observer,
) -> Result<Vec<EvalRow>, TrainError> {
    journal::complete(path, problems, observer, &mut |todo, observer, sink| {
        let policy = policy()?;
        observer.begin(round, phase, problems.len());
        observer.skip(problems.len() - todo.len());
        let (mut right, mut asked) = (0, 0);
        let plan = SamplePlan {
            cancel: control.cancel.clone(),
            ..SamplePlan::greedy(config.search.max_solution_tokens)
        };
        solve(&*policy, &ProblemVerifier, todo, &plan, &mut |solved| {
            let row = row(&todo[solved.index], solved);
            asked += 1;
            right += usize::from(row.correct);
            observer.advance(&format!("{:.1} % right", 100.0 * right as f64 / asked as f64));
            sink(&row.id, &row)
        })?;
        observer.end();
        Ok(())
    })?;
    Ok(read_jsonl(path)?)
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
        failure: solved.failure,
    }
}
