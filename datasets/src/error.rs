//! The one error type of this crate: each variant says where, what was found, what was expected and
//! what to do.

use std::path::PathBuf;

/// What can go wrong while reading, generating or writing data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A row does not have the form that its format asks for.
    #[error("{path}:{line}: field `{field}`: expected {expected}, got {got}")]
    Row {
        /// The file.
        path: PathBuf,
        /// Line (or record), from 1.
        line: usize,
        /// The field, or `row` for the whole row.
        field: String,
        /// What was expected.
        expected: String,
        /// What stands there, cut to a readable length.
        got: String,
    },
    /// The last line of a file ends in the middle of a row.
    #[error(
        "{path}:{line}: the last line was cut off while it was written; remove it or write the \
         file again"
    )]
    Torn {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
    },
    /// Two different rows have the same id.
    #[error("{path}:{line}: id `{id}` was used before, at line {first}; ids must be unique")]
    DuplicateId {
        /// The file.
        path: PathBuf,
        /// Line (or record) of the second row, from 1.
        line: usize,
        /// The id.
        id: String,
        /// Line (or record) of the first row.
        first: usize,
    },
    /// A row was written by a newer version of this program.
    #[error(
        "{path}:{line}: row version {found} is newer than the newest that this build reads, \
         {known}; use a newer build"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Version of the row.
        found: u64,
        /// Newest version that this build knows.
        known: u32,
    },
    /// A binary file is damaged or of another kind.
    #[error("{path}: cannot be read as {format}: {detail}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it should be.
        format: &'static str,
        /// What its reader says.
        detail: String,
    },
    /// No known format fits the file.
    #[error(
        "{path}: no known problem format fits ({detail}); name one with --format, one of: {known}"
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What the first row looks like.
        detail: String,
        /// The known names.
        known: String,
    },
    /// The file holds no row.
    #[error("{path}: holds no row; expected at least one")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The format needs a feature that this build does not have.
    #[error("{path}: {format} needs a build with `--features {feature}`")]
    MissingFeature {
        /// The file.
        path: PathBuf,
        /// The format.
        format: &'static str,
        /// The cargo feature.
        feature: &'static str,
    },
    /// A Git LFS pointer stands where the file itself should.
    #[error(
        "{path}: a Git LFS pointer, not the file itself; run `git lfs pull` in its repository, or \
         download the file"
    )]
    LfsPointer {
        /// The file.
        path: PathBuf,
    },
    /// A file of another kind: an archive, a folder, a web page.
    #[error("{path}: {what}; {remedy}")]
    OtherFile {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// What makes it readable.
        remedy: &'static str,
    },
    /// No file of this name exists.
    #[error("{path}: no such file; expected a problem file or one of {known}")]
    NoSource {
        /// The file.
        path: PathBuf,
        /// The built-in tasks.
        known: String,
    },
    /// More rows are bad than may be passed over.
    #[error("{last} ({allowed} bad rows before it were skipped; --skip-bad allows no more)")]
    TooManyBad {
        /// Bad rows that were passed over.
        allowed: usize,
        /// What is wrong with the next one.
        last: Box<DataError>,
    },
    /// The weight of a problem file makes no sense.
    #[error("`{spec}`: {detail}")]
    Source {
        /// What was asked for.
        spec: String,
        /// What is wrong and what is possible.
        detail: String,
    },
    /// A built-in task of that name does not exist.
    #[error("unknown built-in task `{name}`; known are: {known}")]
    UnknownTask {
        /// What was asked for.
        name: String,
        /// The known names.
        known: String,
    },
}
