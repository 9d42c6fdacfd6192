//! Rows in the column layouts of other trainers, converted from our pairs. (Our own pairs file already loads
//! as TRL's standard preference data.) These rows contain only text, so a trainer tokenises it again, and TRL
//! appends EOS to every completion, even to a step in the middle of a solution.

use serde::{Deserialize, Serialize};

use crate::{PreferencePair, Problem};

/// TRL's unpaired preference columns: one completion and whether it is desirable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpairedRow {
    /// Prompt and the steps so far.
    pub prompt: String,
    /// One step.
    pub completion: String,
    /// Whether the completion is the chosen side of its pair.
    pub label: bool,
}

impl UnpairedRow {
    /// Both sides of a pair, the better one first.
    #[must_use]
    pub fn of_pair(pair: &PreferencePair) -> [Self; 2] {
        [(&pair.chosen, true), (&pair.rejected, false)].map(|(step, label)| Self {
            prompt: pair.prompt.clone(),
            completion: step.clone(),
            label,
        })
    }
}

/// TRL's stepwise supervision columns: steps and a label for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepwiseRow {
    /// Prompt and the steps so far.
    pub prompt: String,
    /// The labelled step, as a list of one.
    pub completions: Vec<String>,
    /// For each step, whether it is the chosen side of its pair. The chosen side is not necessarily right.
    pub labels: Vec<bool>,
}

impl StepwiseRow {
    /// Both sides of a pair, the better one first, with one step each.
    #[must_use]
    pub fn of_pair(pair: &PreferencePair) -> [Self; 2] {
        UnpairedRow::of_pair(pair).map(|row| Self {
            prompt: row.prompt,
            completions: vec![row.completion],
            labels: vec![row.label],
        })
    }
}

/// The columns of the Step-DPO set (Lai et al. 2024, arXiv:2406.18629).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepDpoRow {
    /// The question alone.
    pub prompt: String,
    /// The steps before the pair.
    pub initial_reason_steps: String,
    /// The better step.
    pub chosen: String,
    /// The worse step.
    pub rejected: String,
    /// The steps up to and including the better one; a pair does not contain the rest of the solution.
    pub full_chosen: String,
    /// The steps up to and including the worse one.
    pub full_rejected: String,
    /// Reference answer.
    pub answer: String,
    /// [`Problem::source`].
    pub dataset: String,
}

impl StepDpoRow {
    /// Converts `pair`, which was extracted from a tree of `problem` with the prompt `root_prompt`.
    ///
    /// `None` if the prompt of the pair does not begin with `root_prompt`, i.e. if the pair is from another
    /// tree.
    #[must_use]
    pub fn of_pair(pair: &PreferencePair, problem: &Problem, root_prompt: &str) -> Option<Self> {
        let steps = pair.prompt.strip_prefix(root_prompt)?;
        Some(Self {
            prompt: problem.question.clone(),
            initial_reason_steps: steps.to_owned(),
            chosen: pair.chosen.clone(),
            rejected: pair.rejected.clone(),
            full_chosen: format!("{steps}{}", pair.chosen),
            full_rejected: format!("{steps}{}", pair.rejected),
            answer: problem.answer.clone(),
            dataset: problem.source.clone(),
        })
    }
}
