//! Grades that a judge chooses from instead of (A) and (B), and the judgement computed from its answers.
//!
//! A judge answers every question with one of a few labels, each of which has a value. C is the
//! probability-weighted mean of the values. The question's text is rendered in `text::prompt`, and the
//! engines and servers return the labels' probabilities.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Judge, Judgement, Policy, PolicyError, Usage};

/// Maximum number of labels of a question: servers list about this many tokens.
const MOST_LABELS: usize = 20;

/// Question of a judge with `judge = "graded"`, its labels, and their values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Grades {
    /// The question, with the meaning of each label. For a chat model it is a user turn, and its last line
    /// begins the answer (default: how likely the last step is correct, in five grades from A to E).
    pub question: String,
    /// Labels of the grades, each one token of the judge: letters or digits (default A to E).
    pub labels: Vec<String>,
    /// Value of each label, in [0, 1] (default 1, 0.75, 0.5, 0.25, 0). C is the mean of the values,
    /// weighted by the labels' probabilities.
    pub values: Vec<f64>,
}

impl Default for Grades {
    fn default() -> Self {
        Self {
            question: "How likely is it that the last step above is correct?\n\
                       (A) Certainly correct\n\
                       (B) Probably correct\n\
                       (C) As likely correct as not\n\
                       (D) Probably incorrect\n\
                       (E) Certainly incorrect\n\
                       The answer is ("
                .into(),
            labels: ["A", "B", "C", "D", "E"].map(str::to_owned).into(),
            values: vec![1.0, 0.75, 0.5, 0.25, 0.0],
        }
    }
}

/// The field of [`Grades`] that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` of the grades: expected {expected}, got {got}")]
pub struct BadGrades {
    /// Name of the field.
    pub field: &'static str,
    /// Expected value.
    pub expected: &'static str,
    /// Actual value.
    pub got: String,
}

impl Grades {
    /// Checks everything that can be checked without a model.
    ///
    /// # Errors
    /// [`BadGrades`] naming the first field that cannot be used.
    pub fn check(&self) -> Result<(), BadGrades> {
        let refuse = |field, expected, got| Err(BadGrades { field, expected, got });
        let Self { question, labels, values } = self;
        if question.trim().is_empty() {
            return refuse("question", "a question", format!("{question:?}"));
        }
        if !(2..=MOST_LABELS).contains(&labels.len()) {
            return refuse("labels", "2 to 20 labels", labels.len().to_string());
        }
        let is_plain =
            |label: &&String| !label.is_empty() && label.chars().all(char::is_alphanumeric);
        if let Some(label) = labels.iter().find(|label| !is_plain(label)) {
            return refuse("labels", "letters or digits in each label", format!("{label:?}"));
        }
        if labels.iter().collect::<BTreeSet<_>>().len() < labels.len() {
            return refuse("labels", "labels that differ", labels.join(", "));
        }
        if values.len() != labels.len() {
            let got = format!("{} values for {} labels", values.len(), labels.len());
            return refuse("values", "one value for each label", got);
        }
        if let Some(value) = values.iter().find(|value| !(0.0..=1.0).contains(*value)) {
            return refuse("values", "numbers in [0, 1]", value.to_string());
        }
        if values.iter().all(|value| *value == values[0]) {
            return refuse("values", "at least two values that differ", values[0].to_string());
        }
        let preset = Self::default();
        if *labels != preset.labels && *question == preset.question {
            let expected = "a question that says what your labels mean";
            return refuse("question", expected, "the default one, about A to E".into());
        }
        Ok(())
    }

    /// Returns the first label that is not a single token of `judge`; `None` if all are. Labels of several
    /// tokens could begin alike, and then their first tokens would not distinguish them.
    ///
    /// # Errors
    /// When the policy cannot tokenise the labels.
    pub fn unreadable_for(&self, judge: &dyn Policy) -> Result<Option<&str>, PolicyError> {
        for label in &self.labels {
            let mut tokens = Vec::new();
            for before in ["(", "", " ", " ("] {
                let ids = judge.encode(&format!("{before}{label}"))?;
                let Some(last) = ids.last() else { continue };
                tokens.push(judge.decode(&[*last])?);
            }
            if !tokens.iter().any(|token| is_label(token, label)) {
                return Ok(Some(label));
            }
        }
        Ok(None)
    }
}

