//! One training into a folder of its own: held by this process alone, watched, and stopped by a signal
//! after the optimizer step in hand.

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

/// A training and its folder.
pub(super) struct Training {
    out: PathBuf,
    name: &'static str,
    progress: Monitor,
    _lock: FolderLock,
}

impl Training {
    /// Holds the folder `out`, before a model is loaded, which may take minutes.
    pub(super) fn begin(out: &Path, name: &'static str) -> Result<Self, TrainError> {
        let lock = hold(out, "out")?;
        let progress = Monitor::new(Arc::default());
        progress.keep_in(out.to_owned());
        Ok(Self { out: out.to_owned(), name, progress, _lock: lock })
    }

    /// Trains so many steps, showing every one; a signal ends the training with its state saved.
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

    /// The results are written.
    pub(super) fn finished(&self) {
        self.progress.finished();
    }
}
