//! The error type of this crate.

use std::path::PathBuf;

use regrowth_datasets::DataError;
use regrowth_mcts::SearchError;
use regrowth_policy::PolicyError;

/// Errors of training and of running rounds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A tensor operation failed.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
    /// The policy could not be loaded or did not answer.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Data could not be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The search could not be run or its trees could not be read.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file has unexpected content.
    #[error("{path}: {detail}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, what was expected, what to do.
        detail: String,
    },
    /// A setting is invalid.
    #[error("setting `{name}`: {detail}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// What is wrong and which values are possible.
        detail: String,
    },
    /// A trained variable does not contribute to the loss.
    #[error("variable `{0}` got no gradient: it takes no part in the loss")]
    MissingGradient(String),
    /// Loss or gradient is not finite.
    #[error(
        "{what} is not a finite number at step {step}; try a lower learning rate{}",
        batch.as_ref().map_or(String::new(), |p| format!("; the step's rows are in {}", p.display()))
    )]
    Diverged {
        /// Loss or gradient.
        what: &'static str,
        /// Optimizer step, from 1.
        step: usize,
        /// File with the rows of the step; `None` if it was not written.
        batch: Option<PathBuf>,
    },
    /// The run directory belongs to another process or to another run.
    #[error("{path}: {detail}")]
    Run {
        /// The run directory.
        path: PathBuf,
        /// What is wrong and what to do.
        detail: String,
    },
    /// Stopped by a signal or by the caller before the end.
    #[error("interrupted before the end")]
    Interrupted,
    /// A thread of this program panicked.
    #[error("{0}")]
    Panicked(&'static str),
    /// Nothing could be measured, because no problem was answered.
    #[error("{0}")]
    Unmeasured(String),
    /// Stopped by a signal; the text says what is saved and how to resume.
    #[error("{0}")]
    Stopped(String),
    /// Stopped by the gate.
    #[error("{0}")]
    Gate(String),
    /// An example cannot be trained on.
    #[error("example {index}: {detail}")]
    Example {
        /// Index in the file or list, from 0.
        index: usize,
        /// What is wrong.
        detail: String,
    },
}

impl TrainError {
    /// Attaches a path to an I/O error.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
