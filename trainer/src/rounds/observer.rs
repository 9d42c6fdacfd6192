//! Who watches a run, and who may stop it. The rounds know no terminal and no signal.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use regrowth_mcts::console::Work;

use super::report::RoundReport;
use crate::TrainError;
use crate::train::StepProgress;

/// Stops a run from outside.
#[derive(Debug, Clone, Default)]
pub struct Control {
    /// Set to true, ends the run at the next place where nothing is lost.
    pub cancel: Arc<AtomicBool>,
}

impl Control {
    /// Asks the run to end.
    pub fn cancel(&self) {
        // Relaxed: the flag carries no data.
        self.cancel.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        if self.is_cancelled() { Err(TrainError::Interrupted) } else { Ok(()) }
    }
}

/// Sees what a run does.
pub trait Observer {
    /// This process alone writes the folder of the run now.
    fn holds(&mut self, run: &Path);
    /// A phase with so many items begins; 0 if the number is not known yet.
    fn begin(&mut self, round: u32, phase: &'static str, total: usize, work: Work);
    /// So many items were done before.
    fn skip(&mut self, done: usize);
    /// One item more, which took so much of the work.
    fn advance(&mut self, work: u64, message: String);
    /// One optimizer step.
    fn step(&mut self, progress: &StepProgress);
    /// The phase is over.
    fn end(&mut self);
    /// Something a person should know.
    fn log(&mut self, text: &str);
    /// A round is over.
    fn round(&mut self, report: &RoundReport);
}

/// Sees nothing.
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
