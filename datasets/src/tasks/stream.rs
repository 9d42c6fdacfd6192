//! Endless streams of problems of one split.
//!
//! Each item has its own random stream, keyed by task, levels, seed and position. Draws that belong to
//! another split are discarded.

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;

use super::spec::TaskSpec;
use super::worked::SolvedProblem;
use crate::{Problem, Split, keyed_rng, split_of_key};

/// A stream ends after this many repeats in a row.
const MOST_REPEATS: usize = 1_000;

/// Problems of one task and one split, without repeats; made by [`TaskSpec::problems`].
#[derive(Debug, Clone)]
pub struct Problems {
    spec: TaskSpec,
    split: Split,
    seed: u64,
    next: u64,
    seen: BTreeSet<String>,
}

impl Problems {
    /// The stream from its first item.
    pub(super) fn new(spec: TaskSpec, split: Split, seed: u64) -> Self {
        Self { spec, split, seed, next: 0, seen: BTreeSet::new() }
    }
}

impl Iterator for Problems {
    type Item = Problem;

    fn next(&mut self) -> Option<Problem> {
        for _ in 0..MOST_REPEATS {
            let mut rng = keyed_rng(
                self.seed,
                &[b"problem", self.spec.to_string().as_bytes(), &self.next.to_le_bytes()],
            );
            self.next += 1;
            let problem = draw_from(&mut rng, self.spec, self.split).problem();
            if self.seen.insert(problem.id.clone()) {
                return Some(problem);
            }
        }
        None
    }
}

/// Draws until a problem belongs to this split.
pub(super) fn draw_from(
    rng: &mut ChaCha8Rng,
    spec: TaskSpec,
    split: Split,
) -> Box<dyn SolvedProblem> {
    loop {
        let worked = spec.task().draw(rng, spec.levels());
        if split_of_key(&worked.split_key()) == split {
            return worked;
        }
    }
}
