//! Users' own rows, and the layouts of sets with the same columns (MMLU, MMLU-Pro, MedQA, CMMLU,
//! MedMCQA): `question`, and optionally `answer`, options, `id`, `kind`, `solution`, `level`, `source`.
//! Missing values are inferred from the answer, so a minimal row works. Serialised rows of [`Problem`]
//! read back unchanged.
//!
//! * options: see `choices`; which option is right: see `reference`.
//! * `answer` without options: a number or text. If it is a worked solution, the answer is extracted from
//!   it, see `stated`.
//! * `kind`: `number`, `math` or `text`. Without it, a number is a `number`, text with a
//!   backslash (LaTeX), or with a digit or mathematical sign and without a word, is `math`, and other text
//!   is `text`.

use serde_json::{Value, json};

use super::stated::{Stated, stated};
use super::{choices, free, multiple_choice, number, reference};
use crate::fault::Fault;
use crate::rows::Row;
use crate::{AnswerKind, Problem};

/// Columns that may hold the reference of an open question, in order of precedence: users' own rows,
/// MultiArith on the hub, OpenMathReasoning, Calc-X.
pub(super) const ANSWERS: [&str; 5] =
    ["answer", "final_ans", "final_answer", "expected_answer", "result"];

pub(super) fn problem(row: &Row) -> Result<Problem, Fault> {
    let question = row.text("question")?.to_owned();
    let problem = match choices::of_row(row)? {
        Some(options) => choice(row, question, &options)?,
        None => open(row, question)?,
    };
    let id = ["id", "question_id"].into_iter().find_map(|name| row.scalar(name));
    Ok(Problem {
        id: id.unwrap_or_default(),
        source: row.scalar("source").unwrap_or_default(),
        solution: row.solution("solution").or(problem.solution),
        level: row.scalar("level").and_then(|level| level.parse().ok()),
        ..problem
    })
}

/// A multiple-choice problem; the row's columns decide which option is right.
pub(super) fn choice(
    row: &Row,
    question: String,
    options: &choices::Options,
) -> Result<Problem, Fault> {
    let found = reference::label(row, options)?;
    let (label, name) = found.unwrap_or_else(|| (String::new(), "answer".into()));
    multiple_choice(question, options.choices.clone(), &name, &label)
}

fn open(row: &Row, question: String) -> Result<Problem, Fault> {
    let named = explicit_kind(row)?;
    if named == Some(AnswerKind::Choice) {
        return Err(Fault::new("kind", "number, math or text, or a column `choices`", "`choice`"));
    }
    let Stated { answer, solution } = match (row.first_reference(&ANSWERS)?, &named) {
        (None, _) => Stated { answer: String::new(), solution: None },
        // The user chose `text`: the reference is kept unchanged.
        (Some((_, answer)), Some(AnswerKind::Text)) => Stated { answer, solution: None },
        (Some((name, answer)), _) => stated(name, &answer)?,
    };
    let kind = named.unwrap_or_else(|| number::kind_of(&answer));
    let answer = match kind {
        AnswerKind::Number => number::plain(&answer).unwrap_or(answer),
        _ => answer,
    };
    Ok(Problem { solution, ..free(question, answer, kind) })
}

/// The kind in the column `kind`, as a word or as a serialised [`AnswerKind`].
fn explicit_kind(row: &Row) -> Result<Option<AnswerKind>, Fault> {
    let value = match row.get("kind") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(word)) => json!({ "type": word }),
        Some(value) => value.clone(),
    };
    let kind = serde_json::from_value(value);
    kind.map(Some).map_err(|_| Fault::of("kind", "number, math or text", row.get("kind")))
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
    fn options_and_reference_come_in_the_columns_of_published_sets() {
        let cases = [
            r#"{"question": "Q", "options": ["red", "blue"], "answer": "B", "answer_index": 1}"#,
            r#"{"question": "Q", "options": {"A": "red", "B": "blue"}, "answer": "blue", "answer_idx": "B"}"#,
            r#"{"question": "Q", "A": "red", "B": "blue", "answer": "B"}"#,
            r#"{"question": "Q", "opa": "red", "opb": "blue", "cop": 1}"#,
            r#"{"Question": "Q", "Options": ["red", "blue"], "Answer": 1}"#,
        ];
        for json in cases {
            let problem = problem(&row(json)).unwrap();
            assert_eq!((problem.answer.as_str(), problem.choices.len()), ("B", 2), "{json}");
            assert_eq!(problem.kind, AnswerKind::Choice);
        }
    }

    #[test]
    fn an_absent_answer_is_an_empty_reference() {
        for json in [r#"{"question": "Q"}"#, r#"{"question": "Q", "answer": null}"#] {
            assert_eq!(answer(json), (String::new(), AnswerKind::Text));
        }
        let options = r#"{"question": "Q", "choices": ["a", "b"], "answer": ""}"#;
        assert_eq!(answer(options), (String::new(), AnswerKind::Choice));
    }

    #[test]
    fn faults_name_what_is_missing() {
        let cases = [
            (r#"{"answer": 1}"#, "question"),
            (r#"{"question": "Q", "answer": true}"#, "answer"),
            (r#"{"question": "Q", "answer": false}"#, "answer"),
            (r#"{"question": "Q", "answer": ["a", "b"]}"#, "answer"),
            (r#"{"question": "Q", "answer": {"value": "a"}}"#, "answer"),
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
            reference_value in 0_u32..1000,
            numbers in proptest::collection::vec(1_u32..50, 1..5),
            which in 0..4,
            level in proptest::option::of(0_u32..9),
        ) {
            let kind = match which {
                0 => AnswerKind::Number,
                1 => AnswerKind::Math,
                2 => AnswerKind::Text,
                _ => AnswerKind::Countdown { numbers, target: reference_value },
            };
            let problem = Problem {
                id: "p1".into(),
                source: "builtin:x".into(),
                level,
                ..free(question, reference_value.to_string(), kind)
            };
            let fields = match serde_json::to_value(&problem).unwrap() {
                Value::Object(fields) => fields,
                other => panic!("{other}"),
            };
            prop_assert_eq!(super::problem(&Row::new(1, fields)).unwrap(), problem);
        }
    }
}
