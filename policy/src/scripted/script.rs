//! The script of a scripted policy: the candidates that follow each text.
//!
//! The format is described at [`super::Scripted::from_file`].

use regrowth_datasets::content_hash;
use serde::Deserialize;

use crate::PolicyError;

/// Entries in the order in which they are tried.
#[derive(Debug, Clone)]
pub(super) struct Script {
    entries: Vec<Entry>,
    hash: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    after: String,
    #[serde(default)]
    question: String,
    candidates: Vec<Line>,
}

/// One candidate of an entry.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    /// Text of the step.
    pub(super) text: String,
    /// Whether EOS follows.
    #[serde(default)]
    pub(super) end: bool,
    /// Self-evaluation; `None` if unknown.
    #[serde(default)]
    pub(super) correct: Option<f64>,
    /// Log-probability of each byte; `None` if it is computed by a hash.
    #[serde(default)]
    pub(super) logp: Option<f32>,
}

impl Script {
    /// Reads and checks a script.
    pub(super) fn parse(json: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(json).map_err(|e| {
            format!("{e}; expected {{\"entries\": [{{\"after\", \"candidates\"}}]}}")
        })?;
        for (index, entry) in file.entries.iter().enumerate() {
            if entry.candidates.is_empty() {
                return Err(format!("entries[{index}].candidates: expected at least one"));
            }
            for line in &entry.candidates {
                if line.correct.is_some_and(|c| !(0.0..=1.0).contains(&c)) {
                    return Err(format!("entries[{index}]: `correct` must be in [0, 1]"));
                }
            }
        }
        Ok(Self { entries: file.entries, hash: content_hash(json) })
    }

    /// Hash of the script, for the policy's identity.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// Returns candidate `index` after `so_far`.
    pub(super) fn candidate(
        &self,
        question: &str,
        so_far: &str,
        index: usize,
    ) -> Result<&Line, PolicyError> {
        let entry = self.entry(question, so_far).ok_or_else(|| {
            PolicyError::Model(format!("the script has no entry after {so_far:?}"))
        })?;
        Ok(&entry.candidates[index % entry.candidates.len()])
    }

    /// Returns the self-evaluation of the step `text` after `so_far`.
    pub(super) fn correct(&self, question: &str, so_far: &str, text: &str) -> Option<f64> {
        let lines = &self.entry(question, so_far)?.candidates;
        lines.iter().find(|line| line.text == text)?.correct
    }

    fn entry(&self, question: &str, so_far: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.after == so_far && question.contains(&e.question))
    }
}
