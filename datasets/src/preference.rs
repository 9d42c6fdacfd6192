//! Preference rows of other programs: text in TRL's columns or Step-DPO's, without token ids.
//!
//! The layouts are TRL's standard and conversational ones, with an explicit or an implicit prompt, and the
//! columns of the Step-DPO set (arXiv:2406.18629). The trainer decides how the text is rendered and
//! tokenised. Columns that change what TRL renders but are not supported are refused by name; docs/formats.md
//! lists them.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::columns::{Columns, Unread};
use crate::fault::{Fault, quote};
use crate::rows::{self, Row, is_empty};
use crate::{DataError, Notices, PreferencePair, joint_pair, pairs};

/// Columns that change the meaning of a row and are not supported: values that TRL passes to the chat
/// template in addition to the messages, and media that it shows with the text.
pub(crate) const REFUSED: [&str; 6] =
    ["tools", "chat_template_kwargs", "image", "images", "audio", "video"];

/// Columns that do not affect the preference: repetitions, ratings of the sides, and log-probabilities of a
/// reference, which are computed here.
const IGNORED: [&str; 16] = [
    "prompt_id",
    "messages",
    "full_chosen",
    "full_rejected",
    "answer",
    "chosen_rating",
    "rejected_rating",
    "chosen_score",
    "rejected_score",
    "score_chosen",
    "score_rejected",
    "chosen_model",
    "rejected_model",
    "margin",
    "ref_chosen_logps",
    "ref_rejected_logps",
];

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// Text of the turn.
    pub content: String,
}

/// Content of one side, or of the prompt: a text or a list of messages.
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
    /// The prompt that both sides answer.
    pub prompt: Turn,
    /// Steps of the answer that both sides continue (Step-DPO); `None` in TRL's layouts, whose sides
    /// are whole answers.
    pub steps: Option<String>,
    /// The better side: text or messages, like the prompt.
    pub chosen: Turn,
    /// The worse side: text or messages, like the prompt.
    pub rejected: Turn,
    /// Why the chosen side is better (column `rationale`); trimmed; `None` if that column is absent, blank or not
    /// text.
    pub rationale: Option<String>,
}

/// Contents of a file of preferences.
#[derive(Debug, Clone, PartialEq)]
pub enum Preferences {
    /// Our own rows, with token ids.
    Pairs(Vec<PreferencePair>),
    /// Text rows, each with its line number.
    Texts(Vec<(usize, TextPreference)>),
}

/// Reads a file of preferences in any known layout, detected from the first row.
///
/// `notices` limits how many bad rows are skipped, and records these rows and the columns that were not read.
///
/// # Errors
/// As [`crate::read_pairs`]; [`DataError::Row`] for a row that lacks a column of its layout;
/// [`DataError::TooManyBad`].
pub fn read_preferences(path: &Path, notices: &mut Notices) -> Result<Preferences, DataError> {
    let first = rows::open(path)?.next();
    if matches!(&first, Some(Ok(row)) if row.has(&["chosen_ids", "rejected_ids"])) {
        return Ok(Preferences::Pairs(pairs::read(path, notices)?));
    }
    if let Some(Ok(row)) = &first
        && row.has(&["right", "wrong"])
        && row.get("chosen").is_none()
    {
        return Err(joint_pair::refusal().at(path, row.line));
    }
    let columns =
        Columns { reader: "the reader of pairs".into(), refused: &REFUSED, ignored: &IGNORED };
    let mut unread = Unread::default();
    let mut texts = Vec::new();
    rows::open(path)?.each(notices, |row, _| {
        let at = |fault: Fault| fault.at(path, row.line);
        let found = preference(&row).map_err(at)?;
        unread.add(&row, &columns).map_err(at)?;
        texts.push((row.line, found));
        Ok(())
    })?;
    unread.warn(path, &columns, notices);
    Ok(Preferences::Texts(texts))
}

