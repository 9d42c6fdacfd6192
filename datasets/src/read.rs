//! Reading a file of problems: open the container, tell the format, parse each row, name it, refuse
//! ids that stand for two things. It knows no format itself; `rows` and `formats` do.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::path::{Path, PathBuf};

use crate::fault::quote;
use crate::formats::Format;
use crate::rows::{self, Row, Rows};
use crate::{DataError, Problem, problem_key};

/// Streams the problems of a file in their order.
///
/// Ids are those of the file, or `<format>/<n>` with the place of the row, from 1. Some published
/// files repeat a row under one id; the second one is named `<id>#2`. Two different rows under one
/// id are an error.
pub struct ProblemReader {
    path: PathBuf,
    format: Format,
    rows: Peekable<Rows>,
    count: usize,
    /// Explicit ids: where each was first used, for which content, and how often.
    ids: BTreeMap<String, Seen>,
}

struct Seen {
    line: usize,
    key: String,
    times: usize,
}

impl ProblemReader {
    /// Opens `path`; without `format` it is told from the first row.
    ///
    /// # Errors
    /// [`DataError::Io`] for a wrong path, [`DataError::Empty`], [`DataError::UnknownFormat`],
    /// [`DataError::MissingFeature`] for Parquet, or what is wrong with the first row.
    pub fn open(path: &Path, format: Option<Format>) -> Result<Self, DataError> {
        let mut rows = rows::open(path)?.peekable();
        let format = match rows.peek() {
            None => return Err(DataError::Empty { path: path.to_owned() }),
            Some(Ok(row)) => {
                format.or_else(|| Format::detect(row)).ok_or_else(|| unknown(path, row))?
            }
            // The error itself comes out of the iterator.
            Some(Err(_)) => format.unwrap_or(Format::Generic),
        };
        Ok(Self { path: path.to_owned(), format, rows, count: 0, ids: BTreeMap::new() })
    }

    /// The format in use.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    fn problem(&mut self, row: &Row) -> Result<Problem, DataError> {
        let mut problem = self.format.problem(row).map_err(|f| f.at(&self.path, row.line))?;
        if problem.id.is_empty() {
            problem.id = format!("{}/{}", self.format, self.count);
            return Ok(problem);
        }
        let key = format!("{} {}", problem_key(&problem), problem.answer);
        let first = Seen { line: row.line, key: key.clone(), times: 0 };
        let seen = self.ids.entry(problem.id.clone()).or_insert(first);
        if seen.key != key {
            let (path, id) = (self.path.clone(), problem.id);
            return Err(DataError::DuplicateId { path, line: row.line, id, first: seen.line });
        }
        seen.times += 1;
        if seen.times > 1 {
            problem.id = format!("{}#{}", problem.id, seen.times);
        }
        Ok(problem)
    }
}

impl Iterator for ProblemReader {
    type Item = Result<Problem, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?;
        self.count += 1;
        Some(row.and_then(|row| self.problem(&row)))
    }
}

/// All problems of a file, in their order; see [`ProblemReader`].
///
/// # Errors
/// As [`ProblemReader::open`]; [`DataError::Row`] for the first row that does not have the form of
/// its format; [`DataError::Torn`]; [`DataError::DuplicateId`].
pub fn read_problems(path: &Path, format: Option<Format>) -> Result<Vec<Problem>, DataError> {
    ProblemReader::open(path, format)?.collect()
}

fn unknown(path: &Path, row: &Row) -> DataError {
    let names: Vec<&str> = row.fields.keys().map(String::as_str).collect();
    DataError::UnknownFormat {
        path: path.to_owned(),
        detail: format!("the first row has {}", quote(&names.join(", "))),
        known: Format::names(),
    }
}
