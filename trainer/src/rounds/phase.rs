//! How every phase of a round resumes: a marker file says that it is done and what its files are.
//!
//! A phase whose marker is there and whose files are whole is skipped. Damaged files are named and the
//! phase is run again; every phase is a pure function of what is before it, so what comes after stays
//! valid. How long a phase took is measured here.

use std::path::PathBuf;
use std::time::Instant;

use serde::de::DeserializeOwned;

use super::context::RunContext;
use super::observer::Observer;
use super::report::{Cost, Seconds};
use crate::TrainError;
use crate::artefact::{make_dir, read_checksummed, read_json, remove, write_json};

/// The folder of a round.
pub(super) struct RoundDir {
    pub(super) number: u32,
    pub(super) path: PathBuf,
}

/// Which measurement of a round's cost a phase is.
pub(super) type Clock = fn(&mut Seconds) -> &mut f64;

impl RoundDir {
    /// Makes the folder if it is not there.
    pub(super) fn open(run: &RunContext, number: u32) -> Result<Self, TrainError> {
        let path = run.dir.round(number);
        make_dir(&path)?;
        Ok(Self { number, path })
    }

    /// What the round has cost so far.
    pub(super) fn cost(&self) -> Cost {
        // Only measurements: a damaged file is no reason to stop.
        read_json(&self.path.join("cost.json")).unwrap_or_default().unwrap_or_default()
    }

    /// Changes what the round has cost.
    pub(super) fn charge(&self, change: impl FnOnce(&mut Cost)) -> Result<(), TrainError> {
        let mut cost = self.cost();
        change(&mut cost);
        write_json(&self.path.join("cost.json"), &cost)
    }

    /// Runs `work` and keeps its time; of several processes, the longest.
    pub(super) fn timed<T>(
        &self,
        clock: Clock,
        work: impl FnOnce() -> Result<T, TrainError>,
    ) -> Result<T, TrainError> {
        let started = Instant::now();
        let result = work()?;
        self.charge(|cost| {
            let seconds = clock(&mut cost.seconds);
            *seconds = seconds.max(started.elapsed().as_secs_f64());
        })?;
        Ok(result)
    }

    /// What the phase whose marker is called `name` left, if it is done and its files are whole as
    /// `damage` sees it; else what `run` leaves, which must write the marker last.
    pub(super) fn resume_or_run<T: DeserializeOwned>(
        &self,
        (name, clock): (&str, Clock),
        observer: &mut dyn Observer,
        damage: impl FnOnce(&T) -> Result<Option<String>, TrainError>,
        run: impl FnOnce(&mut dyn Observer) -> Result<T, TrainError>,
    ) -> Result<T, TrainError> {
        let (marker, round) = (self.path.join(name), self.number);
        let phase = name.trim_end_matches(".json");
        match read_checksummed::<T>(&marker) {
            Ok(None) => {}
            Ok(Some(done)) => {
                let Some(what) = damage(&done)? else { return Ok(done) };
                observer.log(&format!("{what}; running phase `{phase}` of round {round} again"));
                remove(&marker)?;
            }
            Err(error @ TrainError::File { .. }) => {
                observer.log(&format!("{error}; running phase `{phase}` of round {round} again"));
                remove(&marker)?;
            }
            Err(error) => return Err(error),
        }
        self.timed(clock, || run(observer))
    }
}
