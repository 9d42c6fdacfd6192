//! The MAWPS family (Koncel-Kedziorski et al. 2016): MultiArith, AddSub and SingleEq, with `sQuestion`
//! and `lSolutions`, a list of numbers or numeric strings; and MAWPS on the hub, whose questions call
//! their numbers N_00, N_01, ... and list them in `Numbers`.

use serde_json::Value;

use super::{free, number};
use crate::fault::{Fault, quote};
use crate::rows::Row;
use crate::{AnswerKind, Problem};

pub(super) fn problem(row: &Row) -> Result<Problem, Fault> {
    if row.has(&["Numbers"]) {
        return hub(row);
    }
    let question = row.text("sQuestion")?.to_owned();
    let solutions = row.filled("lSolutions");
    let answer = match solutions.and_then(Value::as_array).map(Vec::as_slice) {
        Some([solution]) => number::value(solution),
        None if solutions.is_none() => Some(String::new()),
        _ => None,
    };
    let expected = "a list of one number";
    let answer = answer.ok_or_else(|| Fault::of("lSolutions", expected, solutions))?;
    let id = row.scalar("iIndex").unwrap_or_default();
    Ok(Problem { id, ..free(question, answer, AnswerKind::Number) })
}

fn hub(row: &Row) -> Result<Problem, Fault> {
    let text = row.text("Question")?;
    let numbers = row.text("Numbers")?;
    let mut question = text.to_owned();
    for (i, value) in numbers.split_whitespace().enumerate() {
        let value = number::value(&Value::String(value.to_owned()));
        let value = value.ok_or_else(|| Fault::new("Numbers", "numbers", quote(numbers)))?;
        question = question.replace(&format!("N_{i:02}"), &value);
    }
    if question.contains("N_") {
        return Err(Fault::new("Question", "a number in `Numbers` for every N_", quote(text)));
    }
    let answer = number::optional(row, "Answer")?;
    let id = row.scalar("id").unwrap_or_default();
    Ok(Problem { id, ..free(question, answer, AnswerKind::Number) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::row;

    #[test]
    fn numbers_and_numeric_strings_read_the_same() {
        for solution in ["39.0", "\"39.0\"", "39", "\"39\""] {
            let json =
                format!(r#"{{"iIndex": 4, "sQuestion": " Q? ", "lSolutions": [{solution}]}}"#);
            let p = problem(&row(&json)).unwrap();
            assert_eq!((p.id.as_str(), p.question.as_str(), p.answer.as_str()), ("4", "Q?", "39"));
        }
    }

    #[test]
    fn several_solutions_are_a_fault() {
        for solutions in ["[1, 2]", "[\"x\"]", "3"] {
            let json = format!(r#"{{"sQuestion": "Q", "lSolutions": {solutions}}}"#);
            assert_eq!(problem(&row(&json)).unwrap_err().field, "lSolutions");
        }
    }

    #[test]
    fn numbers_are_put_back_into_questions_of_the_hub() {
        let json = r#"{"Question": "Ann has N_00 apples and eats N_01 .", "Numbers": "8.0 2.5", "Equation": "- N_00 N_01", "Answer": 5.5}"#;
        let p = problem(&row(json)).unwrap();
        assert_eq!(
            (p.question.as_str(), p.answer.as_str()),
            ("Ann has 8 apples and eats 2.5 .", "5.5")
        );
        let short = r#"{"Question": "N_00 and N_01", "Numbers": "8.0", "Answer": 5.5}"#;
        assert_eq!(problem(&row(short)).unwrap_err().field, "Question");
    }
}
