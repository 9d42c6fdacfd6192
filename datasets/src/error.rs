//! The one error type of this crate: each message states the place, what was found, what was expected and
//! what to do.

use std::path::PathBuf;

/// An error of reading, generating or writing data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A row does not have the form that its format requires.
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
        /// The value found, cut to a readable length.
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
    /// A binary file is corrupt or has another type.
    #[error("{path}: cannot be read as {format}: {detail}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The expected format.
        format: &'static str,
        /// Message of the format's reader.
        detail: String,
    },
    /// No known format fits the file.
    #[error(
        "{path}: no known problem format fits ({detail}); name one with --format, one of: {known}"
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Description of the first row.
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
    /// The file is a Git LFS pointer and not the content itself.
    #[error(
        "{path}: a Git LFS pointer, not the file itself; run `git lfs pull` in its repository, or \
         download the file"
    )]
    LfsPointer {
        /// The file.
        path: PathBuf,
    },
    /// The path is not a data file but an archive, a folder or a web page.
    #[error("{path}: {what}; {remedy}")]
    OtherFile {
        /// The file.
        path: PathBuf,
        /// What the path is: an archive, a folder, a web page, ...
        what: &'static str,
        /// How to make it readable.
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
    /// More rows are bad than may be skipped.
    #[error("{last} ({allowed} bad rows before it were skipped; --skip-bad allows no more)")]
    TooManyBad {
        /// Bad rows that were skipped.
        allowed: usize,
        /// The error of the next bad row.
        last: Box<DataError>,
    },
    /// A list of problem sources, or a weight in it, is invalid.
    #[error("`{spec}`: {detail}")]
    Source {
        /// The given text.
        spec: String,
        /// What is wrong, and which values are possible.
        detail: String,
    },
    /// A built-in task of that name does not exist.
    #[error("unknown built-in task `{name}`; known are: {known}")]
    UnknownTask {
        /// The given name.
        name: String,
        /// The known names.
        known: String,
    },
}
