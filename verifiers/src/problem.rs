//! Selects the check for a problem's kind of answer.
//!
//! The only rules here are this selection and the words with which a step states an answer. Searches and
//! evaluations call this module.

use regrowth_datasets::{AnswerKind, Finish, Problem};

use crate::{Form, Grader, Pair, Reason, Statement, Verdict, Verifier, choice, countdown, extract};

/// The verifier for every kind of [`Problem`].
///
/// It has no state: one value serves all threads.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProblemVerifier;

impl Verifier for ProblemVerifier {
    fn verify(&self, problem: &Problem, solution: &str) -> Verdict {
        self.verify_finished(problem, solution, Finish::Eos)
    }

    fn states_answer(&self, _problem: &Problem, step: &str) -> bool {
        extract::states_after_hashes(step)
            || extract::boxes::last_boxes(step).iter().any(|b| b.content.start < b.content.end)
            || extract::last_anchor(step)
                .is_some_and(|anchor| !extract::stated_tail(&step[anchor.end..]).is_empty())
    }

    fn verify_finished(&self, problem: &Problem, solution: &str, finish: Finish) -> Verdict {
        let truncated = finish == Finish::Length;
        let answer_form = if truncated { Form::Truncated } else { Form::Text };
        let pair = Pair { answer_form, ..Pair::new(&problem.answer, solution) };
        match &problem.kind {
            AnswerKind::Choice => {
                let options = choice::options(problem);
                Grader::default().grade(&Pair { options: &options, ..pair }).verdict
            }
            AnswerKind::Countdown { .. }
                if truncated && extract::find_closed(solution).is_err() =>
            {
                Verdict::Different
            }
            AnswerKind::Countdown { numbers, target } => {
                countdown::check_countdown(numbers, *target, solution)
            }
            AnswerKind::Number | AnswerKind::Math | AnswerKind::Text => {
                Grader::default().grade(&pair).verdict
            }
        }
    }

    fn states_answer_finished(&self, problem: &Problem, step: &str, finish: Finish) -> bool {
        let open = || Statement::of(problem, step, finish).reason == Some(Reason::Truncated);
        self.states_answer(problem, step) && !open()
    }
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
        for step in [
            "First we answer the easy part.",
            "2 + 3 = 5",
            "\\boxed{",
            "#### Step 1",
            "#### Step 1: Find 3 apples",
        ] {
            assert!(!states(step), "{step}");
        }
    }

    #[test]
    fn what_a_budget_cut_off_is_not_stated() {
        let p = problem(AnswerKind::Number, "4");
        for (text, stated) in [
            ("The answer is 4", false),
            ("The answer is 4.", true),
            ("The answer is 4\n", true),
            ("so \\boxed{4}", true),
            ("#### 4", false),
        ] {
            let verdict = |finish| ProblemVerifier.verify_finished(&p, text, finish).is_correct();
            let ends = |finish| ProblemVerifier.states_answer_finished(&p, text, finish);
            assert_eq!((verdict(Finish::Eos), ends(Finish::Eos)), (true, true), "{text}");
            assert_eq!((verdict(Finish::Length), ends(Finish::Length)), (stated, stated), "{text}");
        }
    }
}
