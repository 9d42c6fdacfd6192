//! The user's choice of a prompt form, and worked examples (few-shot) for it.
//!
//! The templates are in `text::prompt`. This file has the types of flags and settings, so it is also part of
//! builds without any engine.

use std::path::PathBuf;
use std::sync::Arc;

use regrowth_datasets::{Choice, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Prompt settings that override the defaults for the model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PromptOptions {
    /// The form; by default the checkpoint's own (`regrowth.json`), or else the default for its kind.
    pub form: Option<PromptName>,
    /// Worked examples before the question, in this order.
    pub shots: Arc<[Exemplar]>,
}

/// A prompt form, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum PromptName {
    /// Reason step by step, the answer in `\boxed{}`.
    Boxed,
    /// `Question: ... Answer: ...`, the answer after `####`, as in the solutions of GSM8K.
    Gsm8k,
    /// Options with their labels, reason step by step, then the label; like `boxed` if there are no options.
    Choice,
    /// Only the question and its options.
    Plain,
    /// A template in a file.
    File(PathBuf),
}

impl PromptName {
    /// The forms that need no file.
    pub const NAMES: [(&str, Self); 4] = [
        ("boxed", Self::Boxed),
        ("gsm8k", Self::Gsm8k),
        ("choice", Self::Choice),
        ("plain", Self::Plain),
    ];
}

impl PromptName {
    /// Returns a worked solution with its answer in the style of this form, unless the solution already has
    /// it.
    #[must_use]
    pub fn answered(&self, worked: &Exemplar) -> String {
        let Exemplar { choices, solution, answer, .. } = worked;
        match self {
            Self::Choice if !choices.is_empty() => format!("{solution}\nAnswer: {answer}"),
            Self::Boxed | Self::Choice if solution.contains("\\boxed") => solution.clone(),
            Self::Boxed | Self::Choice => {
                format!("{solution}\nThe final answer is \\boxed{{{answer}}}.")
            }
            Self::Gsm8k => format!("{solution}\n#### {answer}"),
            Self::Plain | Self::File(_) => format!("{solution}\nThe answer is {answer}."),
        }
    }
}

impl std::str::FromStr for PromptName {
    type Err = String;

    /// Any text that is not a name is the path of a file, which is read when a policy is loaded.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("expected boxed, gsm8k, choice, plain or the path of a template".into());
        }
        let named = Self::NAMES.into_iter().find(|(name, _)| *name == text);
        Ok(named.map_or_else(|| Self::File(text.into()), |(_, form)| form))
    }
}

impl std::fmt::Display for PromptName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match Self::NAMES.iter().find(|(_, form)| form == self) {
            Some((name, _)) => f.write_str(name),
            None => match self {
                Self::File(path) => write!(f, "{}", path.display()),
                _ => Ok(()),
            },
        }
    }
}

impl TryFrom<String> for PromptName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PromptName> for String {
    fn from(name: PromptName) -> Self {
        name.to_string()
    }
}

/// A solved problem that a prompt shows before the question (few-shot).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exemplar {
    /// The question.
    pub question: String,
    /// Its options, if it has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// A worked solution, without the line that states the answer.
    pub solution: String,
    /// The answer: a number, an expression, or the label of an option.
    pub answer: String,
}

impl Exemplar {
    /// Builds an example from a problem with its reference solution, without GSM8K's calculator marks
    /// (`<<2*3=6>>`) and the line that states the answer. `None` if the problem has no solution or no
    /// answer.
    #[must_use]
    pub fn of(problem: &Problem) -> Option<Self> {
        let solution = without_marks(problem.solution.as_deref()?);
        let solution = without_answer(solution.trim()).to_owned();
        (!solution.is_empty() && !problem.answer.is_empty()).then(|| Self {
            question: problem.question.clone(),
            choices: problem.choices.clone(),
            solution,
            answer: problem.answer.clone(),
        })
    }
}

/// Removes a last line `#### answer`, because a form states the answer in its own style.
fn without_answer(solution: &str) -> &str {
    let last = solution.rfind('\n').map_or(0, |at| at + 1);
    match solution[last..].trim_start().starts_with("####") {
        true => solution[..last].trim_end(),
        false => solution,
    }
}

/// Removes text between `<<` and `>>` on one line.
fn without_marks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<<") {
        out.push_str(before);
        match after.split_once(">>") {
            Some((mark, behind)) if !mark.contains('\n') => rest = behind,
            _ => {
                out.push_str("<<");
                rest = after;
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_datasets::AnswerKind;

    #[test]
    fn names_go_there_and_back_and_anything_else_is_a_file() {
        for (name, form) in PromptName::NAMES {
            assert_eq!((name.parse(), form.to_string()), (Ok(form.clone()), name.to_owned()));
        }
        let file: PromptName = "forms/boxed".parse().unwrap();
        assert_eq!(file, PromptName::File("forms/boxed".into()));
        assert_eq!(file.to_string(), "forms/boxed");
        assert!("".parse::<PromptName>().unwrap_err().contains("gsm8k"));
    }

    #[test]
    fn an_exemplar_is_a_solved_problem_without_calculator_marks() {
        let problem = |solution: Option<&str>| Problem {
            id: "p".into(),
            source: "gsm8k".into(),
            question: "Two pens at 3?".into(),
            choices: vec![],
            answer: "6".into(),
            kind: AnswerKind::Number,
            solution: solution.map(str::to_owned),
            level: None,
        };
        let found = Exemplar::of(&problem(Some("2*3=<<2*3=6>>6\nSo $<<6=6>>6, as 1 << 3 > 6.\n")));
        assert_eq!(found.unwrap().solution, "2*3=6\nSo $6, as 1 << 3 > 6.");
        assert_eq!(Exemplar::of(&problem(Some("2*3=6\n#### 6\n"))).unwrap().solution, "2*3=6");
        for none in [" \n", "#### 6"] {
            assert_eq!(Exemplar::of(&problem(Some(none))), None);
        }
        assert_eq!(Exemplar::of(&problem(None)), None);
    }
}
