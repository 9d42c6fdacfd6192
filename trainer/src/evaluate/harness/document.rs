//! Converts a row of a data set to an item of a lm-eval task: prompt, target, options.
//!
//! Rows may have the columns of the Hugging Face hub or of the authors' release. Text is trimmed only where
//! the task's own template trims it, so prompts equal the harness's token for token.

use std::path::Path;

use regrowth_datasets::{DataError, RawRow};
use serde_json::{Map, Value};

use super::task::HarnessTask;

/// One item of a task.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Document {
    /// The row as read.
    pub(super) row: Map<String, Value>,
    /// The prompt.
    pub(super) prompt: String,
    /// The reference, as shown in few-shot examples and compared by the metrics.
    pub(super) target: String,
    /// Continuations to score; empty if the task generates text.
    pub(super) choices: Vec<String>,
    /// Index of the right continuation.
    pub(super) gold: usize,
}

/// A field with unexpected content.
struct Bad {
    field: &'static str,
    expected: &'static str,
}

/// Question, options and the index of the right option.
struct Choices {
    question: String,
    texts: Vec<String>,
    gold: usize,
}

impl Document {
    /// Converts a row of the file `path`, following the task's template.
    pub(super) fn read(task: HarnessTask, row: RawRow, path: &Path) -> Result<Self, DataError> {
        let RawRow { line, fields } = row;
        let read = Self::of(task, &fields).map_err(|Bad { field, expected }| DataError::Row {
            path: path.to_owned(),
            line,
            field: field.to_owned(),
            expected: expected.to_owned(),
            got: fields.get(field).map_or("nothing".into(), |v| shortened(&v.to_string())),
        })?;
        Ok(Self { row: fields, ..read })
    }

    fn of(task: HarnessTask, row: &Map<String, Value>) -> Result<Self, Bad> {
        match task {
            HarnessTask::Arc => {
                let Choices { question, texts, gold } = choices(row, "question")?;
                Ok(Self::options(format!("Question: {question}\nAnswer:"), texts, gold))
            }
            HarnessTask::OpenBookQa => {
                let Choices { question, texts, gold } = choices(row, "question_stem")?;
                Ok(Self::options(question, texts, gold))
            }
            HarnessTask::CommonsenseQa => commonsense(row),
            HarnessTask::SciQ => sciq(row),
            HarnessTask::Gsm8k => {
                let prompt = format!("Question: {}\nAnswer:", text(row, "question")?);
                Ok(Self::free(prompt, text(row, "answer")?))
            }
            HarnessTask::Gsm8kCot => {
                let prompt = format!("Q: {}\nA:", text(row, "question")?);
                let target = match row.get("answer").and_then(Value::as_str) {
                    Some(answer) => answer.rsplit("####").next().unwrap_or_default().trim(),
                    None => text(row, "target")?,
                };
                Ok(Self::free(prompt, target))
            }
            HarnessTask::MinervaMath => {
                let prompt = format!("Problem:\n{}\n\nSolution:", text(row, "problem")?);
                Ok(Self::free(prompt, text(row, "solution")?))
            }
            HarnessTask::HendrycksMath => {
                let prompt = format!("Problem: {}\nAnswer:", text(row, "problem")?);
                Ok(Self::free(prompt, text(row, "solution")?))
            }
        }
    }

    fn free(prompt: String, target: &str) -> Self {
        let (row, choices) = (Map::new(), Vec::new());
        Self { row, prompt, target: target.to_owned(), choices, gold: 0 }
    }

    fn options(prompt: String, choices: Vec<String>, gold: usize) -> Self {
        let target = choices.get(gold).cloned().unwrap_or_default();
        Self { row: Map::new(), prompt, target, choices, gold }
    }
}

fn commonsense(row: &Map<String, Value>) -> Result<Document, Bad> {
    const LETTERS: [&str; 5] = ["A", "B", "C", "D", "E"];
    let Choices { question, texts, gold } = choices(row, "question")?;
    if texts.len() != LETTERS.len() {
        return Err(Bad { field: "choices", expected: "five options" });
    }
    let mut prompt = format!("Question: {}\n", question.trim());
    for (letter, text) in LETTERS.iter().zip(&texts) {
        prompt += &format!("{letter}. {text}\n");
    }
    Ok(Document::options(prompt + "Answer:", LETTERS.map(str::to_owned).to_vec(), gold))
}

fn sciq(row: &Map<String, Value>) -> Result<Document, Bad> {
    let (support, question) = (text(row, "support")?.trim_start(), text(row, "question")?);
    let names = ["distractor1", "distractor2", "distractor3", "correct_answer"];
    let texts = names.iter().map(|name| text(row, name).map(str::to_owned));
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    Ok(Document::options(format!("{support}\nQuestion: {question}\nAnswer:"), texts, 3))
}

fn text<'a>(row: &'a Map<String, Value>, field: &'static str) -> Result<&'a str, Bad> {
    row.get(field).and_then(Value::as_str).ok_or(Bad { field, expected: "text" })
}

