//! Training files of verl, such as DAPO-Math-17k (Yu et al. 2025, arXiv:2503.14476): `prompt` as messages
//! and `reward_model.ground_truth`. The instruction that DAPO adds around each problem is removed,
//! because the policy formats the prompt.

use serde_json::Value;

use super::stated::{Stated, stated};
use super::{free, number};
use crate::Problem;
use crate::fault::Fault;
use crate::rows::Row;

/// Beginnings of DAPO's first and last paragraphs.
const DAPO_FRAME: [&str; 2] = [
    "Solve the following math problem step by step.",
    "Remember to put your answer on its own line after",
];

pub(super) fn problem(row: &Row) -> Result<Problem, Fault> {
    let question = question(row)?;
    const ANSWER: &str = "reward_model.ground_truth";
    let text = row.reference_text(ANSWER)?;
    let Stated { answer, solution } = stated(ANSWER, &text)?;
    let kind = number::kind_of(&answer);
    Ok(Problem { solution, ..free(without_frame(&question), answer, kind) })
}

/// The text of the one user turn.
fn question(row: &Row) -> Result<String, Fault> {
    const EXPECTED: &str = "text, or messages with one user turn";
    let prompt = row.get("prompt");
    let fault = || Fault::of("prompt", EXPECTED, prompt);
    let written = prompt.and_then(Value::as_str).and_then(messages);
    let turns = match written.as_ref().or(prompt) {
        Some(Value::String(text)) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Some(Value::Array(turns)) => turns,
        _ => return Err(fault()),
    };
    let role = |turn: &Value, name: &str| turn.get("role").and_then(Value::as_str) == Some(name);
    let user: Vec<&Value> = turns.iter().filter(|turn| role(turn, "user")).collect();
    let system = turns.iter().filter(|turn| role(turn, "system")).count();
    match user[..] {
        [turn] if system + 1 == turns.len() => {
            if system > 0 {
                row.note("the system turn of `prompt` is not used");
            }
            let text = turn.get("content").and_then(Value::as_str).map(str::trim);
            text.filter(|text| !text.is_empty()).map(str::to_owned).ok_or_else(fault)
        }
        _ => Err(fault()),
    }
}

/// Messages as JSON in a text, the form of a CSV column.
fn messages(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    let turns = value.as_array().filter(|turns| !turns.is_empty())?;
    turns.iter().all(|turn| turn.get("role").is_some()).then_some(value)
}

fn without_frame(text: &str) -> String {
    let inner = text.split_once("\n\n").and_then(|(first, rest)| {
        let (inner, last) = rest.rsplit_once("\n\n")?;
        (first.starts_with(DAPO_FRAME[0]) && last.starts_with(DAPO_FRAME[1])).then_some(inner)
    });
    inner.unwrap_or(text).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AnswerKind;
    use crate::rows::tests::row;

    #[test]
    fn the_user_turn_is_the_question_and_its_frame_goes() {
        let framed = "Solve the following math problem step by step. The last line is the answer.\\n\\n\
                      What is 2 + 3?\\n\\nIn digits.\\n\\n\
                      Remember to put your answer on its own line after \\\"Answer:\\\".";
        let cases = [
            (framed, "What is 2 + 3?\n\nIn digits."),
            ("What is\\n\\n2 + 3?", "What is\n\n2 + 3?"),
        ];
        for (content, question) in cases {
            let row = row(&format!(
                r#"{{"prompt": [{{"role": "user", "content": "{content}"}}],
                     "reward_model": {{"ground_truth": "5", "style": "rule"}}}}"#
            ));
            let p = problem(&row).unwrap();
            assert_eq!((p.question.as_str(), p.answer.as_str()), (question, "5"));
            assert_eq!(p.kind, AnswerKind::Number);
        }
    }

    #[test]
    fn a_system_turn_is_said_and_a_conversation_refused() {
        let turn = |role: &str| format!(r#"{{"role": "{role}", "content": "c"}}"#);
        let prompt = |turns: &[&str]| {
            let turns: Vec<String> = turns.iter().map(|role| turn(role)).collect();
            row(&format!(
                r#"{{"prompt": [{}], "reward_model": {{"ground_truth": "x"}}}}"#,
                turns.join(",")
            ))
        };
        let system = prompt(&["system", "user"]);
        assert_eq!(problem(&system).unwrap().question, "c");
        assert_eq!(system.take_notes().len(), 1);
        for turns in [&["user", "assistant", "user"][..], &["system"], &[]] {
            assert_eq!(problem(&prompt(turns)).unwrap_err().field, "prompt");
        }
    }
}
