//! The text form of a built-in task: `builtin:arithmetic`, `builtin:arithmetic:5-7`.
//!
//! Only names and level ranges are handled here, not the generation of problems.

use std::fmt;
use std::str::FromStr;

use super::stream::Problems;
use super::task::Task;
use crate::{DataError, Split};

/// Prefix of the name of a task.
const PREFIX: &str = "builtin:";

/// A built-in task with the levels to draw from.
///
/// Written `builtin:NAME`, `builtin:NAME:L` for one level or `builtin:NAME:L-M` for a range, both
/// ends included. A level is the number of operations (`arithmetic` 1 to 8, default 2 to 6;
/// `countdown` 1 to 3, default 2, always one number more than operations) or of hops (`choice` 1
/// to 3, the default).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskSpec {
    task: Task,
    levels: (u32, u32),
}

impl TaskSpec {
    /// A task at these levels, both ends included.
    ///
    /// # Errors
    /// [`DataError::UnknownTask`] if the range is empty or not inside [`Task::allowed_levels`].
    pub fn new(task: Task, levels: (u32, u32)) -> Result<Self, DataError> {
        let (least, most) = task.allowed_levels();
        if levels.0 < least || levels.1 > most || levels.0 > levels.1 {
            return Err(DataError::UnknownTask {
                name: format!("{PREFIX}{}:{}-{}", task.name(), levels.0, levels.1),
                known: format!("levels {least} to {most} of `{}`", task.name()),
            });
        }
        Ok(Self { task, levels })
    }

    /// The task.
    #[must_use]
    pub fn task(&self) -> Task {
        self.task
    }

    /// The levels, both ends included.
    #[must_use]
    pub fn levels(&self) -> (u32, u32) {
        self.levels
    }

    /// The same task with the lower half of these levels.
    pub(super) fn easier(self) -> Self {
        Self { levels: (self.levels.0, self.levels.0.midpoint(self.levels.1)), ..self }
    }

    /// Distinct problems of one split. Item `i` of the underlying stream depends on the task, `seed` and
    /// `i` only; items equal to an earlier one are left out.
    ///
    /// The stream is practically endless. It ends after a thousand repeats in a row, which only happens
    /// for `countdown`.
    pub fn problems(&self, split: Split, seed: u64) -> Problems {
        Problems::new(*self, split, seed)
    }
}

impl From<Task> for TaskSpec {
    fn from(task: Task) -> Self {
        Self { task, levels: task.default_levels() }
    }
}

impl fmt::Display for TaskSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.task.name())?;
        match self.levels {
            levels if levels == self.task.default_levels() => Ok(()),
            (a, b) if a == b => write!(f, ":{a}"),
            (a, b) => write!(f, ":{a}-{b}"),
        }
    }
}

impl FromStr for TaskSpec {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let rest = text.strip_prefix(PREFIX).unwrap_or(text);
        let Some((name, levels)) = rest.split_once(':') else {
            return Task::from_name(rest).map(Self::from);
        };
        let task = Task::from_name(name)?;
        let (first, last) = levels.split_once('-').unwrap_or((levels, levels));
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) => Self::new(task, (first, last)),
            _ => Err(DataError::UnknownTask {
                name: text.into(),
                known: format!("{PREFIX}{name}, {PREFIX}{name}:L, {PREFIX}{name}:L-M"),
            }),
        }
    }
}

/// Problems of the task `spec`; the prefix `builtin:` may be left out. See [`TaskSpec`].
///
/// # Errors
/// [`DataError::UnknownTask`] for an unknown name or level range.
pub fn problems_from_spec(spec: &str, split: Split, seed: u64) -> Result<Problems, DataError> {
    Ok(spec.parse::<TaskSpec>()?.problems(split, seed))
}
