//! The interface that a search and an evaluation use: a problem, a text, a verdict.

use regrowth_datasets::{Finish, Problem};

use crate::{Claim, Finding};

/// The verdict on an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The answer is equal to the reference.
    Equal,
    /// The answer is different from the reference.
    Different,
    /// It could not be decided; callers count it as wrong and report the reason.
    Undecided(String),
}

impl Verdict {
    /// Whether the answer counts as correct: only [`Verdict::Equal`] does.
    #[must_use]
    pub fn is_correct(&self) -> bool {
        matches!(self, Self::Equal)
    }
}

/// Checks solutions of problems.
pub trait Verifier: Send + Sync {
    /// Compares the answer stated in `solution` (the model's whole text) with the reference.
    fn verify(&self, problem: &Problem, solution: &str) -> Verdict;

    /// Whether `step` states the final answer, so that the solution ends with it.
    fn states_answer(&self, problem: &Problem, step: &str) -> bool;

    /// As [`verify`](Self::verify), where it is known how the solution ended: in one that ended by
    /// [`Finish::Length`], an answer that reaches the end of the text unclosed is not stated.
    fn verify_finished(&self, problem: &Problem, solution: &str, finish: Finish) -> Verdict {
        let _ = finish;
        self.verify(problem, solution)
    }

    /// As [`states_answer`](Self::states_answer), where it is known how the step ended.
    fn states_answer_finished(&self, problem: &Problem, step: &str, finish: Finish) -> bool {
        let _ = finish;
        self.states_answer(problem, step)
    }

    /// Compares the answer stated in `solution` with another answer, which stands in the place of the
    /// reference: for votes, and for judges by answers.
    fn same_answer(&self, problem: &Problem, solution: &str) -> Verdict {
        self.verify(problem, solution)
    }

    /// What a verifier that gives more than verdicts finds about claims on one problem, one finding each,
    /// in order; `None` from a verifier of verdicts alone.
    fn examine(&self, problem: &Problem, claims: &[Claim<'_>]) -> Option<Vec<Finding>> {
        let _ = (problem, claims);
        None
    }

    /// Why this verifier can give no verdicts any more. Callers stop, and deliver nothing that they made
    /// of its last verdicts.
    fn failure(&self) -> Option<String> {
        None
    }
}
