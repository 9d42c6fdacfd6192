//! The built-in tasks by name, and their generators.

use rand_chacha::ChaCha8Rng;

use super::spec::TaskSpec;
use super::stream::Problems;
use super::worked::SolvedProblem;
use super::{arithmetic, choice, countdown};
use crate::{DataError, Split};

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

    /// Name after `builtin:`.
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

    /// Distinct problems of one split at the default levels; see [`TaskSpec::problems`].
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

    /// Allowed levels, both ends included.
    #[must_use]
    pub fn allowed_levels(self) -> (u32, u32) {
        match self {
            Self::Arithmetic => arithmetic::ALLOWED,
            Self::Choice => choice::LEVELS,
            Self::Countdown => countdown::ALLOWED,
        }
    }

    /// Draws one problem; `levels` must be inside [`Self::allowed_levels`].
    pub(super) fn draw(self, rng: &mut ChaCha8Rng, levels: (u32, u32)) -> Box<dyn SolvedProblem> {
        match self {
            Self::Arithmetic => Box::new(arithmetic::arithmetic(rng, levels)),
            Self::Choice => Box::new(choice::choice(rng, levels)),
            Self::Countdown => Box::new(countdown::countdown(rng, levels)),
        }
    }
}
