//! Training state on disk: weights, optimizer moments and the step they belong to.
//!
//! A state is a folder `state-<step>` that is renamed into place when it is complete; older states are
//! removed afterwards. So whenever a run is killed, the last complete state is on disk. Checksums detect
//! later corruption.

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

/// Folder of the final optimizer state, within the folder of a run. A later run can continue from it.
pub const OPTIMIZER: &str = "optimizer";
const OPTIMIZER_FILE: &str = "optimizer.json";

/// `optimizer.json`; it is written last.
#[derive(Debug, Serialize, Deserialize)]
struct SavedOptimizer {
    version: u32,
    /// Number of updates of all runs so far.
    steps: usize,
    checksums: Checksums,
}

/// `state.json`; it is written last.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    version: u32,
    /// Number of tokens of forward and backward passes so far.
    tokens: u64,
    checksums: Checksums,
}

/// State from which a run continues.
pub(super) struct Restored {
    /// Number of optimizer steps done.
    pub(super) step: usize,
    /// Number of tokens of these steps.
    pub(super) tokens: u64,
    /// Optimizer after these steps.
    pub(super) optimizer: Optimizer,
}

/// Writes the state after `step` to `dir` and removes older states.
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

/// Restores the newest complete state in `dir`; its weights are assigned to `variables`. `None` if there is
/// no state. `before` is the number of updates of earlier runs.
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

/// Writes the final optimizer state of the run in `dir`. The folder appears only when complete.
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

/// Returns the number of updates of all runs up to the run in `dir`.
pub(super) fn optimizer_steps(dir: &Path) -> Result<usize, TrainError> {
    Ok(saved_optimizer(dir)?.steps)
}

/// Reads the final optimizer state of the run in `dir`.
pub(super) fn read_optimizer(dir: &Path, config: OptimizerConfig) -> Result<Optimizer, TrainError> {
    let steps = optimizer_steps(dir)?;
    let moments = read_tensors(&dir.join(OPTIMIZER).join(MOMENTS))?;
    Ok(Optimizer::restore(config, steps, moments))
}

/// Reads `optimizer.json` of the run in `dir` and verifies the checksums.
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

/// Reads `state.json` of a state and verifies the checksums.
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

/// Removes corrupted states in `dir`; returns what was wrong with each.
///
/// # Errors
/// If a folder cannot be read or removed.
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

/// Removes all states in `dir`, when the run is finished.
pub(super) fn clear(dir: &Path) -> Result<(), TrainError> {
    for path in states(dir)?.into_values() {
        std::fs::remove_dir_all(&path).map_err(TrainError::io(&path))?;
    }
    Ok(())
}

/// Returns the complete states in `dir` by step.
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
