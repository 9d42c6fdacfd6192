//! OlympiadBench (He et al. 2024, arXiv:2402.14008), its text-only parts: `question` after `context`,
//! `final_answer` and `solution` as lists, `unit` in a column of its own. Problems with images are
//! refused, as in every format; proofs have no final answer.

use serde_json::Value;

use super::free;
use crate::fault::Fault;
use crate::rows::{Row, is_empty, scalar};
use crate::{AnswerKind, Problem};

pub(super) fn problem(row: &Row) -> Result<Problem, Fault> {
    let mut question = row.text("question")?.to_owned();
    if let Some(context) = row.optional_text("context") {
        question = format!("{context}\n{question}");
    }
    if let Some(unit) = row.optional_text("unit") {
        question = format!("{question}\nState the answer in {unit}.");
    }
    let answers = texts(row, "final_answer")?;
    // Some rows hold several values in one text, separated by commas; the values of a list are joined in
    // the same way.
    let several = row.get("is_multiple_answer").and_then(Value::as_bool).unwrap_or(true);
    if answers.len() > 1 && !several {
        let got = format!("{} of them", answers.len());
        return Err(Fault::new("final_answer", "one answer, by `is_multiple_answer`", got));
    }
    let answer = answers.iter().map(|text| text.trim_matches('$')).collect::<Vec<_>>().join(", ");
    Ok(Problem {
        id: row.scalar("id").unwrap_or_default(),
        solution: texts(row, "solution")?.into_iter().next(),
        ..free(question, answer, AnswerKind::Math)
    })
}

/// A text or a list of texts as a list; empty if the column is empty.
fn texts(row: &Row, name: &str) -> Result<Vec<String>, Fault> {
    match row.get(name) {
        None => Ok(Vec::new()),
        Some(value) if is_empty(value) => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            let texts = items.iter().map(scalar).collect::<Option<_>>();
            texts.ok_or_else(|| Fault::of(name, "a list of texts", row.get(name)))
        }
        Some(value) => {
            let text = scalar(value).ok_or_else(|| Fault::of(name, "a list of texts", Some(value)));
            Ok(vec![text?])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::row;

    #[test]
    fn context_unit_and_lists_are_read() {
        let p = problem(&row(
            r#"{"id": 7, "question": "How far?", "context": "A car starts.", "unit": "m",
                "solution": ["So 5.", "Or so."], "final_answer": ["$5$"], "is_multiple_answer": false}"#,
        ))
        .unwrap();
        assert_eq!(p.question, "A car starts.\nHow far?\nState the answer in m.");
        assert_eq!((p.answer.as_str(), p.solution.as_deref()), ("5", Some("So 5.")));
        let p = problem(&row(r#"{"question": "x?", "final_answer": ["$1$", "2"], "unit": null}"#));
        assert_eq!(p.unwrap().answer, "1, 2");
        let p = problem(&row(r#"{"question": "Prove it.", "final_answer": null}"#)).unwrap();
        assert_eq!((p.answer.as_str(), p.kind), ("", AnswerKind::Math));
        let two = r#"{"question": "x?", "final_answer": ["1", "2"], "is_multiple_answer": false}"#;
        assert_eq!(problem(&row(two)).unwrap_err().field, "final_answer");
    }
}
