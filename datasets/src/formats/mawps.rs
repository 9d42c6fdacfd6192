//! The MAWPS family (Koncel-Kedziorski et al. 2016): MultiArith, AddSub and SingleEq as one array of
//! `sQuestion` and `lSolutions`, whose members are numbers or numeric strings.

use serde_json::Value;

use super::{free, number};
use crate::fault::Fault;
use crate::rows::Row;
use crate::{AnswerKind, Problem};

pub(super) fn problem(row: &Row) -> Result<Problem, Fault> {
    let question = row.text("sQuestion")?.to_owned();
    let solutions = row.get("lSolutions");
    let answer = match solutions.and_then(Value::as_array).map(Vec::as_slice) {
        Some([solution]) => number::value(solution),
        _ => None,
    };
    let expected = "a list of one number";
    let answer = answer.ok_or_else(|| Fault::of("lSolutions", expected, solutions))?;
    let id = row.scalar("iIndex").unwrap_or_default();
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
    fn none_or_several_solutions_are_a_fault() {
        for solutions in ["[]", "[1, 2]", "[null]", "3"] {
            let json = format!(r#"{{"sQuestion": "Q", "lSolutions": {solutions}}}"#);
            assert_eq!(problem(&row(&json)).unwrap_err().field, "lSolutions");
        }
    }
}
