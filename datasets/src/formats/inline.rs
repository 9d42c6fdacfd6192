//! Questions with their options inside the text, "stem (A) red (B) blue": the AI2 science questions
//! (CSV, release of February 2016) and the science mixture of the method's public code (JSON lines,
//! arXiv:2405.00451). Options may hold bracketed letters themselves ("carbon (C)").

use super::multiple_choice;
use crate::fault::{Fault, quote};
use crate::rows::Row;
use crate::{Choice, Problem};

/// Text between the question and its options in the science mixture.
pub(super) const SCIENCE_MCQ_MARK: &str = "Answer Choices:";

/// A row of the AI2 CSV files.
pub(super) fn ai2(row: &Row) -> Result<Problem, Fault> {
    const DIAGRAM: &str = "includesDiagram";
    if let Some(shown) = row.scalar(DIAGRAM).filter(|shown| !["0", "N"].contains(&shown.as_str())) {
        return Err(Fault::new(DIAGRAM, "0: the diagram of a question is not read", quote(&shown)));
    }
    let (stem, choices) = split(row.text("question")?)?;
    let label = row.reference_text("AnswerKey")?;
    let problem = multiple_choice(stem, choices, "AnswerKey", &label)?;
    Ok(Problem { id: row.scalar("questionID").unwrap_or_default(), ..problem })
}

/// A row of the science mixture.
pub(super) fn science_mcq(row: &Row) -> Result<Problem, Fault> {
    let text = row.text("question")?;
    let (stem, options) = text.rsplit_once(SCIENCE_MCQ_MARK).ok_or_else(|| {
        Fault::new("question", format!("`{SCIENCE_MCQ_MARK} (A) ..`"), quote(text))
    })?;
    let (_, choices) = split(options)?;
    let label = row.reference_text("answer")?;
    let problem = multiple_choice(stem.trim().to_owned(), choices, "answer", &label)?;
    Ok(Problem { id: row.scalar("id").unwrap_or_default(), ..problem })
}

/// Splits `text` into question and options: the longest sequence of labels A, B, ... or 1, 2, ... that is
/// found.
fn split(text: &str) -> Result<(String, Vec<Choice>), Fault> {
    let alphabets = [('A'..='H').collect::<Vec<_>>(), ('1'..='8').collect()];
    let found = (2..=8).rev().find_map(|n| alphabets.iter().find_map(|a| parse(text, &a[..n])));
    found.ok_or_else(|| Fault::new("question", "options such as `(A) .. (B) ..`", quote(text)))
}

/// Splits `text` into question and options with exactly these labels, searching from the last label to
/// the first. Each mark is the last one with some text between it and the next mark, so that a letter
/// inside an option is not mistaken for a label.
fn parse(text: &str, labels: &[char]) -> Option<(String, Vec<Choice>)> {
    let mut end = text.len();
    let mut choices = Vec::with_capacity(labels.len());
    for &label in labels.iter().rev() {
        let mark = format!("({label})");
        let (start, option) = text[..end].rmatch_indices(&mark).find_map(|(start, _)| {
            let option = text[start + mark.len()..end].trim();
            let apart = text[..start].chars().next_back().is_none_or(char::is_whitespace);
            (apart && !option.is_empty()).then_some((start, option))
        })?;
        choices.push(Choice { label: label.into(), text: option.to_owned() });
        end = start;
    }
    choices.reverse();
    Some((text[..end].trim().to_owned(), choices))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::row;
    use proptest::prelude::*;

    fn texts(text: &str) -> (String, Vec<String>) {
        let (stem, choices) = split(text).unwrap();
        (stem, choices.into_iter().map(|c| format!("{}:{}", c.label, c.text)).collect())
    }

    #[test]
    fn bracketed_letters_inside_stem_and_options_are_text() {
        let (stem, options) =
            texts("How much carbon (C)? (A) 2 of (C) (B) 6 (C) (C) 3 atoms (D) 1 (x)");
        assert_eq!(stem, "How much carbon (C)?");
        assert_eq!(options, ["A:2 of (C)", "B:6 (C)", "C:3 atoms", "D:1 (x)"]);
        let (stem, options) = texts("A force of 10 newtons (N)? (1) 0 N (2) 5 N");
        assert_eq!((stem.as_str(), options.len()), ("A force of 10 newtons (N)?", 2));
    }

    #[test]
    fn rows_of_both_files() {
        let p = science_mcq(&row(
            r#"{"question": "The sky is\nAnswer Choices: (A) red (B) blue (C) dry", "answer": "B"}"#,
        ));
        let p = p.unwrap();
        assert_eq!(
            (p.question.as_str(), p.choices.len(), p.answer.as_str()),
            ("The sky is", 3, "B")
        );
        let p = ai2(&row(
            r#"{"questionID": "X_1", "question": "Which? (A) a (B) b", "AnswerKey": "A"}"#,
        ));
        assert_eq!(p.unwrap().id, "X_1");
        let diagram = row(
            r#"{"questionID": "X_2", "question": "Which? (A) a (B) b", "AnswerKey": "A", "includesDiagram": "1"}"#,
        );
        assert_eq!(ai2(&diagram).unwrap_err().field, "includesDiagram");
    }

    #[test]
    fn faults_name_the_field() {
        let none = row(r#"{"question": "Which?", "AnswerKey": "A"}"#);
        assert_eq!(ai2(&none).unwrap_err().field, "question");
        let wrong = row(r#"{"question": "Which? (A) a (B) b", "AnswerKey": "C"}"#);
        assert_eq!(ai2(&wrong).unwrap_err().field, "AnswerKey");
        assert_eq!(science_mcq(&none).unwrap_err().field, "question");
    }

    proptest! {
        #[test]
        fn any_text_is_split_or_refused(text in r"([ABC12()é ]|\(A\) |\(B\) ){0,30}") {
            if let Ok((_, choices)) = split(&text) {
                prop_assert!(choices.iter().all(|c| !c.text.is_empty()));
            }
        }
    }
}
