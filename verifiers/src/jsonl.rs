//! Reads JSON lines of pairs, grades them block by block on several threads, and writes the verdicts as
//! JSON lines.
//!
//! The row format is that of `regrowth verify`; the caller passes readers and writers. Only one block of
//! rows is in memory. Invalid UTF-8 is replaced within its line, because it comes from models and must
//! not stop a run.

use std::io::{BufRead, Write};
use std::time::Instant;

use regrowth_datasets::{AnswerKind, Choice, Finish, Problem};
use serde::Serialize;
use serde_json::Value;

use crate::batch::{self, Timed};
use crate::choice::ChoiceOption;
use crate::error::VerifyError;
use crate::grader::{Form, Grader, Pair};
use crate::{About, Claim, Finding, Verdict, Verifier};

/// Maximum number of rows per block.
const BLOCK: usize = 4096;
/// Maximum number of bytes per block.
const BLOCK_BYTES: usize = 64 << 20;
/// Longest quotation of a bad value in an error, in characters.
const QUOTED: usize = 60;

/// Labels of a row of kind `choice` without labels of its own.
const DEFAULT_LABELS: [&str; 5] = ["A", "B", "C", "D", "E"];

/// Number of rows by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Number of all rows.
    pub rows: usize,
    /// Answers equal to their reference.
    pub equal: usize,
    /// Answers different from their reference, missing ones included.
    pub different: usize,
    /// Comparisons without a verdict.
    pub undecided: usize,
}

/// Grades every row of `input` and writes one verdict per row to `output`, in input order.
///
/// A row is `{id?, gold, pred, form?, gold_form?, choices?, options?}`: `form` is `text` (default),
/// `answer` or `truncated` (a text ended by its token budget), `gold_form` is `answer` (default) or
/// `text`, `choices` is a list of labels, `options` an object from label to text. Other fields are
/// ignored; a row without `id` gets its line number as id. A verdict is
/// `{id, verdict, rule, reason?, micros}`. Empty lines are skipped.
///
/// # Errors
///
/// [`VerifyError::Row`] with line and field of the first malformed row; the verdicts of the blocks before
/// it have been written.
pub fn verify_jsonl(
    grader: &Grader,
    input: impl BufRead,
    output: impl Write,
    threads: usize,
) -> Result<Tally, VerifyError> {
    check_rows(input, output, |rows| Ok(batch::map_ordered(rows, threads, |row| row.grade(grader))))
}

/// As [`verify_jsonl`], with a verifier that gives findings, such as a verifier command. It gets each row
/// as a solution (`pred`) of a problem (`question`, if given, and `choices`) with the reference `gold`.
/// The verdicts then have the rule `command` and, if given, `score` and `trace`.
///
/// # Errors
///
/// As [`verify_jsonl`], and [`VerifyError::Verifier`] if the verifier can no longer be used.
pub fn verify_jsonl_with(
    verifier: &dyn Verifier,
    input: impl BufRead,
    output: impl Write,
    threads: usize,
) -> Result<Tally, VerifyError> {
    check_rows(input, output, |rows| {
        let checked = batch::map_ordered(rows, threads, |row| row.check(verifier));
        verifier.failure().map_or(Ok(checked), |why| Err(VerifyError::Verifier(why)))
    })
}

/// Reads rows block by block, and writes the results of `check`.
fn check_rows(
    input: impl BufRead,
    mut output: impl Write,
    check: impl Fn(&[CaseRow]) -> Result<Vec<Checked>, VerifyError>,
) -> Result<Tally, VerifyError> {
    let mut tally = Tally::default();
    let mut lines = Lines { input, line: 0, buffer: Vec::new() };
    loop {
        let rows = lines.block()?;
        if rows.is_empty() {
            output.flush()?;
            return Ok(tally);
        }
        for (row, checked) in rows.iter().zip(check(&rows)?) {
            tally.count(&checked.verdict);
            write_verdict(&mut output, &row.id, &checked)?;
        }
    }
}

