//! What reading a file found beside its rows: warnings, bad rows that were passed over, questions that
//! occur twice with different references. Readers collect it here; whoever runs them prints it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{AnswerKind, DataError, Problem, problem_key};

/// Conflicts that are named one by one; the rest are counted.
const NAMED_CONFLICTS: usize = 5;

/// What a user should know of files that were read, in the order in which it was found.
#[derive(Debug, Default)]
pub struct Notices {
    /// Whole sentences that begin with the file, and its line where there is one.
    warnings: Vec<String>,
    /// The bad rows that were passed over.
    skipped: Vec<DataError>,
    /// Bad rows that may be passed over in all.
    allowed: usize,
    /// Where each question stands first, by its content.
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
    /// Nothing yet; at most `skip_bad` bad rows of all files that are read with it are passed over.
    #[must_use]
    pub fn skipping(skip_bad: usize) -> Self {
        Self { allowed: skip_bad, ..Self::default() }
    }

    /// The bad rows that were passed over, each with file, line and reason.
    #[must_use]
    pub fn skipped(&self) -> &[DataError] {
        &self.skipped
    }

    /// Everything that a user should see, a line each.
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

    /// Passes over a bad row, if that is still allowed.
    ///
    /// # Errors
    /// `error` itself where it is not about one row or no row may be bad;
    /// [`DataError::TooManyBad`] for one row more than allowed.
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

    /// Warns if a problem was read before with another reference.
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

/// The reference by content: of multiple choice the text of the option, as labels and order are the
/// format's.
fn reference(problem: &Problem) -> String {
    let right = problem.choices.iter().find(|choice| choice.label == problem.answer);
    match (&problem.kind, right) {
        (AnswerKind::Choice, Some(choice)) => choice.text.clone(),
        _ => problem.answer.clone(),
    }
}
