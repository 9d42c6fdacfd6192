//! Sets that ask for the better continuation; the label is its position from zero: HellaSwag (Zellers et
//! al. 2019, arXiv:1905.07830) and PIQA (Bisk et al. 2019, arXiv:1911.11641). Rows of test splits have no
//! label, or -1.

use super::{choices, multiple_choice, reference};
use crate::Problem;
use crate::fault::Fault;
use crate::rows::Row;

/// HellaSwag: ctx, endings, label. The question is the activity followed by the context, as the set's authors
/// and lm-eval do it.
pub(super) fn hellaswag(row: &Row) -> Result<Problem, Fault> {
    let context = row.text("ctx")?;
    let question = match row.optional_text("activity_label") {
        Some(activity) => format!("{activity}: {context}"),
        None => context.to_owned(),
    };
    by_position(row, question, "ind")
}

/// PIQA: goal, sol1, sol2, label.
pub(super) fn piqa(row: &Row) -> Result<Problem, Fault> {
    by_position(row, row.text("goal")?.to_owned(), "id")
}

fn by_position(row: &Row, question: String, id: &str) -> Result<Problem, Fault> {
    let options = choices::of_row(row)?;
    let expected = "options in `endings`, or in `sol1` and `sol2`";
    let options = options.ok_or_else(|| Fault::new("endings", expected, "none"))?;
    let label = reference::at_position(row, &options, "label")?.unwrap_or_default();
    let problem = multiple_choice(question, options.choices, "label", &label)?;
    Ok(Problem { id: row.scalar(id).unwrap_or_default(), ..problem })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::row;

    #[test]
    fn labels_are_positions_in_both_types() {
        for (label, answer) in [("\"1\"", "B"), ("1", "B"), ("\"\"", ""), ("-1", "")] {
            let json = format!(
                r#"{{"ind": 7, "activity_label": "Cooking", "ctx": "A cook", "endings": ["1", "0"], "label": {label}}}"#
            );
            let p = hellaswag(&row(&json)).unwrap();
            assert_eq!((p.question.as_str(), p.answer.as_str()), ("Cooking: A cook", answer));
            let json = format!(
                r#"{{"goal": "Open it", "sol1": "pull", "sol2": "push", "label": {label}}}"#
            );
            assert_eq!(piqa(&row(&json)).unwrap().answer, answer);
        }
        let wrong = row(r#"{"goal": "Open it", "sol1": "pull", "sol2": "push", "label": 2}"#);
        assert_eq!(piqa(&wrong).unwrap_err().field, "label");
    }
}
