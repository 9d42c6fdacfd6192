//! Problem formats: detect which published set a row comes from, and convert the row into a problem. Each
//! format is a function of one row in its own file; this file holds their names and the detection.
//! Containers (JSON lines, arrays, CSV, XML, Parquet) are in `rows`.

mod apart;
mod aqua;
mod asdiv;
mod choices;
mod completion;
mod generic;
mod gsm8k;
mod inline;
mod math;
mod mawps;
mod number;
mod olympiad;
mod reference;
mod science;
mod stated;
mod svamp;
mod verl;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::fault::{Fault, cut, quote};
use crate::rows::Row;
use crate::{AnswerKind, Choice, Problem};

pub(crate) use stated::is_doubtful;

/// A published problem format. `FromStr` and `Display` use the names of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// `gsm8k`: question, answer (worked solution, last line `#### N`); plain and socratic.
    Gsm8k,
    /// `math`: problem, and answer or the last `\boxed{}` of the solution (MATH, MATH-500, AIME,
    /// NuminaMath).
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
    /// `mmlu`: question, subject, choices, answer as a position from zero.
    Mmlu,
    /// `mmlu_pro`: question, options, answer as a letter, answer_index.
    MmluPro,
    /// `medqa`: question, options, answer as text, answer_idx as a letter.
    MedQa,
    /// `gpqa`: Question, Correct Answer, Incorrect Answer 1 to 3.
    Gpqa,
    /// `truthfulqa`: question, mc1_targets {choices, labels}.
    TruthfulQa,
    /// `hellaswag`: ctx, endings, label as a position from zero.
    HellaSwag,
    /// `piqa`: goal, sol1, sol2, label as a position from zero.
    Piqa,
    /// `olympiadbench`: question, final_answer as a list, context, unit.
    OlympiadBench,
    /// `verl`: prompt as messages, reward_model {ground_truth} (DAPO-Math-17k).
    Verl,
    /// `generic`: question and optionally answer, id, options, kind, solution, level, source.
    Generic,
}

impl Format {
    /// Every format with its name.
    const NAMES: [(Self, &str); 22] = [
        (Self::Gsm8k, "gsm8k"),
        (Self::Math, "math"),
        (Self::Arc, "arc"),
        (Self::OpenBookQa, "openbookqa"),
        (Self::CommonsenseQa, "commonsenseqa"),
        (Self::SciQ, "sciq"),
        (Self::Aqua, "aqua"),
        (Self::Svamp, "svamp"),
        (Self::Mawps, "mawps"),
        (Self::Asdiv, "asdiv"),
        (Self::Ai2, "ai2"),
        (Self::ScienceMcq, "science_mcq"),
        (Self::Mmlu, "mmlu"),
        (Self::MmluPro, "mmlu_pro"),
        (Self::MedQa, "medqa"),
        (Self::Gpqa, "gpqa"),
        (Self::TruthfulQa, "truthfulqa"),
        (Self::HellaSwag, "hellaswag"),
        (Self::Piqa, "piqa"),
        (Self::OlympiadBench, "olympiadbench"),
        (Self::Verl, "verl"),
        (Self::Generic, "generic"),
    ];

    /// Every format.
    pub const ALL: [Self; 22] = {
        let mut all = [Self::Generic; 22];
        let mut i = 0;
        while i < all.len() {
            all[i] = Self::NAMES[i].0;
            i += 1;
        }
        all
    };

