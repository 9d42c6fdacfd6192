//! The folder of a round: resuming its phases and recording their cost.
//!
//! A phase is skipped if its marker file exists and its files match their checksums. Otherwise the corruption
//! is logged and the phase runs again. Every phase is a pure function of the phases before it, so the files
//! of later phases stay valid.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::observer::Observer;
use super::report::{Cost, RoundReport, Seconds};
use crate::TrainError;
use crate::artefact::{
    make_dir, read_checksummed, read_json, remove, write_checksummed, write_json,
};
use crate::clock::unix_now;

/// Name of the round's report.
const REPORT: &str = "report.json";
/// Name of the file with the round's cost.
const COST: &str = "cost.json";

/// Returns the cost of the round in this folder. The cost is only a measurement: a corrupted file counts as
/// empty.
pub(crate) fn read_cost(round: &Path) -> Cost {
    read_json(&round.join(COST)).unwrap_or_default().unwrap_or_default()
}

/// The folder of a round.
pub(super) struct RoundDir {
    pub(super) number: u32,
    pub(super) path: PathBuf,
}

/// Selects the field of [`Seconds`] that holds a phase's time.
pub(super) type Clock = fn(&mut Seconds) -> &mut f64;

/// Marker file of a finished phase. It is written last and holds the result of the phase, a `T`.
pub(super) struct Marker<T> {
    pub(super) file: &'static str,
    pub(super) clock: Clock,
    /// Returns what is wrong with the phase's files in the folder of a round; `None` if they are intact.
    pub(super) damage: fn(&Path, &T) -> Result<Option<String>, TrainError>,
}

impl RoundDir {
    /// Opens the folder `path` of a round; creates it if needed.
    pub(super) fn open(path: PathBuf, number: u32) -> Result<Self, TrainError> {
        make_dir(&path)?;
        Ok(Self { number, path })
    }

    /// Cost of the round so far.
    pub(super) fn cost(&self) -> Cost {
        read_cost(&self.path)
    }

    /// Updates the cost of the round.
    pub(super) fn charge(&self, change: impl FnOnce(&mut Cost)) -> Result<(), TrainError> {
        let mut cost = self.cost();
        change(&mut cost);
        write_json(&self.path.join(COST), &cost)
    }

    /// Runs `work` and records its time if it succeeds. If a phase is run again, the longer time is kept.
    pub(super) fn timed<T>(
        &self,
        clock: Clock,
        work: impl FnOnce() -> Result<T, TrainError>,
    ) -> Result<T, TrainError> {
        let (started, began) = (Instant::now(), unix_now());
        let result = work()?;
        self.charge(|cost| {
            cost.times.take(began, unix_now());
            let seconds = clock(&mut cost.seconds);
            *seconds = seconds.max(started.elapsed().as_secs_f64());
        })?;
        Ok(result)
    }

    /// Returns the stored result of a phase if it is finished and its files are intact. Otherwise runs the
    /// phase with `run` and stores the result.
    pub(super) fn resume_or_run<T: Serialize + DeserializeOwned>(
        &self,
        phase: &Marker<T>,
        observer: &mut dyn Observer,
        run: impl FnOnce(&mut dyn Observer) -> Result<T, TrainError>,
    ) -> Result<T, TrainError> {
        if let Some(done) = self.finished(phase, observer)? {
            return Ok(done);
        }
        self.timed(phase.clock, || {
            let done = run(observer)?;
            write_checksummed(&self.path.join(phase.file), &done)?;
            Ok(done)
        })
    }

    /// Returns the stored result of a finished phase. If the phase has to run (again), removes its marker and
    /// returns `None`.
    fn finished<T: DeserializeOwned>(
        &self,
        phase: &Marker<T>,
        observer: &mut dyn Observer,
    ) -> Result<Option<T>, TrainError> {
        let marker = self.path.join(phase.file);
        let what = match read_checksummed::<T>(&marker) {
            Ok(None) => return Ok(None),
            Ok(Some(done)) => match (phase.damage)(&self.path, &done)? {
                None => return Ok(Some(done)),
                Some(what) => what,
            },
            Err(error @ TrainError::File { .. }) => error.to_string(),
            Err(error) => return Err(error),
        };
        let (name, round) = (phase.file.trim_end_matches(".json"), self.number);
        observer.log(&format!("{what}; running phase `{name}` of round {round} again"));
        remove(&marker)?;
        Ok(None)
    }

    /// Returns the report of the round; `None` if the round is not finished or the report is corrupted. It is
    /// written again at the end of the round.
    pub(super) fn report(&self) -> Option<RoundReport> {
        read_checksummed(&self.path.join(REPORT)).unwrap_or_default()
    }

    /// Writes the report, whose presence marks the round as finished.
    pub(super) fn write_report(&self, report: &RoundReport) -> Result<(), TrainError> {
        write_checksummed(&self.path.join(REPORT), report)
    }
}
