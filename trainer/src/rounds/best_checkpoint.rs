//! The checkpoint of the best round, exported to the folder `best` of the run.

use std::path::Path;

use super::run_dir::RunDir;
use super::training::{self, TrainDone};
use crate::TrainError;
use crate::artefact::{Checksums, damage, link_files, read_checksummed};

/// Name of the folder, within the folder of the run.
const BEST: &str = "best";

/// Exports the checkpoint of `round` as hard links, or as copies if linking fails. Returns the folder's name.
/// For round 0 nothing is exported and the result is `None`.
pub(super) fn export(dir: &RunDir, round: u32) -> Result<Option<String>, TrainError> {
    let from = dir.round(round);
    let target = dir.path().join(BEST);
    let wanted = exported_checksums(&from)?;
    let whole = !wanted.is_empty() && damage(dir.path(), &wanted).is_none();
    if target.exists() && !whole {
        std::fs::remove_dir_all(&target).map_err(TrainError::io(&target))?;
    }
    if round > 0 && !whole {
        let staged = dir.path().join("best.tmp");
        link_files(&from.join(training::CHECKPOINT), &staged)?;
        std::fs::rename(&staged, &target).map_err(TrainError::io(&target))?;
    }
    Ok((round > 0).then(|| BEST.to_owned()))
}

/// Returns what is wrong with the exported checkpoint of `round`; `None` if its files match their checksums.
pub(super) fn damage_of(dir: &RunDir, round: u32) -> Result<Option<String>, TrainError> {
    Ok(damage(dir.path(), &exported_checksums(&dir.round(round))?))
}

/// Checksums of the exported files of a round's checkpoint, by path relative to the run. `round` is the
/// folder of the round.
fn exported_checksums(round: &Path) -> Result<Checksums, TrainError> {
    let trained: Option<TrainDone> = read_checksummed(&round.join(training::DONE))?;
    let recorded = trained.map(|t| t.checksums).unwrap_or_default();
    let moved = |name: &str| Some(format!("{BEST}{}", name.strip_prefix(training::CHECKPOINT)?));
    Ok(recorded.into_iter().filter_map(|(name, sum)| Some((moved(&name)?, sum))).collect())
}
