//! SVAMP (Patel et al. 2021, arXiv:2103.07191): the question is `Body` followed by `Question`; `Answer`
//! is a number, on the hub a text.

use super::{free, number};
use crate::fault::Fault;
use crate::rows::Row;
use crate::{AnswerKind, Problem};

pub(super) fn problem(row: &Row) -> Result<Problem, Fault> {
    let question = format!("{} {}", row.text("Body")?, row.text("Question")?);
    let answer = number::optional(row, "Answer")?;
    let id = row.scalar("ID").unwrap_or_default();
    Ok(Problem { id, ..free(question, answer, AnswerKind::Number) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::row;

    #[test]
    fn body_and_question_are_joined_and_both_kinds_of_number_read() {
        for answer in ["51.0", "\"51.0\"", "51"] {
            let json = format!(
                r#"{{"ID": "chal-1", "Body": "If so ", "Question": "How many?", "Answer": {answer}}}"#
            );
            let p = problem(&row(&json)).unwrap();
            assert_eq!((p.question.as_str(), p.answer.as_str()), ("If so How many?", "51"));
        }
        let json = r#"{"ID": "1", "Body": "b", "Question": "q", "Answer": "many"}"#;
        assert_eq!(problem(&row(json)).unwrap_err().field, "Answer");
    }
}
