//! Result of a generator: a problem that can write down its question and reference solution, solve itself
//! as a hasty solver would, and go wrong in a plausible way.
//!
//! [`super::corpus`] and [`super::Task`] use generators only through this trait.

use rand_chacha::ChaCha8Rng;

use crate::Problem;

/// A solution with one wrong line.
pub(super) struct Flawed {
    /// All lines; the lines after the wrong one follow from it.
    pub steps: Vec<String>,
    /// Index of the wrong line; the lines before it are right.
    pub wrong: usize,
}

/// A generated problem and its solutions.
pub(super) trait SolvedProblem {
    /// The problem with its reference solution, one operation or hop per line.
    fn problem(&self) -> Problem;

    /// Key of the split: problems with the same key belong to the same split, whatever the seed.
    fn split_key(&self) -> String;

    /// A right solution for the corpus. Lines are merged or skipped with probabilities that are
    /// multiplied by `merge_scale`.
    fn solve(&self, rng: &mut ChaCha8Rng, merge_scale: f64) -> Vec<String>;

    /// A solution with one wrong step that is carried through consistently; `None` if no plausible one
    /// was found.
    fn solve_wrongly(&self, rng: &mut ChaCha8Rng, merge_scale: f64) -> Option<Flawed>;
}

/// The line that ends every solution; no line break after it.
pub(super) fn final_line(answer: &str) -> String {
    format!("#### {answer}")
}
