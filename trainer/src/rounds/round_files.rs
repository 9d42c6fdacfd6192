//! The files of a round that no phase marker lists, and the check that all files of a round are intact.

use std::path::{Path, PathBuf};

use super::search::{self, SearchDone};
use super::training::{self, TrainDone};
use super::{journal, prune};
use crate::TrainError;
use crate::artefact::{damage, read_checksummed};

/// Answers to the validation problems.
pub(super) const VALIDATION: &str = "validation.jsonl";
/// Samples for the estimate of the KL divergence from the base policy.
pub(crate) const KL_SAMPLES: &str = "kl_samples.jsonl";
/// Answers to the test problems.
pub(crate) const TEST: &str = "test.jsonl";
/// Files with another name in older versions: current name, old name. A run that has begun a file under the
/// old name keeps it, because its checksums are recorded by file name.
pub(super) const OLD_NAMES: [(&str, &str); 2] = [(KL_SAMPLES, "probe.jsonl"), (TEST, "eval.jsonl")];

/// Returns the path of a file in the folder of a run or of a round. It is the old name if a file of that name
/// exists, complete or begun.
pub(crate) fn path_of(folder: &Path, name: &str) -> PathBuf {
    let old = OLD_NAMES.iter().find(|(new, _)| *new == name).map(|(_, old)| folder.join(old));
    old.filter(|old| journal::is_begun(old)).unwrap_or_else(|| folder.join(name))
}

/// Returns what is wrong with the files of a finished round; `None` if all match their checksums.
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
