//! Chooses the check that belongs to a problem's kind of answer.
//!
//! It holds no rule of its own beyond that choice and the words by which a step states an answer; it
//! is what searches and evaluations call.

use regrowth_datasets::{AnswerKind, Problem};

use crate::choice::ChoiceOption;
use crate::{Grader, Pair, Verdict, Verifier, countdown, extract};

/// The verifier for every kind of [`Problem`].
///
/// It has no state: one value serves all threads.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProblemVerifier;

impl Verifier for ProblemVerifier {
    fn verify(&self, problem: &Problem, solution: &str) -> Verdict {
        match &problem.kind {
            AnswerKind::Choice => verify_choice(problem, solution),
            AnswerKind::Countdown { numbers, target } => {
                countdown::check_countdown(numbers, *target, solution)
            }
            AnswerKind::Number | AnswerKind::Math | AnswerKind::Text => {
                Grader::default().grade(&Pair::new(&problem.answer, solution)).verdict
            }
        }
    }

    fn states_answer(&self, _problem: &Problem, step: &str) -> bool {
        step.contains("####")
            || extract::boxes::last_boxes(step).iter().any(|b| b.content.start < b.content.end)
            || extract::last_anchor(step)
                .is_some_and(|anchor| !extract::stated_tail(&step[anchor.end..]).is_empty())
    }
}

/// Compares the chosen option with the reference.
fn verify_choice(problem: &Problem, solution: &str) -> Verdict {
    let options: Vec<ChoiceOption<'_>> =
        problem.choices.iter().map(|c| ChoiceOption { label: &c.label, text: &c.text }).collect();
    let pair = Pair { options: &options, ..Pair::new(&problem.answer, solution) };
    Grader::default().grade(&pair).verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_datasets::Choice;

    fn problem(kind: AnswerKind, answer: &str) -> Problem {
        Problem {
            id: "p".into(),
            source: "test".into(),
            question: "?".into(),
            choices: Vec::new(),
            answer: answer.into(),
            kind,
            solution: None,
            level: None,
        }
    }

    #[test]
    fn checks_numbers() {
        let p = problem(AnswerKind::Number, "1,234");
        for text in ["so 1234\n#### 1234", "The answer is $1,234.00.", "\\boxed{1234}", "A: 1234"] {
            assert_eq!(ProblemVerifier.verify(&p, text), Verdict::Equal, "{text}");
        }
        assert_eq!(ProblemVerifier.verify(&p, "#### 1235"), Verdict::Different);
    }

    #[test]
    fn checks_choices() {
        let mut p = problem(AnswerKind::Choice, "B");
        p.choices = vec![
            Choice { label: "A".into(), text: "wood".into() },
            Choice { label: "B".into(), text: "steel".into() },
        ];
        assert_eq!(ProblemVerifier.verify(&p, "The answer is B."), Verdict::Equal);
        assert_eq!(ProblemVerifier.verify(&p, "The answer is wood."), Verdict::Different);
    }

    #[test]
    fn steps_that_state_an_answer() {
        let p = problem(AnswerKind::Number, "5");
        let states = |step| ProblemVerifier.states_answer(&p, step);
        for step in ["#### 5", "The answer is 5.", "So the final answer is 5", "thus \\boxed{5}"] {
            assert!(states(step), "{step}");
        }
        for step in ["First we answer the easy part.", "2 + 3 = 5", "\\boxed{"] {
            assert!(!states(step), "{step}");
        }
    }
}
