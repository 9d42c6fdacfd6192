//! Training state on disk: weights, optimizer moments and the step they belong to.
//!
//! A state is a folder `state-<step>` that appears by a rename when it is complete; older ones are
//! removed afterwards. A run that is killed at any moment finds the last complete one. Checksums
//! tell a state that a disk has changed since.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use regrowth_policy::candle::write_tensors;
use serde::{Deserialize, Serialize};

use super::optim::{Optimizer, OptimizerConfig};
use super::variables::Variables;
use crate::TrainError;
use crate::artefact::{Checksums, checksums, damage, read_checksummed, write_checksummed};

const PREFIX: &str = "state-";
const WEIGHTS: &str = "weights.safetensors";
const MOMENTS: &str = "moments.safetensors";

/// Folder, in that of a run, of the optimizer at its end, where a later run goes on with it.
pub const OPTIMIZER: &str = "optimizer";
const OPTIMIZER_FILE: &str = "optimizer.json";

/// `optimizer.json`, written last.
#[derive(Debug, Serialize, Deserialize)]
struct SavedOptimizer {
    version: u32,
    /// Updates of all runs so far.
    steps: usize,
    checksums: Checksums,
}

/// `state.json`, written last.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    version: u32,
    /// Tokens through forward and backward so far.
    tokens: u64,
    checksums: Checksums,
}

/// Where a run goes on.
pub(super) struct Restored {
    /// Optimizer steps that are done.
    pub(super) step: usize,
    /// Tokens that they took.
    pub(super) tokens: u64,
    /// The optimizer after them.
    pub(super) optimizer: Optimizer,
}

/// Writes the state after `step` under `dir` and removes older states.
pub(super) fn save(
    dir: &Path,
    (step, tokens): (usize, u64),
    variables: &Variables,
    optimizer: &Optimizer,
) -> Result<(), TrainError> {
    let target = dir.join(format!("{PREFIX}{step:08}"));
    let staged = dir.join(format!("{PREFIX}{step:08}.tmp"));
    let io = |e| TrainError::Io { path: target.clone(), source: e };
    if staged.exists() {
        std::fs::remove_dir_all(&staged).map_err(io)?;
    }
    std::fs::create_dir_all(&staged).map_err(io)?;
    write_tensors(&staged.join(WEIGHTS), &variables.trained()).map_err(io)?;
    write_tensors(&staged.join(MOMENTS), optimizer.moments()).map_err(io)?;
    let checksums = checksums(&staged, &[WEIGHTS, MOMENTS])?;
    write_checksummed(&staged.join("state.json"), &Saved { version: 1, tokens, checksums })?;
    std::fs::rename(&staged, &target).map_err(io)?;
    std::fs::File::open(dir).and_then(|d| d.sync_all()).map_err(io)?;
    for (old, path) in states(dir)? {
        if old < step {
            std::fs::remove_dir_all(path).map_err(io)?;
        }
    }
    Ok(())
}

/// The newest complete state under `dir`; weights go to `variables`. `before` is the number of updates
/// of earlier runs.
pub(super) fn restore(
    dir: &Path,
    variables: &Variables,
    (config, before): (OptimizerConfig, usize),
) -> Result<Option<Restored>, TrainError> {
    let Some((step, path)) = states(dir)?.pop_last() else { return Ok(None) };
    let tokens = verified(&path)?.tokens;
    variables.assign(&read_tensors(&path.join(WEIGHTS))?)?;
    let moments = read_tensors(&path.join(MOMENTS))?;
    let optimizer = Optimizer::restore(config, before + step, moments);
    Ok(Some(Restored { step, tokens, optimizer }))
}

