//! The files that a round leaves beside those of its phases, and whether all of them are whole.

use std::path::{Path, PathBuf};

use super::search::{self, SearchDone};
use super::training::{self, TrainDone};
use super::{journal, prune};
use crate::TrainError;
use crate::artefact::{damage, read_checksummed};

/// Answers to the validation problems.
pub(super) const VALIDATION: &str = "validation.jsonl";
/// Samples from which the KL divergence from the base policy is estimated.
pub(crate) const KL_SAMPLES: &str = "kl_samples.jsonl";
/// Answers to the test problems.
pub(crate) const TEST: &str = "test.jsonl";
/// Files that older versions named otherwise, with those names. A run that one of them began keeps them:
/// its checksums are by name.
pub(super) const OLD_NAMES: [(&str, &str); 2] = [(KL_SAMPLES, "probe.jsonl"), (TEST, "eval.jsonl")];

/// The path of a file in the folder of a run or of a round: under its old name where that is there, whole or
/// begun.
pub(crate) fn path_of(folder: &Path, name: &str) -> PathBuf {
    let old = OLD_NAMES.iter().find(|(new, _)| *new == name).map(|(_, old)| folder.join(old));
    old.filter(|old| journal::is_begun(old)).unwrap_or_else(|| folder.join(name))
}

/// What is wrong with the files of a finished round; `None` if all are as they were written.
pub(super) fn damage_of(dir: &Path) -> Result<Option<String>, TrainError> {
    let trained: Option<TrainDone> = read_checksummed(&dir.join(training::DONE))?;
    let searched: Option<SearchDone> = read_checksummed(&dir.join(search::DONE))?;
    let trained = trained.map(|t| prune::present(dir, t.checksums)).transpose()?;
    let recorded = searched.map(|s| s.checksums).into_iter().chain(trained);
    if let Some(what) = recorded.into_iter().find_map(|sums| damage(dir, &sums)) {
        return Ok(Some(what));
    }
    for name in [VALIDATION, KL_SAMPLES, TEST] {
        let path = path_of(dir, name);
        if path.exists()
            && let Some(what) = journal::damage_of(&path)?
        {
            return Ok(Some(what));
        }
    }
    Ok(None)
}
