//! Which solutions of a problem agree: what a solution states, and whether two statements are one answer.
//!
//! It never looks at the reference answer, so it serves votes and judgements where that is out of sight.

use regrowth_datasets::{AnswerKind, Problem};

use crate::{ChoiceOption, Chosen, Verifier, choose, extract};

/// The answer that a solution states, as text; empty if none, or more than one option of a choice.
#[must_use]
pub fn stated(problem: &Problem, solution: &str) -> String {
    if problem.kind != AnswerKind::Choice {
        return extract(solution).text.trim().to_owned();
    }
    let options: Vec<ChoiceOption<'_>> =
        problem.choices.iter().map(|c| ChoiceOption { label: &c.label, text: &c.text }).collect();
    match choose(solution, &options) {
        Chosen::Label(label, _) => label.to_owned(),
        Chosen::Conflict | Chosen::None => String::new(),
    }
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
    verifier.verify(&reference, solution).is_correct()
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
}
