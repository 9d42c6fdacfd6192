//! The test problems: looked at once, when all rounds are done, and never fed back.
//!
//! Every policy of the run answers the same problems, so rounds can be compared problem by problem,
//! here and by `regrowth compare`. The best round was chosen by validation before this begins.

use std::path::Path;

use regrowth_datasets::write_jsonl;
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::stats::Paired;

/// Version of the rows of answers that this program writes; a newer one is refused.
pub const ROW_VERSION: u32 = 1;

/// One problem answered by one policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalRow {
    /// Version of the row.
    pub version: u32,
    /// Id of the problem.
    pub id: String,
    /// Its level, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
    /// Whether the answer is right.
    pub correct: bool,
    /// Tokens of the solution.
    pub tokens: u64,
    /// The solution.
    pub text: String,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Why the solution states no answer, where it states none: `cut_off`, `no_answer` or another reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<String>,
}

/// One problem of `test.jsonl` of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRow {
    /// Version of the row.
    pub version: u32,
    /// Id of the problem.
    pub id: String,
    /// Its level, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
    /// Whether the base policy solves it.
    pub initial: bool,
    /// Whether the policy of the best round does.
    pub best: bool,
}

/// Compares the best round with round 0 and writes both outcomes of every problem.
pub(super) fn compare(
    path: &Path,
    initial: &[EvalRow],
    best: &[EvalRow],
) -> Result<Paired, TrainError> {
    let rows: Vec<TestRow> = initial
        .iter()
        .zip(best)
        .map(|(a, b)| TestRow {
            version: ROW_VERSION,
            id: a.id.clone(),
            level: a.level,
            initial: a.correct,
            best: b.correct,
        })
        .collect();
    write_jsonl(path, &rows)?;
    Ok(Paired::of(rows.iter().map(|r| (r.initial, r.best))))
}
