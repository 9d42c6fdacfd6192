//! The folder of a round: how its phases resume, and what they cost.
//!
//! A phase whose marker file is there and whose files are whole is skipped. Damaged files are named and
//! the phase is run again; every phase is a pure function of what is before it, so what comes after
//! stays valid.

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

/// The report of a round.
const REPORT: &str = "report.json";
/// What a round has cost.
const COST: &str = "cost.json";

/// What the round in this folder has cost. These are only measurements: a damaged file is no reason to stop.
pub(crate) fn read_cost(round: &Path) -> Cost {
    read_json(&round.join(COST)).unwrap_or_default().unwrap_or_default()
}

/// The folder of a round.
pub(super) struct RoundDir {
    pub(super) number: u32,
    pub(super) path: PathBuf,
}

/// Which measurement of a round's cost a phase is.
pub(super) type Clock = fn(&mut Seconds) -> &mut f64;

/// The file that says that a phase is done. It is written last and holds what the phase left, a `T`.
pub(super) struct Marker<T> {
    pub(super) file: &'static str,
    pub(super) clock: Clock,
    /// What is wrong with the files that the phase left in the folder of a round.
    pub(super) damage: fn(&Path, &T) -> Result<Option<String>, TrainError>,
}

impl RoundDir {
    /// Makes the folder `path` of a round if it is not there.
    pub(super) fn open(path: PathBuf, number: u32) -> Result<Self, TrainError> {
        make_dir(&path)?;
        Ok(Self { number, path })
    }

    /// What the round has cost so far.
    pub(super) fn cost(&self) -> Cost {
        read_cost(&self.path)
    }

    /// Changes what the round has cost.
    pub(super) fn charge(&self, change: impl FnOnce(&mut Cost)) -> Result<(), TrainError> {
        let mut cost = self.cost();
        change(&mut cost);
        write_json(&self.path.join(COST), &cost)
    }

    /// Runs `work` and keeps its time; of several processes, the longest.
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

    /// What a phase left, if it is done and its files are whole; else what `run` leaves now.
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

    /// What a finished phase left; `None`, and no marker any more, where it has to be run.
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

    /// The report of the round, if it is finished. A corrupted one counts as none: it is written again
    /// at the end of the round.
    pub(super) fn report(&self) -> Option<RoundReport> {
        read_checksummed(&self.path.join(REPORT)).unwrap_or_default()
    }

    /// Writes the report, whose presence marks the round as finished.
    pub(super) fn write_report(&self, report: &RoundReport) -> Result<(), TrainError> {
        write_checksummed(&self.path.join(REPORT), report)
    }
}
