//! GSM8K (Cobbe et al. 2021, arXiv:2110.14168), plain and socratic: `answer` is a worked solution,
//! one step per line, whose last line is `#### N`. The steps are kept as published, with their
//! `<<48/2=24>>` marks and, in the socratic file, `sub-question ** step`.

use serde_json::Value;

use super::{free, number};
use crate::fault::{Fault, quote};
use crate::rows::Row;
use crate::{AnswerKind, Problem};

/// Mark before the final answer.
pub(super) const ANSWER_MARK: &str = "####";

pub(super) fn problem(row: &Row) -> Result<Problem, Fault> {
    let question = row.text("question")?.to_owned();
    let id = row.scalar("id").unwrap_or_default();
    let text = match row.reference("answer")? {
        None => return Ok(Problem { id, ..free(question, String::new(), AnswerKind::Number) }),
        Some(Value::String(text)) => text,
        other => return Err(Fault::of("answer", "text that is not empty", other.as_ref())),
    };
    let expected = "a solution that ends in `#### N`";
    let (solution, answer) = text
        .rsplit_once(ANSWER_MARK)
        .ok_or_else(|| Fault::new("answer", expected, quote(&text)))?;
    let answer =
        number::plain(answer).ok_or_else(|| Fault::new("answer", expected, quote(answer)))?;
    let solution = solution.trim();
    Ok(Problem {
        id,
        solution: Some(solution.to_owned()).filter(|s| !s.is_empty()),
        ..free(question, answer, AnswerKind::Number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::row;

    #[test]
    fn solution_and_answer_are_parted_and_thousands_separators_dropped() {
        let p = problem(&row(
            r#"{"question": "Q?", "answer": "2*600 = <<2*600=1200>>1,200\nso\n#### 1,200"}"#,
        ));
        let p = p.unwrap();
        assert_eq!(p.answer, "1200");
        assert_eq!(p.solution.as_deref(), Some("2*600 = <<2*600=1200>>1,200\nso"));
    }

    #[test]
    fn an_answer_without_a_number_is_a_fault() {
        for answer in ["just text", "steps\n#### ", "steps\n#### many"] {
            let row = row(&format!(r#"{{"question": "Q?", "answer": {answer:?}}}"#));
            assert_eq!(problem(&row).unwrap_err().field, "answer");
        }
    }
}
