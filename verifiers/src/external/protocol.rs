//! The lines that a verifier process reads and writes.
//!
//! A request is `{id, about, problem, reference?, solution, step?, truncated}`, a reply
//! `{id, correct, score, trace}`. Messages about bad replies name the field. No output of a process can
//! make this program fail.

use std::fmt::Write;

use regrowth_datasets::{Choice, Problem};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{About, Claim, Finding, FoundBy};

/// Longest trace that is kept, in bytes.
const MAX_TRACE: usize = 4096;
/// Longest quotation of a line in a message, in characters.
const QUOTED: usize = 80;

/// A request without its id; equal questions serialise to equal texts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Question {
    about: About,
    problem: Asked,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<Reference>,
    solution: String,
    /// Text of the step to check.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// Whether the solution was cut off by its token budget.
    truncated: bool,
}

/// A problem without its answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Asked {
    id: String,
    source: String,
    question: String,
    choices: Vec<Choice>,
}

/// The reference answer and, if known, the reference solution.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Reference {
    answer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    solution: Option<String>,
}

impl Question {
    pub(super) fn new(problem: &Problem, claim: &Claim<'_>) -> Self {
        let reference =
            Reference { answer: problem.answer.clone(), solution: problem.solution.clone() };
        Self {
            about: claim.about,
            problem: Asked {
                id: problem.id.clone(),
                source: problem.source.clone(),
                question: problem.question.clone(),
                choices: problem.choices.clone(),
            },
            reference: claim.reference.then_some(reference),
            solution: claim.solution.to_owned(),
            step: (claim.about == About::Step).then(|| claim.step.to_owned()),
            truncated: claim.finish == regrowth_datasets::Finish::Length,
        }
    }

    /// The line of the request with id `id`.
    pub(super) fn line(&self, id: u64) -> Vec<u8> {
        #[derive(Serialize)]
        struct Request<'a> {
            id: u64,
            #[serde(flatten)]
            question: &'a Question,
        }
        // Only strings and integers are serialised, so this cannot fail.
        let mut line = serde_json::to_vec(&Request { id, question: self }).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// The serialised question, for its hash.
    pub(super) fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// A line from the process.
#[derive(Debug, PartialEq)]
pub(super) enum Reply {
    /// The reply to the request with this id.
    To(u64, Map<String, Value>),
    /// Any other line, quoted.
    Other(String),
}

impl Reply {
    pub(super) fn read(line: &[u8]) -> Self {
        match serde_json::from_slice(line) {
            Ok(Value::Object(fields)) => match fields.get("id").and_then(Value::as_u64) {
                Some(id) => Self::To(id, fields),
                None => Self::Other(quoted(line)),
            },
            _ => Self::Other(quoted(line)),
        }
    }
}

/// The finding of a reply; if a field has the wrong type, the finding has no verdict.
pub(super) fn finding(about: About, fields: &Map<String, Value>) -> Finding {
    let wrong = |field: &str, expected: &str, got: &Value| {
        let got = quoted(got.to_string().as_bytes());
        Finding {
            trace: format!("field `{field}`: expected {expected}, got {got}"),
            ..Finding::faulty(about, "bad_reply")
        }
    };
    let correct = match fields.get("correct") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(correct)) => Some(*correct),
        Some(other) => return wrong("correct", "true, false or null", other),
    };
    let score = match fields.get("score") {
        None | Some(Value::Null) => None,
        Some(value) => match value.as_f64().filter(|score| (0.0..=1.0).contains(score)) {
            Some(score) => Some(score),
            None => return wrong("score", "a number in [0, 1] or null", value),
        },
    };
    let trace = match fields.get("trace") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    Finding { by: FoundBy::Command, about, correct, score, trace: cut(&trace), fault: None }
}

/// The trace up to [`MAX_TRACE`] bytes, and a note on how much was cut off.
fn cut(trace: &str) -> String {
    if trace.len() <= MAX_TRACE {
        return trace.to_owned();
    }
    let end = trace.floor_char_boundary(MAX_TRACE);
    let mut kept = trace[..end].to_owned();
    let _ = write!(kept, " ... ({} more bytes)", trace.len() - end);
    kept
}

/// The beginning of a line, for a message.
pub(super) fn quoted(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(4 * QUOTED)]);
    let mut chars = text.trim_end().chars();
    let mut quote: String = chars.by_ref().take(QUOTED).collect();
    if chars.next().is_some() || line.len() > 4 * QUOTED {
        quote.push_str(" ...");
    }
    format!("`{quote}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Finding {
        match Reply::read(line.as_bytes()) {
            Reply::To(7, fields) => finding(About::Solution, &fields),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn replies_become_findings() {
        let full = read(r#"{"id":7,"correct":true,"score":0.5,"trace":"3 of 6"}"#);
        assert_eq!((full.correct, full.score, &*full.trace), (Some(true), Some(0.5), "3 of 6"));
        assert_eq!(full.summary(), "right 0.50 (3 of 6)");
        let none = read(r#"{"id":7,"correct":null,"other":1}"#);
        assert_eq!(
            (none.correct, none.score, none.undecided().as_str()),
            (None, None, "verifier_null")
        );
        let long = read(&format!(r#"{{"id":7,"trace":"{}"}}"#, "\u{e9}".repeat(3000)));
        assert!(long.trace.ends_with(" ... (1904 more bytes)"), "{}", long.trace);
    }

    #[test]
    fn fields_of_the_wrong_kind_are_named() {
        for (field, value) in
            [("correct", "\"yes\""), ("correct", "1"), ("score", "1.5"), ("score", "\"high\"")]
        {
            let found = read(&format!(r#"{{"id":7,"{field}":{value}}}"#));
            assert_eq!(found.undecided(), "verifier_bad_reply");
            assert!(found.trace.contains(field) && found.trace.contains(value), "{}", found.trace);
        }
    }

    #[test]
    fn what_is_no_reply_is_quoted() {
        for line in ["loading model", "[1]", r#"{"correct":true}"#, r#"{"id":"7"}"#, r#"{"id":-1}"#]
        {
            assert!(
                matches!(Reply::read(line.as_bytes()), Reply::Other(quote) if quote.contains(line))
            );
        }
        let Reply::Other(long) = Reply::read(&[b'x'; 5000]) else { panic!("is no reply") };
        assert!(long.len() < 100, "{long}");
    }
}
