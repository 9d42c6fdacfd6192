//! Files of step labels: JSON lines, with every row checked when read. They are written with
//! [`crate::write_jsonl`].

use std::path::Path;

use crate::fault::Fault;
use crate::jsonl::parse_line;
use crate::lines::Lines;
use crate::version::Versioned;
use crate::{DataError, STEP_LABEL_VERSION, StepLabel};

/// Reads all step labels of a file. Columns that this version does not know are ignored.
///
/// # Errors
/// [`DataError::Io`]; [`DataError::Version`] for a row of a newer version; [`DataError::Torn`] for a
/// last line that was cut off; [`DataError::Row`] for a row that is not a step label.
pub fn read_step_labels(path: &Path) -> Result<Vec<StepLabel>, DataError> {
    Lines::open(path)?
        .map(|line| {
            let line = line?;
            let versioned: Versioned = parse_line(path, &line)?;
            versioned.check(path, line.number, "step label", STEP_LABEL_VERSION)?;
            let row: StepLabel = parse_line(path, &line)?;
            check(&row).map_err(|fault| fault.at(path, line.number))?;
            Ok(row)
        })
        .collect()
}

/// Checks the ranges that the fields of [`StepLabel`] document.
fn check(row: &StepLabel) -> Result<(), Fault> {
    for (name, ids) in [("prompt_ids", &row.prompt_ids), ("completion_ids", &row.completion_ids)] {
        if ids.is_empty() {
            return Err(Fault::new(name, "one token or more", "none"));
        }
    }
    if row.solutions == 0 {
        return Err(Fault::new("solutions", "at least 1", "0"));
    }
    if row.right > row.solutions {
        let expected = format!("at most `solutions`, which is {}", row.solutions);
        return Err(Fault::new("right", expected, row.right.to_string()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write_jsonl;

    fn label() -> StepLabel {
        StepLabel {
            version: STEP_LABEL_VERSION,
            problem_id: "p".into(),
            round: 1,
            policy: "tiny@1".into(),
            depth: 2,
            terminal: false,
            prompt: "Question: 1 + 1 + 1?\n".into(),
            completion: "1 + 1 = 2\n".into(),
            label: true,
            prompt_ids: vec![1, 2],
            completion_ids: vec![3],
            solutions: 4,
            right: 1,
        }
    }

    #[test]
    fn rows_survive_a_round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("step_labels.jsonl");
        let rows = [label(), StepLabel { right: 4, ..label() }];
        write_jsonl(&path, &rows).unwrap();
        let read = read_step_labels(&path).unwrap();
        assert_eq!(read, rows);
        assert_eq!((read[0].value(), read[1].value()), (0.25, 1.0));
    }

    #[test]
    fn rows_out_of_their_ranges_are_refused_by_field_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("step_labels.jsonl");
        let broken = [
            (StepLabel { right: 5, ..label() }, "field `right`"),
            (StepLabel { solutions: 0, right: 0, ..label() }, "field `solutions`"),
            (StepLabel { completion_ids: vec![], ..label() }, "field `completion_ids`"),
            (StepLabel { version: 2, ..label() }, "version 2"),
            (StepLabel { version: 0, ..label() }, "field `version`"),
        ];
        for (row, named) in broken {
            write_jsonl(&path, [label(), row]).unwrap();
            let error = read_step_labels(&path).unwrap_err().to_string();
            assert!(error.contains("step_labels.jsonl:2") && error.contains(named), "{error}");
        }
    }
}
