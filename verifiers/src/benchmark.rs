//! The published sets: the form of their references, and how answers to them are graded.
//!
//! A raw reference of a set is converted into the form that the grader compares; files are read by the
//! datasets crate. Names are those of the sets' own repositories.

use crate::choice::ChoiceOption;
use crate::extract::extract;
use crate::grader::{Graded, Grader, Pair};

/// A published set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Benchmark {
    /// GSM8K: a number after `####`.
    Gsm8k,
    /// MATH: LaTeX in the last box of a solution.
    Math,
    /// ARC, OpenBookQA, CommonsenseQA, SciQ, AI2 science: a label or an option's text.
    Choice,
    /// AQuA: a label; options begin with their letter.
    Aqua,
    /// SVAMP and MultiArith: a number, often with a needless `.0`.
    Number,
    /// ASDiv: a number with its unit in brackets, or several separated by semicolons.
    Asdiv,
    /// Any other set: the reference is used unchanged.
    Generic,
}

impl Benchmark {
    /// The set with this name, as written in problem sources and task lists.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let starts = |prefixes: &[&str]| prefixes.iter().any(|p| name.starts_with(p));
        if starts(&["gsm8k"]) {
            Self::Gsm8k
        } else if starts(&["math", "minerva_math", "hendrycks_math"]) {
            Self::Math
        } else if starts(&["arc", "openbookqa", "commonsenseqa", "sciq", "ai2", "science_mcq"]) {
            Self::Choice
        } else if starts(&["aqua"]) {
            Self::Aqua
        } else if starts(&["svamp", "multiarith", "addsub", "singleeq", "mawps"]) {
            Self::Number
        } else if starts(&["asdiv"]) {
            Self::Asdiv
        } else {
            Self::Generic
        }
    }

    /// The reference in the form that is compared, from the set's own field.
    #[must_use]
    pub fn reference(self, raw: &str) -> String {
        let raw = raw.trim();
        match self {
            Self::Gsm8k => raw.rsplit("####").next().unwrap_or(raw).trim().to_owned(),
            Self::Math if raw.contains("\\boxed") || raw.contains("\\fbox") => {
                extract(raw).text.into_owned()
            }
            Self::Asdiv => {
                let values: Vec<&str> = raw
                    .split(';')
                    .map(|value| value.split('(').next().unwrap_or(value).trim())
                    .collect();
                values.join(" ; ")
            }
            Self::Number => raw.strip_suffix(".0").unwrap_or(raw).to_owned(),
            Self::Math | Self::Choice | Self::Aqua | Self::Generic => raw.to_owned(),
        }
    }

    /// Grades an output against a raw reference. `options` are those of a multiple-choice question in
    /// their published order, for AQuA in the form `A)text`.
    #[must_use]
    pub fn grade(
        self,
        grader: &Grader,
        raw: &str,
        options: &[ChoiceOption<'_>],
        output: &str,
    ) -> Graded {
        let gold = self.reference(raw);
        let cleaned: Vec<ChoiceOption<'_>> = options
            .iter()
            .map(|o| match self {
                Self::Aqua => ChoiceOption { text: without_label(o), ..*o },
                _ => *o,
            })
            .collect();
        grader.grade(&Pair { options: &cleaned, ..Pair::new(&gold, output) })
    }
}

/// The text of an option, without the label at its beginning.
fn without_label<'a>(option: &ChoiceOption<'a>) -> &'a str {
    option
        .text
        .strip_prefix(option.label)
        .and_then(|rest| rest.strip_prefix(')'))
        .map_or(option.text, str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verdict;

    fn grade(set: &str, raw: &str, options: &[ChoiceOption<'_>], output: &str) -> Verdict {
        Benchmark::named(set).grade(&Grader::default(), raw, options, output).verdict
    }

    #[test]
    fn references_are_read_as_published() {
        assert_eq!(grade("gsm8k", "He has 2+3=<<2+3=5>>5.\n#### 5", &[], "#### 5"), Verdict::Equal);
        assert_eq!(
            grade("math/algebra", "so $x=\\boxed{\\frac12}$", &[], "It is \\boxed{0.5}"),
            Verdict::Equal
        );
        assert_eq!(grade("svamp", "8.0", &[], "The answer is 8."), Verdict::Equal);
        assert_eq!(grade("multiarith", "145", &[], "The answer is 146."), Verdict::Different);
        assert_eq!(grade("asdiv", "9 (apples)", &[], "9 apples"), Verdict::Equal);
        assert_eq!(grade("asdiv", "5 (cm); 7 (cm)", &[], "The answer is 7 and 5."), Verdict::Equal);
        assert_eq!(grade("mine", "x>2", &[], "\\boxed{2<x}"), Verdict::Equal);
        let options = [
            ChoiceOption { label: "A", text: "A)32400" },
            ChoiceOption { label: "B", text: "B)3600" },
        ];
        assert_eq!(grade("aqua", "A", &options, "The answer is 32400."), Verdict::Equal);
        assert_eq!(grade("aqua", "A", &options, "Answer: B"), Verdict::Different);
        assert_eq!(grade("arc_challenge", "B", &options, "The answer is (B)."), Verdict::Equal);
    }
}
