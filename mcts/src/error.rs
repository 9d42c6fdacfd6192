//! The one error type of this crate, and the reasons for which a tree or a pair is left out.
//!
//! An error stops a whole search; a skip leaves out one tree and is counted. Nothing is dropped
//! without one or the other.

use std::path::PathBuf;

use regrowth_datasets::DataError;
use regrowth_policy::PolicyError;

/// What stops a search.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// A setting is out of its range.
    #[error("setting `{field}`: expected {expected}, got {got}")]
    Config {
        /// The setting.
        field: &'static str,
        /// Its range.
        expected: &'static str,
        /// What was set.
        got: String,
    },
    /// The policy stopped for good.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The verifier cannot be asked any more; it says why and what to do.
    #[error("{0}")]
    Verifier(String),
    /// A thread of the search panicked: a fault of this program, or of a policy or verifier that was
    /// given to it.
    #[error("a thread of the search panicked: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file holds no probe of hidden states that this program reads.
    #[error("{path}: expected a probe as `{}`, got {detail}", crate::probe::PROBE_FILE)]
    Probe {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A file of rows could not be written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A row of a file of trees does not have the form that it should.
    #[error("{path}:{line}: expected a tree of version {version} or older, got {detail}")]
    Row {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The newest version this program reads.
        version: u32,
        /// What is wrong.
        detail: String,
    },
}

/// Why one tree was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// The problem could not be rendered as a prompt.
    Prompt(String),
    /// The prompt leaves no room for a solution.
    NoRoom,
    /// A request failed.
    Policy(String),
    /// A node got no usable candidate.
    NoCandidate,
    /// A candidate's log-probabilities are missing, positive or not numbers.
    BadLogProbs,
    /// An answer is not of the kind that was asked for.
    WrongAnswer,
}

impl SkipReason {
    /// A short stable name to count by.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Prompt(_) => "prompt_failed",
            Self::NoRoom => "no_room_in_context",
            Self::Policy(_) => "request_failed",
            Self::NoCandidate => "no_candidate",
            Self::BadLogProbs => "bad_log_probabilities",
            Self::WrongAnswer => "wrong_kind_of_answer",
        }
    }

    /// What there is to say beyond the reason.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Prompt(detail) | Self::Policy(detail) => Some(detail),
            Self::NoRoom | Self::NoCandidate | Self::BadLogProbs | Self::WrongAnswer => None,
        }
    }
}

impl std::fmt::Display for SkipReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.detail() {
            Some(detail) => write!(f, "{}: {detail}", self.reason()),
            None => f.write_str(self.reason()),
        }
    }
}
