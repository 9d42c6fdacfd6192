//! Progress reports of a run (`Observer`) and its cancellation (`Control`). The rounds use no terminal and
//! handle no signals.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use regrowth_mcts::console::Work;

use super::report::RoundReport;
use crate::TrainError;
use crate::train::StepProgress;

/// Cancels a run from outside.
#[derive(Debug, Clone, Default)]
pub struct Control {
    /// If true, the run ends at the next point where no work is lost.
    pub cancel: Arc<AtomicBool>,
}

impl Control {
    /// Cancels the run.
    pub fn cancel(&self) {
        // Relaxed: the flag carries no data.
        self.cancel.store(true, Ordering::Relaxed);
    }

    /// Whether the run was cancelled.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        if self.is_cancelled() { Err(TrainError::Interrupted) } else { Ok(()) }
    }
}

/// Receives the progress of a run.
pub trait Observer {
    /// This process has locked the folder of the run.
    fn holds(&mut self, run: &Path);
    /// A phase begins. `total` is its number of items; 0 if the number is not known yet.
    fn begin(&mut self, round: u32, phase: &'static str, total: usize, work: Work);
    /// `done` items were finished by earlier processes.
    fn skip(&mut self, done: usize);
    /// One more item is done, which took `work` units of the phase's work.
    fn advance(&mut self, work: u64, message: String);
    /// One optimizer step.
    fn step(&mut self, progress: &StepProgress);
    /// The phase has ended.
    fn end(&mut self);
    /// A message for the user.
    fn log(&mut self, text: &str);
    /// A round has ended.
    fn round(&mut self, report: &RoundReport);
}

/// Ignores all progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn holds(&mut self, _run: &Path) {}
    fn begin(&mut self, _round: u32, _phase: &'static str, _total: usize, _work: Work) {}
    fn skip(&mut self, _done: usize) {}
    fn advance(&mut self, _work: u64, _message: String) {}
    fn step(&mut self, _progress: &StepProgress) {}
    fn end(&mut self) {}
    fn log(&mut self, _text: &str) {}
    fn round(&mut self, _report: &RoundReport) {}
}
