//! Threads and folder of a training, and the schedule and optimizer state that it shares across rounds.

use std::path::Path;

use super::MultiRoundSchedule;

/// Threads and folder of a training, and the state that it shares with the trainings of other rounds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Session<'a> {
    /// Number of threads; each computes one micro-batch at a time.
    pub threads: usize,
    /// Folder of training state, metrics and reference log-probabilities, from which an interrupted training
    /// resumes. If `None`, nothing is written.
    pub dir: Option<&'a Path>,
    /// Learning-rate schedule and optimizer state that span the trainings of several rounds
    /// (`carry_optimizer`); `None` for an independent training. The only field that changes the trained
    /// weights.
    pub across_rounds: Option<MultiRoundSchedule<'a>>,
}

impl<'a> Session<'a> {
    /// Session of an independent training.
    #[must_use]
    pub fn new(threads: usize, dir: Option<&'a Path>) -> Self {
        Self { threads, dir, across_rounds: None }
    }
}
