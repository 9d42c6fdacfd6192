//! Sums that become the means of a step, under TRL's names, and the file they are written to.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
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

    /// Weighted means by name.
    pub fn means(&self) -> impl Iterator<Item = (&'static str, f64)> {
        self.0.iter().filter(|(_, (_, w))| *w > 0.0).map(|(n, (s, w))| (*n, s / w))
    }

    /// One weighted mean.
    #[must_use]
    pub fn mean(&self, name: &str) -> Option<f64> {
        self.means().find(|(n, _)| *n == name).map(|(_, v)| v)
    }
}

/// `metrics.jsonl`: one object a step.
pub struct MetricsLog {
    file: File,
    path: PathBuf,
}

impl MetricsLog {
    /// Opens a log, keeping the rows of steps up to `last_step` of an interrupted run.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn resume(path: &Path, last_step: usize) -> Result<Self, TrainError> {
        let kept: String = match std::fs::read_to_string(path) {
            Ok(text) => text
                .lines()
                .filter(|line| {
                    let row: Option<Value> = serde_json::from_str(line).ok();
                    let step = row.and_then(|r| r.get("step").and_then(Value::as_u64));
                    step.is_some_and(|s| s as usize <= last_step)
                })
                .map(|line| format!("{line}\n"))
                .collect(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(TrainError::io(path)(e)),
        };
        let mut file = File::create(path).map_err(TrainError::io(path))?;
        file.write_all(kept.as_bytes()).map_err(TrainError::io(path))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Appends the row of a step.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, step: usize, row: &[(&'static str, f64)]) -> Result<(), TrainError> {
        let mut object = Map::new();
        object.insert("step".into(), step.into());
        object.extend(row.iter().map(|(n, v)| ((*n).to_owned(), Value::from(*v))));
        let line = Value::Object(object).to_string() + "\n";
        self.file.write_all(line.as_bytes()).map_err(TrainError::io(&self.path))
    }
}
