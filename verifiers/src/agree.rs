//! Extracts the answer that a solution states, and decides whether two solutions state the same answer.
//!
//! The reference answer is never read. Votes, judgements and sample files use this module, because they must
//! not see the reference.

use regrowth_datasets::{AnswerKind, Finish, Problem};

use crate::choice::{self, Chosen};
use crate::extract::{self, Source};
use crate::{Reason, Verifier};

/// The answer that a solution states, or the reason why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The answer as text, or the label of a choice; empty if there is none.
    pub answer: String,
    /// The extraction rule; [`Source::Nothing`] if there is no answer.
    pub rule: Source,
    /// Why there is no answer: [`Reason::NoAnswer`], [`Reason::Truncated`], or, for a choice,
    /// [`Reason::Conflict`]. `None` if there is one.
    pub reason: Option<Reason>,
}

impl Statement {
    /// Extracts the answer from a solution of `problem` that ended by `finish`. If it ended by
    /// [`Finish::Length`], an unterminated answer at the end of the text does not count, because it may be
    /// cut off.
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

/// The answer that a finished solution states, as text. Empty if there is none, or if several options of
/// a choice are stated.
#[must_use]
pub fn stated(problem: &Problem, solution: &str) -> String {
    Statement::of(problem, solution, Finish::Eos).answer
}

/// Whether a solution that [states](stated) `answer` agrees with the answer `other`. Answers are compared
/// as text; numbers and formulas also by the verifier, with `other` in place of the reference.
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
