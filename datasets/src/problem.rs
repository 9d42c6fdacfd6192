//! A problem: question, options, reference answer and, if known, a reference solution.
//!
//! The policy makes prompts and the verifiers check answers; [`AnswerKind`] only states the kind of the
//! reference.

use serde::{Deserialize, Serialize};

/// One question with its reference answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// Unique within its file and stable between reads of the same file.
    pub id: String,
    /// Name of the set it comes from: `gsm8k`, `math`, `arc`, `builtin:arithmetic`, ...
    pub source: String,
    /// The question alone, without its options and without any prompt around it.
    pub question: String,
    /// Options in their published order; empty for a free answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// Reference answer: a number or expression as text, or the label of the right option.
    pub answer: String,
    /// Kind of the reference answer.
    pub kind: AnswerKind,
    /// Worked reference solution, one step per line, if the set has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solution: Option<String>,
    /// Difficulty as the set publishes it (MATH: 1 to 5; built-in tasks: number of operations or
    /// hops).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
}

impl Problem {
    /// Whether an answer can be checked: there is a reference answer, or the kind states the target.
    #[must_use]
    pub fn has_reference(&self) -> bool {
        !self.answer.is_empty() || matches!(self.kind, AnswerKind::Countdown { .. })
    }
}

/// One option of a multiple-choice question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Label as published: `A`..`E` or `1`..`5`.
    pub label: String,
    /// Option text.
    pub text: String,
}

/// Kind of a reference answer; decides which verifier checks the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum AnswerKind {
    /// A plain number (GSM8K, SVAMP, MultiArith, ASDiv, `builtin:arithmetic`).
    Number,
    /// A mathematical answer in LaTeX (MATH).
    Math,
    /// The label of one of [`Problem::choices`].
    Choice,
    /// An expression over given numbers, each used at most once, that reaches the target.
    Countdown {
        /// The numbers that may be used.
        numbers: Vec<u32>,
        /// The value to reach.
        target: u32,
    },
    /// Free text, compared after normalisation.
    Text,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_can_be_checked_against_a_reference_or_a_target() {
        let problem = |answer: &str, kind| Problem {
            id: "p".into(),
            source: "test".into(),
            question: "?".into(),
            choices: Vec::new(),
            answer: answer.into(),
            kind,
            solution: None,
            level: None,
        };
        let target = AnswerKind::Countdown { numbers: vec![1, 2], target: 3 };
        assert!(problem("", target).has_reference());
        assert!(problem("3", AnswerKind::Number).has_reference());
        assert!(!problem("", AnswerKind::Number).has_reference());
    }
}
