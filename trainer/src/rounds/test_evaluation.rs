//! The test evaluation: the test problems are answered once, after all rounds, and the results are never fed
//! back.
//!
//! Every policy of the run answers the same problems, so `regrowth compare` and the functions here can
//! compare rounds problem by problem. The best round is chosen by validation before the test evaluation
//! begins.

use std::path::Path;

use regrowth_datasets::write_jsonl;
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::stats::Paired;

/// Version of the answer rows that this program writes; newer versions are refused.
pub const ROW_VERSION: u32 = 1;

/// Answer of one policy to one problem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalRow {
    /// Version of the row.
    pub version: u32,
    /// Id of the problem.
    pub id: String,
    /// Level of the problem; `None` if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
    /// Whether the answer is right.
    pub correct: bool,
    /// Number of tokens of the solution.
    pub tokens: u64,
    /// Text of the solution.
    pub text: String,
    /// Why there is no solution; `None` if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Why the solution states no answer (`cut_off`, `no_answer` or another reason); `None` if it states one.
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
    /// Level of the problem; `None` if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
    /// Whether the base policy solved it.
    pub initial: bool,
    /// Whether the policy of the best round solved it.
    pub best: bool,
}

/// Compares the best round with round 0 and writes both results for every problem to `path`.
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
