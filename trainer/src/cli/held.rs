//! A training in its own folder: locks the folder, shows progress, and stops after the current optimizer step
//! when a signal arrives.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use regrowth_datasets::FolderLock;
use regrowth_mcts::console::{Monitor, Phase};

use super::{progress, stop};
use crate::TrainError;
use crate::artefact::hold;
use crate::train::{self, OnStep};

/// A training and its locked folder.
pub(super) struct Training {
    out: PathBuf,
    name: &'static str,
    progress: Monitor,
    _lock: FolderLock,
}

impl Training {
    /// Locks the folder `out`, before the model is loaded, which may take minutes.
    pub(super) fn begin(out: &Path, name: &'static str) -> Result<Self, TrainError> {
        let lock = hold(out, "out")?;
        let progress = Monitor::new(Arc::default());
        progress.keep_in(out.to_owned());
        Ok(Self { out: out.to_owned(), name, progress, _lock: lock })
    }

    /// Trains with a progress display over `steps` steps; a signal saves the state and ends the training.
    pub(super) fn watch<T>(
        &self,
        steps: usize,
        train: impl FnOnce(&mut OnStep) -> Result<T, TrainError>,
    ) -> Result<T, TrainError> {
        let stop = Arc::<AtomicBool>::default();
        stop::on_signals(&stop, "finishing and saving the optimizer step in hand")?;
        let (name, unit, total) = (self.name.to_owned(), "steps", steps as u64);
        self.progress.begin(Phase { name, unit, total, ..Phase::default() });
        let done = Cell::new(0);
        let result = train(&mut |step: &train::StepProgress| {
            progress::step(&self.progress, step);
            done.set(step.step);
            // Relaxed: the flag carries no data.
            match stop.load(Ordering::Relaxed) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        result.map_err(|error| {
            stop::stopped(error, || {
                let (step, out) = (done.get(), self.out.display());
                Some(format!("the state after step {step} is saved in {out}"))
            })
        })
    }

    /// Marks the training as finished, after the results are written.
    pub(super) fn finished(&self) {
        self.progress.finished();
    }
}
