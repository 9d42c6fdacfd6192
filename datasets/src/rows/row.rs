//! One record of a file, with the columns that were read and notes on ambiguous values. Formats read
//! columns with [`Row::get`], so the unread columns are known without a list that could go out of date.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::fault::{Fault, quote};

/// Columns whose fields become columns of their own, such as `question.stem`: ARC as released, and verl's
/// reward.
const LIFTED: [&str; 2] = ["question", REWARD];

const REWARD: &str = "reward_model";

/// Zero-width characters at the ends of texts that were copied from web pages.
const INVISIBLE: [char; 3] = ['\u{200b}', '\u{2060}', '\u{feff}'];

/// Values that pandas writes for a missing value.
const MISSING: [&str; 3] = ["nan", "NaN", "<NA>"];

/// One record of a file.
#[derive(Debug)]
pub(crate) struct Row {
    /// First line of the record, from 1; for Parquet, the number of the record.
    pub line: usize,
    fields: Map<String, Value>,
    /// Names of the columns that were read.
    read: RefCell<BTreeSet<String>>,
    /// Messages to the user on how ambiguous values were read.
    notes: RefCell<Vec<String>>,
}

impl Row {
    pub fn new(line: usize, fields: Map<String, Value>) -> Self {
        Self { line, fields, read: RefCell::default(), notes: RefCell::default() }
    }

    /// The same row with the fields of [`LIFTED`] columns as columns. verl's reward may also be an object
    /// as JSON in a text.
    pub fn lifted(mut self) -> Self {
        if let Some(Value::String(text)) = self.fields.get(REWARD)
            && let Ok(object @ Value::Object(_)) = serde_json::from_str(text)
        {
            self.fields.insert(REWARD.to_owned(), object);
        }
        for name in LIFTED {
            if matches!(self.fields.get(name), Some(Value::Object(_)))
                && let Some(Value::Object(inner)) = self.fields.remove(name)
            {
                self.fields.extend(inner.into_iter().map(|(key, v)| (format!("{name}.{key}"), v)));
            }
        }
        self
    }

    /// All columns, by name.
    pub fn into_fields(self) -> Map<String, Value> {
        self.fields
    }

    /// All columns. Does not count as reading them.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Names of all columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// Whether the row has all of these columns, empty or not. Does not count as reading them.
    pub fn has(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.column(name).is_some())
    }

    /// Name and value of the column `name`. If no column has exactly this name, letter case and blanks
    /// around it are ignored.
    fn column(&self, name: &str) -> Option<(&String, &Value)> {
        let alike = |column: &str| column.trim().eq_ignore_ascii_case(name);
        self.fields
            .get_key_value(name)
            .or_else(|| self.fields.iter().find(|(column, _)| alike(column)))
    }

    /// Reads a column by its name, in any letter case.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let (column, value) = self.column(name)?;
        self.mark(column);
        Some(value)
    }

    /// Reads the column with exactly this name.
    pub fn exact(&self, name: &str) -> Option<&Value> {
        let value = self.fields.get(name)?;
        self.mark(name);
        Some(value)
    }

    fn mark(&self, column: &str) {
        let mut read = self.read.borrow_mut();
        if !read.contains(column) {
            read.insert(column.to_owned());
        }
    }

    /// Reads a column that is not empty; see [`is_empty`].
    pub fn filled(&self, name: &str) -> Option<&Value> {
        self.get(name).filter(|value| !is_empty(value))
    }

    /// The text of a column that must not be empty, without blanks around it.
    pub fn text(&self, name: &str) -> Result<&str, Fault> {
        self.optional_text(name)
            .ok_or_else(|| Fault::of(name, "text that is not empty", self.get(name)))
    }

    /// The text of a column that may be absent or empty.
    pub fn optional_text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
    }

    /// A worked solution: text, or a list of texts, one per line.
    pub fn solution(&self, name: &str) -> Option<String> {
        match self.get(name)? {
            Value::Array(steps) => {
                let steps: Vec<String> = steps.iter().map(scalar).collect::<Option<_>>()?;
                Some(steps.join("\n")).filter(|text| !text.is_empty())
            }
            _ => self.optional_text(name).map(str::to_owned),
        }
    }

    /// A column of text or a number, as text; `None` if it is absent, empty or null.
    pub fn scalar(&self, name: &str) -> Option<String> {
        self.get(name).and_then(scalar)
    }

    /// The reference in a column; `None` if the column is empty. Of a list with one member, the reference is
    /// that member. `false` is a value here, and is refused; it does not count as empty.
    pub fn reference(&self, name: &str) -> Result<Option<Value>, Fault> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let list = listed(value);
        if list.is_some() && value.is_string() {
            self.note(format!("a list of one text in `{name}` is read as that text"));
        }
        let value = list.as_ref().unwrap_or(value);
        match value {
            Value::Bool(_) => {
                let expected = "a number or text, such as `yes` or `no` for true or false: how an answer \
                                is to be written is not known";
                Err(Fault::of(name, expected, Some(value)))
            }
            Value::String(text) if MISSING.contains(&text.trim()) => {
                self.note(format!("{} in `{name}` is read as no reference", quote(text.trim())));
                Ok(None)
            }
            _ if is_empty(value) => Ok(None),
            Value::String(_) | Value::Number(_) => Ok(Some(value.clone())),
            Value::Array(_) => Err(Fault::of(name, "one answer, as a number or text", Some(value))),
            _ => Err(Fault::of(name, "a number or text", Some(value))),
        }
    }

    /// The [`Self::reference`] in a column as text; empty if there is none.
    pub fn reference_text(&self, name: &str) -> Result<String, Fault> {
        Ok(self.first_reference(&[name])?.map(|(_, text)| text).unwrap_or_default())
    }

    /// The first of these columns with a [`Self::reference`], as text.
    pub fn first_reference<'n>(
        &self,
        names: &[&'n str],
    ) -> Result<Option<(&'n str, String)>, Fault> {
        for name in names {
            if let Some(text) = self.reference(name)?.as_ref().and_then(scalar) {
                return Ok(Some((name, text)));
            }
        }
        Ok(None)
    }

    /// Records how an ambiguous value was read.
    pub fn note(&self, text: impl Into<String>) {
        self.notes.borrow_mut().push(text.into());
    }

    /// Returns the notes so far and clears them.
    pub fn take_notes(&self) -> Vec<String> {
        self.notes.take()
    }

    /// Columns that are not empty and were not read.
    pub fn unread(&self) -> Vec<(&str, &Value)> {
        let read = self.read.borrow();
        let columns = self
            .fields
            .iter()
            .filter(|(name, value)| !read.contains(name.as_str()) && !is_empty(value));
        columns.map(|(name, value)| (name.as_str(), value)).collect()
    }
}

