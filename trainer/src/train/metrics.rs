//! Metrics of optimizer steps: weighted means under TRL's names, and the file `metrics.jsonl`.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::TrainError;

/// Weighted sums by name.
#[derive(Debug, Clone, Default)]
pub struct Metrics(BTreeMap<&'static str, (f64, f64)>);

impl Metrics {
    /// Adds a value with a weight; the reported figure is the weighted mean.
    pub fn record(&mut self, name: &'static str, value: f64, weight: f64) {
        let entry = self.0.entry(name).or_default();
        entry.0 += value * weight;
        entry.1 += weight;
    }

    /// Adds the sums of `other`.
    pub fn add(&mut self, other: &Self) {
        for (name, (sum, weight)) in &other.0 {
            let entry = self.0.entry(name).or_default();
            entry.0 += sum;
            entry.1 += weight;
        }
    }

    /// Returns the weighted means by name.
    pub fn means(&self) -> impl Iterator<Item = (&'static str, f64)> {
        self.0.iter().filter(|(_, (_, w))| *w > 0.0).map(|(n, (s, w))| (*n, s / w))
    }

    /// Returns the weighted mean of `name`; `None` if nothing was recorded.
    #[must_use]
    pub fn mean(&self, name: &str) -> Option<f64> {
        self.means().find(|(n, _)| *n == name).map(|(_, v)| v)
    }
}

/// `metrics.jsonl`: one object per step.
pub struct MetricsLog {
    file: File,
    path: PathBuf,
}

impl MetricsLog {
    /// Opens a log and keeps the rows of an interrupted run up to step `last_step`. These rows are not
    /// rewritten, so a full disk cannot lose them.
    ///
    /// # Errors
    /// If the file cannot be read or written, or rows of those steps are corrupted.
    pub fn resume(path: &Path, last_step: usize) -> Result<Self, TrainError> {
        let io = |e| TrainError::io(path)(e);
        let options = OpenOptions::new().read(true).append(true).create(true).clone();
        let mut file = options.open(path).map_err(io)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        let end = rows_end(&bytes, last_step)
            .map_err(|detail| TrainError::File { path: path.to_owned(), detail })?;
        file.set_len(end).map_err(io)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Syncs the rows to the disk, before a training state is saved that relies on them.
    ///
    /// # Errors
    /// If the system call fails.
    pub fn sync(&self) -> Result<(), TrainError> {
        self.file.sync_data().map_err(TrainError::io(&self.path))
    }

    /// Appends the row of a step.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&mut self, step: usize, row: &[(&'static str, f64)]) -> Result<(), TrainError> {
        let mut object = Map::new();
        object.insert("step".into(), step.into());
        object.extend(row.iter().map(|(n, v)| ((*n).to_owned(), Value::from(*v))));
        let line = Value::Object(object).to_string() + "\n";
        self.file.write_all(line.as_bytes()).map_err(TrainError::io(&self.path))
    }
}

/// Returns the offset after the rows of steps 1 to `last_step`, which must be the first lines, or an error
/// text.
fn rows_end(bytes: &[u8], last_step: usize) -> Result<u64, String> {
    let mut lines = bytes.split_inclusive(|&b| b == b'\n');
    let mut end = 0;
    for step in 1..=last_step as u64 {
        let line = lines.next().unwrap_or_default();
        let row: Option<Value> = serde_json::from_slice(line).ok();
        if row.and_then(|r| r.get("step").and_then(Value::as_u64)) != Some(step) {
            return Err(format!("line {step} is not the row of step {step}: gone or changed"));
        }
        end += line.len() as u64;
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_keeps_the_steps_it_is_told_and_refuses_damaged_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let mut log = MetricsLog::resume(&path, 0).unwrap();
        (1..=3).for_each(|step| log.write(step, &[("loss", 0.5)]).unwrap());
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"step\":4,\"lo");
        std::fs::write(&path, &text).unwrap();
        MetricsLog::resume(&path, 2).unwrap().write(3, &[("loss", 0.25)]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.ends_with("0.25,\"step\":3}\n"), "{text}");
        let error = MetricsLog::resume(&path, 5).err().unwrap().to_string();
        assert!(error.contains("line 4"), "{error}");
    }
}
