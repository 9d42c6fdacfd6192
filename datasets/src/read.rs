//! Reads a file of problems: opens the container, detects the format, parses each row, gives it an id,
//! and refuses an id that two different rows share. Containers are in `rows`, formats in `formats`; other
//! findings go to [`Notices`].

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::columns::{Columns, Unread};
use crate::fault::{Fault, quote};
use crate::formats::{Format, is_doubtful};
use crate::rows::{self, Row};
use crate::{DataError, Notices, Problem, problem_key};

/// Options for reading a file of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// The format; `None` to detect it from the columns of the first row.
    pub format: Option<Format>,
    /// Whether rows without a reference answer are refused.
    pub needs_answer: bool,
}

/// Reads all problems of a file, in file order.
///
/// Ids are those of the file, or `<format>/<n>` with the number of the row, from 1. Some published files
/// repeat a row under one id; the second one gets the id `<id>#2`. Two different rows with one id are an
/// error.
///
/// `notices` limits how many bad rows are skipped. It records those rows, ambiguous values, columns that
/// were not read, and questions with two references.
///
/// # Errors
/// [`DataError::Io`] for a wrong path, [`DataError::Empty`], [`DataError::UnknownFormat`],
/// [`DataError::MissingFeature`] for Parquet, [`DataError::LfsPointer`]; [`DataError::Row`] for the
/// first row that does not have the form of its format; [`DataError::Torn`];
/// [`DataError::DuplicateId`]; [`DataError::TooManyBad`].
pub fn read_problem_file(
    path: &Path,
    options: ReadOptions,
    notices: &mut Notices,
) -> Result<Vec<Problem>, DataError> {
    let mut reader = Reader::new(path, options);
    let mut problems = Vec::new();
    rows::open(path)?.each(notices, |row, notices| {
        let line = row.line;
        let problem = reader.problem(row.lifted())?;
        notices.compare(&problem, path, line);
        problems.push(problem);
        Ok(())
    })?;
    if problems.is_empty() && notices.skipped().is_empty() {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    if let Some(format) = reader.format {
        reader.unread.warn(path, &Columns::of(format), notices);
    }
    reader.doubtful.warn(path, notices);
    Ok(problems)
}

/// Reads all problems of a file. Every row must be valid and have a reference answer; see
/// [`read_problem_file`].
///
/// # Errors
/// As [`read_problem_file`].
pub fn read_problems(path: &Path, format: Option<Format>) -> Result<Vec<Problem>, DataError> {
    let options = ReadOptions { format, needs_answer: true };
    read_problem_file(path, options, &mut Notices::default())
}

/// One record of a file, unchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct RawRow {
    /// First line of the record, from 1; for Parquet, the number of the record.
    pub line: usize,
    /// The columns.
    pub fields: serde_json::Map<String, Value>,
}

/// Reads all records of a file in any container, in file order and unchanged.
///
/// # Errors
/// As [`read_problem_file`], except for errors of formats.
pub fn read_raw_rows(path: &Path) -> Result<Vec<RawRow>, DataError> {
    let raw = |row: Row| RawRow { line: row.line, fields: row.into_fields() };
    let rows: Vec<RawRow> =
        rows::open(path)?.map(|row| row.map(raw)).collect::<Result<_, DataError>>()?;
    if rows.is_empty() {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    Ok(rows)
}

/// State while the rows of a file are read.
struct Reader<'a> {
    path: &'a Path,
    options: ReadOptions,
    /// The format; `None` until it is detected from the first row.
    format: Option<Format>,
    /// Ids in the file: line of first use, content, and number of uses.
    ids: BTreeMap<String, SeenId>,
    unread: Unread,
    doubtful: Doubtful,
    /// Number of rows read, good or bad.
    count: usize,
}

struct SeenId {
    line: usize,
    key: String,
    times: usize,
}

/// References that no answer can equal: their number, and the first with its line.
#[derive(Default)]
struct Doubtful {
    count: usize,
    first: Option<(usize, String)>,
}

impl Doubtful {
    fn add(&mut self, problem: &Problem, line: usize) {
        if is_doubtful(&problem.answer, &problem.kind) {
            self.count += 1;
            self.first.get_or_insert_with(|| (line, quote(&problem.answer)));
        }
    }

