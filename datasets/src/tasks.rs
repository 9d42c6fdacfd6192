//! Built-in tasks, generated from a seed: `arithmetic`, `choice`, `countdown`, and the corpus that
//! teaches them.
//!
//! A task turns a random stream into problems in the form of published ones; which part of the data
//! a problem belongs to goes by its content alone, so train, validation and test never meet,
//! whatever the seeds. Nothing here knows of prompts, tokens or models; the tasks take after GSM8K
//! (arXiv:2110.14168), ARC (arXiv:1803.05457) and Countdown (arXiv:2404.03683).

mod arithmetic;
mod choice;
mod corpus;
mod countdown;
mod drill;
mod pieces;
mod spec;
mod stream;
mod words;
mod worked;

use rand_chacha::ChaCha8Rng;

pub use corpus::{Corpus, CorpusConfig, CorpusExample, corpus};
pub use pieces::{pieces, vocabulary};
pub use spec::{TaskSpec, problems_from_spec};
pub use stream::Problems;

use crate::{DataError, Split};
use worked::Worked;

/// A built-in task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// Word problems of two to six operations on numbers from 0 to 99.
    Arithmetic,
    /// Four options, facts in the question, one to three hops.
    Choice,
    /// Make a target from three numbers.
    Countdown,
}

impl Task {
    /// All tasks.
    pub const ALL: [Self; 3] = [Self::Arithmetic, Self::Choice, Self::Countdown];

    /// Name as users write it after `builtin:`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Arithmetic => "arithmetic",
            Self::Choice => "choice",
            Self::Countdown => "countdown",
        }
    }

    /// The task of this name.
    ///
    /// # Errors
    /// [`DataError::UnknownTask`] with the known names.
    pub fn from_name(name: &str) -> Result<Self, DataError> {
        Self::ALL.into_iter().find(|task| task.name() == name).ok_or_else(|| {
            DataError::UnknownTask {
                name: name.into(),
                known: Self::ALL.map(Self::name).join(", "),
            }
        })
    }

    /// Problems of one part, all different, at the default levels; see [`TaskSpec::problems`].
    pub fn problems(self, split: Split, seed: u64) -> Problems {
        TaskSpec::from(self).problems(split, seed)
    }

    /// Levels (operations or hops) drawn by default, both ends included.
    #[must_use]
    pub fn default_levels(self) -> (u32, u32) {
        match self {
            Self::Arithmetic => arithmetic::LEVELS,
            Self::Choice => choice::LEVELS,
            Self::Countdown => countdown::LEVELS,
        }
    }

    /// Levels that can be asked for, both ends included.
    #[must_use]
    pub fn allowed_levels(self) -> (u32, u32) {
        match self {
            Self::Arithmetic => arithmetic::ALLOWED,
            Self::Choice => choice::LEVELS,
            Self::Countdown => countdown::ALLOWED,
        }
    }

    /// Draws one problem; `levels` lies in [`Self::allowed_levels`].
    fn draw(self, rng: &mut ChaCha8Rng, levels: (u32, u32)) -> Box<dyn Worked> {
        match self {
            Self::Arithmetic => Box::new(arithmetic::arithmetic(rng, levels)),
            Self::Choice => Box::new(choice::choice(rng, levels)),
            Self::Countdown => Box::new(countdown::countdown(rng, levels)),
        }
    }
}

#[cfg(test)]
mod tests;
