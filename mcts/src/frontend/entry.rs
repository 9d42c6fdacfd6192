//! Entry point of a program: exit codes, and the message for a failure.

use std::fmt::Display;
use std::panic::{UnwindSafe, catch_unwind};
use std::process::ExitCode;

use regrowth_datasets::DataError;
use regrowth_policy::PolicyError;

use crate::SearchError;
use crate::console::log;

/// Exit codes, as described in a program's help.
pub const EXIT_CODES: &str = "\
Exit codes: 0 ok, 2 usage, 3 bad or unwritable file, 4 policy, server or verifier failed, 5 stopped by a signal, \
a budget or a gate, 70 internal error.";

/// Kinds of failure, by their exit codes; 0 is success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The command line or the settings request something impossible.
    Usage = 2,
    /// A file cannot be read or written, or has unexpected content.
    File = 3,
    /// The policy or the verifier could not be loaded, or failed.
    Policy = 4,
    /// Stopped by a signal, a budget or a gate; the same command resumes.
    Stopped = 5,
    /// A bug in this program.
    Internal = 70,
}

impl From<&DataError> for Exit {
    fn from(error: &DataError) -> Self {
        match error {
            DataError::UnknownTask { .. } | DataError::Source { .. } => Self::Usage,
            _ => Self::File,
        }
    }
}

impl From<&PolicyError> for Exit {
    fn from(error: &PolicyError) -> Self {
        match error {
            PolicyError::Spec { .. } | PolicyError::Device { .. } | PolicyError::Prompt(_) => {
                Self::Usage
            }
            // The log of a search is an ordinary file.
            PolicyError::PromptFile { .. } | PolicyError::Write { .. } => Self::File,
            PolicyError::Panicked => Self::Internal,
            _ => Self::Policy,
        }
    }
}

impl From<&SearchError> for Exit {
    fn from(error: &SearchError) -> Self {
        match error {
            SearchError::Config { .. } => Self::Usage,
            SearchError::Policy(error) => error.into(),
            SearchError::Verifier(_) => Self::Policy,
            SearchError::Data(error) => error.into(),
            SearchError::Io { .. } | SearchError::Row { .. } | SearchError::Probe { .. } => {
                Self::File
            }
            SearchError::Panicked { .. } => Self::Internal,
        }
    }
}

/// Runs a program. A failure is printed to stderr and becomes an exit code; a panic becomes an exit code as
/// well.
pub fn run<E: Display>(
    program: impl FnOnce() -> Result<(), E> + UnwindSafe,
    kind: impl FnOnce(&E) -> Exit,
) -> ExitCode {
    // Unwind safe: state that a panic leaves inconsistent ends with the process. The panic's message was
    // already printed.
    let exit = match catch_unwind(program) {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(error)) => {
            let exit = kind(&error);
            let prefix = if exit == Exit::Stopped { "stopped" } else { "error" };
            log(&format!("{prefix}: {error}"));
            exit
        }
        Err(_) => Exit::Internal,
    };
    ExitCode::from(exit as u8)
}
