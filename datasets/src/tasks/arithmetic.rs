//! `arithmetic`: word problems of two to six operations in the style of GSM8K. Every number is from 0 to
//! 99.
//!
//! Each line of the solution repeats the clause that it uses and then computes. Together with short word
//! lists and small numbers, this lets a model of half a million parameters learn the task. The style is
//! that of arXiv:2110.14168; the sentences are our own.

mod chain;
mod comparison;
mod corrupt;
mod draft;
mod shopping;
mod story;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::words::chance;
use super::worked::{Flawed, SolvedProblem, final_line};
use crate::{AnswerKind, Problem, content_hash};
use draft::{Draft, Kind};

/// Maximum number of operations that share one line.
const MAX_GROUP: usize = 3;
/// Probability that two neighbouring operations share a line, in a chain with merged lines.
const MERGE_EACH: f64 = 0.6;

/// Failed draws after which the problem becomes a story: not every kind of problem exists at every level,
/// but stories do.
const MOST_ATTEMPTS: u32 = 200;

/// Default number of operations of a problem.
pub(super) const LEVELS: (u32, u32) = (2, 6);
/// Allowed number of operations.
pub(super) const ALLOWED: (u32, u32) = (1, 8);

/// A word problem and its chain of operations.
pub(super) struct Arithmetic {
    draft: Draft,
    level: u32,
    answer: u32,
}

/// Draws a problem whose number of operations is within `levels`, a range inside [`ALLOWED`].
pub(super) fn arithmetic(rng: &mut ChaCha8Rng, levels: (u32, u32)) -> Arithmetic {
    let level = rng.random_range(levels.0..=levels.1);
    let kinds = Kind::ALL;
    let mut kind = kinds[rng.random_range(0..kinds.len())];
    let mut attempts = 0;
    loop {
        let draft = match kind {
            Kind::Story => story::story(rng, level),
            Kind::Comparison => comparison::comparison(rng, level),
            Kind::Shopping => shopping::shopping(rng, level),
        };
        if let Some(draft) = draft
            && let Some(&answer) = draft.chain.values().as_deref().and_then(<[u32]>::last)
        {
            return Arithmetic { draft, level, answer };
        }
        attempts += 1;
        if attempts == MOST_ATTEMPTS {
            kind = Kind::Story;
        }
    }
}

impl SolvedProblem for Arithmetic {
    fn problem(&self) -> Problem {
        let question = self.draft.question();
        let one_each: Vec<usize> = (0..=self.draft.chain.operations.len()).collect();
        Problem {
            id: format!("arithmetic-{}", content_hash(&question)),
            source: "builtin:arithmetic".into(),
            question,
            choices: Vec::new(),
            answer: self.answer.to_string(),
            kind: AnswerKind::Number,
            solution: self.lines(&self.draft.chain, &one_each).map(|l| l.concat()),
            level: Some(self.level),
        }
    }

    fn split_key(&self) -> String {
        content_hash(&self.draft.question())
    }

    fn solve(&self, rng: &mut ChaCha8Rng, merge_scale: f64) -> Vec<String> {
        let groups = self.groups(rng, merge_scale);
        self.lines(&self.draft.chain, &groups).unwrap_or_default()
    }

    fn solve_wrongly(&self, rng: &mut ChaCha8Rng, merge_scale: f64) -> Option<Flawed> {
        let groups = self.groups(rng, merge_scale);
        corrupt::corrupt(rng, &self.draft, &groups)
    }
}

impl Arithmetic {
    /// All lines of the solution by `chain`, with the final line.
    fn lines(&self, chain: &chain::Chain, groups: &[usize]) -> Option<Vec<String>> {
        let mut lines = chain.lines(groups)?;
        lines.push(final_line(&chain.values()?.last()?.to_string()));
        Some(lines)
    }

    /// Boundaries of the groups of operations that share a line.
    fn groups(&self, rng: &mut ChaCha8Rng, merge_scale: f64) -> Vec<usize> {
        let chain = &self.draft.chain;
        let merges = chance(rng, self.draft.kind.merge_probability() * merge_scale);
        let mut bounds = vec![0];
        for end in 1..chain.operations.len() {
            let first = bounds[bounds.len() - 1];
            let joins = merges
                && end - first < MAX_GROUP
                && chain.mergeable(first, end + 1)
                && chance(rng, MERGE_EACH);
            if !joins {
                bounds.push(end);
            }
        }
        bounds.push(chain.operations.len());
        bounds
    }
}

#[cfg(test)]
mod tests;
