//! Mathematics with a LaTeX answer: MATH (Hendrycks et al. 2021, arXiv:2103.03874) with problem,
//! solution, level and type; MATH-500 with answer and unique_id; AIME with Problem and Answer, in lower
//! case or capitalised; NuminaMath with problem and solution. Without an answer column, the answer is the
//! content of the last `\boxed{}` of the solution. The LaTeX is kept unchanged.

use serde_json::Value;

use super::generic::{ANSWERS, choice};
use super::stated::{Stated, stated};
use super::{choices, free};
use crate::fault::{Fault, quote};
use crate::rows::Row;
use crate::{AnswerKind, Problem};

/// Values of NuminaMath-1.5's answer column for problems without an answer that can be checked.
const NO_ANSWER: [&str; 2] = ["proof", "notfound"];

pub(super) fn problem(row: &Row) -> Result<Problem, Fault> {
    let question = row.text("problem")?.to_owned();
    let solution = row.solution("solution");
    let problem = match choices::of_row(row)? {
        Some(options) => choice(row, question, &options)?,
        None => {
            let Stated { answer, solution } = answer(row, solution.as_deref())?;
            Problem { solution, ..free(question, answer, AnswerKind::Math) }
        }
    };
    let id = ["unique_id", "id", "problem_idx"].into_iter().find_map(|name| row.scalar(name));
    Ok(Problem {
        id: id.unwrap_or_default(),
        solution: solution.or(problem.solution),
        level: row.get("level").and_then(level),
        ..problem
    })
}

/// The reference, empty if the row has none; and the worked solution, if the answer column held one.
fn answer(row: &Row, solution: Option<&str>) -> Result<Stated, Fault> {
    let alone = |answer: &str| Stated { answer: answer.to_owned(), solution: None };
    match (row.first_reference(&ANSWERS)?, solution) {
        (Some((name, answer)), _) if NO_ANSWER.contains(&answer.as_str()) => {
            Err(Fault::new(name, "an answer that can be checked", quote(&answer)))
        }
        (Some((name, answer)), _) => stated(name, &answer),
        (None, Some(solution)) => {
            let boxed = last_boxed(solution).map(str::trim).filter(|text| !text.is_empty());
            let fault = || Fault::new("solution", "an answer in \\boxed{}", quote(tail(solution)));
            Ok(alone(boxed.ok_or_else(fault)?))
        }
        (None, None) => Ok(alone("")),
    }
}

/// "Level 3" or 3; one published problem has "Level ?".
fn level(value: &Value) -> Option<u32> {
    match value {
        Value::String(text) => text.trim().trim_start_matches("Level ").parse().ok(),
        number => number.as_u64().and_then(|n| n.try_into().ok()),
    }
}

/// Content of the last `\boxed` or `\fbox` with balanced braces; for `\boxed 5` without braces, the next
/// word.
pub(super) fn last_boxed(solution: &str) -> Option<&str> {
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

/// Position of the brace that closes a brace opened before `text`. Braces after a backslash are text.
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
    fn other_names_of_the_columns_are_read() {
        let cases = [
            (
                r#"{"Problem": "P", "Answer": 204, "ID": "2024-I-1", "Solution": "s"}"#,
                "204",
                "2024-I-1",
            ),
            (
                r#"{"problem": "P", "answer": "204", "id": 60, "url": "u", "year": "2024"}"#,
                "204",
                "60",
            ),
            (r#"{"problem": "P", "answer": 70, "problem_idx": 1}"#, "70", "1"),
            (r#"{"problem": "P", "expected_answer": "x^2"}"#, "x^2", ""),
            (r#"{"problem": "P"}"#, "", ""),
        ];
        for (json, answer, id) in cases {
            let p = problem(&row(json)).unwrap();
            assert_eq!((p.answer.as_str(), p.id.as_str()), (answer, id), "{json}");
        }
        let options = r#"{"problem": "P", "options": ["1", "2"], "answer": "B"}"#;
        assert_eq!(problem(&row(options)).unwrap().kind, AnswerKind::Choice);
        let proof = r#"{"problem": "P", "solution": "...", "answer": "proof"}"#;
        assert_eq!(problem(&row(proof)).unwrap_err().field, "answer");
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
