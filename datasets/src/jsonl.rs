//! JSON lines of any serde type: one object per line, errors with line and field. A truncated last line
//! and a malformed line are different errors, because they are fixed in different ways.

use std::io::{self, Write};
use std::marker::PhantomData;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fault::{Fault, cut, quote};
use crate::lines::{Line, Lines};
use crate::{DataError, atomic_write};

/// Streams the rows of a JSON lines file; blank lines are skipped.
///
/// After an error the iterator continues with the next line; [`DataError::Torn`] is always the last item.
pub struct JsonlReader<T> {
    lines: Lines,
    row: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> JsonlReader<T> {
    /// Opens `path`.
    ///
    /// # Errors
    /// [`DataError::Io`] if it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        Ok(Self { lines: Lines::open(path)?, row: PhantomData })
    }

    /// Number of the last line that was read, from 1, including blank lines; 0 before the first.
    #[must_use]
    pub fn line(&self) -> usize {
        self.lines.number()
    }
}

impl<T: DeserializeOwned> Iterator for JsonlReader<T> {
    type Item = Result<T, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.lines.next()?;
        Some(line.and_then(|line| parse_line(self.lines.path(), &line)))
    }
}

/// All rows of a JSON lines file.
///
/// # Errors
/// [`DataError::Io`]; [`DataError::Row`] for the first line that is not a `T`;
/// [`DataError::Torn`] for a last line that was cut off.
pub fn read_jsonl<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, DataError> {
    JsonlReader::open(path)?.collect()
}

/// Writes rows as JSON lines into any writer, without buffering of its own.
pub struct JsonlWriter<W: Write> {
    inner: W,
}

impl<W: Write> JsonlWriter<W> {
    /// A writer of rows to `inner`.
    pub fn new(inner: W) -> Self {
        Self { inner }
    }

    /// Writes one row and its line feed.
    ///
    /// # Errors
    /// The writer's error, or an error if the row cannot be serialised as JSON.
    pub fn write<T: Serialize>(&mut self, row: &T) -> io::Result<()> {
        serde_json::to_writer(&mut self.inner, row)?;
        self.inner.write_all(b"\n")
    }

    /// Flushes the writer and returns it.
    ///
    /// # Errors
    /// The writer's error.
    pub fn finish(mut self) -> io::Result<W> {
        self.inner.flush()?;
        Ok(self.inner)
    }
}

/// Writes all `rows` to `path` with [`atomic_write`].
///
/// # Errors
/// [`DataError::Io`].
pub fn write_jsonl<T: Serialize>(
    path: &Path,
    rows: impl IntoIterator<Item = T>,
) -> Result<(), DataError> {
    atomic_write(path, |file| {
        let mut writer = JsonlWriter::new(file);
        rows.into_iter().try_for_each(|row| writer.write(&row))
    })
}

/// Parses one line as a `T`.
pub(crate) fn parse_line<T: DeserializeOwned>(path: &Path, line: &Line) -> Result<T, DataError> {
    let mut json = serde_json::Deserializer::from_str(&line.text);
    let error = match serde_path_to_error::deserialize(&mut json) {
        Ok(row) => match json.end() {
            Ok(()) => return Ok(row),
            Err(error) => json_fault("row", &error, &line.text),
        },
        Err(error) if error.inner().is_eof() && !line.ended => {
            return Err(DataError::Torn { path: path.to_owned(), line: line.number });
        }
        Err(error) => json_fault(&error.path().to_string(), error.inner(), &line.text),
    };
    Err(error.at(path, line.number))
}

/// Converts a message of serde ("invalid type: X, expected Y at line 1 column 2") into a fault of `field`
/// in the row `text`.
pub(crate) fn json_fault(field: &str, error: &serde_json::Error, text: &str) -> Fault {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let field = if [".", "?"].contains(&field) { "row" } else { field };
    if !error.is_data() {
        return Fault::new(field, expected_json(error, text), quote(text));
    }
    if let Some(name) = message.strip_prefix("missing field `").and_then(|m| m.strip_suffix('`')) {
        return Fault::new(name, "a value", "nothing");
    }
    let Some((got, expected)) = message.rsplit_once(", expected ") else {
        return Fault::new(field, format!("another value ({message})"), quote(text));
    };
    let got = got.split_once(": ").map_or(got, |(_, got)| got);
    Fault::new(field, expected, cut(got))
}

/// What was expected at a syntax error in the line `text`.
pub(crate) fn expected_json(error: &serde_json::Error, text: &str) -> String {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let column = error.column();
    let found = text.get(column.saturating_sub(1)..).unwrap_or_default().trim_start_matches('-');
    let advice =
        match ["NaN", "Infinity", "nan", "None"].iter().find(|name| found.starts_with(*name)) {
            Some(name) => format!("; {name} is not JSON, write null"),
            None if message.starts_with("key must be a string") => {
                "; names and texts stand in double quotes, as `json.dumps` writes them".into()
            }
            None if message.starts_with("EOF") => "; a row stands on one line".into(),
            None => String::new(),
        };
    format!("JSON ({message} at column {column}{advice})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Point {
        x: u32,
        tags: Vec<String>,
    }

    fn read(text: &[u8]) -> Result<Vec<Point>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let name = file.path().display().to_string();
        read_jsonl(file.path()).map_err(|e| e.to_string().replace(&name, "F"))
    }

    #[test]
    fn rows_go_there_and_back() {
        let rows = vec![Point { x: 1, tags: vec!["ä\n".into()] }, Point { x: 2, tags: vec![] }];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        write_jsonl(&path, &rows).unwrap();
        assert_eq!(read_jsonl::<Point>(&path).unwrap(), rows);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    }

    #[test]
    fn errors_name_line_field_expected_and_got() {
        let message = read(b"{\"x\":1,\"tags\":[]}\n\n{\"x\":1,\"tags\":[\"a\",5]}\n").unwrap_err();
        assert_eq!(message, "F:3: field `tags[1]`: expected a string, got integer `5`");
        let message = read(b"{\"tags\":[]}\n").unwrap_err();
        assert_eq!(message, "F:1: field `x`: expected a value, got nothing");
        let message = read(b"{\"x\":1,\"tags\":[]} trailing\n").unwrap_err();
        assert!(message.starts_with("F:1: field `row`: expected JSON"), "{message}");
        assert!(read(b"not json\n").unwrap_err().contains("`not json`"));
    }

    #[test]
    fn a_cut_last_line_is_named_as_such() {
        let message = read(b"{\"x\":1,\"tags\":[]}\n{\"x\":1,\"ta").unwrap_err();
        assert!(message.starts_with("F:2: the last line was cut off"), "{message}");
        // The row is complete and only its line feed is missing: accepted.
        assert_eq!(read(b"{\"x\":1,\"tags\":[]}").unwrap().len(), 1);
        // A line cut off in the middle of the file is malformed, not truncated.
        assert!(
            read(b"{\"x\":1,\"ta\n{\"x\":1,\"tags\":[]}\n").unwrap_err().contains("F:1: field")
        );
    }
}
