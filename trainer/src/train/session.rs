//! Threads and folder of a training and, across rounds, the shared schedule and optimizer state.

use std::path::Path;

use super::MultiRoundSchedule;

/// Threads and folder of a training, and what it shares with the trainings of other rounds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Session<'a> {
    /// Micro-batches computed at once, one per thread.
    pub threads: usize,
    /// Folder for training state, metrics and reference log-probabilities, from which an
    /// interrupted training resumes; `None` writes nothing.
    pub dir: Option<&'a Path>,
    /// One learning-rate schedule and optimizer state over the trainings of several rounds
    /// (`carry_optimizer`); `None` for a training of its own. The only part that changes what is learnt.
    pub across_rounds: Option<MultiRoundSchedule<'a>>,
}

impl<'a> Session<'a> {
    /// A training of its own.
    #[must_use]
    pub fn new(threads: usize, dir: Option<&'a Path>) -> Self {
        Self { threads, dir, across_rounds: None }
    }
}
