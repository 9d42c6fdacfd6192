//! Reading a file of problems: open the container, tell the format, parse each row, name it, refuse
//! ids that stand for two things. Containers are `rows`, formats are `formats`; what is found beside
//! the problems goes to [`Notices`].

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::columns::{Columns, Unread};
use crate::fault::{Fault, quote};
use crate::formats::{Format, is_doubtful};
use crate::rows::{self, Row};
use crate::{DataError, Notices, Problem, problem_key};

/// How a file of problems is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// Its format; `None`: told from the columns of the first row.
    pub format: Option<Format>,
    /// Whether a row without a reference answer is refused.
    pub needs_answer: bool,
}

/// All problems of a file, in their order.
///
/// Ids are those of the file, or `<format>/<n>` with the place of the row, from 1. Some published
/// files repeat a row under one id; the second one is named `<id>#2`. Two different rows under one
/// id are an error.
///
/// `notices` says how many bad rows are passed over, and gets them, what was read in one of two ways,
/// the columns that were not read, and questions with two references.
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

/// All problems of a file that has nothing wrong and a reference answer in each row; see
/// [`read_problem_file`].
///
/// # Errors
/// As [`read_problem_file`].
pub fn read_problems(path: &Path, format: Option<Format>) -> Result<Vec<Problem>, DataError> {
    let options = ReadOptions { format, needs_answer: true };
    read_problem_file(path, options, &mut Notices::default())
}

/// One record of a file as it stands there.
#[derive(Debug, Clone, PartialEq)]
pub struct RawRow {
    /// Line that it begins at, from 1; for Parquet the number of the record.
    pub line: usize,
    /// Its columns.
    pub fields: serde_json::Map<String, Value>,
}

/// All records of a file in any container that problems are read from, in their order and as they are.
///
/// # Errors
/// As [`read_problem_file`], formats apart.
pub fn read_raw_rows(path: &Path) -> Result<Vec<RawRow>, DataError> {
    let raw = |row: Row| RawRow { line: row.line, fields: row.into_fields() };
    let rows: Vec<RawRow> =
        rows::open(path)?.map(|row| row.map(raw)).collect::<Result<_, DataError>>()?;
    if rows.is_empty() {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    Ok(rows)
}

/// What is known of a file while its rows are read.
struct Reader<'a> {
    path: &'a Path,
    options: ReadOptions,
    /// Its format, as soon as a row tells it.
    format: Option<Format>,
    /// Explicit ids: where each was first used, for which content, and how often.
    ids: BTreeMap<String, SeenId>,
    unread: Unread,
    doubtful: Doubtful,
    /// Rows that were read, good or bad.
    count: usize,
}

struct SeenId {
    line: usize,
    key: String,
    times: usize,
}

/// References that no answer will be equal to: how many, and the first with its line.
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

    /// Says it, once for the file.
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

    /// Gives the problem an id, or makes sure that its own is unique.
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

/// How the rows come out of a document that holds them further inside; `None` where it does not seem to.
fn elsewhere(row: &Row) -> Option<String> {
    let objects = |value: &Value| match value {
        Value::Array(items) => items.first().is_some_and(Value::is_object),
        _ => false,
    };
    let lists: Vec<&str> =
        row.fields().filter(|(_, value)| objects(value)).map(|(name, _)| name).collect();
    let write = |rows: &str| format!("write the rows one per line, as `jq -c '{rows}' FILE` does");
    // A lifted column of positions: one object a column, as pandas writes by default.
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
        // Pages of the viewer of the Hugging Face hub.
        ["rows"] | ["features", "rows"] => {
            let inside = row.get("rows").and_then(|rows| rows.get(0)?.get("row"));
            Some(write(if inside.is_some() { ".rows[].row" } else { ".rows[]" }))
        }
        ["messages" | "conversations" | "prompt"] | [] => None,
        [name, ..] => Some(write(&format!(".{name}[]"))),
    }
}