fn preference(row: &Row) -> Result<TextPreference, Fault> {
    for name in ["chosen", "rejected"] {
        if row.get(name).is_none() {
            let layouts = "one of the layouts prompt, chosen, rejected (TRL; text or messages), \
                           chosen, rejected (conversations that begin alike), prompt, \
                           initial_reason_steps, chosen, rejected (Step-DPO), or this program's pairs";
            return Err(absent(row, name, layouts));
        }
    }
    let (chosen, rejected) = (turn(row, "chosen")?, turn(row, "rejected")?);
    let steps = match row.get("initial_reason_steps") {
        Some(Value::String(steps)) => Some(steps.clone()),
        None | Some(Value::Null) => None,
        other => return Err(Fault::of("initial_reason_steps", "text", other)),
    };
    let Sides { prompt, chosen, rejected } = match (row.filled("prompt"), chosen, rejected) {
        (None, Turn::Messages(chosen), Turn::Messages(rejected)) => implicit(chosen, rejected)?,
        (None, ..) if row.get("prompt").is_none() => {
            return Err(absent(row, "prompt", "a column with the text before both sides"));
        }
        (_, Turn::Messages(chosen), Turn::Messages(rejected)) => {
            after_prompt(turn(row, "prompt")?, chosen, rejected)?
        }
        (_, chosen, rejected) => Sides { prompt: turn(row, "prompt")?, chosen, rejected },
    };
    let kinds = [&prompt, &chosen, &rejected].map(|turn| matches!(turn, Turn::Text(_)));
    if kinds.iter().any(|kind| *kind != kinds[0]) {
        return Err(Fault::new("chosen", "text or messages in all three columns", "a mixture"));
    }
    if chosen == rejected {
        return Err(Fault::new("rejected", "another text than the chosen one", "the same"));
    }
    let rationale = row.optional_text("rationale").map(str::to_owned);
    Ok(TextPreference { prompt, steps, chosen, rejected, rationale })
}

/// The fault for a missing column `name`, with a list of the columns that exist.
fn absent(row: &Row, name: &str, expected: &str) -> Fault {
    let names: Vec<&str> = row.names().collect();
    Fault::new(name, expected, format!("none in the columns {}", quote(&names.join(", "))))
}

/// A prompt and both sides.
struct Sides {
    prompt: Turn,
    chosen: Turn,
    rejected: Turn,
}

/// Removes the turns of the prompt from both sides if the sides repeat them. A text prompt must equal the
/// last turn that both sides share (UltraFeedback); the shared turns are then the prompt.
fn after_prompt(
    prompt: Turn,
    mut chosen: Vec<Message>,
    mut rejected: Vec<Message>,
) -> Result<Sides, Fault> {
    match prompt {
        Turn::Messages(turns) => {
            let repeats = |side: &[Message]| side.len() > turns.len() && side.starts_with(&turns);
            match (repeats(&chosen), repeats(&rejected)) {
                (true, true) => {
                    chosen.drain(..turns.len());
                    rejected.drain(..turns.len());
                }
                (false, false) => {}
                _ => {
                    let expected = "the turns of the prompt in both sides or in none";
                    return Err(Fault::new("chosen", expected, "them in one side"));
                }
            }
            Ok(Sides {
                prompt: Turn::Messages(turns),
                chosen: Turn::Messages(chosen),
                rejected: Turn::Messages(rejected),
            })
        }
        Turn::Text(text) => {
            let sides = implicit(chosen, rejected)?;
            let last = match &sides.prompt {
                Turn::Messages(turns) => turns.last().map(|turn| turn.content.trim()),
                Turn::Text(_) => None,
            };
            if last != Some(text.trim()) {
                let expected = "messages, or the text of the last turn that both sides share";
                return Err(Fault::new("prompt", expected, quote(&text)));
            }
            Ok(sides)
        }
    }
}

