//! The plain format for problems of one's own: `{"question", "answer"}` and optionally `id`,
//! `choices`, `kind`, `solution`, `level`, `source`. What is left out is told from the answer, so
//! the smallest row that a person would write works. Rows of [`Problem`] itself read back
//! unchanged.
//!
//! * `answer` with `choices`: the label of an option, else the exact text of one, else (a JSON whole
//!   number) the position of one, from 0.
//! * `answer` without: a number, or text.
//! * `kind`: `number`, `math` or `text`; without it a number is a `number`, text with a digit or
//!   mathematical sign and no word is `math`, other text is `text`.

use serde_json::{Value, json};

use super::{choices, free, multiple_choice, number};
use crate::fault::{Fault, quote};
use crate::rows::Row;
use crate::{AnswerKind, Choice, Problem};

pub(super) fn problem(row: &Row) -> Result<Problem, Fault> {
    let question = row.text("question")?.to_owned();
    let answer = row.scalar("answer");
    let answer =
        answer.ok_or_else(|| Fault::of("answer", "a number or text", row.get("answer")))?;
    let choices = match row.get("choices") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) if items.is_empty() => Vec::new(),
        Some(Value::String(text)) if text.trim().is_empty() => Vec::new(),
        Some(_) => choices::read(row, "choices")?,
    };
    let problem = if choices.is_empty() {
        let kind = explicit_kind(row)?.unwrap_or_else(|| number::kind_of(&answer));
        let answer = match kind {
            AnswerKind::Number => number::plain(&answer).unwrap_or(answer),
            _ => answer,
        };
        free(question, answer, kind)
    } else {
        let label = label_of(&choices, &answer, row.get("answer"))?;
        multiple_choice(question, choices, "answer", &label)?
    };
    Ok(Problem {
        id: row.scalar("id").unwrap_or_default(),
        source: row.scalar("source").unwrap_or_default(),
        solution: row.optional_text("solution").map(str::to_owned),
        level: row.scalar("level").and_then(|level| level.parse().ok()),
        ..problem
    })
}

/// The kind that the row names, as a word or in the form of [`AnswerKind`].
fn explicit_kind(row: &Row) -> Result<Option<AnswerKind>, Fault> {
    let value = match row.get("kind") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(word)) => json!({ "type": word }),
        Some(value) => value.clone(),
    };
    match serde_json::from_value(value) {
        Ok(AnswerKind::Choice) => {
            Err(Fault::new("kind", "number, math or text, or a field `choices`", "`choice`"))
        }
        Ok(kind) => Ok(Some(kind)),
        Err(_) => Err(Fault::of("kind", "number, math or text", row.get("kind"))),
    }
}

fn label_of(choices: &[Choice], answer: &str, value: Option<&Value>) -> Result<String, Fault> {
    let by_label = choices.iter().find(|c| c.label == answer);
    let by_text = || choices.iter().find(|c| c.text == answer);
    let by_position = || {
        let position = value.and_then(Value::as_u64)?;
        choices.get(usize::try_from(position).ok()?)
    };
    let found = by_label.or_else(by_text).or_else(by_position).map(|c| c.label.clone());
    found.ok_or_else(|| {
        let labels: Vec<&str> = choices.iter().map(|c| c.label.as_str()).collect();
        let expected = format!("a label ({}) or the exact text of an option", labels.join(", "));
        Fault::new("answer", expected, quote(answer))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::row;
    use proptest::prelude::*;

    fn answer(json: &str) -> (String, AnswerKind) {
        let problem = problem(&row(json)).unwrap();
        (problem.answer, problem.kind)
    }

    #[test]
    fn the_kind_is_told_from_the_answer() {
        let cases = [
            ("1,200", "1200", AnswerKind::Number),
            ("-3.5", "-3.5", AnswerKind::Number),
            ("\\\\frac{1}{2}", "\\frac{1}{2}", AnswerKind::Math),
            ("2x + 1", "2x + 1", AnswerKind::Math),
            ("1/2", "1/2", AnswerKind::Math),
            ("Paris", "Paris", AnswerKind::Text),
            ("3 apples", "3 apples", AnswerKind::Text),
            ("3:30 p.m.", "3:30 p.m.", AnswerKind::Text),
        ];
        for (text, reference, kind) in cases {
            let json = format!(r#"{{"question": "Q", "answer": "{text}"}}"#);
            assert_eq!(answer(&json), (reference.to_owned(), kind), "{text}");
        }
        assert_eq!(answer(r#"{"question": "Q", "answer": 7.0}"#).0, "7");
        let json = r#"{"question": "Q", "answer": "7", "kind": "text"}"#;
        assert_eq!(answer(json).1, AnswerKind::Text);
    }

    #[test]
    fn an_option_is_named_by_label_text_or_position() {
        let cases = [
            (r#"["red", "blue"]"#, r#""B""#, "B"),
            (r#"["red", "blue"]"#, r#""blue""#, "B"),
            (r#"["red", "blue"]"#, "1", "B"),
            (r#"["2", "1"]"#, "1", "B"),
            (r#"{"1": "red", "2": "blue"}"#, "2", "2"),
            (r#"["B", "A"]"#, r#""B""#, "B"),
        ];
        for (choices, given, label) in cases {
            let json = format!(r#"{{"question": "Q", "choices": {choices}, "answer": {given}}}"#);
            assert_eq!(answer(&json), (label.to_owned(), AnswerKind::Choice), "{json}");
        }
    }

    #[test]
    fn faults_name_what_is_missing() {
        let cases = [
            (r#"{"answer": 1}"#, "question"),
            (r#"{"question": "Q", "answer": null}"#, "answer"),
            (r#"{"question": "Q", "answer": "C", "choices": ["a", "b"]}"#, "answer"),
            (r#"{"question": "Q", "answer": 2, "choices": ["a", "b"]}"#, "answer"),
            (r#"{"question": "Q", "answer": "A", "choices": ["a"]}"#, "choices"),
            (r#"{"question": "Q", "answer": "A", "kind": "guess"}"#, "kind"),
            (r#"{"question": "Q", "answer": "A", "kind": "choice"}"#, "kind"),
        ];
        for (json, field) in cases {
            assert_eq!(problem(&row(json)).unwrap_err().field, field, "{json}");
        }
    }

    proptest! {
        #[test]
        fn rows_of_problems_read_back_unchanged(
            question in "[a-zA-Z?]{1,20}",
            reference in 0_u32..1000,
            numbers in proptest::collection::vec(1_u32..50, 1..5),
            which in 0..4,
            level in proptest::option::of(0_u32..9),
        ) {
            let kind = match which {
                0 => AnswerKind::Number,
                1 => AnswerKind::Math,
                2 => AnswerKind::Text,
                _ => AnswerKind::Countdown { numbers, target: reference },
            };
            let problem = Problem {
                id: "p1".into(),
                source: "builtin:x".into(),
                level,
                ..free(question, reference.to_string(), kind)
            };
            let fields = match serde_json::to_value(&problem).unwrap() {
                Value::Object(fields) => fields,
                other => panic!("{other}"),
            };
            prop_assert_eq!(super::problem(&Row { line: 1, fields }).unwrap(), problem);
        }
    }
}
