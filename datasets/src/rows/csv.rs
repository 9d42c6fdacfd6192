//! Rows of a CSV file with a header; every field is text. It knows no field names. Quoting follows
//! RFC 4180 as the `csv` crate reads it.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use csv::{Reader, StringRecord};
use serde_json::Value;

use super::{Row, Rows};
use crate::DataError;
use crate::fault::Fault;
use crate::lines::read_document;

pub(super) fn rows(path: &Path) -> Result<Rows, DataError> {
    let text = read_document(path)?;
    let mut reader = Reader::from_reader(Cursor::new(text));
    let header = reader.headers().map_err(|e| fault(path, &e))?.clone();
    let path = path.to_owned();
    Ok(Rows::apart(Records { path, reader, header }))
}

struct Records {
    path: PathBuf,
    reader: Reader<Cursor<String>>,
    header: StringRecord,
}

impl Iterator for Records {
    type Item = Result<Row, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut record = StringRecord::new();
        match self.reader.read_record(&mut record) {
            Ok(false) => None,
            Err(error) => Some(Err(fault(&self.path, &error))),
            Ok(true) => {
                let line = record.position().map_or(0, |p| p.line() as usize);
                let names = self.header.iter().map(|name| name.trim().to_owned());
                let values = record.iter().map(|text| Value::String(text.to_owned()));
                Some(Ok(Row::new(line, names.zip(values).collect())))
            }
        }
    }
}

fn fault(path: &Path, error: &csv::Error) -> DataError {
    let line = error.position().map_or(1, |p| p.line() as usize);
    let (expected, got) = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            (format!("{expected_len} columns as in the header"), format!("{len}"))
        }
        _ => ("a CSV record".into(), error.to_string()),
    };
    Fault::new("row", expected, got).at(path, line)
}
