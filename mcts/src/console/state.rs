//! `progress.json`: how far the run in a folder was when its process said so last.
//!
//! No result: it is removed when the run is finished, and a file that is missing or torn loses nothing.
//! The file does not say whether the process is still running; the lock of the folder does.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::estimate::{Bound, Remaining};

/// Name of the file in the folder of a run or a search.
pub const PROGRESS_FILE: &str = "progress.json";

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgressState {
    /// Process that writes the file.
    pub pid: u32,
    /// Its command line, which resumes a run that was stopped.
    pub command: String,
    /// When the process began, in seconds since 1970.
    pub started: u64,
    /// When the file was written, in seconds since 1970.
    pub updated: u64,
    /// Phase in hand.
    pub phase: String,
    /// What its items are.
    pub unit: String,
    /// Items that are done.
    pub done: u64,
    /// Items of the phase; 0 if that is not known.
    pub total: u64,
    /// What is said of the items.
    pub message: String,
    /// Calls of the model that were answered in this phase by this process.
    pub model_calls: u64,
    /// Tokens computed per second in this phase.
    pub tokens_per_second: f64,
    /// Seconds of this phase so far.
    pub phase_seconds: f64,
    /// Seconds until the phase ends, where that can be told.
    pub phase_seconds_left: Option<f64>,
    /// How that is meant.
    pub phase_bound: Bound,
    /// Seconds until the run ends, where that can be told.
    pub run_seconds_left: Option<f64>,
    /// How that is meant; at least, where some kind of phase was not seen yet.
    pub run_bound: Bound,
}

impl ProgressState {
    /// What the process in `folder` said last; `None` where it said nothing.
    #[must_use]
    pub fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(folder.join(PROGRESS_FILE)).ok()?).ok()
    }

    /// Writes the file by a rename, so that a reader finds it whole. It is no result: if it cannot be
    /// written, the run goes on without.
    pub(super) fn write(&self, folder: &Path) {
        let staged = folder.join(format!(".{PROGRESS_FILE}.tmp"));
        let Ok(text) = serde_json::to_vec_pretty(self) else { return };
        if std::fs::write(&staged, text).is_ok() {
            let _ = std::fs::rename(&staged, folder.join(PROGRESS_FILE));
        }
    }

    /// Removes the file: the run is finished, and its results say more.
    pub(super) fn remove(folder: &Path) {
        let _ = std::fs::remove_file(folder.join(PROGRESS_FILE));
    }

    /// The phase in words, with a figure for each thing that is known.
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
