//! Options of a multiple-choice row in every form in which sets publish them. It does not know which
//! one is right.

use serde_json::Value;

use crate::Choice;
use crate::fault::Fault;
use crate::rows::{Row, scalar};

const EXPECTED: &str = "a list of texts, a list of {label, text}, {text: [..], label: [..]} or an \
                        object from label to text";

/// The options in field `name`:
///
/// * `["red", "blue"]`, labelled A, B, ...
/// * `[{"label": "A", "text": "red"}, ...]` (ARC as released)
/// * `{"text": ["red", ..], "label": ["A", ..]}` (ARC on the hub)
/// * `{"A": "red", "B": "blue"}`
/// * any of these as JSON in a text (a CSV column).
pub(super) fn read(row: &Row, name: &str) -> Result<Vec<Choice>, Fault> {
    let value = row.get(name);
    let fault = || Fault::of(name, EXPECTED, value);
    match value {
        Some(Value::String(text)) => {
            let inner: Value = serde_json::from_str(text).map_err(|_| fault())?;
            from_value(&inner).ok_or_else(fault)
        }
        Some(value) => from_value(value).ok_or_else(fault),
        None => Err(fault()),
    }
}

/// Labels A, B, C, ... for `texts`; `None` for more than 26.
pub(super) fn lettered(texts: impl IntoIterator<Item = String>) -> Option<Vec<Choice>> {
    let letters = ('A'..='Z').map(String::from);
    let mut texts = texts.into_iter();
    let choices = letters.zip(texts.by_ref()).map(|(label, text)| Choice { label, text }).collect();
    texts.next().is_none().then_some(choices)
}

fn from_value(value: &Value) -> Option<Vec<Choice>> {
    match value {
        Value::Array(items) if items.iter().all(Value::is_object) => {
            items.iter().map(|item| choice(item.get("label")?, item.get("text")?)).collect()
        }
        Value::Array(items) => lettered(items.iter().map(scalar).collect::<Option<Vec<_>>>()?),
        Value::Object(fields) => match (fields.get("text"), fields.get("label")) {
            (Some(Value::Array(texts)), Some(Value::Array(labels))) => {
                let same = texts.len() == labels.len();
                same.then(|| labels.iter().zip(texts).map(|(l, t)| choice(l, t)).collect())?
            }
            _ => fields.iter().map(|(l, t)| choice(&Value::String(l.clone()), t)).collect(),
        },
        _ => None,
    }
}

fn choice(label: &Value, text: &Value) -> Option<Choice> {
    Some(Choice { label: scalar(label)?, text: scalar(text)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::row;

    #[test]
    fn every_published_form_reads_the_same() {
        let forms = [
            r#"["red", "blue"]"#,
            r#"[{"label": "A", "text": "red"}, {"text": "blue", "label": "B"}]"#,
            r#"{"text": ["red", "blue"], "label": ["A", "B"]}"#,
            r#"{"A": "red", "B": "blue"}"#,
            r#""[\"red\", \"blue\"]""#,
        ];
        for form in forms {
            let choices = read(&row(&format!(r#"{{"choices": {form}}}"#)), "choices").unwrap();
            let seen: Vec<_> =
                choices.iter().map(|c| (c.label.as_str(), c.text.as_str())).collect();
            assert_eq!(seen, [("A", "red"), ("B", "blue")], "{form}");
        }
    }

    #[test]
    fn other_forms_are_faults() {
        let forms =
            ["3", "[[1]]", r#"{"text": ["a"], "label": []}"#, r#"[{"text": "a"}]"#, r#""x""#];
        for form in forms {
            let row = row(&format!(r#"{{"choices": {form}}}"#));
            assert_eq!(read(&row, "choices").unwrap_err().field, "choices", "{form}");
        }
        assert!(lettered((0..27).map(|i| i.to_string())).is_none());
    }
}