/// Result for a row.
struct Checked {
    verdict: Verdict,
    rule: &'static str,
    reason: Option<String>,
    micros: u64,
    score: Option<f64>,
    trace: String,
}

impl Tally {
    fn count(&mut self, verdict: &Verdict) {
        self.rows += 1;
        match verdict {
            Verdict::Equal => self.equal += 1,
            Verdict::Different => self.different += 1,
            Verdict::Undecided(_) => self.undecided += 1,
        }
    }
}

/// The serialised form of a verdict.
#[derive(Serialize)]
struct VerdictRow<'a> {
    id: &'a Value,
    verdict: &'static str,
    rule: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    trace: &'a str,
    micros: u64,
}

fn write_verdict(
    output: &mut impl Write,
    id: &Value,
    checked: &Checked,
) -> Result<(), VerifyError> {
    let row = VerdictRow {
        id,
        verdict: match checked.verdict {
            Verdict::Equal => "equal",
            Verdict::Different => "different",
            Verdict::Undecided(_) => "undecided",
        },
        rule: checked.rule,
        reason: checked.reason.as_deref(),
        score: checked.score,
        trace: &checked.trace,
        micros: checked.micros,
    };
    serde_json::to_writer(&mut *output, &row).map_err(std::io::Error::from)?;
    output.write_all(b"\n")?;
    Ok(())
}

/// A parsed row.
struct CaseRow {
    id: Value,
    question: String,
    gold: String,
    answer: String,
    gold_form: Form,
    answer_form: Form,
    options: Vec<(String, String)>,
}

impl CaseRow {
    fn grade(&self, grader: &Grader) -> Checked {
        let options: Vec<ChoiceOption<'_>> =
            self.options.iter().map(|(label, text)| ChoiceOption { label, text }).collect();
        let pair = Pair {
            gold: &self.gold,
            answer: &self.answer,
            gold_form: self.gold_form,
            answer_form: self.answer_form,
            options: &options,
        };
        let Timed { graded, micros } = batch::timed(grader, &pair);
        Checked {
            verdict: graded.verdict,
            rule: graded.rule.name(),
            reason: graded.reason.map(|reason| reason.name().to_owned()),
            micros,
            score: None,
            trace: String::new(),
        }
    }

    /// Has a verifier check the row as a finished solution.
    fn check(&self, verifier: &dyn Verifier) -> Checked {
        let start = Instant::now();
        let truncated = self.answer_form == Form::Truncated;
        let claim = Claim {
            about: About::Solution,
            solution: &self.answer,
            step: "",
            finish: if truncated { Finish::Length } else { Finish::Eos },
            reference: true,
        };
        let found = verifier.examine(&self.problem(), &[claim]).and_then(|mut found| found.pop());
        let found = found.unwrap_or_else(|| Finding::faulty(About::Solution, "stopped"));
        let reason = found.correct.is_none().then(|| found.undecided());
        Checked {
            verdict: match found.correct {
                Some(true) => Verdict::Equal,
                Some(false) => Verdict::Different,
                None => Verdict::Undecided(found.undecided()),
            },
            rule: "command",
            reason,
            micros: u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX),
            score: found.score,
            trace: found.trace,
        }
    }

    fn problem(&self) -> Problem {
        let choice =
            |(label, text): &(String, String)| Choice { label: label.clone(), text: text.clone() };
        Problem {
            id: self.id.as_str().map_or_else(|| self.id.to_string(), str::to_owned),
            source: "rows".to_owned(),
            question: self.question.clone(),
            choices: self.options.iter().map(choice).collect(),
            answer: self.gold.clone(),
            kind: if self.options.is_empty() { AnswerKind::Text } else { AnswerKind::Choice },
            solution: None,
            level: None,
        }
    }
}

/// Reads rows block by block.
struct Lines<R> {
    input: R,
    line: usize,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    fn block(&mut self) -> Result<Vec<CaseRow>, VerifyError> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        while rows.len() < BLOCK && bytes < BLOCK_BYTES {
            self.buffer.clear();
            self.line += 1;
            let read = self
                .input
                .read_until(b'\n', &mut self.buffer)
                .map_err(|source| VerifyError::Read { line: self.line, source })?;
            if read == 0 {
                break;
            }
            bytes += read;
            let text = String::from_utf8_lossy(&self.buffer);
            let text = text.trim_start_matches('\u{feff}').trim();
            if !text.is_empty() {
                rows.push(row(text, self.line)?);
            }
        }
        Ok(rows)
    }
}

