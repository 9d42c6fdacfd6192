//! Deletes folders that a run no longer needs: checkpoints of rounds that were never validated, and optimizer
//! states that no later round continues from.
//!
//! A list of the deleted folders is written first, so that deleted files are not mistaken for corruption. The
//! newest round stays complete, and so does the round that it started from: if the newest round is corrupted
//! on disk, it is trained again.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::config::RunConfig;
use super::round_policy::Finished;
use super::run_dir::RunDir;
use super::training::CHECKPOINT;
use crate::TrainError;
use crate::artefact::{Checksums, read_checksummed, remove, write_checksummed};
use crate::train::OPTIMIZER;

/// Name of the list of deleted folders in the folder of a round.
const FILE: &str = "pruned.json";

/// `pruned.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Pruned {
    version: u32,
    /// Names of the deleted folders.
    folders: BTreeSet<String>,
}

/// Deletes the checkpoints and optimizer states that no later round needs. `starts` are the rounds whose
/// policies later rounds may start from.
pub(super) fn prune(
    dir: &RunDir,
    config: &RunConfig,
    rounds: &[Finished],
    starts: [u32; 2],
) -> Result<(), TrainError> {
    let Some(newest) = rounds.last().map(|finished| &finished.report) else { return Ok(()) };
    let before = newest.gate.as_ref().map_or(0, |gate| gate.start_round);
    let kept = [starts[0], starts[1], newest.round, before, 0];
    for finished in rounds {
        let round = finished.report.round;
        if kept.contains(&round) {
            continue;
        }
        // If a validated round trained nothing, its policy is that of an earlier round.
        let asked = rounds.iter().filter(|other| other.report.validated);
        let validated = asked.map(|other| other.policy_after.round).any(|at| at == round);
        let mut folders = Vec::new();
        if config.carry_optimizer {
            folders.push(OPTIMIZER);
        }
        if !validated && config.validate_every > 1 {
            folders.push(CHECKPOINT);
        }
        remove_folders(&dir.round(round), &folders)?;
    }
    Ok(())
}

fn remove_folders(dir: &Path, folders: &[&str]) -> Result<(), TrainError> {
    let there: Vec<&str> = folders.iter().copied().filter(|f| dir.join(f).exists()).collect();
    if there.is_empty() {
        return Ok(());
    }
    let mut pruned = read(dir)?;
    pruned.version = 1;
    pruned.folders.extend(there.iter().map(|&folder| folder.to_owned()));
    write_checksummed(&dir.join(FILE), &pruned)?;
    for folder in there {
        let path = dir.join(folder);
        std::fs::remove_dir_all(&path).map_err(TrainError::io(&path))?;
    }
    Ok(())
}

/// Returns the checksums of a round's files without the files that were pruned.
pub(super) fn present(dir: &Path, checksums: Checksums) -> Result<Checksums, TrainError> {
    let pruned = read(dir)?;
    let removed = |name: &str| {
        name.split_once('/').is_some_and(|(folder, _)| pruned.folders.contains(folder))
    };
    Ok(checksums.into_iter().filter(|(name, _)| !removed(name)).collect())
}

/// Removes the list of deleted folders, because the round is being trained again.
pub(super) fn clear_record(dir: &Path) -> Result<(), TrainError> {
    remove(&dir.join(FILE))
}

fn read(dir: &Path) -> Result<Pruned, TrainError> {
    Ok(read_checksummed(&dir.join(FILE))?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artefact::{checksums, damage};

    #[test]
    fn what_was_removed_is_no_damage_and_what_is_missing_is() {
        let dir = tempfile::tempdir().unwrap();
        for folder in [CHECKPOINT, OPTIMIZER] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
            std::fs::write(dir.path().join(folder).join("x"), folder).unwrap();
        }
        let sums = checksums(dir.path(), &["checkpoint/x", "optimizer/x"]).unwrap();
        remove_folders(dir.path(), &[OPTIMIZER]).unwrap();
        assert!(damage(dir.path(), &sums).is_some());
        let left = present(dir.path(), sums.clone()).unwrap();
        assert_eq!(left.keys().collect::<Vec<_>>(), ["checkpoint/x"]);
        assert_eq!(damage(dir.path(), &left), None);
        remove_folders(dir.path(), &[OPTIMIZER, CHECKPOINT]).unwrap();
        assert!(present(dir.path(), sums.clone()).unwrap().is_empty());
        clear_record(dir.path()).unwrap();
        assert_eq!(present(dir.path(), sums.clone()).unwrap(), sums);
    }
}
