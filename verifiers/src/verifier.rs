//! The interface of verifiers for searches and evaluations: from a problem and a text to a verdict.

use regrowth_datasets::{Finish, Problem};

use crate::{Claim, Finding};

/// The verdict on an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The answer is equal to the reference.
    Equal,
    /// The answer is different from the reference.
    Different,
    /// The verdict could not be decided; callers count it as wrong and report the reason.
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

    /// As [`verify`](Self::verify), if it is known how the solution ended. If it ended by [`Finish::Length`],
    /// an unterminated answer at the end of the text does not count.
    fn verify_finished(&self, problem: &Problem, solution: &str, finish: Finish) -> Verdict {
        let _ = finish;
        self.verify(problem, solution)
    }

    /// As [`states_answer`](Self::states_answer), if it is known how the step ended.
    fn states_answer_finished(&self, problem: &Problem, step: &str, finish: Finish) -> bool {
        let _ = finish;
        self.states_answer(problem, step)
    }

    /// Compares the answer stated in `solution` with another answer, which is given as the problem's
    /// reference; used for votes and for judges by answers.
    fn same_answer(&self, problem: &Problem, solution: &str) -> Verdict {
        self.verify(problem, solution)
    }

    /// Findings for claims on one problem, one for each claim, in order; `None` if the verifier gives
    /// verdicts only.
    fn examine(&self, problem: &Problem, claims: &[Claim<'_>]) -> Option<Vec<Finding>> {
        let _ = (problem, claims);
        None
    }

    /// Why this verifier can no longer give verdicts; `None` while it can. On a failure, callers stop and
    /// discard results that depend on its last verdicts.
    fn failure(&self) -> Option<String> {
        None
    }
}
