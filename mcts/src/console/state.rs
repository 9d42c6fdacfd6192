//! `progress.json`: the progress of the run in a folder, as last reported by its process.
//!
//! It is not a result: it is removed when the run is finished, and a missing or truncated file loses nothing.
//! The file does not say whether the process is still running; the lock of the folder does.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::estimate::{Bound, Remaining};

/// Name of the file in the folder of a run or a search.
pub const PROGRESS_FILE: &str = "progress.json";

/// Progress of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgressState {
    /// Id of the process that writes the file.
    pub pid: u32,
    /// Command line of the process; it resumes a stopped run.
    pub command: String,
    /// When the process began, in seconds since 1970.
    pub started: u64,
    /// When the file was written, in seconds since 1970.
    pub updated: u64,
    /// Name of the current phase.
    pub phase: String,
    /// Unit of the phase's items.
    pub unit: String,
    /// Number of finished items.
    pub done: u64,
    /// Number of all items of the phase; 0 if unknown.
    pub total: u64,
    /// Message about the items.
    pub message: String,
    /// Number of model calls that were answered in this phase by this process.
    pub model_calls: u64,
    /// Tokens computed per second in this phase.
    pub tokens_per_second: f64,
    /// Seconds since the start of this phase.
    pub phase_seconds: f64,
    /// Seconds until the phase ends; `None` if unknown.
    pub phase_seconds_left: Option<f64>,
    /// How exact `phase_seconds_left` is.
    pub phase_bound: Bound,
    /// Seconds until the run ends; `None` if unknown.
    pub run_seconds_left: Option<f64>,
    /// How exact `run_seconds_left` is; a lower bound until every kind of phase has run once.
    pub run_bound: Bound,
}

impl ProgressState {
    /// The last report of the process in `folder`; `None` if there is none.
    #[must_use]
    pub fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(folder.join(PROGRESS_FILE)).ok()?).ok()
    }

    /// Writes the file by a rename, so that a reader always finds a complete file. If it cannot be written,
    /// the run continues without it, because it is not a result.
    pub(super) fn write(&self, folder: &Path) {
        let staged = folder.join(format!(".{PROGRESS_FILE}.tmp"));
        let Ok(text) = serde_json::to_vec_pretty(self) else { return };
        if std::fs::write(&staged, text).is_ok() {
            let _ = std::fs::rename(&staged, folder.join(PROGRESS_FILE));
        }
    }

    /// Removes the file of a finished run; its results contain more.
    pub(super) fn remove(folder: &Path) {
        let _ = std::fs::remove_file(folder.join(PROGRESS_FILE));
    }

    /// The phase in words, with all known figures.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { done, total, unit, .. } = self;
        let mut text = self.phase.clone();
        if *total > 0 {
            text += &format!(": {done}/{total} {unit}");
        }
        if !self.message.is_empty() {
            text += &format!(", {}", self.message);
        }
        if self.model_calls > 0 || self.tokens_per_second > 0.0 {
            let (calls, speed) = (self.model_calls, self.tokens_per_second);
            text += &format!("; {calls} model calls, {speed:.0} tokens/s");
        }
        text += &format!("; {}", super::duration(self.phase_seconds));
        if let Some(left) = self.phase_seconds_left {
            text += &format!(", {} {} left", self.phase_bound, super::duration(left));
        }
        if let Some(left) = self.run_seconds_left {
            text += &format!("; run: {} {} left", self.run_bound, super::duration(left));
        }
        text
    }

    pub(super) fn set_left(&mut self, phase: Option<Remaining>, run: Option<Remaining>) {
        self.phase_seconds_left = phase.map(|left| left.seconds);
        self.phase_bound = phase.map(|left| left.bound).unwrap_or_default();
        self.run_seconds_left = run.map(|left| left.seconds);
        self.run_bound = run.map(|left| left.bound).unwrap_or_default();
    }
}

/// Seconds since 1970.
pub(super) fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
