//! Rows for supervised fine-tuning: a prompt and its completion as text or as messages, whole
//! conversations, or problems with a worked solution.
//!
//! The layouts are those of TRL's `SFTTrainer`. The trainer decides how the text is rendered and
//! tokenised.

use std::path::Path;

use serde_json::Value;

use crate::columns::{Columns, Unread};
use crate::fault::Fault;
use crate::preference::{REFUSED, Turn, turn};
use crate::rows::{self, Row};
use crate::{DataError, Notices, Problem, ReadOptions, read_problem_file};

/// Columns that are irrelevant to the training text.
const IGNORED: [&str; 6] = ["id", "prompt_id", "source", "dataset", "url", "license"];

/// A prompt and its completion.
#[derive(Debug, Clone, PartialEq)]
pub struct Demonstration {
    /// Text or messages before the completion; not trained on.
    pub prompt: Turn,
    /// The part that is trained on, text or messages like the prompt. Leading white space of a text
    /// completion is kept.
    pub completion: Turn,
    /// Weight of each token of the completion, above 0.
    pub weight: f32,
    /// If true, EOS is appended to a completion that is text; a chat template ends its turns itself.
    pub eos: bool,
}

/// Contents of a file of demonstrations.
#[derive(Debug, Clone, PartialEq)]
pub enum Demonstrations {
    /// Prompts and completions, each with its line number.
    Rows(Vec<(usize, Demonstration)>),
    /// Problems, each with a worked solution.
    Problems(Vec<Problem>),
}

/// Reads a file of demonstrations. The first row decides the layout: `prompt` and `completion`,
/// `messages`, or a file of problems.
///
/// `notices` limits how many bad rows are skipped, and records those rows and the columns that were not
/// read.
///
/// # Errors
/// [`DataError::Row`] for a row that lacks a column of its layout or a problem without a solution;
/// [`DataError::TooManyBad`]; and as [`crate::read_problems`].
pub fn read_demonstrations(
    path: &Path,
    notices: &mut Notices,
) -> Result<Demonstrations, DataError> {
    let first = rows::open(path)?.next();
    let told = |row: &Row| row.has(&["completion"]) || row.has(&["messages"]);
    let holds = |row: &Row| told(row) || row.has(&["prompt"]) && !row.has(&["answer"]);
    if !matches!(&first, Some(Ok(row)) if holds(row)) {
        return problems(path, notices).map(Demonstrations::Problems);
    }
    let columns =
        Columns { reader: "supervised training".into(), refused: &REFUSED, ignored: &IGNORED };
    let mut unread = Unread::default();
    let mut found = Vec::new();
    rows::open(path)?.each(notices, |row, _| {
        let at = |fault: Fault| fault.at(path, row.line);
        let demonstration = demonstration(&row).map_err(at)?;
        unread.add(&row, &columns).map_err(at)?;
        found.push((row.line, demonstration));
        Ok(())
    })?;
    unread.warn(path, &columns, notices);
    Ok(Demonstrations::Rows(found))
}

fn problems(path: &Path, notices: &mut Notices) -> Result<Vec<Problem>, DataError> {
    let options = ReadOptions { format: None, needs_answer: true };
    let problems = read_problem_file(path, options, notices)?;
    match problems.iter().find(|problem| problem.solution.is_none()) {
        None => Ok(problems),
        Some(problem) => Err(DataError::Damaged {
            path: path.to_owned(),
            format: "file of worked solutions",
            detail: format!(
                "problem `{}` has no solution; expected rows of prompt and completion, of messages, or \
                 of question, answer and solution",
                problem.id
            ),
        }),
    }
}

fn demonstration(row: &Row) -> Result<Demonstration, Fault> {
    let (prompt, completion) = match row.get("completion") {
        Some(_) => (turn(row, "prompt")?, turn(row, "completion")?),
        None => last_turn(row)?,
    };
    if matches!(prompt, Turn::Text(_)) != matches!(completion, Turn::Text(_)) {
        return Err(Fault::new("completion", "text or messages in both columns", "a mixture"));
    }
    let weight = match row.get("weight") {
        None | Some(Value::Null) => 1.0,
        Some(value) => {
            let number = value.as_f64().filter(|number| *number > 0.0 && number.is_finite());
            number.ok_or_else(|| Fault::of("weight", "a number above 0", Some(value)))? as f32
        }
    };
    let eos = match row.get("eos") {
        None | Some(Value::Null) => true,
        Some(Value::Bool(eos)) => *eos,
        other => return Err(Fault::of("eos", "true or false", other)),
    };
    Ok(Demonstration { prompt, completion, weight, eos })
}