    /// Warns once per file.
    fn warn(&self, path: &Path, notices: &mut Notices) {
        let Some((line, text)) = &self.first else { return };
        let (path, count) = (path.display(), self.count);
        notices.warn(format!(
            "{path}:{line}: {count} reference answers are several lines or long texts, the first is {text}; the \
             verifier will call most answers to them wrong: give the final answer alone, as a \
             number, an expression or a few words"
        ));
    }
}

impl<'a> Reader<'a> {
    fn new(path: &'a Path, options: ReadOptions) -> Self {
        let (ids, unread, doubtful) = (BTreeMap::new(), Unread::default(), Doubtful::default());
        Self { path, options, format: options.format, ids, unread, doubtful, count: 0 }
    }

    fn problem(&mut self, row: Row) -> Result<Problem, DataError> {
        self.count += 1;
        let format = match self.format {
            Some(format) => format,
            None => Format::detect(&row).ok_or_else(|| unknown(self.path, &row))?,
        };
        self.format = Some(format);
        let at = |fault: Fault| fault.at(self.path, row.line);
        let problem = format.problem(&row).map_err(at)?;
        self.unread.add(&row, &Columns::of(format)).map_err(at)?;
        if self.options.needs_answer && !problem.has_reference() {
            return Err(at(no_answer(&row)));
        }
        self.doubtful.add(&problem, row.line);
        self.named(problem, format, row.line)
    }

    /// Gives the problem an id, or checks that its own id is unique.
    fn named(
        &mut self,
        mut problem: Problem,
        format: Format,
        line: usize,
    ) -> Result<Problem, DataError> {
        if problem.id.is_empty() {
            problem.id = format!("{format}/{}", self.count);
            return Ok(problem);
        }
        let key = format!("{} {}", problem_key(&problem), problem.answer);
        let first = SeenId { line, key: key.clone(), times: 0 };
        let seen = self.ids.entry(problem.id.clone()).or_insert(first);
        if seen.key != key {
            let (path, id) = (self.path.to_owned(), problem.id);
            return Err(DataError::DuplicateId { path, line, id, first: seen.line });
        }
        seen.times += 1;
        if seen.times > 1 {
            problem.id = format!("{}#{}", problem.id, seen.times);
        }
        Ok(problem)
    }
}

fn no_answer(row: &Row) -> Fault {
    let names: Vec<&str> = row.names().collect();
    let got = format!("none in the columns {}", quote(&names.join(", ")));
    Fault::new("answer", "a reference answer, which this command needs", got)
}

fn unknown(path: &Path, row: &Row) -> DataError {
    let names: Vec<&str> = row.names().collect();
    let columns = quote(&names.join(", "));
    let detail = match elsewhere(row) {
        _ if names.is_empty() => "the first row has no columns".into(),
        Some(advice) => format!("the first row has {columns}: {advice}"),
        None => format!(
            "the first row has {columns}, and no `question` or `problem`: rename the columns of question and \
             reference to `question` and `answer`"
        ),
    };
    DataError::UnknownFormat { path: path.to_owned(), detail, known: Format::names() }
}

/// Command that extracts the rows from a document that nests them; `None` if no known nesting is found.
fn elsewhere(row: &Row) -> Option<String> {
    let objects = |value: &Value| match value {
        Value::Array(items) => items.first().is_some_and(Value::is_object),
        _ => false,
    };
    let lists: Vec<&str> =
        row.fields().filter(|(_, value)| objects(value)).map(|(name, _)| name).collect();
    let write = |rows: &str| format!("write the rows one per line, as `jq -c '{rows}' FILE` does");
    // Lifted columns `question.0`, `question.1`, ...: the file has one object per column, which is the
    // default of pandas.
    if row
        .names()
        .any(|name| name.strip_prefix("question.").is_some_and(|at| at.parse::<usize>().is_ok()))
    {
        return Some(
            "columns, not rows; pandas writes rows with `to_json(FILE, orient=\"records\")`".into(),
        );
    }
    match lists[..] {
        _ if row.fields().all(|(_, value)| value.is_object()) => Some(write(".[]")),
        // A page of the viewer of the Hugging Face hub.
        ["rows"] | ["features", "rows"] => {
            let inside = row.get("rows").and_then(|rows| rows.get(0)?.get("row"));
            Some(write(if inside.is_some() { ".rows[].row" } else { ".rows[]" }))
        }
        ["messages" | "conversations" | "prompt"] | [] => None,
        [name, ..] => Some(write(&format!(".{name}[]"))),
    }
}
