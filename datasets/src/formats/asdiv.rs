//! ASDiv (Miao et al. 2020, arXiv:2106.15772): XML with Body, Question and an Answer with its unit in
//! brackets ("9 (apples)"); the columns on the hub are in lower case. Some answers are several values ("6
//! (cm); 15 (cm)"), some are names, times or ratios.

use super::{free, number};
use crate::fault::Fault;
use crate::rows::Row;
use crate::{AnswerKind, Problem};

pub(super) fn problem(row: &Row) -> Result<Problem, Fault> {
    let question = match row.optional_text("body") {
        Some(body) => format!("{body} {}", row.text("question")?),
        None => row.text("question")?.to_owned(),
    };
    let (answer, kind) = reference(&row.reference_text("answer")?);
    let id = row.scalar("ID").unwrap_or_default();
    let level = row.optional_text("Grade").and_then(|grade| grade.parse().ok());
    Ok(Problem { id, level, ..free(question, answer, kind) })
}

/// Reference and kind: one number; several values as a list of numbers in the published order; otherwise
/// the published text.
fn reference(text: &str) -> (String, AnswerKind) {
    let numbers: Option<Vec<String>> =
        text.split(';').map(|value| number::plain(without_unit(value))).collect();
    match numbers {
        Some(numbers) if numbers.len() == 1 => (numbers.concat(), AnswerKind::Number),
        Some(numbers) => (numbers.join(", "), AnswerKind::Math),
        None => (text.to_owned(), number::kind_of(text)),
    }
}

/// "9 (apples)" without its unit.
fn without_unit(value: &str) -> &str {
    let value = value.trim();
    match value.strip_suffix(')').and_then(|inside| inside.split_once('(')) {
        Some((number, _)) => number.trim(),
        None => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_go_and_several_values_stay() {
        let cases = [
            ("9 (apples)", "9", AnswerKind::Number),
            ("14  (seats)", "14", AnswerKind::Number),
            ("1,200", "1200", AnswerKind::Number),
            ("8 (ft); 128 (sq. ft)", "8, 128", AnswerKind::Math),
            ("-(1/3)", "-(1/3)", AnswerKind::Math),
            ("5:6", "5:6", AnswerKind::Text),
            ("Mrs. Hilt", "Mrs. Hilt", AnswerKind::Text),
            ("3:30 p.m.", "3:30 p.m.", AnswerKind::Text),
        ];
        for (text, answer, kind) in cases {
            assert_eq!(reference(text), (answer.to_owned(), kind));
        }
    }
}