/// Splits a conversation into the turns before the last, and the last, which is trained on and must be
/// the assistant's.
fn last_turn(row: &Row) -> Result<(Turn, Turn), Fault> {
    let missing = || {
        let layouts =
            "prompt and completion (text or messages), messages, or a problem with a solution";
        Fault::new("completion", layouts, "no such column")
    };
    row.get("messages").ok_or_else(missing)?;
    let Turn::Messages(mut turns) = turn(row, "messages")? else {
        return Err(Fault::new("messages", "messages of role and content", "text"));
    };
    let last = turns.pop().filter(|last| last.role == "assistant" && !turns.is_empty());
    let last = last.ok_or_else(|| {
        Fault::new("messages", "a turn of the assistant behind others", "another last turn")
    })?;
    Ok((Turn::Messages(turns), Turn::Messages(vec![last])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Demonstrations, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, text).unwrap();
        read_demonstrations(&path, &mut Notices::default()).map_err(|e| e.to_string())
    }

    #[test]
    fn the_layouts_of_trl_are_read() {
        let Demonstrations::Rows(rows) = read(
            "{\"prompt\": \"a\", \"completion\": \" b\", \"weight\": 2, \"eos\": false}\n\n\
             {\"prompt\": \"\", \"completion\": \"c\"}\n",
        )
        .unwrap() else {
            panic!()
        };
        let text = |text: &str| Turn::Text(text.into());
        let (first, second) = (&rows[0].1, &rows[1].1);
        assert_eq!((&first.prompt, &first.completion), (&text("a"), &text(" b")));
        assert_eq!((first.weight, first.eos, second.weight, second.eos), (2.0, false, 1.0, true));
        assert_eq!(rows[1].0, 3);
        let turns = r#"[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]"#;
        let parts = turns.replace("},{", "}], \"completion\": [{");
        for row in [format!("{{\"messages\": {turns}}}"), format!("{{\"prompt\": {parts}}}")] {
            let Demonstrations::Rows(rows) = read(&row).unwrap() else { panic!() };
            let (Turn::Messages(prompt), Turn::Messages(completion)) =
                (&rows[0].1.prompt, &rows[0].1.completion)
            else {
                panic!()
            };
            assert_eq!((prompt.len(), &*completion[0].content), (1, "a"), "{row}");
        }
    }

    #[test]
    fn problems_need_a_solution() {
        let row = r#"{"question": "1 + 1?", "answer": "2", "solution": "1 + 1 = 2"}"#;
        let Demonstrations::Problems(problems) = read(row).unwrap() else { panic!() };
        assert_eq!(problems[0].solution.as_deref(), Some("1 + 1 = 2"));
        let error = read(r#"{"question": "1 + 1?", "answer": "2"}"#).unwrap_err();
        assert!(error.contains("has no solution"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (row, expected) in [
            (r#"{"prompt": "a"}"#, "completion"),
            (r#"{"prompt": "a", "completion": ""}"#, "completion"),
            (
                r#"{"prompt": "a", "completion": [{"role": "assistant", "content": "b"}]}"#,
                "mixture",
            ),
            (r#"{"prompt": "a", "completion": "b", "weight": 0}"#, "weight"),
            (r#"{"prompt": "a", "completion": "b", "eos": 1}"#, "eos"),
            (r#"{"prompt": "a", "completion": "b", "tools": [1]}"#, "tools"),
            (r#"{"messages": [{"role": "user", "content": "a"}]}"#, "assistant"),
        ] {
            let error = read(row).unwrap_err();
            assert!(error.contains("rows.jsonl:1") && error.contains(expected), "{row}: {error}");
        }
    }
}