/// Whether a token's text is the label of an option, ignoring white space and an opening bracket.
pub(crate) fn is_label(text: &str, label: &str) -> bool {
    text.trim().trim_start_matches('(').trim_start() == label
}

/// One question to a judge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ask<'a> {
    /// Asks for "correct" or "incorrect", as (A) or (B).
    Options {
        /// Whether (A) means "correct".
        correct_first: bool,
    },
    /// Asks for one of these grades.
    Grades(&'a Grades),
}

impl<'a> Ask<'a> {
    /// Returns the labels of the possible answers.
    #[must_use]
    pub fn labels(self) -> Vec<&'a str> {
        match self {
            Self::Options { .. } => vec!["A", "B"],
            Self::Grades(grades) => grades.labels.iter().map(String::as_str).collect(),
        }
    }

    /// Returns the value of each label.
    #[must_use]
    pub fn values(self) -> Vec<f64> {
        match self {
            Self::Options { correct_first: true } => vec![1.0, 0.0],
            Self::Options { correct_first: false } => vec![0.0, 1.0],
            Self::Grades(grades) => grades.values.clone(),
        }
    }
}

impl Judge {
    /// Returns the questions to ask: one for each order of the options, or a single one for grades, which
    /// have one order.
    #[must_use]
    pub fn asks(&self) -> Vec<Ask<'_>> {
        match &self.grades {
            Some(grades) => vec![Ask::Grades(grades)],
            None => {
                let orders = self.order.questions().iter();
                orders.map(|&correct_first| Ask::Options { correct_first }).collect()
            }
        }
    }
}

/// A label in the answer to a question, with its probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelMass {
    /// Value of the label.
    pub value: f64,
    /// Its probability.
    pub mass: f64,
}

impl Judgement {
    /// Minimum total probability of the labels; below it, a judgement is unknown.
    const MASS_FLOOR: f64 = 0.05;

    /// Combines the answers to all questions into one judgement. An answer has the value and probability of
    /// every label, or is `None` if the engine cannot determine the probability of one of them. If one
    /// answer is unknown, the judgement is unknown.
    #[must_use]
    pub fn from_labels(answers: &[Option<Vec<LabelMass>>], usage: Usage) -> Self {
        let n = answers.len().max(1) as f64;
        let total = |labels: &Vec<LabelMass>| labels.iter().map(|label| label.mass).sum::<f64>();
        let mass = answers.iter().flatten().map(total).sum::<f64>() / n;
        let share = |answer: &Option<Vec<LabelMass>>| {
            let labels = answer.as_ref()?;
            let worth: f64 = labels.iter().map(|label| label.value * label.mass).sum();
            let total = total(labels);
            (total >= Self::MASS_FLOOR).then(|| worth / total)
        };
        let shares: Option<Vec<f64>> = answers.iter().map(share).collect();
        let correct = shares.filter(|s| !s.is_empty()).map(|s| s.iter().sum::<f64>() / n);
        Self { correct, mass, usage }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OptionOrder, Scripted};

    fn answer(ask: Ask<'_>, masses: &[f64]) -> Option<Vec<LabelMass>> {
        let labels = ask.values().into_iter().zip(masses);
        Some(labels.map(|(value, &mass)| LabelMass { value, mass }).collect())
    }

    fn correct(answers: &[Option<Vec<LabelMass>>]) -> Option<f64> {
        Judgement::from_labels(answers, Usage::default()).correct
    }

    const FIRST: Ask<'static> = Ask::Options { correct_first: true };
    const LAST: Ask<'static> = Ask::Options { correct_first: false };

    #[test]
    fn labels_are_normalised_and_orders_averaged() {
        assert_eq!(correct(&[answer(FIRST, &[0.75, 0.25])]), Some(0.75));
        let both = [answer(FIRST, &[0.375, 0.125]), answer(LAST, &[0.375, 0.125])];
        assert_eq!(correct(&both), Some(0.5));
        let both = [answer(LAST, &[0.2, 0.6]), answer(FIRST, &[0.1, 0.3])];
        assert!((Judgement::from_labels(&both, Usage::default()).mass - 0.6).abs() < 1e-12);
    }

