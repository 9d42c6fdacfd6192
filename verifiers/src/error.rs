//! The one error type of this crate: bad input rows, and failed reads or writes.
//!
//! Undecided comparisons are verdicts, not errors. Text written by a model can never cause one of these
//! errors.

/// Errors of checking many answers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A row does not have the form that the input requires.
    #[error(
        "line {line}: field `{field}`: expected {expected}, got {got}; correct the row or leave it out"
    )]
    Row {
        /// Line of the input, from 1.
        line: usize,
        /// The field, or `row` for the whole row.
        field: &'static str,
        /// What was expected.
        expected: &'static str,
        /// The value found, cut to a readable length.
        got: String,
    },
    /// The input could not be read.
    #[error("line {line}: cannot read the input: {source}")]
    Read {
        /// Line of the input, from 1.
        line: usize,
        /// The system's error.
        source: std::io::Error,
    },
    /// A verdict could not be written.
    #[error("cannot write the verdicts: {source}; check the disk and the reading end")]
    Write {
        /// The system's error.
        #[from]
        source: std::io::Error,
    },
    /// A verifier command cannot be run.
    #[error("verifier command `{command}` {detail}")]
    Command {
        /// The command line.
        command: String,
        /// What is wrong, and what to do.
        detail: String,
    },
    /// A verifier command can no longer be used, or the file of its findings cannot be used. The text
    /// says why and what to do.
    #[error("{0}")]
    Verifier(String),
}
