//! A fork takes over the finished rounds of another run and goes on with other settings.
//!
//! Only whole rounds that begin with the same policy, seed and problems are taken, and only what
//! their own settings made; answers to test problems are not.

use std::path::Path;

use super::round_files::{OLD_NAMES, TEST, damage_of};
use super::run_dir::{Fork, RunDir, RunFile};
use crate::TrainError;

/// Copies the finished rounds of another run that begin with the same policy and problems into `dir`,
/// whose run `file` describes.
pub(super) fn take_over(source: &Path, dir: &RunDir, file: &RunFile) -> Result<Fork, TrainError> {
    let held = RunDir::lock(source)?;
    let old = held.run_file()?.ok_or_else(|| TrainError::Run {
        path: source.to_owned(),
        detail: "is no run; there is nothing to fork".into(),
    })?;
    let changed = old.differences(file);
    // Test problems and settings of later rounds may differ: rounds do not depend on them.
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

/// Whether a file of a round, or one that stands beside it while it grows, holds test answers.
fn is_test_answers(name: &str) -> bool {
    let old = OLD_NAMES.iter().filter(|(new, _)| *new == TEST).map(|(_, old)| *old);
    old.chain([TEST]).any(|file| name.starts_with(file))
}

/// Copies the files of a round that its own settings made; test answers are not among them.
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
