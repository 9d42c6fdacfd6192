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

/// Returns what is wrong with the exported checkpoint if `best` is the best round; `None` if its files match
/// their checksums.
///
/// A best round that trained nothing ends with the policy of an earlier round, so the files may be those of
/// any round up to `best`.
pub(super) fn damage_of(dir: &RunDir, best: u32) -> Result<Option<String>, TrainError> {
    let mut found = None;
    for round in (1..=best).rev() {
        let wanted = exported_checksums(&dir.round(round))?;
        if wanted.is_empty() {
            continue;
        }
        match damage(dir.path(), &wanted) {
            None => return Ok(None),
            Some(what) => found = found.or(Some(what)),
        }
    }
    Ok(found)
}

/// Checksums of the exported files of a round's checkpoint, by path relative to the run. `round` is the
/// folder of the round.
fn exported_checksums(round: &Path) -> Result<Checksums, TrainError> {
    let trained: Option<TrainDone> = read_checksummed(&round.join(training::DONE))?;
    let recorded = trained.map(|t| t.checksums).unwrap_or_default();
    let moved = |name: &str| Some(format!("{BEST}{}", name.strip_prefix(training::CHECKPOINT)?));
    Ok(recorded.into_iter().filter_map(|(name, sum)| Some((moved(&name)?, sum))).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::artefact::{checksums, write_checksummed};

    /// A run whose rounds 1 and 2 trained a checkpoint and whose round 3 trained nothing.
    fn run() -> (tempfile::TempDir, RunDir) {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::lock(folder.path()).unwrap();
        for round in 1..=3 {
            let path = dir.round(round);
            fs::create_dir_all(path.join(training::CHECKPOINT)).unwrap();
            let mut done = TrainDone { version: 1, ..TrainDone::default() };
            if round < 3 {
                let name = format!("{}/weights", training::CHECKPOINT);
                fs::write(path.join(&name), format!("weights of round {round}")).unwrap();
                done.checksums = checksums(&path, &[&name]).unwrap();
            }
            write_checksummed(&path.join(training::DONE), &done).unwrap();
        }
        (folder, dir)
    }

    #[test]
    fn corruption_is_seen_when_the_best_round_trained_nothing() {
        let (folder, dir) = run();
        assert_eq!(export(&dir, 1).unwrap(), Some(BEST.to_owned()));
        for best in [1, 3] {
            assert_eq!(damage_of(&dir, best).unwrap(), None);
        }
        let weights = folder.path().join(BEST).join("weights");
        fs::remove_file(&weights).unwrap();
        fs::write(&weights, "other weights").unwrap();
        for best in [1, 3] {
            let what = damage_of(&dir, best).unwrap().unwrap();
            assert!(what.contains("weights"), "{what}");
        }
    }
}
