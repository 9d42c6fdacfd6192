//! Training state on disk: weights, optimizer moments and the step they belong to.
//!
//! A state is a folder `state-<step>` that appears by a rename when it is complete; older ones are
//! removed afterwards. A run that is killed at any moment finds the last complete one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use super::optim::{Optimizer, OptimizerConfig};
use super::variables::Variables;
use crate::TrainError;

const PREFIX: &str = "state-";

/// Writes the state after `step` under `dir` and removes older states.
pub(super) fn save(
    dir: &Path,
    step: usize,
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
    write_tensors(&staged.join("weights.safetensors"), &variables.tensors()?)?;
    write_tensors(&staged.join("moments.safetensors"), optimizer.moments())?;
    std::fs::rename(&staged, &target).map_err(io)?;
    std::fs::File::open(dir).and_then(|d| d.sync_all()).map_err(io)?;
    for (old, path) in states(dir)? {
        if old < step {
            std::fs::remove_dir_all(path).map_err(io)?;
        }
    }
    Ok(())
}

/// The newest complete state under `dir`: its step, and the optimizer; weights go to `variables`.
pub(super) fn restore(
    dir: &Path,
    variables: &Variables,
    config: OptimizerConfig,
) -> Result<Option<(usize, Optimizer)>, TrainError> {
    let Some((step, path)) = states(dir)?.pop_last() else { return Ok(None) };
    variables.assign(&read_tensors(&path.join("weights.safetensors"))?)?;
    let moments = read_tensors(&path.join("moments.safetensors"))?;
    Ok(Some((step, Optimizer::restore(config, step, moments))))
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

fn write_tensors(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<(), TrainError> {
    let fail = |e: String| TrainError::File { path: path.to_owned(), detail: e };
    safetensors::serialize_to_file(tensors, None, path).map_err(|e| fail(e.to_string()))?;
    std::fs::File::open(path).and_then(|f| f.sync_all()).map_err(TrainError::io(path))
}

fn read_tensors(path: &Path) -> Result<BTreeMap<String, Tensor>, TrainError> {
    Ok(candle_core::safetensors::load(path, &Device::Cpu)?.into_iter().collect())
}