/// Reads one row.
fn row(text: &str, line: usize) -> Result<CaseRow, VerifyError> {
    let fault = |field, expected, got: &str| VerifyError::Row {
        line,
        field,
        expected,
        got: got.chars().take(QUOTED).collect(),
    };
    let parsed = serde_json::from_str(text).or_else(|_| serde_json::from_str(&paired(text)));
    let value: Value = parsed.map_err(|_| fault("row", "a JSON object", text))?;
    let Value::Object(object) = &value else {
        return Err(fault("row", "a JSON object", text));
    };
    let string = |field: &'static str| match object.get(field) {
        Some(Value::String(s)) => Ok(s.clone()),
        // Many sets publish references as numbers.
        Some(Value::Number(n)) => Ok(n.to_string()),
        Some(other) => Err(fault(field, "a string", &other.to_string())),
        None => Err(fault(field, "a string", "nothing")),
    };
    let form = |field: &'static str, default| match object.get(field) {
        None | Some(Value::Null) => Ok(default),
        Some(Value::String(s)) if s == "text" => Ok(Form::Text),
        Some(Value::String(s)) if s == "answer" => Ok(Form::Answer),
        Some(Value::String(s)) if s == "truncated" && field == "form" => Ok(Form::Truncated),
        Some(other) => {
            Err(fault(field, "`text`, `answer` or, of a `pred`, `truncated`", &other.to_string()))
        }
    };
    let id = match object.get("id") {
        Some(id @ (Value::String(_) | Value::Number(_))) => id.clone(),
        Some(other) => return Err(fault("id", "a string or a number", &other.to_string())),
        None => Value::from(line),
    };
    Ok(CaseRow {
        id,
        question: object.get("question").and_then(Value::as_str).unwrap_or_default().to_owned(),
        gold: string("gold")?,
        answer: match object.get("pred") {
            // A missing output is a wrong answer, not a malformed row.
            Some(Value::Null) => String::new(),
            _ => string("pred")?,
        },
        gold_form: form("gold_form", Form::Answer)?,
        answer_form: form("form", Form::Text)?,
        options: options(object, line)?,
    })
}

/// Replaces unpaired surrogate escapes in JSON text by the replacement character; some writers produce
/// them from invalid UTF-8.
fn paired(text: &str) -> String {
    let half = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok().filter(|code| (0xd800..0xe000).contains(code))
    };
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(step) = text[at..].chars().next() {
        let length = match (half(at), half(at + 6)) {
            (Some(0xd800..0xdc00), Some(0xdc00..)) => 12,
            (Some(_), _) => {
                out.push('\u{fffd}');
                at += 6;
                continue;
            }
            // An escaped backslash does not begin another escape.
            _ if text[at..].starts_with("\\\\") => 2,
            _ => step.len_utf8(),
        };
        out.push_str(&text[at..at + length]);
        at += length;
    }
    out
}