    /// Name on the command line and in [`Problem::source`].
    #[must_use]
    pub fn name(self) -> &'static str {
        // Every format is in the table; a test looks each of them up.
        Self::NAMES.iter().find(|(format, _)| *format == self).map_or("generic", |(_, name)| name)
    }

    /// All names, for messages.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// The format of a row with these columns; `None` if the row has no known question column. The column
    /// names decide; the content decides only between sets with the same column names.
    pub(crate) fn detect(row: &Row) -> Option<Self> {
        const SIGNS: [(&[&str], Format); 20] = [
            (&["sQuestion", "lSolutions"], Format::Mawps),
            (&["Question", "Numbers", "Answer"], Format::Mawps),
            (&["question", "correct_answer", "distractor1"], Format::SciQ),
            (&["question", "Correct Answer", "Incorrect Answer 1"], Format::Gpqa),
            (&["question", "options", "correct"], Format::Aqua),
            (&["question", "options", "answer_index"], Format::MmluPro),
            (&["question", "options", "answer_idx"], Format::MedQa),
            (&["question", "subject", "choices", "answer"], Format::Mmlu),
            (&["question", "mc1_targets"], Format::TruthfulQa),
            (&["question", "final_answer", "is_multiple_answer"], Format::OlympiadBench),
            (&["body", "question", "answer", "formula"], Format::Asdiv),
            (&["body", "question", "answer"], Format::Svamp),
            (&["questionID", "question", "AnswerKey"], Format::Ai2),
            (&["ctx", "endings"], Format::HellaSwag),
            (&["goal", "sol1", "sol2"], Format::Piqa),
            (&["prompt", "reward_model.ground_truth"], Format::Verl),
            (&["problem"], Format::Math),
            (&["question_stem", "answerKey"], Format::OpenBookQa),
            (&["question.stem", "answerKey"], Format::Arc),
            (&["question", "answerKey"], Format::Arc),
        ];
        match SIGNS.iter().find(|(names, _)| row.has(names)).map(|(_, format)| *format) {
            Some(Self::Arc | Self::OpenBookQa) => return Some(science::which(row)),
            Some(format) => return Some(format),
            None if !row.has(&["question"]) => return None,
            None => {}
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

    /// The problem in a row of this format. Its id is empty if the row has none, its answer is empty if
    /// the row has no reference.
    pub(crate) fn problem(self, row: &Row) -> Result<Problem, Fault> {
        let mut problem = match self {
            Self::Gsm8k => gsm8k::problem(row),
            Self::Math => math::problem(row),
            Self::Arc | Self::OpenBookQa | Self::CommonsenseQa => science::problem(row),
            Self::SciQ => apart::sciq(row),
            Self::Aqua => aqua::problem(row),
            Self::Svamp => svamp::problem(row),
            Self::Mawps => mawps::problem(row),
            Self::Asdiv => asdiv::problem(row),
            Self::Ai2 => inline::ai2(row),
            Self::ScienceMcq => inline::science_mcq(row),
            Self::Gpqa => apart::gpqa(row),
            Self::TruthfulQa => apart::truthfulqa(row),
            Self::HellaSwag => completion::hellaswag(row),
            Self::Piqa => completion::piqa(row),
            Self::OlympiadBench => olympiad::problem(row),
            Self::Verl => verl::problem(row),
            Self::Mmlu | Self::MmluPro | Self::MedQa | Self::Generic => generic::problem(row),
        }?;
        if problem.source.is_empty() {
            self.name().clone_into(&mut problem.source);
        }
        Ok(problem)
    }

    /// Columns of the set that are not read because no problem needs them: worked explanations,
    /// repetitions and other forms of the same problem. A name that ends in `*` matches all names with
    /// that beginning.
    pub(crate) fn ignored(self) -> &'static [&'static str] {
        match self {
            Self::Math => {
                &["messages", "generated_solution", "inference_mode", "pass_rate_72b_tir"]
            }
            Self::OpenBookQa => &["fact1", "humanScore", "clarity", "turkIdAnonymized"],
            Self::CommonsenseQa => &["question_concept", "question.question_concept"],
            Self::SciQ => &["support"],
            Self::Svamp => &["Equation", "question_concat"],
            Self::Mawps => &["Equation", "lEquations", "lAlignments"],
            Self::Asdiv => &["Class", "Formula", "Solution-Type", "solution_type"],
            Self::Ai2 => &[
                "originalQuestionID",
                "totalPossiblePoint",
                "isMultipleChoiceQuestion",
                "examName",
                "schoolGrade",
            ],
            Self::ScienceMcq => &["answer_content", "knowledge", "label"],
            Self::MmluPro => &["cot_content"],
            Self::MedQa => &["metamap_phrases"],
            // About sixty columns on the people who wrote, revised and answered a question.
            Self::Gpqa => &["*"],
            Self::TruthfulQa => &["mc2_targets"],
            Self::HellaSwag => &["ctx_a", "ctx_b"],
            Self::OlympiadBench => &["answer_type"],
            Self::Verl => &["reward_model.style", "source_prompt", "solution"],
            _ => &[],
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    /// Accepts the names of [`Format::ALL`], and names of sets that share a format.
    fn from_str(name: &str) -> Result<Self, String> {
        let shared = match name {
            "multiarith" | "addsub" | "singleeq" => Some(Self::Mawps),
            "math500" | "aime" | "numinamath" => Some(Self::Math),
            "dapo" => Some(Self::Verl),
            _ => None,
        };
        if let Some(format) = shared {
            return Ok(format);
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

/// A multiple-choice problem. There must be at least two options with distinct labels; `label`, from
/// column `name`, must be one of the labels, or empty if there is no reference.
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
    if !label.is_empty() && !labels.contains(&label) {
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
        assert_eq!(Format::NAMES.len(), Format::ALL.iter().collect::<BTreeSet<_>>().len());
        assert_eq!("addsub".parse(), Ok(Format::Mawps));
        assert_eq!("dapo".parse(), Ok(Format::Verl));
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
