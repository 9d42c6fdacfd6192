//! The answers found in a tree: the solutions that state each answer, and the answer's likelihood.
//!
//! A policy may reach an answer by several solutions; its probability of the answer is the sum of their
//! probabilities. The reference answer is never used.

use regrowth_datasets::{Finish, Problem};
use regrowth_verifiers::{Statement, Verifier, agrees};

use crate::likelihood::Finished;
use crate::tree::NodeId;

/// Answers in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    all: Vec<Answer>,
}

/// A group of solutions that state the same answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The answer as stated by the first of them; empty if that solution states no answer.
    text: String,
    /// Logarithm of the sum of the solutions' probabilities.
    pub(crate) log_likelihood: f64,
    /// The terminal node of each solution and its features, in the order in which they were added.
    pub(crate) solutions: Vec<(NodeId, Finished)>,
}

/// A solution that has ended.
pub(crate) struct EndedSolution<'a> {
    /// The terminal node.
    pub(crate) node: NodeId,
    /// The policy's whole output.
    pub(crate) text: &'a str,
    /// Why it ended.
    pub(crate) finish: Finish,
    /// The features that the answer judge uses.
    pub(crate) finished: Finished,
}

impl Answers {
    /// Adds a solution. Returns the index of its answer in [`all`](Self::all). A solution that states no
    /// answer agrees with no other solution.
    pub(crate) fn add(
        &mut self,
        verifier: &dyn Verifier,
        problem: &Problem,
        solution: EndedSolution<'_>,
    ) -> usize {
        let EndedSolution { node, text: solution, finish, finished } = solution;
        let text = Statement::of(problem, solution, finish).answer;
        let at = self.place(verifier, problem, &text, solution).unwrap_or_else(|| {
            let log_likelihood = f64::NEG_INFINITY;
            self.all.push(Answer { text, log_likelihood, solutions: Vec::new() });
            self.all.len() - 1
        });
        let answer = &mut self.all[at];
        answer.log_likelihood = log_of_sum(answer.log_likelihood, finished.log_likelihood);
        answer.solutions.push((node, finished));
        at
    }

    /// Index of the solution's answer; `None` if it is new. Equal answers usually have the same text, so
    /// texts are compared first and the verifier is called only if no text is equal.
    fn place(
        &self,
        verifier: &dyn Verifier,
        problem: &Problem,
        text: &str,
        solution: &str,
    ) -> Option<usize> {
        if text.is_empty() {
            return None;
        }
        let find = |same: &dyn Fn(&str) -> bool| self.all.iter().position(|a| same(&a.text));
        find(&|other| other == text)
            .or_else(|| find(&|other| agrees(verifier, problem, other, text, solution)))
    }

    /// All answers.
    pub(crate) fn all(&self) -> &[Answer] {
        &self.all
    }
}

/// `ln(e^a + e^b)`, computed without overflow.
fn log_of_sum(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

#[cfg(test)]
mod tests {
    use regrowth_datasets::{Split, tasks::problems_from_spec};
    use regrowth_verifiers::ProblemVerifier;

    use super::*;

    #[test]
    fn likelihoods_of_one_answer_add_up() {
        let problem = problems_from_spec("arithmetic", Split::Train, 0).unwrap().next().unwrap();
        let mut answers = Answers::default();
        let rows =
            [("#### 7", 0.25), ("#### 12", 0.1), ("so #### 7.0", 0.125), ("", 0.5), ("", 0.5)];
        for (node, (text, likelihood)) in rows.into_iter().enumerate() {
            let finished = Finished::new(text, 3, f64::ln(likelihood));
            let (node, finish) = (node as NodeId, Finish::Eos);
            let solution = EndedSolution { node, text, finish, finished };
            answers.add(&ProblemVerifier, &problem, solution);
        }
        let found: Vec<_> =
            answers.all().iter().map(|a| (a.log_likelihood.exp(), &a.solutions)).collect();
        let expected = [(0.375, vec![0, 2]), (0.1, vec![1]), (0.5, vec![3]), (0.5, vec![4])];
        assert_eq!(found.len(), expected.len());
        for ((likelihood, nodes), (sum, members)) in found.into_iter().zip(expected) {
            assert!((likelihood - sum).abs() < 1e-12);
            assert_eq!(nodes.iter().map(|solution| solution.0).collect::<Vec<_>>(), members);
        }
    }

    #[test]
    fn impossible_solutions_add_nothing() {
        assert_eq!(log_of_sum(f64::NEG_INFINITY, -3.0), -3.0);
        assert_eq!(log_of_sum(-3.0, f64::NEG_INFINITY), -3.0);
        assert_eq!(log_of_sum(f64::NEG_INFINITY, f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert!((log_of_sum(-1000.0, -1000.0) - (-1000.0 + 2f64.ln())).abs() < 1e-9);
    }
}
