//! The files that a round leaves beside those of its phases, and whether all of them are whole.

use std::path::Path;

use super::search::{self, SearchDone};
use super::training::{self, TrainDone};
use super::{journal, prune};
use crate::TrainError;
use crate::artefact::{damage, read_checksummed};

/// Answers to the validation problems.
pub(super) const VALIDATION: &str = "validation.jsonl";
/// Samples by which the distance from the base policy is measured.
pub(super) const PROBE: &str = "probe.jsonl";
/// Answers to the test problems.
pub(super) const EVAL: &str = "eval.jsonl";

/// What is wrong with the files of a finished round; `None` if all are as they were written.
pub(super) fn damage_of(dir: &Path) -> Result<Option<String>, TrainError> {
    let trained: Option<TrainDone> = read_checksummed(&dir.join(training::DONE))?;
    let searched: Option<SearchDone> = read_checksummed(&dir.join(search::DONE))?;
    let trained = trained.map(|t| prune::present(dir, t.checksums)).transpose()?;
    let recorded = searched.map(|s| s.checksums).into_iter().chain(trained);
    if let Some(what) = recorded.into_iter().find_map(|sums| damage(dir, &sums)) {
        return Ok(Some(what));
    }
    for name in [VALIDATION, PROBE, EVAL] {
        let path = dir.join(name);
        if path.exists()
            && let Some(what) = journal::damage_of(&path)?
        {
            return Ok(Some(what));
        }
    }
    Ok(None)
}