    #[test]
    fn a_grade_is_the_mean_value_by_the_labels_probabilities() {
        let grades = Grades::default();
        // (1 * 0.2 + 0.75 * 0.1 + 0.5 * 0.1 + 0.25 * 0.3 + 0 * 0.1) / 0.8 = 0.4 / 0.8
        let found = correct(&[answer(Ask::Grades(&grades), &[0.2, 0.1, 0.1, 0.3, 0.1])]).unwrap();
        assert!((found - 0.5).abs() < 1e-12, "{found}");
        let own = Grades {
            question: "From 1 to 3?\n".into(),
            labels: ["1", "2", "3"].map(str::to_owned).into(),
            values: vec![0.0, 0.4, 0.9],
        };
        // (0.4 * 0.25 + 0.9 * 0.25) / 1
        let found = correct(&[answer(Ask::Grades(&own), &[0.5, 0.25, 0.25])]).unwrap();
        assert!((found - 0.325).abs() < 1e-12, "{found}");
        assert_eq!(correct(&[answer(Ask::Grades(&own), &[0.01, 0.02, 0.01])]), None);
    }

    #[test]
    fn what_cannot_be_told_is_unknown_and_not_zero() {
        assert_eq!(correct(&[answer(FIRST, &[0.02, 0.02])]), None);
        assert_eq!(correct(&[answer(FIRST, &[0.9, 0.0]), None]), None);
        assert_eq!(correct(&[]), None);
        assert_eq!(correct(&[answer(FIRST, &[0.0, 0.9])]), Some(0.0));
    }

    fn refused(change: impl FnOnce(&mut Grades)) -> String {
        let mut grades = Grades { question: "How good?\n".into(), ..Grades::default() };
        change(&mut grades);
        grades.check().unwrap_err().to_string()
    }

    #[test]
    fn grades_that_cannot_be_used_are_refused_by_their_field() {
        assert_eq!(Grades::default().check(), Ok(()));
        let said = refused(|grades| grades.question = " \n".into());
        assert!(said.contains("`question`"), "{said}");
        let labels: [(&[&str], &str); 5] = [
            (&[], "2 to 20"),
            (&["A"], "2 to 20"),
            (&["A", ""], "letters or digits"),
            (&["A", "B B"], "\"B B\""),
            (&["A", "B", "A"], "labels that differ, got A, B, A"),
        ];
        for (labels, expected) in labels {
            let said = refused(|grades| {
                grades.labels = labels.iter().map(|label| (*label).to_owned()).collect();
                grades.values = (0..labels.len()).map(|i| i as f64 / 10.0).collect();
            });
            assert!(said.contains("`labels`") && said.contains(expected), "{said}");
        }
        for (values, expected) in [
            (vec![0.1; 4], "4 values for 5 labels"),
            (vec![1.0, 0.5, f64::NAN, 0.2, 0.0], "NaN"),
            (vec![1.5, 0.5, 0.3, 0.2, 0.0], "1.5"),
            (vec![1.0, 0.5, 0.3, 0.2, -0.1], "-0.1"),
            (vec![f64::INFINITY, 0.5, 0.3, 0.2, 0.0], "inf"),
            (vec![0.5; 5], "differ"),
        ] {
            let said = refused(|grades| grades.values = values);
            assert!(said.contains("`values`") && said.contains(expected), "{said}");
        }
        let relabelled = Grades {
            labels: ["1", "2", "3", "4", "5"].map(str::to_owned).into(),
            ..Grades::default()
        };
        let said = relabelled.check().unwrap_err().to_string();
        assert!(said.contains("`question`") && said.contains("your labels"), "{said}");
    }

    #[test]
    fn labels_of_several_tokens_are_named() {
        // Tokens of the scripted policy are bytes, so `1` and `10` begin alike.
        let unreadable = |labels: [&str; 2]| {
            let grades = Grades {
                question: "How good?\n".into(),
                labels: labels.map(str::to_owned).into(),
                values: vec![0.0, 1.0],
            };
            grades.unreadable_for(&Scripted::new()).unwrap().map(str::to_owned)
        };
        assert_eq!(unreadable(["1", "2"]), None);
        assert_eq!(unreadable(["1", "10"]).as_deref(), Some("10"));
    }

    #[test]
    fn grades_are_asked_in_one_order() {
        let judge = Judge {
            prefix: [1].into(),
            step: [2].into(),
            hint: None,
            order: OptionOrder::Both,
            restated: None,
            grades: None,
        };
        assert_eq!(judge.asks(), [LAST, FIRST]);
        let graded = Judge { grades: Some(Grades::default().into()), ..judge };
        assert_eq!(graded.asks().len(), 1);
        assert_eq!(graded.asks()[0].labels(), ["A", "B", "C", "D", "E"]);
    }
}
