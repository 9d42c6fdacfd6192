//! Formats: which published set a row comes from, and what problem it states. Each format is a
//! function of one row in a file of its own; this file knows their names and how to tell them
//! apart. Containers (JSON lines, arrays, CSV, XML, Parquet) are another matter, see `rows`.

mod aqua;
mod asdiv;
mod choices;
mod generic;
mod gsm8k;
mod inline;
mod math;
mod mawps;
mod number;
mod science;
mod sciq;
mod svamp;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::fault::{Fault, cut, quote};
use crate::rows::Row;
use crate::{AnswerKind, Choice, Problem};

/// A published problem format. `FromStr` and `Display` use the names of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// `gsm8k`: question, answer (worked solution, last line `#### N`); plain and socratic.
    Gsm8k,
    /// `math`: problem, solution, and answer or the last `\boxed{}` of the solution.
    Math,
    /// `arc`: id, question {stem, choices} and answerKey, or the flat columns of the hub.
    Arc,
    /// `openbookqa`: as ARC; the hub's columns have question_stem.
    OpenBookQa,
    /// `commonsenseqa`: as ARC, with question_concept.
    CommonsenseQa,
    /// `sciq`: question, correct_answer, distractor1 to distractor3.
    SciQ,
    /// `aqua`: question, options ("A)32400"), rationale, correct.
    Aqua,
    /// `svamp`: ID, Body, Question, Answer.
    Svamp,
    /// `mawps`: sQuestion, lSolutions (MultiArith, AddSub, SingleEq).
    Mawps,
    /// `asdiv`: Body, Question, Answer with its unit in brackets.
    Asdiv,
    /// `ai2`: questionID, question with "(A) .. (B) .." inside, AnswerKey.
    Ai2,
    /// `science_mcq`: question with "Answer Choices: (A) ..", answer.
    ScienceMcq,
    /// `generic`: question, answer and optionally id, choices, kind, solution, level, source.
    Generic,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 13] = [
        Self::Gsm8k,
        Self::Math,
        Self::Arc,
        Self::OpenBookQa,
        Self::CommonsenseQa,
        Self::SciQ,
        Self::Aqua,
        Self::Svamp,
        Self::Mawps,
        Self::Asdiv,
        Self::Ai2,
        Self::ScienceMcq,
        Self::Generic,
    ];

    /// Name on the command line and in [`Problem::source`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gsm8k => "gsm8k",
            Self::Math => "math",
            Self::Arc => "arc",
            Self::OpenBookQa => "openbookqa",
            Self::CommonsenseQa => "commonsenseqa",
            Self::SciQ => "sciq",
            Self::Aqua => "aqua",
            Self::Svamp => "svamp",
            Self::Mawps => "mawps",
            Self::Asdiv => "asdiv",
            Self::Ai2 => "ai2",
            Self::ScienceMcq => "science_mcq",
            Self::Generic => "generic",
        }
    }

    /// All names, for messages.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// The format that a row with these fields has; `None` if there is no question or answer that
    /// we know. Fields decide alone, except where two sets share all of theirs.
    pub(crate) fn detect(row: &Row) -> Option<Self> {
        const SIGNS: [(&[&str], Format); 10] = [
            (&["sQuestion", "lSolutions"], Format::Mawps),
            (&["question", "correct_answer", "distractor1"], Format::SciQ),
            (&["question", "options", "correct"], Format::Aqua),
            (&["Body", "Question", "Answer", "Formula"], Format::Asdiv),
            (&["body", "question", "answer", "formula"], Format::Asdiv),
            (&["Body", "Question", "Answer"], Format::Svamp),
            (&["questionID", "question", "AnswerKey"], Format::Ai2),
            (&["problem", "solution"], Format::Math),
            (&["problem", "answer"], Format::Math),
            (&["question_stem", "answerKey"], Format::OpenBookQa),
        ];
        if let Some((_, format)) = SIGNS.iter().find(|(names, _)| row.has(names)) {
            return Some(*format);
        }
        if row.has(&["question", "answerKey"]) {
            return Some(science::which(row));
        }
        if !row.has(&["question", "answer"]) {
            return None;
        }
        let contains = |name, sign| row.optional_text(name).is_some_and(|text| text.contains(sign));
        Some(if contains("question", inline::SCIENCE_MCQ_MARK) {
            Self::ScienceMcq
        } else if contains("answer", gsm8k::ANSWER_MARK) {
            Self::Gsm8k
        } else {
            Self::Generic
        })
    }

    /// The problem that a row of this format states; its id is empty where the row has none.
    pub(crate) fn problem(self, row: &Row) -> Result<Problem, Fault> {
        let mut problem = match self {
            Self::Gsm8k => gsm8k::problem(row),
            Self::Math => math::problem(row),
            Self::Arc | Self::OpenBookQa | Self::CommonsenseQa => science::problem(row),
            Self::SciQ => sciq::problem(row),
            Self::Aqua => aqua::problem(row),
            Self::Svamp => svamp::problem(row),
            Self::Mawps => mawps::problem(row),
            Self::Asdiv => asdiv::problem(row),
            Self::Ai2 => inline::ai2(row),
            Self::ScienceMcq => inline::science_mcq(row),
            Self::Generic => generic::problem(row),
        }?;
        if problem.source.is_empty() {
            self.name().clone_into(&mut problem.source);
        }
        Ok(problem)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    /// Takes the names of [`Format::ALL`]; the sets of the MAWPS family also by their own names.
    fn from_str(name: &str) -> Result<Self, String> {
        if ["multiarith", "addsub", "singleeq"].contains(&name) {
            return Ok(Self::Mawps);
        }
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| format!("unknown format `{}`; known are: {}", cut(name), Self::names()))
    }
}

/// A problem with a free answer; the reader adds id and source.
fn free(question: String, answer: String, kind: AnswerKind) -> Problem {
    Problem {
        id: String::new(),
        source: String::new(),
        question,
        choices: Vec::new(),
        answer,
        kind,
        solution: None,
        level: None,
    }
}

/// A multiple-choice problem, if there are two options or more, labels do not repeat and `label`,
/// found in field `name`, is one of them.
fn multiple_choice(
    question: String,
    choices: Vec<Choice>,
    name: &str,
    label: &str,
) -> Result<Problem, Fault> {
    let labels: Vec<&str> = choices.iter().map(|c| c.label.as_str()).collect();
    if labels.len() < 2 || labels.iter().collect::<BTreeSet<_>>().len() < labels.len() {
        let got = quote(&labels.join(", "));
        return Err(Fault::new("choices", "two options or more with labels of their own", got));
    }
    if !labels.contains(&label) {
        let expected = format!("the label of an option, one of {}", labels.join(", "));
        return Err(Fault::new(name, expected, quote(label)));
    }
    Ok(Problem { choices, ..free(question, label.to_owned(), AnswerKind::Choice) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert_eq!("addsub".parse(), Ok(Format::Mawps));
        assert!("GSM".parse::<Format>().unwrap_err().contains("gsm8k, math, arc"));
    }

    #[test]
    fn a_wrong_label_and_a_repeated_one_are_faults() {
        let options = |labels: [&str; 2]| {
            labels.map(|l| Choice { label: l.into(), text: "x".into() }).to_vec()
        };
        let fault = multiple_choice("q".into(), options(["A", "B"]), "answerKey", "C").unwrap_err();
        assert_eq!((fault.field.as_str(), fault.got.as_str()), ("answerKey", "`C`"));
        assert!(multiple_choice("q".into(), options(["A", "A"]), "answerKey", "A").is_err());
    }
}