/// Splits two conversations: the turns that both share are the prompt (TRL's implicit prompt).
fn implicit(mut chosen: Vec<Message>, mut rejected: Vec<Message>) -> Result<Sides, Fault> {
    let shared = chosen.iter().zip(&rejected).take_while(|(a, b)| a == b).count();
    if shared == 0 || shared == chosen.len() || shared == rejected.len() {
        let expected = "conversations that begin alike and end differently";
        return Err(Fault::new("rejected", expected, format!("{shared} turns alike")));
    }
    let (chosen_end, rejected_end) = (chosen.split_off(shared), rejected.split_off(shared));
    Ok(Sides {
        prompt: Turn::Messages(chosen),
        chosen: Turn::Messages(chosen_end),
        rejected: Turn::Messages(rejected_end),
    })
}

pub(crate) fn turn(row: &Row, name: &str) -> Result<Turn, Fault> {
    let value = row.get(name);
    match written_messages(name, value)?.as_ref().or(value) {
        // A prompt may be empty text, but a side may not. White space is part of a side.
        Some(Value::String(text)) if name == "prompt" || !text.is_empty() => {
            Ok(Turn::Text(text.clone()))
        }
        Some(Value::Array(turns)) if !turns.is_empty() => {
            let messages = turns.iter().enumerate().map(|(i, turn)| message(name, i, turn));
            messages.collect::<Result<_, _>>().map(Turn::Messages)
        }
        Some(turn @ Value::Object(_)) => Ok(Turn::Messages(vec![message(name, 0, turn)?])),
        other => Err(Fault::of(name, "text that is not empty, or messages", other)),
    }
}

/// Messages written as JSON in a text, as in a CSV column; `None` for other text.
fn written_messages(name: &str, value: Option<&Value>) -> Result<Option<Value>, Fault> {
    let text = value.and_then(Value::as_str).filter(|text| text.trim_start().starts_with("[{"));
    let Some(text) = text else { return Ok(None) };
    match serde_json::from_str::<Vec<Value>>(text) {
        Ok(turns) if turns.iter().all(|turn| turn.get("role").is_some()) => {
            Ok(Some(Value::Array(turns)))
        }
        Err(_) if text.contains("'role':") => {
            let expected = "messages as JSON, not in Python's notation";
            Err(Fault::new(name, expected, quote(text)))
        }
        _ => Ok(None),
    }
}

