//! Where and how a training runs; nothing here changes what is learnt.

use std::path::Path;

use super::Course;

/// Threads and folder of a training, and the longer training that it belongs to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Session<'a> {
    /// Micro-batches computed at once, one a thread.
    pub threads: usize,
    /// Folder for training state, metrics and reference log-probabilities, from which an
    /// interrupted training resumes; `None` writes nothing.
    pub dir: Option<&'a Path>,
    /// Several trainings under one learning-rate schedule and optimizer state (`carry_optimizer`);
    /// `None` for a training of its own.
    pub course: Option<Course<'a>>,
}

impl<'a> Session<'a> {
    /// A training of its own.
    #[must_use]
    pub fn new(threads: usize, dir: Option<&'a Path>) -> Self {
        Self { threads, dir, course: None }
    }
}
