//! Preference rows of other programs: text in TRL's columns or Step-DPO's, without token ids.
//!
//! TRL's standard and conversational layouts, with an explicit or an implicit prompt, and the
//! columns of the Step-DPO set (arXiv:2406.18629). It knows no tokenizer: what the text becomes is
//! decided by whoever trains on it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fault::Fault;
use crate::rows::{self, Row};
use crate::{DataError, PreferencePair, read_pairs};

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: String,
}

/// One side's text, or what comes before both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Plain text.
    Text(String),
    /// Messages for a chat template.
    Messages(Vec<Message>),
}

/// A preference between two texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextPreference {
    /// What both sides answer.
    pub prompt: Turn,
    /// Steps of the answer that both sides continue (Step-DPO); `None` in TRL's layouts, whose sides
    /// are whole answers.
    pub steps: Option<String>,
    /// The better side, of the prompt's kind.
    pub chosen: Turn,
    /// The worse side, of the prompt's kind.
    pub rejected: Turn,
}

/// What a file of preferences holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Preferences {
    /// Our own rows, with token ids.
    Pairs(Vec<PreferencePair>),
    /// Text, with the number of its line.
    Texts(Vec<(usize, TextPreference)>),
}

/// Reads a file of preferences in any known layout, told by the first row.
///
/// # Errors
/// As [`read_pairs`]; [`DataError::Row`] for a row that lacks a column of its layout.
pub fn read_preferences(path: &Path) -> Result<Preferences, DataError> {
    let mut rows = rows::open(path)?.peekable();
    let own = matches!(rows.peek(), Some(Ok(row)) if row.has(&["chosen_ids", "rejected_ids"]));
    if own {
        return Ok(Preferences::Pairs(read_pairs(path)?));
    }
    let parse = |row: Result<Row, DataError>| {
        let row = row?;
        let line = row.line;
        Ok((line, preference(&row).map_err(|fault| fault.at(path, line))?))
    };
    Ok(Preferences::Texts(rows.map(parse).collect::<Result<_, _>>()?))
}

fn preference(row: &Row) -> Result<TextPreference, Fault> {
    for name in ["chosen", "rejected"] {
        if row.get(name).is_none() {
            let layouts = "one of the layouts prompt, chosen, rejected (TRL; text or messages), \
                           chosen, rejected (conversations that begin alike), prompt, \
                           initial_reason_steps, chosen, rejected (Step-DPO), or this program's pairs";
            return Err(Fault::new(name, layouts, "no such column"));
        }
    }
    let (chosen, rejected) = (turn(row, "chosen")?, turn(row, "rejected")?);
    let preference = match (row.get("prompt"), chosen, rejected) {
        (Some(_), chosen, rejected) => {
            let steps = match row.get("initial_reason_steps") {
                Some(Value::String(steps)) => Some(steps.clone()),
                None | Some(Value::Null) => None,
                other => return Err(Fault::of("initial_reason_steps", "text", other)),
            };
            TextPreference { prompt: turn(row, "prompt")?, steps, chosen, rejected }
        }
        (None, Turn::Messages(chosen), Turn::Messages(rejected)) => implicit(chosen, rejected)?,
        (None, ..) => return Err(Fault::new("prompt", "the text before both sides", "nothing")),
    };
    let kinds = [&preference.prompt, &preference.chosen, &preference.rejected]
        .map(|turn| matches!(turn, Turn::Text(_)));
    if kinds.iter().any(|kind| *kind != kinds[0]) {
        return Err(Fault::new("chosen", "text or messages in all three columns", "a mixture"));
    }
    if preference.chosen == preference.rejected {
        return Err(Fault::new("rejected", "another text than the chosen one", "the same"));
    }
    Ok(preference)
}

/// The turns that two conversations share are the prompt (TRL's implicit prompt).
fn implicit(chosen: Vec<Message>, rejected: Vec<Message>) -> Result<TextPreference, Fault> {
    let shared = chosen.iter().zip(&rejected).take_while(|(a, b)| a == b).count();
    if shared == 0 || shared == chosen.len() || shared == rejected.len() {
        let expected = "conversations that begin alike and end differently";
        return Err(Fault::new("rejected", expected, format!("{shared} turns alike")));
    }
    Ok(TextPreference {
        prompt: Turn::Messages(chosen[..shared].to_vec()),
        steps: None,
        chosen: Turn::Messages(chosen[shared..].to_vec()),
        rejected: Turn::Messages(rejected[shared..].to_vec()),
    })
}

fn turn(row: &Row, name: &str) -> Result<Turn, Fault> {
    let value = row.get(name);
    match value {
        // A prompt may be empty text; a side may not, and its blanks are part of it.
        Some(Value::String(text)) if name == "prompt" || !text.is_empty() => {
            Ok(Turn::Text(text.clone()))
        }
        Some(Value::Array(turns)) if !turns.is_empty() => {
            let messages: Result<Vec<Message>, _> =
                turns.iter().map(Message::deserialize).collect();
            messages.map(Turn::Messages).map_err(|e| {
                Fault::new(name, "messages with the texts `role` and `content`", e.to_string())
            })
        }
        other => Err(Fault::of(name, "text that is not empty, or messages", other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::row;

    fn text(text: &str) -> Turn {
        Turn::Text(text.into())
    }

    #[test]
    fn standard_and_step_rows() {
        let standard = preference(&row(r#"{"prompt":"p","chosen":" a","rejected":" b"}"#)).unwrap();
        assert_eq!((standard.prompt, standard.steps), (text("p"), None));
        assert_eq!((standard.chosen, standard.rejected), (text(" a"), text(" b")));
        let step = row(r#"{"prompt":"p","initial_reason_steps":"s","chosen":"a","rejected":"b"}"#);
        assert_eq!(preference(&step).unwrap().steps.as_deref(), Some("s"));
    }

    #[test]
    fn an_implicit_prompt_is_what_two_conversations_share() {
        let found = preference(&row(
            r#"{"chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],
                "rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"b"}]}"#,
        ))
        .unwrap();
        let Turn::Messages(prompt) = found.prompt else { panic!() };
        assert_eq!((prompt.len(), prompt[0].content.as_str()), (1, "q"));
    }

    #[test]
    fn rows_of_no_layout_say_what_is_missing() {
        for (json, field) in [
            (r#"{"prompt":"p","chosen":"a"}"#, "rejected"),
            (r#"{"chosen":"a","rejected":"b"}"#, "prompt"),
            (r#"{"prompt":"p","chosen":"","rejected":"b"}"#, "chosen"),
            (r#"{"prompt":"p","chosen":"a","rejected":"a"}"#, "rejected"),
            (r#"{"prompt":"p","chosen":[{"role":"user"}],"rejected":"b"}"#, "chosen"),
            (r#"{"prompt":"p","chosen":[{"role":"u","content":"c"}],"rejected":"b"}"#, "chosen"),
        ] {
            assert_eq!(preference(&row(json)).unwrap_err().field, field, "{json}");
        }
    }
}
