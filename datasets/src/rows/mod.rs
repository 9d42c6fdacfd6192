//! Containers: how a file holds its rows, whatever the rows mean. A row is a set of named JSON
//! values with the line it stands in, so that each format is one function of a row and every format
//! may come in every container. The container goes by the content of the file first (publishers
//! name JSON lines `.json`), then by its extension.

mod csv;
mod json;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(not(feature = "parquet"))]
#[path = "parquet_off.rs"]
mod parquet;
mod xml;

use std::path::Path;

use serde_json::{Map, Value};

use crate::DataError;
use crate::fault::{Fault, quote};
use crate::lines::read_start;

/// One record of a file.
#[derive(Debug)]
pub(crate) struct Row {
    /// Line it begins at, from 1; for Parquet the number of the record.
    pub line: usize,
    pub fields: Map<String, Value>,
}

/// Rows in the order of the file.
pub(crate) type Rows = Box<dyn Iterator<Item = Result<Row, DataError>>>;

impl Row {
    pub fn has(&self, names: &[&str]) -> bool {
        names.iter().all(|&name| self.fields.contains_key(name))
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    /// The text of a field that must hold some, without blanks around it.
    pub fn text(&self, name: &str) -> Result<&str, Fault> {
        self.optional_text(name)
            .ok_or_else(|| Fault::of(name, "text that is not empty", self.get(name)))
    }

    /// The text of a field that may be absent or empty.
    pub fn optional_text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
    }

    /// A field that holds text or a number, as text; `None` where it is absent, empty or null.
    pub fn scalar(&self, name: &str) -> Option<String> {
        self.get(name).and_then(scalar)
    }
}

/// Text or a number as text: whole numbers without a fraction (`51.0` is `51`).
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(match number.as_f64() {
            // Whole numbers below 2^53 are exact in both forms.
            Some(x) if number.is_f64() && x.fract() == 0.0 && x.abs() < 9.0e15 => {
                format!("{x:.0}")
            }
            _ => number.to_string(),
        }),
        _ => None,
    }
}

/// Opens `path` as whatever container it is.
pub(crate) fn open(path: &Path) -> Result<Rows, DataError> {
    let start = read_start(path, 4096)?;
    if start.starts_with(b"PAR1") {
        return parquet::rows(path);
    }
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    let extension = extension.to_string_lossy();
    let content = start.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&start).trim_ascii_start();
    match (extension.as_ref(), content.first()) {
        (_, None) => Err(DataError::Empty { path: path.to_owned() }),
        ("parquet", _) => Err(DataError::Damaged {
            path: path.to_owned(),
            format: "Parquet",
            detail: "it does not begin with `PAR1`".into(),
        }),
        ("csv", _) => csv::rows(path),
        ("xml", _) | (_, Some(b'<')) => xml::rows(path),
        ("json", _) | (_, Some(b'[')) => json::document(path),
        ("jsonl" | "ndjson", _) | (_, Some(b'{')) => json::lines(path),
        _ if content.iter().take_while(|&&b| b != b'\n').any(|&b| b == b',') => csv::rows(path),
        _ => Err(DataError::UnknownFormat {
            path: path.to_owned(),
            detail: format!("it begins with {}", quote(&String::from_utf8_lossy(content))),
            known: crate::Format::names(),
        }),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A row as the readers make it from one JSON object.
    pub(crate) fn row(json: &str) -> Row {
        let Value::Object(fields) = serde_json::from_str(json).unwrap() else { panic!("{json}") };
        Row { line: 1, fields }
    }

    #[test]
    fn numbers_are_written_as_a_person_would() {
        let cases =
            [("51.0", "51"), ("0.5", "0.5"), ("-3", "-3"), ("1e20", "1e+20"), ("-0.0", "-0")];
        for (json, text) in cases {
            assert_eq!(scalar(&serde_json::from_str(json).unwrap()).unwrap(), text);
        }
        assert_eq!(scalar(&Value::Null), None);
        assert_eq!(scalar(&Value::String("  ".into())), None);
    }
}
