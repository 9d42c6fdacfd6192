//! Determines the right option of a row, which is given by position, label or text, in one column or in
//! several that must agree. A JSON integer is a position counted from zero, as in MMLU, and is never compared
//! with the options' texts. An ambiguous value is refused, or read as documented here with a note.
//!
//! | value | read as |
//! |---|---|
//! | integer | a position from zero; the label, if the file labels its options with digits |
//! | text of digits | the label, if the file has it; the text of an option; a position from zero |
//! | other text | the exact label (`B`), else the exact text of one option, else `b`, `(B)` or `B) text` |
//! | nothing, or -1 | no reference |
//!
//! Digits that are the text of one option and the position of another are refused.

use serde_json::Value;

use super::choices::{Options, split_label};
use crate::fault::{Fault, quote};
use crate::rows::{Row, scalar};

/// Columns that may give the right option. All of them that are filled must agree.
const COLUMNS: [&str; 7] = [
    "answer",
    "answer_index",
    "answer_idx",
    "cop",
    "correct_option",
    "correct_answer",
    "answerKey",
];

/// Columns that are read only if all of [`COLUMNS`] are empty (HellaSwag, PIQA, AGIEval).
const OTHERWISE: [&str; 3] = ["label", "gold", "target"];

/// Label of the right option, and the column that gives it; `None` if the row has no reference.
pub(super) fn label(row: &Row, options: &Options) -> Result<Option<(String, String)>, Fault> {
    let mut found: Option<(&str, usize)> = None;
    let mut columns = filled(row, options, &COLUMNS)?;
    if columns.is_empty() {
        columns = filled(row, options, &OTHERWISE)?;
    }
    for (name, value) in &columns {
        let Some(position) = position(row, options, name, value)? else { continue };
        match found {
            Some((other, before)) if before != position => {
                let expected =
                    format!("the option that `{other}` names, {}", shown(options, before));
                return Err(Fault::new(name, expected, shown(options, position)));
            }
            Some(_) => {}
            None => found = Some((name, position)),
        }
    }
    Ok(found.map(|(name, i)| (options.choices[i].label.clone(), name.to_owned())))
}

