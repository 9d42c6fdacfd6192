//! What a generator hands over: a problem together with everything needed to write it down, solve
//! it as the reference does, imitate a hasty solver, and go wrong in a believable way.
//!
//! [`super::corpus`] and [`super::Task`] only see this trait.

use rand_chacha::ChaCha8Rng;

use crate::Problem;

/// A solution that goes wrong, line by line.
pub(super) struct Flawed {
    /// All lines; those after the wrong one follow from it.
    pub steps: Vec<String>,
    /// Index of the wrong line; those before it are right.
    pub wrong: usize,
}

/// A generated problem with its workings.
pub(super) trait SolvedProblem {
    /// The problem with its reference solution, one operation or hop a line.
    fn problem(&self) -> Problem;

    /// What the split goes by: the same key, the same part, whatever the seed.
    fn split_key(&self) -> String;

    /// A right solution as the corpus shows it: lines are merged or skipped with probabilities that
    /// are multiplied by `merge_scale`.
    fn solve(&self, rng: &mut ChaCha8Rng, merge_scale: f64) -> Vec<String>;

    /// A solution with one wrong step that is carried through consistently; `None` where no
    /// believable one was found.
    fn solve_wrongly(&self, rng: &mut ChaCha8Rng, merge_scale: f64) -> Option<Flawed>;
}

/// The line that ends every solution; no line break after it.
pub(super) fn final_line(answer: &str) -> String {
    format!("#### {answer}")
}
