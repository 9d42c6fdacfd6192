//! Plain numbers in published reference answers, and the kind of a reference. Numbers in a model's output
//! are parsed by the verifiers.

use serde_json::Value;

use crate::AnswerKind;
use crate::fault::Fault;
use crate::rows::{Row, scalar};

/// A decimal number, with or without sign, dollar sign and thousands separators, reduced to its digits
/// (`$1,080` becomes `1080`); `None` for anything else.
pub(super) fn plain(text: &str) -> Option<String> {
    let text = text.trim();
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest.trim_start()),
        None => ("", text),
    };
    let text = text.strip_prefix('$').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or_default();
    let grouped = groups.clone().count() > 0;
    let well_grouped = groups.all(|group| group.len() == 3 && is_digits(group));
    let first_fits = is_digits(first) && (!grouped || (1..=3).contains(&first.len()));
    let some_digit = whole.len() + fraction.len() > 0;
    if !(well_grouped && first_fits && is_digits(fraction) && some_digit) {
        return None;
    }
    let whole = if whole.is_empty() { "0".to_owned() } else { whole.replace(',', "") };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

/// A JSON number or a text that holds one; `51.0` is `51` in both forms.
pub(super) fn value(value: &Value) -> Option<String> {
    let number = plain(&scalar(value)?)?;
    Some(number.strip_suffix(".0").map_or(number.clone(), str::to_owned))
}

/// The number in a column, see [`value`]; empty if the column is empty.
pub(super) fn optional(row: &Row, name: &str) -> Result<String, Fault> {
    let Some(found) = row.reference(name)? else { return Ok(String::new()) };
    value(&found).ok_or_else(|| Fault::of(name, "a number", Some(&found)))
}

/// Kind of a reference whose set does not state it: a number; mathematics, if it has a backslash (LaTeX), or
/// a digit or sign and no word; otherwise text (names, times, ratios such as `5:6`).
pub(super) fn kind_of(answer: &str) -> AnswerKind {
    if plain(answer).is_some() {
        return AnswerKind::Number;
    }
    let letters: Vec<bool> = answer.chars().map(char::is_alphabetic).collect();
    let has_word = letters.windows(2).any(|pair| pair == [true, true]);
    let has_sign = answer.contains(|c: char| c.is_ascii_digit() || "^=+*/".contains(c));
    if answer.contains('\\') || (has_sign && !has_word && !answer.contains(':')) {
        AnswerKind::Math
    } else {
        AnswerKind::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_of_published_references() {
        let cases = [
            (" 18", Some("18")),
            ("109,200,000", Some("109200000")),
            ("-3.50", Some("-3.50")),
            ("$ 5", None),
            ("$1,080.5", Some("1080.5")),
            (".5", Some("0.5")),
            ("12.", Some("12")),
            ("1,08", None),
            ("1234,567", None),
            (",123", None),
            ("", None),
            ("-", None),
            (".", None),
            ("5:6", None),
            ("1e5", None),
        ];
        for (text, number) in cases {
            assert_eq!(plain(text).as_deref(), number, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_parses_as_a_number(text in "[-$0-9,. ]{0,12}") {
            if let Some(number) = plain(&text) {
                prop_assert!(number.parse::<f64>().is_ok(), "{text} -> {number}");
            }
        }
    }
}
