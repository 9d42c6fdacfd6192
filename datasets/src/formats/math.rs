//! MATH (Hendrycks et al. 2021, arXiv:2103.03874): problem, solution, level and type; exports such
//! as MATH-500 add `answer` and `unique_id`. Without `answer` it is what the last `\boxed{}` of the
//! solution holds. The LaTeX stays as it is.

use serde_json::Value;

use super::free;
use crate::fault::{Fault, quote};
use crate::rows::Row;
use crate::{AnswerKind, Problem};

pub(super) fn problem(row: &Row) -> Result<Problem, Fault> {
    let question = row.text("problem")?.to_owned();
    let solution = row.optional_text("solution");
    let answer = match (row.scalar("answer"), solution) {
        (Some(answer), _) => answer,
        (None, Some(solution)) => {
            let boxed = last_boxed(solution).map(str::trim).filter(|text| !text.is_empty());
            boxed
                .ok_or_else(|| {
                    Fault::new("solution", "an answer in \\boxed{}", quote(tail(solution)))
                })?
                .to_owned()
        }
        (None, None) => return Err(Fault::of("solution", "text that is not empty", None)),
    };
    Ok(Problem {
        id: row.scalar("unique_id").or_else(|| row.scalar("id")).unwrap_or_default(),
        solution: solution.map(str::to_owned),
        level: row.get("level").and_then(level),
        ..free(question, answer, AnswerKind::Math)
    })
}

/// "Level 3" or 3; one published problem has "Level ?".
fn level(value: &Value) -> Option<u32> {
    match value {
        Value::String(text) => text.trim().trim_start_matches("Level ").parse().ok(),
        number => number.as_u64().and_then(|n| n.try_into().ok()),
    }
}

/// What the last `\boxed` or `\fbox` with balanced braces holds; `\boxed 5` without braces holds
/// the next word.
fn last_boxed(solution: &str) -> Option<&str> {
    let mut starts: Vec<usize> =
        ["\\boxed", "\\fbox"].iter().flat_map(|c| solution.match_indices(c)).map(end).collect();
    starts.sort_unstable();
    starts.iter().rev().find_map(|&start| {
        let rest = solution[start..].trim_start();
        match rest.strip_prefix('{') {
            Some(inside) => Some(&inside[..balanced(inside)?]),
            None => rest.split(['$', ' ', '\n']).next().map(|word| word.trim_end_matches('.')),
        }
    })
}

fn end((start, command): (usize, &str)) -> usize {
    start + command.len()
}

/// Where the brace closes that was opened before `text`; braces after a backslash are text.
fn balanced(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut escaped = false;
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(i),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The last characters of a solution, where the answer should have been.
fn tail(solution: &str) -> &str {
    let start = solution.char_indices().rev().nth(49).map_or(0, |(i, _)| i);
    &solution[start..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::row;
    use proptest::prelude::*;

    #[test]
    fn the_last_balanced_box_counts() {
        let cases = [
            (r"so $\boxed{3}$ and $\boxed{\frac{1}{2}}$.", Some(r"\frac{1}{2}")),
            (r"$\boxed{\{1,2\}}$", Some(r"\{1,2\}")),
            (r"$\boxed{a} \boxed{b$", Some("a")),
            (r"thus $\fbox{7}$", Some("7")),
            (r"is $\boxed 5$.", Some("5")),
            (r"$\boxed{\text{(A) } \}}$", Some(r"\text{(A) } \}")),
            ("no box", None),
        ];
        for (solution, answer) in cases {
            assert_eq!(last_boxed(solution), answer, "{solution}");
        }
    }

    #[test]
    fn an_answer_field_wins_and_levels_come_in_two_forms() {
        let p = problem(&row(
            r#"{"problem": "P", "solution": "\\boxed{1}", "answer": "2", "level": 4, "unique_id": "test/a/1.json"}"#,
        ));
        let p = p.unwrap();
        assert_eq!((p.answer.as_str(), p.level, p.id.as_str()), ("2", Some(4), "test/a/1.json"));
        let p = problem(&row(r#"{"problem": "P", "solution": "\\boxed{1}", "level": "Level 5"}"#));
        assert_eq!(p.unwrap().level, Some(5));
        let p = problem(&row(r#"{"problem": "P", "solution": "\\boxed{1}", "level": "Level ?"}"#));
        assert_eq!(p.unwrap().level, None);
    }

    #[test]
    fn a_solution_without_an_answer_is_a_fault() {
        for solution in ["no box", r"\\boxed{}", r"\\boxed{1"] {
            let row = row(&format!(r#"{{"problem": "P", "solution": "{solution}"}}"#));
            assert_eq!(problem(&row).unwrap_err().field, "solution", "{solution}");
        }
    }

    proptest! {
        #[test]
        fn any_solution_is_read_or_refused(text in r"(\\boxed|\\fbox|[{}\\$é 1]){0,20}") {
            if let Some(answer) = last_boxed(&text) {
                prop_assert!(text.contains(answer));
            }
        }
    }
}
