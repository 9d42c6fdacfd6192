//! What a solution states, and whether two statements are one answer.
//!
//! It never looks at the reference answer, so it serves votes, judgements and sample files where that
//! is out of sight.

use regrowth_datasets::{AnswerKind, Finish, Problem};

use crate::choice::{self, Chosen};
use crate::extract::{self, Source};
use crate::{Reason, Verifier};

/// The answer that a solution states, or why it states none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The answer as text, of a choice the label; empty if there is none.
    pub answer: String,
    /// The rule that found it; [`Source::Nothing`] if there is none.
    pub rule: Source,
    /// Why there is none: [`Reason::NoAnswer`], [`Reason::Truncated`], or, of a choice,
    /// [`Reason::Conflict`].
    pub reason: Option<Reason>,
}

impl Statement {
    /// Reads a solution of `problem` that ended by `finish`: in one that ended by [`Finish::Length`],
    /// an answer that reaches the end of the text unclosed is none.
    #[must_use]
    pub fn of(problem: &Problem, solution: &str, finish: Finish) -> Self {
        let truncated = finish == Finish::Length;
        if problem.kind == AnswerKind::Choice {
            return Self::of_choice(problem, solution, truncated);
        }
        let found =
            if truncated { extract::find_closed(solution) } else { extract::find(solution) };
        match found {
            Ok(found) => Self { answer: found.text.into_owned(), rule: found.source, reason: None },
            Err(reason) => Self::none(reason),
        }
    }

    fn of_choice(problem: &Problem, solution: &str, truncated: bool) -> Self {
        let options = choice::options(problem);
        let chosen = choice::choose(solution, &options);
        match chosen {
            _ if truncated && choice::is_open(solution, &options, chosen) => {
                Self::none(Reason::Truncated)
            }
            Chosen::Label(label, rule) => Self { answer: label.to_owned(), rule, reason: None },
            Chosen::Conflict => Self::none(Reason::Conflict),
            Chosen::None => Self::none(Reason::NoAnswer),
        }
    }

    fn none(reason: Reason) -> Self {
        Self { answer: String::new(), rule: Source::Nothing, reason: Some(reason) }
    }
}

/// The answer that a finished solution states, as text; empty if none, or more than one option of a
/// choice.
#[must_use]
pub fn stated(problem: &Problem, solution: &str) -> String {
    Statement::of(problem, solution, Finish::Eos).answer
}

/// Whether a solution that [states](stated) `answer` has the `other` answer: by text, or, of numbers and
/// formulas, by the verifier with the other answer in place of the reference.
pub fn agrees(
    verifier: &dyn Verifier,
    problem: &Problem,
    other: &str,
    answer: &str,
    solution: &str,
) -> bool {
    if other == answer {
        return true;
    }
    let comparable = matches!(problem.kind, AnswerKind::Number | AnswerKind::Math);
    if !comparable || other.is_empty() || answer.is_empty() {
        return false;
    }
    let reference = Problem { answer: other.to_owned(), ..problem.clone() };
    verifier.same_answer(&reference, solution).is_correct()
}

#[cfg(test)]
mod tests {
    use regrowth_datasets::{Split, tasks::problems_from_spec};

    use super::*;
    use crate::ProblemVerifier;

    #[test]
    fn answers_agree_in_other_words_and_silence_with_silence_alone() {
        let problem = problems_from_spec("arithmetic", Split::Train, 0).unwrap().next().unwrap();
        let agree = |a: &str, b: &str| {
            agrees(&ProblemVerifier, &problem, &stated(&problem, a), &stated(&problem, b), b)
        };
        assert!(agree("#### 12", "so the answer is 12.0"));
        assert!(!agree("#### 12", "#### 13"));
        assert!(agree("", ""));
        assert!(!agree("#### 12", "") && !agree("", "#### 12"));
    }

    #[test]
    fn options_agree_by_label() {
        let problem = problems_from_spec("choice", Split::Train, 0).unwrap().next().unwrap();
        assert_eq!(stated(&problem, "So it is (B)\n#### B"), "B");
        assert_eq!(stated(&problem, "no idea"), "");
    }

    #[test]
    fn statements_name_their_rule_or_why_there_is_none() {
        let number = problems_from_spec("arithmetic", Split::Train, 0).unwrap().next().unwrap();
        let choice = problems_from_spec("choice", Split::Train, 0).unwrap().next().unwrap();
        let read = |problem, text, finish| {
            let s = Statement::of(problem, text, finish);
            (s.answer, s.rule.name(), s.reason.map(Reason::name))
        };
        for (problem, text, finish, answer, rule, reason) in [
            (&number, "so \\boxed{4}", Finish::Eos, "4", "boxed", None),
            (&number, "so \\boxed{4}", Finish::Length, "4", "boxed", None),
            (&number, "The answer is 4", Finish::Eos, "4", "anchor", None),
            (&number, "The answer is 4", Finish::Length, "", "nothing", Some("truncated")),
            (&number, "The answer is 4.", Finish::Length, "4", "anchor", None),
            (&number, "The answer is $4$", Finish::Length, "$4$", "anchor", None),
            (&number, "#### 4\n", Finish::Length, "4", "hashes", None),
            (
                &number,
                "I do not know how to solve this.",
                Finish::Eos,
                "",
                "nothing",
                Some("no-answer"),
            ),
            (&choice, "The answer is B", Finish::Eos, "B", "anchor", None),
            (&choice, "The answer is B", Finish::Length, "", "nothing", Some("truncated")),
            (&choice, "The answer is (B)", Finish::Length, "B", "anchor", None),
            (&choice, "The answer is B because o", Finish::Length, "B", "anchor", None),
        ] {
            let expected = (answer.to_owned(), rule, reason);
            assert_eq!(read(problem, text, finish), expected, "{text} {finish:?}");
        }
    }
}
