//! Greedy accuracy of a policy on a list of problems, durable as rows.

use std::path::Path;

use regrowth_datasets::{Problem, read_jsonl, write_jsonl};
use regrowth_policy::Policy;
use regrowth_verifiers::ProblemVerifier;

use super::config::RunConfig;
use super::driver::{Control, Observer};
use super::exam::EvalRow;
use crate::TrainError;
use crate::evaluate::{SamplePlan, solve};

/// Greedy answers of one policy to all problems: read from `path` if they are there, else asked for
/// and written.
pub(super) fn measure(
    path: &Path,
    policy: &mut dyn FnMut() -> Result<std::sync::Arc<dyn Policy>, TrainError>,
    problems: &[Problem],
    config: &RunConfig,
    (round, phase): (u32, &'static str),
    control: &Control,
    observer: &mut dyn Observer,
) -> Result<Vec<EvalRow>, TrainError> {
    if let Some(rows) = written(path, problems, observer)? {
        return Ok(rows);
    }
    let policy = policy()?;
    observer.begin(round, phase, problems.len());
    let mut rows: Vec<EvalRow> = Vec::with_capacity(problems.len());
    let mut right = 0;
    let plan = SamplePlan {
        cancel: control.cancel.clone(),
        ..SamplePlan::greedy(config.search.max_solution_tokens)
    };
    solve(&*policy, &ProblemVerifier, problems, &plan, &mut |solved| {
        let problem = &problems[solved.index];
        right += usize::from(solved.is_correct());
        let first = solved.attempts.first();
        rows.push(EvalRow {
            id: problem.id.clone(),
            level: problem.level,
            correct: solved.is_correct(),
            tokens: first.map_or(0, |a| a.ids.len() as u64),
            text: first.map(|a| a.text.clone()).unwrap_or_default(),
            failure: solved.failure,
        });
        observer.advance(&format!("{:.1} % right", 100.0 * right as f64 / rows.len() as f64));
        Ok(())
    })?;
    observer.end();
    write_jsonl(path, &rows)?;
    Ok(rows)
}

/// Rows of an earlier measurement of the same problems; a damaged file is measured again.
fn written(
    path: &Path,
    problems: &[Problem],
    observer: &mut dyn Observer,
) -> Result<Option<Vec<EvalRow>>, TrainError> {
    if !path.exists() {
        return Ok(None);
    }
    match read_jsonl::<EvalRow>(path) {
        Ok(rows) if rows.iter().map(|r| &r.id).eq(problems.iter().map(|p| &p.id)) => Ok(Some(rows)),
        Ok(_) => {
            observer.note(&format!("{}: rows of other problems; measured again", path.display()));
            Ok(None)
        }
        Err(error) => {
            observer.note(&format!("{error}; measured again"));
            Ok(None)
        }
    }
}
