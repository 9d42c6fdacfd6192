//! ARC (Clark et al. 2018, arXiv:1803.05457), OpenBookQA (Mihaylov et al. 2018) and CommonsenseQA (Talmor
//! et al. 2019). They share one layout: as released, `question` with stem and choices, and `answerKey`;
//! on the hub, flat columns. Labels stay as published, A to E or 1 to 5.

use super::{Format, choices, multiple_choice};
use crate::Problem;
use crate::fault::Fault;
use crate::rows::Row;

/// Detects which of the three sets a row with a question and `answerKey` comes from. CommonsenseQA has a
/// concept column; ids of OpenBookQA are two numbers (`7-980`), ids of ARC begin with the name of an exam.
pub(super) fn which(row: &Row) -> Format {
    let id = row.optional_text("id").unwrap_or_default();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if row.has(&["question_concept"]) || row.has(&["question.question_concept"]) {
        Format::CommonsenseQa
    } else if id.split_once('-').is_some_and(|(a, b)| is_number(a) && is_number(b)) {
        Format::OpenBookQa
    } else {
        Format::Arc
    }
}

pub(super) fn problem(row: &Row) -> Result<Problem, Fault> {
    let layouts = [("question.stem", "question.choices"), ("question_stem", "choices")];
    let layout = layouts.into_iter().find(|(stem, _)| row.has(&[stem]));
    let (stem, options) = layout.unwrap_or(("question", "choices"));
    let question = row.text(stem)?.to_owned();
    let options = choices::read(row, options)?;
    // Test files leave the answer empty.
    let key = row.reference_text("answerKey")?;
    let problem = multiple_choice(question, options.choices, "answerKey", &key)?;
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
    fn a_hidden_answer_is_no_reference() {
        let row = row(r#"{"id": "1", "question": "Q", "choices": ["a", "b"], "answerKey": ""}"#);
        assert_eq!(problem(&row).unwrap().answer, "");
    }
}