/// The columns that are filled. A value that equals the text of an option is kept unchanged, even if it
/// looks empty or like a list.
fn filled(
    row: &Row,
    options: &Options,
    names: &[&'static str],
) -> Result<Vec<(&'static str, Value)>, Fault> {
    let is_option = |value: &&Value| {
        let text = value.as_str().map(str::trim);
        text.is_some_and(|text| options.choices.iter().any(|choice| choice.text == text))
    };
    let found = names.iter().map(|&name| {
        let value = match row.get(name).filter(is_option) {
            Some(text) => Some(text.clone()),
            None => row.reference(name)?,
        };
        Ok(value.map(|value| (name, value)))
    });
    found.filter_map(Result::transpose).collect()
}

/// Label of the option at the position from zero in column `name`, a number or text; `None` if the column
/// is empty or -1. For sets whose reference is a position, whatever the options' texts are.
pub(super) fn at_position(
    row: &Row,
    options: &Options,
    name: &str,
) -> Result<Option<String>, Fault> {
    let text = row.reference_text(name)?;
    if text.is_empty() || text == "-1" {
        return Ok(None);
    }
    let place = text.parse().ok().and_then(|place: usize| options.choices.get(place));
    let last = options.choices.len().saturating_sub(1);
    let expected = || format!("a position from 0 to {last}, or -1 for none");
    let choice = place.ok_or_else(|| Fault::new(name, expected(), quote(&text)))?;
    Ok(Some(choice.label.clone()))
}

fn shown(options: &Options, position: usize) -> String {
    let choice = &options.choices[position];
    format!("{} ({})", choice.label, quote(&choice.text))
}

/// Position of the option that `value` of column `name` refers to.
fn position(
    row: &Row,
    options: &Options,
    name: &str,
    value: &Value,
) -> Result<Option<usize>, Fault> {
    let text =
        scalar(value).ok_or_else(|| Fault::of(name, "a position, label or text", Some(value)))?;
    if text == "-1" {
        return Ok(None);
    }
    let by_label = labels(options).position(|label| label == text);
    let by_place = text.parse().ok().filter(|&place: &usize| place < options.choices.len());
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let found = if digits && options.labelled && by_label.is_some() {
        if by_place.is_some() && by_place != by_label {
            row.note(format!(
                "whole numbers in `{name}` are read as labels, because the options are labelled with \
                 digits; not as positions"
            ));
        }
        by_label
    } else if value.is_number() {
        let other = options.choices.iter().position(|c| c.text == text);
        if by_place.is_some() && other.is_some() && other != by_place {
            row.note(format!(
                "whole numbers in `{name}` are read as positions counted from zero, not as the texts \
                 of options"
            ));
        }
        by_place
    } else if digits {
        digits_of_text(row, options, (name, &text), by_place)?
    } else {
        words(row, options, (name, &text), by_label)?
    };
    found.map(Some).ok_or_else(|| not_found(options, name, value, &text))
}

fn labels(options: &Options) -> impl Iterator<Item = &str> {
    options.choices.iter().map(|c| c.label.as_str())
}

/// A text of digits that is not a label: an option's text or a position.
fn digits_of_text(
    row: &Row,
    options: &Options,
    (name, text): (&str, &str),
    by_place: Option<usize>,
) -> Result<Option<usize>, Fault> {
    let by_text = only_text(options, name, text)?;
    // A column named as an index holds positions only.
    if by_place.is_some() && (by_text.is_none() || name.ends_with("index") || name == "cop") {
        row.note(format!("digits in `{name}` are read as positions counted from zero"));
        return Ok(by_place);
    }
    match (by_text, by_place) {
        (Some(found), Some(place)) if found != place => {
            let expected = "a letter, or a JSON number for a position from zero";
            let got = format!(
                "{}, which is the text of {} and the position of {}",
                quote(text),
                options.choices[found].label,
                options.choices[place].label
            );
            Err(Fault::new(name, expected, got))
        }
        _ => Ok(by_text),
    }
}

/// The exact label, else the exact text of one option, else a label in another letter case or in brackets,
/// else label and text of one option.
fn words(
    row: &Row,
    options: &Options,
    (name, text): (&str, &str),
    by_label: Option<usize>,
) -> Result<Option<usize>, Fault> {
    if let Some(found) = by_label {
        if options.choices.iter().enumerate().any(|(i, c)| c.text == text && i != found) {
            row.note(format!(
                "letters in `{name}` are read as labels, not as the texts of options"
            ));
        }
        return Ok(Some(found));
    }
    if let Some(found) = only_text(options, name, text)? {
        return Ok(Some(found));
    }
    let bare = text.trim_matches(['(', ')', '.']);
    if let Some(found) = labels(options).position(|label| label.eq_ignore_ascii_case(bare)) {
        return Ok(Some(found));
    }
    let whole = split_label(text);
    Ok(options.choices.iter().position(|choice| whole.as_ref() == Some(choice)))
}

/// Position of the only option with this text.
fn only_text(options: &Options, name: &str, text: &str) -> Result<Option<usize>, Fault> {
    let mut same = options.choices.iter().enumerate().filter(|(_, c)| c.text == text);
    match (same.next(), same.next()) {
        (Some((a, _)), Some((b, _))) => {
            let [a, b] = [a, b].map(|i| options.choices[i].label.as_str());
            let got = format!("the text of both {a} and {b}");
            Err(Fault::new(name, "the label of one option", got))
        }
        (found, _) => Ok(found.map(|(i, _)| i)),
    }
}

fn not_found(options: &Options, name: &str, value: &Value, text: &str) -> Fault {
    let last = options.choices.len().saturating_sub(1);
    let all: Vec<&str> = labels(options).collect();
    let all = all.join(", ");
    let expected = if value.is_number() {
        format!("a position from 0 to {last} (positions count from zero)")
    } else {
        format!("a label ({all}) or the exact text of an option")
    };
    Fault::new(name, expected, quote(text))
}

#[cfg(test)]
mod tests {
    use super::super::choices;
    use super::*;
    use crate::rows::tests::row;

    /// Label and notes of a row.
    fn read(json: &str) -> Result<(Option<String>, usize), Fault> {
        let row = row(json);
        let options = choices::of_row(&row)?.unwrap();
        let label = label(&row, &options)?.map(|(label, _)| label);
        Ok((label, row.take_notes().len()))
    }

    fn cases(choices: &str, column: &str, value: &str) -> Result<(Option<String>, usize), Fault> {
        read(&format!(r#"{{"choices": {choices}, "{column}": {value}}}"#))
    }

    #[test]
    fn an_option_is_named_by_position_label_or_text() {
        const NUMBERS: &str = r#"["1", "2", "3", "4"]"#;
        let table = [
            // A whole number is a position, whatever the texts say.
            (NUMBERS, "answer", "2", "C", 1),
            (r#"["4", "2", "0", "6"]"#, "answer", "2", "C", 1),
            (r#"["4", "3", "1", "2"]"#, "answer", "3", "D", 1),
            (r#"["red", "blue"]"#, "answer", "1.0", "B", 0),
            (r#"["2", "1"]"#, "answer", "1", "B", 0),
            (r#"["1", "2"]"#, "answer", "1", "B", 1),
            // Digits as text.
            (r#"["red", "blue"]"#, "answer", r#""1""#, "B", 1),
            (r#"["10", "20"]"#, "answer", r#""20""#, "B", 0),
            (r#"["0", "1"]"#, "answer", r#""1""#, "B", 0),
            (NUMBERS, "answer_index", r#""2""#, "C", 1),
            (r#"["red", "blue"]"#, "label", r#""0""#, "A", 1),
            // Labels in the file.
            (r#"{"1": "red", "2": "blue"}"#, "answer", "2", "2", 0),
            (r#"{"1": "red", "2": "blue"}"#, "answer", "1", "1", 1),
            (r#"{"1": "red", "2": "blue"}"#, "answer", r#""2""#, "2", 0),
            // Letters and texts.
            (r#"["red", "blue"]"#, "answer", r#""B""#, "B", 0),
            (r#"["red", "blue"]"#, "answer", r#""b""#, "B", 0),
            (r#"["red", "blue"]"#, "answer", r#""(B)""#, "B", 0),
            (r#"["A) red", "B) blue"]"#, "answer", r#""B) blue""#, "B", 0),
            (r#"["red", "blue"]"#, "answer", r#""blue""#, "B", 0),
            (r#"["B", "A"]"#, "answer", r#""B""#, "B", 1),
            (r#"["red", "blue"]"#, "answer", r#"["B"]"#, "B", 0),
            (r#"["[1]", "['a']"]"#, "answer", r#""['a']""#, "B", 0),
            (r#"["nan", "inf"]"#, "answer", r#""nan""#, "A", 0),
            (r#"["red", "blue"]"#, "correct_answer", r#""blue""#, "B", 0),
            (r#"["red", "blue"]"#, "cop", "0", "A", 0),
        ];
        for (choices, column, value, label, notes) in table {
            let got = cases(choices, column, value).unwrap();
            assert_eq!(got, (Some(label.to_owned()), notes), "{choices} {column} {value}");
        }
    }

    #[test]
    fn what_names_two_options_or_none_is_refused() {
        for (choices, value) in [
            (r#"["1", "2", "3", "4"]"#, r#""2""#),
            (r#"["a", "b", "a"]"#, r#""a""#),
            (r#"["a", "b"]"#, "2"),
            (r#"["a", "b"]"#, "0.5"),
            (r#"["a", "b"]"#, "-2"),
            (r#"["a", "b"]"#, r#""C""#),
            (r#"["a", "b"]"#, "[1, 0]"),
            (r#"["False", "True"]"#, "false"),
        ] {
            let fault = cases(choices, "answer", value).unwrap_err();
            assert_eq!(fault.field, "answer", "{choices} {value}");
        }
        let zero = cases(r#"["a", "b"]"#, "answer", "2").unwrap_err();
        assert!(zero.expected.contains("count from zero"), "{zero:?}");
    }

    #[test]
    fn columns_must_agree_and_an_absent_reference_is_none() {
        let both = r#"{"options": ["a", "b"], "answer": "B", "answer_index": 1}"#;
        assert_eq!(read(both).unwrap().0.as_deref(), Some("B"));
        let apart = r#"{"options": ["a", "b"], "answer": "B", "answer_index": 0}"#;
        assert_eq!(read(apart).unwrap_err().field, "answer_index");
        for answer in [r#""""#, "null", "-1"] {
            assert_eq!(cases(r#"["a", "b"]"#, "answer", answer).unwrap(), (None, 0));
        }
        // `label` is read only if no other column gives the right option.
        let label = r#"{"options": ["a", "b"], "answer": "B", "label": "easy"}"#;
        assert_eq!(read(label).unwrap().0.as_deref(), Some("B"));
    }
}