/// Reads the options from `choices {text, label}` next to the question in `name`, as on the hub, or from
/// `question {stem, choices}`, as released by the authors.
fn choices(row: &Map<String, Value>, name: &'static str) -> Result<Choices, Bad> {
    const OPTIONS: Bad = Bad { field: "choices", expected: "options with text and label" };
    let (question, pairs) = match row.get("question") {
        Some(Value::Object(inner)) => {
            let options = inner.get("choices").and_then(Value::as_array).ok_or(OPTIONS)?;
            let pairs = options.iter().map(|o| Some((field(o, "label")?, field(o, "text")?)));
            let expected = "an object with stem and choices";
            let question = inner.get("stem").and_then(Value::as_str);
            (
                question.ok_or(Bad { field: "question", expected })?,
                pairs.collect::<Option<Vec<_>>>(),
            )
        }
        _ => {
            let list = |key| row.get("choices")?.get(key)?.as_array();
            let (labels, texts) = list("label").zip(list("text")).ok_or(OPTIONS)?;
            let pairs = labels.iter().zip(texts).map(|(l, t)| Some((l.as_str()?, t.as_str()?)));
            (text(row, name)?, pairs.collect::<Option<Vec<_>>>())
        }
    };
    let pairs = pairs.ok_or(OPTIONS)?;
    let key = text(row, "answerKey")?.trim_start();
    let expected = "the label of an option";
    let gold = pairs.iter().position(|(label, _)| *label == key);
    let gold = gold.ok_or(Bad { field: "answerKey", expected })?;
    let texts = pairs.iter().map(|(_, text)| (*text).to_owned()).collect();
    Ok(Choices { question: question.to_owned(), texts, gold })
}

fn field<'a>(option: &'a Value, name: &str) -> Option<&'a str> {
    option.get(name)?.as_str()
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(80).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(task: &str, row: Value) -> Result<Document, String> {
        let Value::Object(fields) = row else { panic!("an object") };
        let row = RawRow { line: 3, fields };
        Document::read(task.parse().unwrap(), row, Path::new("rows.jsonl"))
            .map_err(|e| e.to_string())
    }

    #[test]
    fn released_and_served_rows_are_put_alike() {
        let served = json!({
            "question": "Which?", "answerKey": "2",
            "choices": { "text": ["one", "two"], "label": ["1", "2"] },
        });
        let released = json!({
            "question": { "stem": "Which?", "choices": [
                { "text": "one", "label": "1" }, { "text": "two", "label": "2" },
            ] },
            "answerKey": "2",
        });
        let [a, b] = [served, released].map(|row| read("arc_easy", row).unwrap());
        assert_eq!((&a.prompt, &a.choices, a.gold), (&b.prompt, &b.choices, b.gold));
        assert_eq!(a.prompt, "Question: Which?\nAnswer:");
        assert_eq!((a.target.as_str(), a.gold), ("two", 1));
    }

    #[test]
    fn templates_are_those_of_the_tasks() {
        let row = json!({ "question": "1+1?", "answer": "1+1=<<1+1=2>>2\n#### 2" });
        let plain = read("gsm8k", row.clone()).unwrap();
        assert_eq!(plain.prompt, "Question: 1+1?\nAnswer:");
        assert_eq!(plain.target, "1+1=<<1+1=2>>2\n#### 2");
        let cot = read("gsm8k_cot", row).unwrap();
        assert_eq!((cot.prompt.as_str(), cot.target.as_str()), ("Q: 1+1?\nA:", "2"));
        let row = json!({ "problem": "P", "solution": "\\boxed{1}" });
        let minerva = read("minerva_math_algebra", row.clone()).unwrap();
        assert_eq!(minerva.prompt, "Problem:\nP\n\nSolution:");
        assert_eq!(read("hendrycks_math", row).unwrap().prompt, "Problem: P\nAnswer:");
        let row = json!({ "support": " S.", "question": "Q", "distractor1": "a", "distractor2": "b",
            "distractor3": "c", "correct_answer": "d" });
        let sciq = read("sciq", row).unwrap();
        assert_eq!((sciq.prompt.as_str(), sciq.gold), ("S.\nQuestion: Q\nAnswer:", 3));
        let row = json!({ "question": " Q ", "answerKey": "B",
            "choices": { "text": ["v", "w", "x", "y", "z"], "label": ["A", "B", "C", "D", "E"] } });
        let commonsense = read("commonsense_qa", row).unwrap();
        assert_eq!(commonsense.prompt, "Question: Q\nA. v\nB. w\nC. x\nD. y\nE. z\nAnswer:");
        assert_eq!(commonsense.target, "B");
    }

    #[test]
    fn what_is_missing_is_named_with_file_line_and_field() {
        let error = read("gsm8k", json!({ "question": "1+1?", "answer": 2 })).unwrap_err();
        assert_eq!(error, "rows.jsonl:3: field `answer`: expected text, got 2");
        let row = json!({ "question": "Q", "answerKey": "Z",
            "choices": { "text": ["one"], "label": ["1"] } });
        assert!(read("arc_easy", row).unwrap_err().contains("`answerKey`"));
        let error = "gsm9k".parse::<HarnessTask>().unwrap_err();
        assert!(error.contains("gsm8k_cot"), "{error}");
    }
}
