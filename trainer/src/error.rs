//! The one error type of this crate.

use std::path::PathBuf;

use regrowth_datasets::DataError;
use regrowth_mcts::SearchError;
use regrowth_policy::PolicyError;

/// What can go wrong while training or running rounds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A tensor operation failed.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
    /// The policy could not be loaded or asked.
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
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file's content is not what it should be.
    #[error("{path}: {detail}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, what was expected, what to do.
        detail: String,
    },
    /// A setting makes no sense.
    #[error("setting `{name}`: {detail}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// What is wrong and what is possible.
        detail: String,
    },
    /// A trained variable took no part in the loss.
    #[error("variable `{0}` got no gradient: it takes no part in the loss")]
    MissingGradient(String),
    /// Loss or gradient is not a finite number.
    #[error(
        "{what} is not a finite number at step {step}; try a lower learning rate{}",
        batch.as_ref().map_or(String::new(), |p| format!("; the step's rows are in {}", p.display()))
    )]
    Diverged {
        /// Loss or gradient.
        what: &'static str,
        /// Optimizer step, from 1.
        step: usize,
        /// Where the rows of the step were written.
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
    /// Stopped by a signal or by its caller before the end.
    #[error("interrupted before the end")]
    Interrupted,
    /// A thread of this program panicked.
    #[error("{0}")]
    Panicked(&'static str),
    /// Nothing could be measured: no problem was answered, so there is no figure to give.
    #[error("{0}")]
    Unmeasured(String),
    /// Stopped by a signal, with what is saved and the command that resumes.
    #[error("{0}")]
    Stopped(String),
    /// Stopped by the gate.
    #[error("{0}")]
    Gate(String),
    /// An example that cannot be trained on.
    #[error("example {index}: {detail}")]
    Example {
        /// Index in the file or list, from 0.
        index: usize,
        /// What is wrong.
        detail: String,
    },
}

impl TrainError {
    /// Attaches a path to a system error.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
