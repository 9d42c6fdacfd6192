//! Rows of JSON lines (streamed) and of one JSON document: an array of objects, a single object, or
//! concatenated objects, the forms of published files with the extension `.json`. Field names are not
//! interpreted here.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::exact::keep_digits;
use super::{Row, Rows};
use crate::DataError;
use crate::fault::{Fault, quote};
use crate::jsonl::{expected_json, json_fault, parse_line};
use crate::lines::{Lines, read_document};

/// Reads one object per line.
pub(super) fn lines(path: &Path) -> Result<Rows, DataError> {
    let lines = Lines::open(path)?;
    let path = path.to_owned();
    Ok(Rows::apart(lines.map(move |line| {
        let mut line = line?;
        if let Cow::Owned(text) = keep_digits(&line.text) {
            line.text = text;
        }
        if line.text.trim_start().starts_with('{') {
            let Fields(fields) = parse_line(&path, &line)?;
            return Ok(Row::new(line.number, fields));
        }
        Err(no_object(&parse_line(&path, &line)?, &path, line.number))
    })))
}

/// Reads all objects of a document.
pub(super) fn document(path: &Path) -> Result<Rows, DataError> {
    let mut text = read_document(path)?;
    if let Cow::Owned(kept) = keep_digits(&text) {
        text = kept;
    }
    Ok(Rows::in_one(Document::new(path, text)))
}

fn no_object(value: &Value, path: &Path, line: usize) -> DataError {
    Fault::of("row", "a JSON object", Some(value)).at(path, line)
}

/// The columns of a row. A name that occurs twice with two values is an error: most JSON readers silently
/// keep the last value.
struct Fields(Map<String, Value>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Map::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if fields.get(&name).is_some_and(|before| *before != value) {
                let got =
                    format!("invalid value: two of `{name}`, expected one value of each name");
                return Err(A::Error::custom(got));
            }
            fields.insert(name, value);
        }
        Ok(Fields(fields))
    }
}

/// Parses the values of a document one by one and keeps track of the line.
struct Document {
    path: PathBuf,
    text: String,
    position: usize,
    line: usize,
    in_array: bool,
    failed: bool,
}

impl Document {
    fn new(path: &Path, text: String) -> Self {
        let mut document = Self {
            path: path.to_owned(),
            text,
            position: 0,
            line: 1,
            in_array: false,
            failed: false,
        };
        document.in_array = document.eat('[');
        document
    }

    fn rest(&self) -> &str {
        &self.text[self.position..]
    }

    /// Skips `bytes` bytes and counts their lines.
    fn advance(&mut self, bytes: usize) {
        let passed = &self.text.as_bytes()[self.position..self.position + bytes];
        self.line += passed.iter().filter(|&&b| b == b'\n').count();
        self.position += bytes;
    }

    fn skip_blanks(&mut self) {
        self.advance(self.rest().len() - self.rest().trim_start().len());
    }

    /// Skips blanks, and then `symbol` if it comes next; returns whether it did.
    fn eat(&mut self, symbol: char) -> bool {
        self.skip_blanks();
        let found = self.rest().starts_with(symbol);
        if found {
            self.advance(symbol.len_utf8());
        }
        found
    }

    fn value(&mut self) -> Result<Row, DataError> {
        let line = self.line;
        if self.rest().starts_with('{') {
            let Fields(fields) = self.parse()?;
            return Ok(Row::new(line, fields));
        }
        let value: Value = self.parse()?;
        Err(no_object(&value, &self.path, line))
    }

    fn parse<T: DeserializeOwned>(&mut self) -> Result<T, DataError> {
        let mut values = serde_json::Deserializer::from_str(self.rest()).into_iter();
        match values.next() {
            Some(Ok(value)) => {
                let bytes = values.byte_offset();
                self.advance(bytes);
                Ok(value)
            }
            Some(Err(error)) if error.is_data() => {
                Err(json_fault("row", &error, "").at(&self.path, self.line))
            }
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Err(self.unexpected("a row")),
        }
    }

    fn syntax(&self, error: &serde_json::Error) -> DataError {
        let line = self.rest().lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
        let expected = expected_json(error, line);
        let line_number = self.line + error.line().saturating_sub(1);
        Fault::new("row", expected, quote(line)).at(&self.path, line_number)
    }

    /// The error for text at the current position that is not `expected`.
    fn unexpected(&self, expected: &str) -> DataError {
        let got = match self.rest() {
            "" => "the end of the file".into(),
            rest => quote(rest),
        };
        Fault::new("row", expected, got).at(&self.path, self.line)
    }

    /// The next row, or `None` at the end of the document.
    fn step(&mut self) -> Result<Option<Row>, DataError> {
        if self.in_array && self.eat(']') {
            self.in_array = false;
            self.skip_blanks();
            return if self.rest().is_empty() {
                Ok(None)
            } else {
                Err(self.unexpected("nothing after the array"))
            };
        }
        self.skip_blanks();
        if self.rest().is_empty() && !self.in_array {
            return Ok(None);
        }
        let row = self.value()?;
        if self.in_array && !self.eat(',') && !self.rest().starts_with(']') {
            return Err(self.unexpected("`,` or `]` after a row"));
        }
        Ok(Some(row))
    }
}

impl Iterator for Document {
    type Item = Result<Row, DataError>;

    /// Ends after the first error, because the start of the next row in a damaged document is not known.
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        step.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn walk(text: &str) -> Result<Vec<usize>, String> {
        Document::new(Path::new("F"), text.into())
            .map(|row| row.map(|r| r.line).map_err(|e| e.to_string()))
            .collect()
    }

    #[test]
    fn arrays_sequences_and_single_objects_are_walked_with_their_lines() {
        assert_eq!(walk("[\n {\"a\": 1},\n\n {\"a\":\n 2}, {}\n]\n"), Ok(vec![2, 4, 5]));
        assert_eq!(walk("{\"a\":1}\n{\"a\":2}\n"), Ok(vec![1, 2]));
        assert_eq!(walk("{\n\"a\":\n1}"), Ok(vec![1]));
        assert_eq!(walk("[]"), Ok(vec![]));
    }

    #[test]
    fn damage_is_named_with_its_line() {
        let cases = [
            ("[{},\n{\"a\" 1}]", "F:2: field `row`: expected JSON (expected `:` at column 6)"),
            ("[{},\n 3]", "F:2: field `row`: expected a JSON object, got `3`"),
            ("[{}\n{}]", "F:2: field `row`: expected `,` or `]` after a row, got `{}]`"),
            ("[{}\n", "F:2: field `row`: expected `,` or `]` after a row, got the end of the file"),
            ("[{},\n", "F:2: field `row`: expected a row, got the end of the file"),
            ("[]\n{}", "F:2: field `row`: expected nothing after the array, got `{}`"),
        ];
        for (text, message) in cases {
            let got = walk(text).unwrap_err();
            assert!(got.starts_with(message), "{text}: {got}");
        }
    }

    proptest! {
        #[test]
        fn any_text_ends(text in "[\\[\\]{},:\"a0é\n -]{0,60}") {
            let _ = walk(&text);
        }
    }
}