/// Reads a message of role and content only. Other fields (tool calls, images) are refused, because a chat
/// template would render them.
fn message(name: &str, index: usize, turn: &Value) -> Result<Message, Fault> {
    let place = format!("{name}[{index}]");
    let fields = turn.as_object().into_iter().flatten();
    let mut others = fields
        .filter(|(key, value)| !["role", "content"].contains(&key.as_str()) && !is_empty(value));
    if let Some((key, value)) = others.next() {
        let expected = "nothing: of a message `role` and `content` are read";
        return Err(Fault::of(&format!("{place}.{key}"), expected, Some(value)));
    }
    let text = |key: &str| match turn.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        other => Err(Fault::of(&format!("{place}.{key}"), "text", other)),
    };
    Ok(Message { role: text("role")?, content: text("content")? })
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
        for (value, rationale) in [("\" why \"", Some("why")), ("\"\"", None), ("null", None)] {
            let text =
                format!(r#"{{"prompt":"p","chosen":"a","rejected":"b","rationale":{value}}}"#);
            assert_eq!(preference(&row(&text)).unwrap().rationale.as_deref(), rationale);
        }
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
    fn sides_that_repeat_the_prompt_lose_it() {
        let q = r#"{"role":"user","content":"q"}"#;
        let side = |text: &str| format!(r#"{{"role":"assistant","content":"{text}"}}"#);
        let read = |prompt: &str, chosen: &str, rejected: &str| {
            preference(&row(&format!(
                r#"{{"prompt":{prompt},"chosen":{chosen},"rejected":{rejected}}}"#
            )))
        };
        let [a, b] = ["a", "b"].map(side);
        let alone = read(&format!("[{q}]"), &format!("[{a}]"), &format!("[{b}]")).unwrap();
        let whole = [format!("[{q},{a}]"), format!("[{q},{b}]")];
        for prompt in [format!("[{q}]"), "\"q\"".into(), "null".into()] {
            assert_eq!(read(&prompt, &whole[0], &whole[1]).as_ref(), Ok(&alone), "{prompt}");
        }
        assert_eq!(read(&format!("[{q}]"), &a, &b), Ok(alone));
        for (prompt, rejected) in
            [(format!("[{q}]"), format!("[{b}]")), ("\"p\"".into(), whole[1].clone())]
        {
            assert!(read(&prompt, &whole[0], &rejected).is_err(), "{prompt}");
        }
    }

    #[test]
    fn messages_in_a_text_are_messages() {
        let json = r#"{"prompt":"[{\"role\":\"user\",\"content\":\"q\"}]",
            "chosen":"[{\"role\":\"assistant\",\"content\":\"a\"}]",
            "rejected":"[{\"role\":\"assistant\",\"content\":\"b\"}]"}"#;
        assert!(
            matches!(preference(&row(json)).unwrap().chosen, Turn::Messages(turns) if turns[0].content == "a")
        );
        let python =
            r#"{"prompt":"p","chosen":"[{'role': 'assistant', 'content': 'a'}]","rejected":"b"}"#;
        assert_eq!(preference(&row(python)).unwrap_err().field, "chosen");
        let code = r#"{"prompt":"p","chosen":"[{\"x\": 1}]","rejected":"[{x: 1}]"}"#;
        assert_eq!(preference(&row(code)).unwrap().chosen, text("[{\"x\": 1}]"));
    }

    #[test]
    fn rows_of_no_layout_say_what_is_missing() {
        for (json, field) in [
            (r#"{"prompt":"p","chosen":"a"}"#, "rejected"),
            (r#"{"chosen":"a","rejected":"b"}"#, "prompt"),
            (r#"{"prompt":"p","chosen":"","rejected":"b"}"#, "chosen"),
            (r#"{"prompt":"p","chosen":"a","rejected":"a"}"#, "rejected"),
            (r#"{"prompt":"p","chosen":[{"role":"user"}],"rejected":"b"}"#, "chosen[0].content"),
            (r#"{"prompt":"p","chosen":[{"content":"c"}],"rejected":"b"}"#, "chosen[0].role"),
            (r#"{"prompt":"p","chosen":["c"],"rejected":"b"}"#, "chosen[0].role"),
            (
                r#"{"prompt":"p","chosen":[{"role":"u","content":[{"type":"image"}]}],"rejected":"b"}"#,
                "chosen[0].content",
            ),
            (
                r#"{"prompt":"p","chosen":[{"role":"u","content":"","tool_calls":[1]}],"rejected":"b"}"#,
                "chosen[0].tool_calls",
            ),
            (r#"{"prompt":"p","chosen":[{"role":"u","content":"c"}],"rejected":"b"}"#, "chosen"),
        ] {
            assert_eq!(preference(&row(json)).unwrap_err().field, field, "{json}");
        }
    }

    #[test]
    fn columns_that_change_what_a_template_renders_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.jsonl");
        let read = |columns: &str| {
            let row = format!(r#"{{"prompt":"p","chosen":"a","rejected":"b"{columns}}}"#);
            std::fs::write(&path, row).unwrap();
            let mut notices = Notices::default();
            let found = read_preferences(&path, &mut notices);
            found.map(|_| notices.lines()).map_err(|error| error.to_string())
        };
        for name in REFUSED {
            let error = read(&format!(r#","{name}":[{{"a":1}}]"#)).unwrap_err();
            assert!(error.contains(&format!("pairs.jsonl:1: field `{name}`")), "{error}");
            assert_eq!(read(&format!(r#","{name}":null"#)).unwrap(), Vec::<String>::new());
        }
        assert_eq!(read(r#","margin":2,"source":"s","full_chosen":"x""#).unwrap().len(), 0);
        let warned = read(r#","system":"s""#).unwrap();
        assert!(warned[0].contains("does not read these columns: `system`"), "{warned:?}");
    }

    #[test]
    fn every_listed_column_is_documented() {
        let docs = include_str!("../../docs/formats.md");
        for name in REFUSED.iter().chain(&IGNORED) {
            assert!(docs.contains(&format!("`{name}`")), "{name}");
        }
    }
}
