//! Rows of a CSV file with a header. Columns are separated by commas, tabs or semicolons; every field is
//! text. Quoting follows RFC 4180.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use csv::{Reader, ReaderBuilder, StringRecord};
use serde_json::Value;

use super::{Row, Rows};
use crate::DataError;
use crate::fault::{Fault, quote};
use crate::lines::read_document;

/// Possible column separators; the first of them that occurs in the header is used.
pub(super) const DELIMITERS: [u8; 3] = [b',', b'\t', b';'];

pub(super) fn rows(path: &Path) -> Result<Rows, DataError> {
    let text = read_document(path)?;
    let delimiter = delimiter(&text);
    check_quotes(&text, delimiter).map_err(|(line, fault)| fault.at(path, line))?;
    let mut reader = ReaderBuilder::new().delimiter(delimiter).from_reader(Cursor::new(text));
    let header = reader.headers().map_err(|e| fault(path, &e))?.clone();
    check_header(&header).map_err(|fault| fault.at(path, 1))?;
    let path = path.to_owned();
    Ok(Rows::apart(Records { path, reader, header }))
}

fn delimiter(text: &str) -> u8 {
    let header = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let found = DELIMITERS.into_iter().find(|&b| header.as_bytes().contains(&b));
    found.unwrap_or(b',')
}

/// Refuses two columns of the same name, because only one of them could be read.
fn check_header(header: &StringRecord) -> Result<(), Fault> {
    let mut names = BTreeSet::new();
    let mut named = header.iter().map(str::trim).filter(|name| !name.is_empty());
    match named.find(|name| !names.insert(*name)) {
        Some(name) => {
            let got = format!("two of {}", quote(name));
            Err(Fault::new("row", "one column of each name in the header", got))
        }
        None => Ok(()),
    }
}

/// Refuses text after the closing quote of a field, and a field that is never closed, and reports the
/// line. The `csv` crate would join such fields. The cause may be quotes escaped by a backslash, or text
/// that begins with a quote in a table without quoting.
fn check_quotes(text: &str, delimiter: u8) -> Result<(), (usize, Fault)> {
    let bytes = text.as_bytes();
    let (mut line, mut at, mut starts) = (1, 0, true);
    while let Some(&byte) = bytes.get(at) {
        if byte == b'"' && starts {
            let Some(end) = end_of_quoted(bytes, at) else {
                let expected = "the closing quote of a field";
                return Err((line, Fault::new("row", expected, "the end of the file")));
            };
            line += bytes[at..end].iter().filter(|&&b| b == b'\n').count();
            at = end;
            match bytes.get(at) {
                Some(next) if ![delimiter, b'\r', b'\n'].contains(next) => {
                    let expected = "the end of a field behind its closing quote (a quote inside a \
                                    field is written twice)";
                    let rest: String = text[at..].chars().take(20).collect();
                    return Err((line, Fault::new("row", expected, quote(&rest))));
                }
                _ => starts = false,
            }
            continue;
        }
        line += usize::from(byte == b'\n');
        starts = [delimiter, b'\r', b'\n'].contains(&byte);
        at += 1;
    }
    Ok(())
}

/// Position after the quote that closes the field at `start`; `None` if the field is not closed.
fn end_of_quoted(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += bytes.get(at..)?.iter().position(|&b| b == b'"')? + 1;
        if bytes.get(at) != Some(&b'"') {
            return Some(at);
        }
        at += 1;
    }
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
