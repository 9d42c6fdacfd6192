//! ARC (Clark et al. 2018, arXiv:1803.05457), OpenBookQA (Mihaylov et al. 2018) and CommonsenseQA
//! (Talmor et al. 2019): one layout, `question` with stem and choices beside `answerKey` as
//! released, flat columns on the hub. Labels stay as published, A to E or 1 to 5.

use serde_json::Value;

use super::{Format, choices, multiple_choice};
use crate::Problem;
use crate::fault::Fault;
use crate::rows::Row;

/// Which of the three sets a row with `question` and `answerKey` is from: CommonsenseQA names a
/// concept; ids of OpenBookQA are two numbers (`7-980`), those of ARC begin with an exam's name.
pub(super) fn which(row: &Row) -> Format {
    let nested = row.get("question").is_some_and(|q| q.get("question_concept").is_some());
    let id = row.optional_text("id").unwrap_or_default();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if nested || row.has(&["question_concept"]) {
        Format::CommonsenseQa
    } else if id.split_once('-').is_some_and(|(a, b)| is_number(a) && is_number(b)) {
        Format::OpenBookQa
    } else {
        Format::Arc
    }
}

pub(super) fn problem(row: &Row) -> Result<Problem, Fault> {
    let (stem, choices) = match row.get("question") {
        Some(Value::Object(fields)) => {
            let question = Row { line: row.line, fields: fields.clone() };
            (question.text("stem")?.to_owned(), choices::read(&question, "choices")?)
        }
        Some(_) => (row.text("question")?.to_owned(), choices::read(row, "choices")?),
        None => (row.text("question_stem")?.to_owned(), choices::read(row, "choices")?),
    };
    let key = row.scalar("answerKey").unwrap_or_default();
    let problem = multiple_choice(stem, choices, "answerKey", &key)?;
    Ok(Problem { id: row.scalar("id").unwrap_or_default(), ..problem })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::row;

    #[test]
    fn released_and_hub_layouts_state_the_same_problem() {
        let released = problem(&row(
            r#"{"id": "X_1", "answerKey": "2", "question": {"stem": "Q?", "choices": [{"text": "a", "label": "1"}, {"text": "b", "label": "2"}]}}"#,
        ));
        let hub = problem(&row(
            r#"{"id": "X_1", "question": "Q?", "choices": {"text": ["a", "b"], "label": ["1", "2"]}, "answerKey": "2"}"#,
        ));
        assert_eq!(released, hub);
        assert_eq!(hub.unwrap().answer, "2");
    }

    #[test]
    fn the_three_sets_are_told_apart() {
        let cases = [
            (r#"{"id": "Mercury_7", "question": "Q", "answerKey": "A"}"#, Format::Arc),
            (r#"{"id": "7-980", "question": {"stem": "Q"}, "answerKey": "A"}"#, Format::OpenBookQa),
            (
                r#"{"id": "07", "question_concept": "c", "question": "Q", "answerKey": "A"}"#,
                Format::CommonsenseQa,
            ),
            (
                r#"{"id": "07", "question": {"question_concept": "c"}, "answerKey": "A"}"#,
                Format::CommonsenseQa,
            ),
        ];
        for (json, format) in cases {
            assert_eq!(which(&row(json)), format, "{json}");
        }
    }

    #[test]
    fn a_hidden_answer_is_a_fault() {
        let row = row(r#"{"id": "1", "question": "Q", "choices": ["a", "b"], "answerKey": ""}"#);
        assert_eq!(problem(&row).unwrap_err().field, "answerKey");
    }
}
