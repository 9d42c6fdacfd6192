//! The failure of a command of `mcts`: a text and its exit code.

use regrowth_datasets::DataError;
use regrowth_policy::PolicyError;

use crate::SearchError;
use crate::frontend::Exit;

/// The failure of a command.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Failure {
    exit: Exit,
    text: String,
}

impl Failure {
    /// The command line or the settings request something impossible.
    pub(crate) fn usage(text: String) -> Self {
        Self { exit: Exit::Usage, text }
    }

    /// A file cannot be read or written.
    pub(crate) fn file(text: String) -> Self {
        Self { exit: Exit::File, text }
    }

    /// The policy failed.
    pub(crate) fn policy(text: String) -> Self {
        Self { exit: Exit::Policy, text }
    }

    /// The search was stopped before its end.
    pub(crate) fn stopped(text: String) -> Self {
        Self { exit: Exit::Stopped, text }
    }

    /// A bug in this program.
    pub(crate) fn internal(text: String) -> Self {
        Self { exit: Exit::Internal, text }
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        Self { exit: (&error).into(), text: error.to_string() }
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        let advice = match error {
            PolicyError::Write { .. } => "; free disk space, the same command resumes from the log",
            _ => "",
        };
        Self { exit: (&error).into(), text: format!("{error}{advice}") }
    }
}

impl From<SearchError> for Failure {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Policy(error) => error.into(),
            SearchError::Data(error) => Self::file(format!("cannot write {error}")),
            error => Self { exit: (&error).into(), text: error.to_string() },
        }
    }
}
