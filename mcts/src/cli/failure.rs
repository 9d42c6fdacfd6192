//! Failures of the binary and their exit codes.
//!
//! The library's errors say what happened; here it is decided what kind of failure that is.

use std::process::ExitCode;

use regrowth_datasets::DataError;
use regrowth_mcts::SearchError;
use regrowth_policy::PolicyError;

use super::paths::unwritten;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line or the configuration asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// A file that was given cannot be used.
    #[error("{0}")]
    Input(String),
    /// The policy could not be loaded or failed.
    #[error("{0}")]
    Policy(String),
    /// The run was stopped before its end.
    #[error("{0}")]
    Stopped(String),
    /// Everything else.
    #[error("{0}")]
    Internal(String),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::Input(_) => 3,
            Self::Policy(_) => 4,
            Self::Stopped(_) => 5,
            Self::Internal(_) => 70,
        })
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        match error {
            DataError::UnknownTask { .. } | DataError::Source { .. } => {
                Self::Usage(error.to_string())
            }
            _ => Self::Input(error.to_string()),
        }
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::Spec { .. } | PolicyError::Device { .. } | PolicyError::Prompt(_) => {
                Self::Usage(error.to_string())
            }
            PolicyError::Panicked => Self::Internal(error.to_string()),
            PolicyError::Write { .. } => Self::Internal(format!(
                "{error}; free space on the disk, the same command resumes from the log"
            )),
            PolicyError::PromptFile { .. } => Self::Input(error.to_string()),
            _ => Self::Policy(error.to_string()),
        }
    }
}

impl From<SearchError> for Failure {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Config { .. } => Self::Usage(error.to_string()),
            SearchError::Policy(error) => error.into(),
            SearchError::Data(error) => unwritten(error),
            SearchError::Panicked { .. } => Self::Internal(error.to_string()),
            SearchError::Io { .. } | SearchError::Row { .. } => Self::Input(error.to_string()),
        }
    }
}