/// Writes the optimizer at the end of the run in `dir`. The folder appears whole.
pub(super) fn save_optimizer(dir: &Path, optimizer: &Optimizer) -> Result<(), TrainError> {
    let target = dir.join(OPTIMIZER);
    let staged = dir.join(format!("{OPTIMIZER}.tmp"));
    let io = |e| TrainError::Io { path: target.clone(), source: e };
    for old in [&staged, &target] {
        if old.exists() {
            std::fs::remove_dir_all(old).map_err(io)?;
        }
    }
    std::fs::create_dir_all(&staged).map_err(io)?;
    write_tensors(&staged.join(MOMENTS), optimizer.moments()).map_err(io)?;
    let checksums = checksums(&staged, &[MOMENTS])?;
    let saved = SavedOptimizer { version: 1, steps: optimizer.steps(), checksums };
    write_checksummed(&staged.join(OPTIMIZER_FILE), &saved)?;
    std::fs::rename(&staged, &target).map_err(io)?;
    std::fs::File::open(dir).and_then(|d| d.sync_all()).map_err(io)
}

/// Updates of all runs up to that in `dir`.
pub(super) fn optimizer_steps(dir: &Path) -> Result<usize, TrainError> {
    Ok(saved_optimizer(dir)?.steps)
}

/// The optimizer at the end of the run in `dir`.
pub(super) fn read_optimizer(dir: &Path, config: OptimizerConfig) -> Result<Optimizer, TrainError> {
    let steps = optimizer_steps(dir)?;
    let moments = read_tensors(&dir.join(OPTIMIZER).join(MOMENTS))?;
    Ok(Optimizer::restore(config, steps, moments))
}

/// The record of an optimizer whose moments are as they were written.
fn saved_optimizer(dir: &Path) -> Result<SavedOptimizer, TrainError> {
    let folder = dir.join(OPTIMIZER);
    let fail = |detail: String| TrainError::File { path: folder.clone(), detail };
    let missing = || fail(format!("`{OPTIMIZER_FILE}` is missing; expected what the run left"));
    let saved: SavedOptimizer =
        read_checksummed(&folder.join(OPTIMIZER_FILE))?.ok_or_else(missing)?;
    match damage(&folder, &saved.checksums) {
        Some(what) => Err(fail(what)),
        None => Ok(saved),
    }
}

/// The record of a state whose files are as they were written.
fn verified(path: &Path) -> Result<Saved, TrainError> {
    let damaged = |detail: String| TrainError::File {
        path: path.to_owned(),
        detail: format!("damaged training state ({detail}); remove it to train from the start"),
    };
    let saved = match read_checksummed::<Saved>(&path.join("state.json")) {
        Ok(Some(saved)) => saved,
        Ok(None) => return Err(damaged("`state.json` is missing".into())),
        Err(error) => return Err(damaged(error.to_string())),
    };
    match damage(path, &saved.checksums) {
        Some(what) => Err(damaged(what)),
        None => Ok(saved),
    }
}

/// Removes the states under `dir` that a disk has changed; returns what was wrong with each.
///
/// # Errors
/// When a folder cannot be read or removed.
pub fn remove_damaged_states(dir: &Path) -> Result<Vec<String>, TrainError> {
    let mut removed = Vec::new();
    for path in states(dir)?.into_values() {
        if let Err(error) = verified(&path) {
            std::fs::remove_dir_all(&path).map_err(TrainError::io(&path))?;
            removed.push(error.to_string());
        }
    }
    Ok(removed)
}

/// Removes all states under `dir`: the run is finished.
pub(super) fn clear(dir: &Path) -> Result<(), TrainError> {
    for path in states(dir)?.into_values() {
        std::fs::remove_dir_all(&path).map_err(TrainError::io(&path))?;
    }
    Ok(())
}

/// Complete states by step.
fn states(dir: &Path) -> Result<BTreeMap<usize, PathBuf>, TrainError> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(TrainError::io(dir))? {
        let path = entry.map_err(TrainError::io(dir))?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(step) = name.strip_prefix(PREFIX).and_then(|s| s.parse().ok()) {
            found.insert(step, path);
        }
    }
    Ok(found)
}

fn read_tensors(path: &Path) -> Result<BTreeMap<String, Tensor>, TrainError> {
    Ok(candle_core::safetensors::load(path, &Device::Cpu)?.into_iter().collect())
}