/// The member of a list with one member: a JSON list, or a list that Python or JSON wrote as text into a
/// CSV column.
fn listed(value: &Value) -> Option<Value> {
    match value {
        Value::Array(items) => match &items[..] {
            [item] => Some(item.clone()),
            _ => None,
        },
        Value::String(text) => {
            let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?.trim();
            let quoted = |quote: char| inner.strip_prefix(quote)?.strip_suffix(quote);
            let item = quoted('\'').or_else(|| quoted('"'))?;
            let one = !item.contains(['\'', '"', '\\']);
            one.then(|| Value::String(item.to_owned()))
        }
        _ => None,
    }
}

/// Whether a value is empty: null, false, blank text, or a list or object of such values.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Number(_) => false,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(fields) => fields.values().all(is_empty),
    }
}

/// Text or a number as text: integers without a fraction (`51.0` becomes `51`), and digits in place of an
/// exponent (`1e20`) up to a readable length.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => {
            let shown = |c: char| !c.is_whitespace() && !INVISIBLE.contains(&c);
            Some(text.trim_matches(|c| !shown(c)).to_owned()).filter(|text| !text.is_empty())
        }
        Value::Number(number) => Some(match number.as_f64() {
            // Rust prints the shortest digits of this double. Those are the digits of the file, because
            // numbers with other digits have become texts (see `exact`).
            Some(x) if number.is_f64() && (x == 0.0 || (1e-30..1e30).contains(&x.abs())) => {
                x.to_string()
            }
            _ => number.to_string(),
        }),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The row that the readers make from one JSON object.
    pub(crate) fn row(json: &str) -> Row {
        let Value::Object(fields) = serde_json::from_str(json).unwrap() else { panic!("{json}") };
        Row::new(1, fields).lifted()
    }

    #[test]
    fn numbers_are_written_as_a_person_would() {
        let cases = [
            ("51.0", "51"),
            ("0.5", "0.5"),
            ("-3", "-3"),
            ("1e20", "100000000000000000000"),
            ("1e-7", "0.0000001"),
            ("1e300", "1e+300"),
            ("-0.0", "-0"),
        ];
        for (json, text) in cases {
            assert_eq!(scalar(&serde_json::from_str(json).unwrap()).unwrap(), text);
        }
        assert_eq!(scalar(&Value::String("\u{feff} 5\u{200b}".into())).as_deref(), Some("5"));
        assert_eq!(scalar(&Value::Null), None);
        assert_eq!(scalar(&Value::String("  ".into())), None);
    }

    #[test]
    fn columns_that_nobody_asked_for_are_named_unless_they_are_empty() {
        let row =
            row(r#"{"Question": "Q", "image": null, "context": " ", "figure": [""], "hint": 3}"#);
        assert!(row.has(&["question", "hint"]));
        assert_eq!(row.text("question").unwrap(), "Q");
        let names: Vec<&str> = row.unread().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["hint"]);
    }

    #[test]
    fn the_exact_spelling_wins_over_another_letter_case() {
        let row = row(r#"{"Answer": "upper", "answer": "lower"}"#);
        assert_eq!(row.scalar("answer").as_deref(), Some("lower"));
        assert_eq!(row.unread().len(), 1);
        assert!(row.exact("ANSWER").is_none());
    }

    #[test]
    fn fields_of_a_question_are_columns() {
        let row = row(r#"{"question": {"stem": "S", "para": "P"}, "answerKey": "A"}"#);
        assert_eq!(row.text("question.stem").unwrap(), "S");
        let names: Vec<&str> = row.unread().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["answerKey", "question.para"]);
    }
}
