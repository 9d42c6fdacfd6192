//! AQuA (Ling et al. 2017, arXiv:1705.04146): options begin with their letter ("A)32400"), the
//! rationale is the solution.

use serde_json::Value;

use super::choices::split_label;
use super::multiple_choice;
use crate::Problem;
use crate::fault::Fault;
use crate::rows::Row;

pub(super) fn problem(row: &Row) -> Result<Problem, Fault> {
    let question = row.text("question")?.to_owned();
    let options = row.get("options");
    let choices = options.and_then(Value::as_array).and_then(|options| {
        let label = |option: &Value| split_label(option.as_str()?);
        options.iter().map(label).collect::<Option<Vec<_>>>()
    });
    let expected = "a list of options such as `A)12`";
    let choices = choices.ok_or_else(|| Fault::of("options", expected, options))?;
    let label = row.reference_text("correct")?;
    let problem = multiple_choice(question, choices, "correct", &label)?;
    Ok(Problem {
        id: row.scalar("id").unwrap_or_default(),
        solution: row.optional_text("rationale").map(str::to_owned),
        ..problem
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Choice;
    use crate::rows::tests::row;

    #[test]
    fn letters_are_parted_from_options() {
        let json = r#"{"question": "Q", "options": ["A)(1, 2)", "B) 5 m"], "rationale": "so B", "correct": "B"}"#;
        let p = problem(&row(json)).unwrap();
        assert_eq!(p.choices[0], Choice { label: "A".into(), text: "(1, 2)".into() });
        assert_eq!(p.choices[1], Choice { label: "B".into(), text: "5 m".into() });
        assert_eq!((p.answer.as_str(), p.solution.as_deref()), ("B", Some("so B")));
    }

    #[test]
    fn options_without_letters_are_a_fault() {
        let json = r#"{"question": "Q", "options": ["12", "13"], "correct": "A"}"#;
        assert_eq!(problem(&row(json)).unwrap_err().field, "options");
    }
}