/// Labels in order, with the texts given for them.
fn options(
    object: &serde_json::Map<String, Value>,
    line: usize,
) -> Result<Vec<(String, String)>, VerifyError> {
    let fault = |field, expected, got: &Value| VerifyError::Row {
        line,
        field,
        expected,
        got: got.to_string().chars().take(QUOTED).collect(),
    };
    let texts = match object.get("options") {
        None | Some(Value::Null) => None,
        Some(Value::Object(texts)) => Some(texts),
        Some(other) => return Err(fault("options", "an object from label to text", other)),
    };
    let mut options = Vec::new();
    match object.get("choices") {
        None | Some(Value::Null) => {
            for (label, text) in texts.into_iter().flatten() {
                let text = text.as_str().ok_or_else(|| fault("options", "texts", text))?;
                options.push((label.clone(), text.to_owned()));
            }
        }
        Some(Value::Array(labels)) => {
            for label in labels {
                let label =
                    label.as_str().ok_or_else(|| fault("choices", "a list of labels", label))?;
                let text = texts.and_then(|t| t.get(label)).and_then(Value::as_str).unwrap_or("");
                options.push((label.to_owned(), text.to_owned()));
            }
        }
        Some(other) => return Err(fault("choices", "a list of labels", other)),
    }
    if options.is_empty() && object.get("kind").and_then(Value::as_str) == Some("choice") {
        options.extend(DEFAULT_LABELS.map(|label| (label.to_owned(), String::new())));
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(input: &[u8], threads: usize) -> Result<(Tally, Vec<Value>), VerifyError> {
        let mut output = Vec::new();
        let tally = verify_jsonl(&Grader::default(), input, &mut output, threads)?;
        let rows = output
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).unwrap())
            .collect();
        Ok((tally, rows))
    }

    #[test]
    fn rows_come_out_in_order() {
        let mut input = String::new();
        for k in 0..300 {
            let pred = if k % 3 == 0 { k + 1 } else { k };
            input +=
                &format!("{{\"id\":{k},\"gold\":\"{k}\",\"pred\":\"#### {pred}\",\"x\":1}}\n\n");
        }
        let (tally, rows) = run(input.as_bytes(), 3).unwrap();
        assert_eq!((tally.rows, tally.equal, tally.different), (300, 200, 100));
        for (k, row) in rows.iter().enumerate() {
            assert_eq!(row["id"], k);
            assert_eq!(row["rule"], "hashes");
            assert_eq!(row["verdict"], if k % 3 == 0 { "different" } else { "equal" });
            assert!(row["micros"].is_u64());
        }
    }

    #[test]
    fn choices_and_forms_are_read() {
        let input = br#"{"id":"a","gold":"B","pred":"The answer is (B).","choices":["A","B"]}
{"id":"b","gold":"B","pred":"steel","options":{"A":"wood","B":"steel"}}
{"id":"c","gold":"so \\boxed{5}","gold_form":"text","pred":"5","form":"answer"}
{"id":"d","gold":"5","pred":null}"#;
        let (_, rows) = run(input, 1).unwrap();
        let verdicts: Vec<&str> = rows.iter().map(|r| r["verdict"].as_str().unwrap()).collect();
        assert_eq!(verdicts, ["equal", "equal", "equal", "different"]);
        assert_eq!(rows[3]["reason"], "no-answer");
    }

    #[test]
    fn bad_rows_are_named() {
        for (input, expected) in [
            (&b"{\"id\":1,\"gold\":\"1\",\"pred\":\"1\"}\n[1]"[..], "line 2: field `row`"),
            (b"{\"id\":1,\"pred\":\"1\"}", "line 1: field `gold`: expected a string, got nothing"),
            (b"{\"id\":1,\"gold\":\"1\",\"pred\":{}}", "line 1: field `pred`"),
            (b"{\"id\":1,\"gold\":\"1\",\"pred\":\"\",\"form\":\"x\"}", "line 1: field `form`"),
            (b"not json", "line 1: field `row`"),
        ] {
            let error = run(input, 1).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn halves_of_characters_are_replaced() {
        let input = br#"{"gold":"5","pred":"\ud83d #### 5"}
{"gold":"\ud83d\ude00","pred":"\ud83d\ude00","form":"answer"}
{"gold":"5","pred":"\\ud83d \udc00 5"}"#;
        let (tally, rows) = run(input, 1).unwrap();
        assert_eq!((tally.rows, &rows[0]["verdict"]), (3, &"equal".into()));
        assert_eq!((&rows[1]["verdict"], &rows[1]["id"]), (&"equal".into(), &2.into()));
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        let (tally, rows) =
            run(b"{\"id\":1,\"gold\":\"5\",\"pred\":\"\xff\xfe #### 5\"}", 1).unwrap();
        assert_eq!((tally.equal, rows.len()), (1, 1));
    }
}
