//! A fault of a row whose file and line are not known yet. Parsers of rows return a [`Fault`]; readers add
//! file and line and convert it to a [`DataError`]. Every quotation from a file is cut to a readable length
//! here.

use std::path::Path;

use serde_json::Value;

use crate::DataError;

/// Longest quotation from a file in a message, in characters.
const MAX_QUOTE: usize = 60;

/// A field whose value is not what its format requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub field: String,
    pub expected: String,
    pub got: String,
}

impl Fault {
    pub fn new(field: &str, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self { field: field.to_owned(), expected: expected.into(), got: got.into() }
    }

    /// A fault of `field` with the value `value`; `None` if the row has no such field.
    pub fn of(field: &str, expected: impl Into<String>, value: Option<&Value>) -> Self {
        Self::new(field, expected, describe(value))
    }

    /// The same fault with its file and its line, from 1.
    pub fn at(self, path: &Path, line: usize) -> DataError {
        DataError::Row {
            path: path.to_owned(),
            line,
            field: self.field,
            expected: self.expected,
            got: self.got,
        }
    }
}

/// `text` in backquotes, cut to a readable length.
pub(crate) fn quote(text: &str) -> String {
    format!("`{}`", cut(text))
}

/// `text` on one line, cut to a readable length.
pub(crate) fn cut(text: &str) -> String {
    let mut short = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == MAX_QUOTE {
            short.push_str("...");
            break;
        }
        if c.is_control() { short.extend(c.escape_default()) } else { short.push(c) }
    }
    short
}

/// Describes a value in words, for the "got" of a message.
fn describe(value: Option<&Value>) -> String {
    match value {
        None => "nothing".into(),
        Some(Value::Null) => "null".into(),
        Some(Value::String(text)) => quote(text),
        Some(list @ Value::Array(items)) => {
            format!("a list of {}, {}", items.len(), quote(&list.to_string()))
        }
        Some(Value::Object(fields)) => {
            let names: Vec<&str> = fields.keys().map(String::as_str).collect();
            format!("an object with {}", quote(&names.join(", ")))
        }
        Some(scalar) => quote(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_short_and_on_one_line() {
        assert_eq!(quote("a\nb\u{7}"), "`a\\nb\\u{7}`");
        let long = quote(&"ü".repeat(10_000));
        assert_eq!(long.chars().count(), MAX_QUOTE + 5);
    }

    #[test]
    fn place_and_field_are_in_the_message() {
        let error = Fault::of("answer", "text", None).at(Path::new("a.jsonl"), 7);
        assert_eq!(error.to_string(), "a.jsonl:7: field `answer`: expected text, got nothing");
    }
}
