//! Reads the tables of cases for the tests that grade them.
//!
//! A row can be graded and holds the expected verdict; the test decides what a wrong verdict means. The
//! format is that of the published development set.

use std::collections::BTreeMap;
use std::path::Path;

use regrowth_verifiers::{ChoiceOption, Form, Graded, Grader, Pair, Verdict};
use serde::Deserialize;

/// One case.
#[derive(Debug, Deserialize)]
pub struct Row {
    pub gold: String,
    pub pred: String,
    /// Whether the answers are equal.
    expect: bool,
    #[serde(default)]
    form: Option<String>,
    #[serde(default)]
    gold_form: Option<String>,
    #[serde(default)]
    choices: Vec<String>,
    #[serde(default)]
    options: BTreeMap<String, String>,
}

impl Row {
    /// The verdict of the default grader, and whether it is the expected one.
    pub fn grade(&self) -> (Graded, bool) {
        self.grade_by(&Grader::default())
    }

    /// As [`Row::grade`], with another grader.
    pub fn grade_by(&self, grader: &Grader) -> (Graded, bool) {
        let form = |name: &Option<String>, default| match name.as_deref() {
            None => default,
            Some("answer") => Form::Answer,
            Some(_) => Form::Text,
        };
        let text = |label: &String| self.options.get(label).map_or("", String::as_str);
        let options: Vec<ChoiceOption<'_>> =
            self.choices.iter().map(|label| ChoiceOption { label, text: text(label) }).collect();
        let graded = grader.grade(&Pair {
            gold: &self.gold,
            answer: &self.pred,
            gold_form: form(&self.gold_form, Form::Answer),
            answer_form: form(&self.form, Form::Text),
            options: &options,
        });
        let right = (graded.verdict == Verdict::Equal) == self.expect;
        (graded, right)
    }
}

/// The rows of one file of JSON lines.
pub fn rows(path: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// All tables in a folder with their names, sorted.
pub fn tables(folder: &Path) -> BTreeMap<String, Vec<Row>> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_stem().unwrap().to_string_lossy().into_owned(), rows(&path))
        })
        .collect()
}
