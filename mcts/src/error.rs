//! The error type of this crate, and the reasons why a tree is skipped.
//!
//! An error stops a whole search; a skip leaves out one tree and is counted. No tree is dropped without one
//! of the two.

use std::path::PathBuf;

use regrowth_datasets::DataError;
use regrowth_policy::PolicyError;

/// An error that stops a search.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// A setting is out of its range.
    #[error("setting `{field}`: expected {expected}, got {got}")]
    Config {
        /// The setting.
        field: &'static str,
        /// The expected range.
        expected: &'static str,
        /// The value that was set.
        got: String,
    },
    /// The policy failed permanently.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The verifier failed permanently. The text states why, and what to do.
    #[error("{0}")]
    Verifier(String),
    /// A thread of the search panicked: a bug in this program, or in a policy or verifier passed to it.
    #[error("a thread of the search panicked: {message}")]
    Panicked {
        /// The message of the panic.
        message: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file does not contain a hidden-state probe that this program can read.
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
    /// A row of a trees file is malformed.
    #[error("{path}:{line}: expected a tree of version {version} or older, got {detail}")]
    Row {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The newest version that this program reads.
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
    /// A response is not of the requested kind.
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

    /// Details beyond the reason; `None` if there are none.
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
