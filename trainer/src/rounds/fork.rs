//! Forks: copying the finished rounds of another run, to continue from them with other settings.
//!
//! A round is copied only if it is finished and both runs have the same base policy, seed, and training and
//! validation problems. Answers to test problems are not copied.

use std::path::Path;

use super::round_files::{OLD_NAMES, TEST, damage_of};
use super::run_dir::{Fork, RunDir, RunFile};
use crate::TrainError;

/// Copies the finished rounds of the run `source` into `dir`, whose `run.json` is `file`. No round is copied
/// if the two runs differ in base policy, seed, or training or validation problems.
pub(super) fn take_over(source: &Path, dir: &RunDir, file: &RunFile) -> Result<Fork, TrainError> {
    let held = RunDir::lock(source)?;
    let old = held.run_file()?.ok_or_else(|| TrainError::Run {
        path: source.to_owned(),
        detail: "is no run; there is nothing to fork".into(),
    })?;
    let changed = old.differences(file);
    // Test problems and settings may differ: the finished rounds do not depend on the new ones.
    let begin = |file: &RunFile| {
        let part = |name: &str| file.problems.get(name).cloned();
        (file.policy.clone(), file.seed, part("train"), part("validation"))
    };
    let same_start = begin(&old) == begin(file);
    let mut rounds = 0;
    if same_start {
        for number in 0..=file.config.rounds {
            let from = held.round(number);
            if !from.join("report.json").is_file() {
                break;
            }
            if let Some(what) = damage_of(&from)? {
                return Err(TrainError::Run { path: source.to_owned(), detail: what });
            }
            copy_folder(&from, &dir.round(number))?;
            rounds = number;
        }
    }
    Ok(Fork { rounds, changed })
}

/// Whether a file of a round holds test answers, or belongs to a test answer file that is being written.
fn is_test_answers(name: &str) -> bool {
    let old = OLD_NAMES.iter().filter(|(new, _)| *new == TEST).map(|(_, old)| *old);
    old.chain([TEST]).any(|file| name.starts_with(file))
}

/// Copies the folder of a round without test answers.
fn copy_folder(from: &Path, to: &Path) -> Result<(), TrainError> {
    std::fs::create_dir_all(to).map_err(TrainError::io(to))?;
    for entry in std::fs::read_dir(from).map_err(TrainError::io(from))? {
        let path = entry.map_err(TrainError::io(from))?.path();
        let Some(name) = path.file_name() else { continue };
        let target = to.join(name);
        if path.is_dir() {
            copy_folder(&path, &target)?;
        } else if !is_test_answers(&name.to_string_lossy()) {
            std::fs::copy(&path, &target).map_err(TrainError::io(&target))?;
        }
    }
    Ok(())
}
