//! Findings while a file is read: warnings, bad rows that were skipped, questions that occur twice with
//! different references. Readers collect them here; their caller prints them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{AnswerKind, DataError, Problem, problem_key};

/// Number of conflicts that are reported one by one; the rest are counted.
const NAMED_CONFLICTS: usize = 5;

/// Messages to the user about files that were read, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Notices {
    /// Sentences that begin with the file, and with the line if there is one.
    warnings: Vec<String>,
    /// The bad rows that were skipped.
    skipped: Vec<DataError>,
    /// Number of bad rows that may be skipped, over all files.
    allowed: usize,
    /// First occurrence of each question, by its content.
    seen: BTreeMap<String, SeenQuestion>,
    conflicts: usize,
}

#[derive(Debug)]
struct SeenQuestion {
    file: PathBuf,
    line: usize,
    reference: String,
}

impl Notices {
    /// Creates an empty collection that allows `skip_bad` bad rows in total, over all files read with it.
    #[must_use]
    pub fn skipping(skip_bad: usize) -> Self {
        Self { allowed: skip_bad, ..Self::default() }
    }

    /// The bad rows that were skipped, each with file, line and reason.
    #[must_use]
    pub fn skipped(&self) -> &[DataError] {
        &self.skipped
    }

    /// All messages, one line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let skipped = self.skipped.iter().map(|error| format!("skipped a bad row: {error}"));
        let more = self.conflicts.saturating_sub(NAMED_CONFLICTS);
        let more = (more > 0)
            .then(|| format!("{more} more questions occur twice with different references"));
        self.warnings.iter().cloned().chain(more).chain(skipped).collect()
    }

    pub(crate) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// Skips a bad row, if that is still allowed.
    ///
    /// # Errors
    /// `error` itself if it is not about a single row or if no bad rows are allowed;
    /// [`DataError::TooManyBad`] for the first row beyond the limit.
    pub fn skip(&mut self, error: DataError) -> Result<(), DataError> {
        let of_a_row = matches!(
            error,
            DataError::Row { .. } | DataError::Torn { .. } | DataError::DuplicateId { .. }
        );
        if !of_a_row || self.allowed == 0 {
            return Err(error);
        }
        if self.skipped.len() == self.allowed {
            return Err(DataError::TooManyBad { allowed: self.allowed, last: Box::new(error) });
        }
        self.skipped.push(error);
        Ok(())
    }

    /// Warns if the same question was read before with another reference.
    pub(crate) fn compare(&mut self, problem: &Problem, file: &Path, line: usize) {
        let reference = reference(problem);
        if reference.is_empty() {
            return;
        }
        let here = SeenQuestion { file: file.to_owned(), line, reference: reference.clone() };
        let first = self.seen.entry(problem_key(problem)).or_insert(here);
        if first.reference == reference {
            return;
        }
        self.conflicts += 1;
        if self.conflicts <= NAMED_CONFLICTS {
            let warning = format!(
                "{}:{line}: the same question as {}:{}, with another reference answer: `{}` here, `{}` there",
                file.display(),
                first.file.display(),
                first.line,
                reference,
                first.reference,
            );
            self.warnings.push(warning);
        }
    }
}

/// The reference by content. For multiple choice, it is the text of the option, because labels and order
/// depend on the format.
fn reference(problem: &Problem) -> String {
    let right = problem.choices.iter().find(|choice| choice.label == problem.answer);
    match (&problem.kind, right) {
        (AnswerKind::Choice, Some(choice)) => choice.text.clone(),
        _ => problem.answer.clone(),
    }
}
