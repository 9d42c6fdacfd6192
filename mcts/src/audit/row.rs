//! A preference as the audit sees it: two texts after one prompt, with the known properties of each.

use regrowth_datasets::{PreferencePair, TextPreference, Turn};

/// One preference.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AuditRow {
    /// Id of the problem; `None` in files of other programs.
    pub problem: Option<String>,
    /// Round of the run; 0 outside a run.
    pub round: u32,
    /// Whether outcomes of finished sides were verified against a reference answer.
    pub verified: bool,
    /// Text before the two sides.
    pub prompt: String,
    /// The better side.
    pub chosen: AuditSide,
    /// The worse side.
    pub rejected: AuditSide,
    /// Sums of the log-probabilities of chosen and rejected side under the policy that was trained on the
    /// pairs; `None` if they were not measured.
    pub trained: Option<[f64; 2]>,
}

/// One side of a preference.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AuditSide {
    /// Text of the side.
    pub text: String,
    /// Number of tokens; `None` without token ids.
    pub tokens: Option<usize>,
    /// Sum of the log-probabilities under the policy that sampled the side; `None` if they are not stored.
    pub logp: Option<f64>,
    /// Whether the side ends the solution; `None` if unknown.
    pub finished: Option<bool>,
    /// Verified outcome: above 0 right, below 0 wrong, 0 not verified.
    pub outcome: f64,
    /// The judge's rating, in [0, 1].
    pub self_evaluation: Option<f64>,
    /// Solutions in the tree below the side; `None` if the tree is not available.
    pub below: Option<SolutionsBelow>,
}

/// Number of verified solutions through a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SolutionsBelow {
    /// Number of all solutions.
    pub all: u64,
    /// Number of right solutions.
    pub right: u64,
}

impl SolutionsBelow {
    /// Share of right solutions; `None` if there are no solutions.
    #[must_use]
    pub fn share(self) -> Option<f64> {
        (self.all > 0).then(|| self.right as f64 / self.all as f64)
    }
}

impl From<&PreferencePair> for AuditRow {
    fn from(pair: &PreferencePair) -> Self {
        let sum = |logps: &[f32]| logps.iter().map(|&l| f64::from(l)).sum();
        let side = |text: &str, ids: &[u32], logps: &[f32]| AuditSide {
            text: text.to_owned(),
            tokens: Some(ids.len()),
            logp: (!logps.is_empty()).then(|| sum(logps)),
            ..AuditSide::default()
        };
        let mut chosen = side(&pair.chosen, &pair.chosen_ids, &pair.chosen_logps);
        chosen.finished = Some(pair.terminal_chosen);
        chosen.outcome = pair.outcome_chosen;
        chosen.self_evaluation = pair.self_evaluation_chosen;
        let mut rejected = side(&pair.rejected, &pair.rejected_ids, &pair.rejected_logps);
        rejected.finished = Some(pair.terminal_rejected);
        rejected.outcome = pair.outcome_rejected;
        rejected.self_evaluation = pair.self_evaluation_rejected;
        Self {
            problem: Some(pair.problem_id.clone()),
            round: pair.round,
            verified: pair.oracle,
            prompt: pair.prompt.clone(),
            chosen,
            rejected,
            trained: None,
        }
    }
}

impl From<&TextPreference> for AuditRow {
    fn from(row: &TextPreference) -> Self {
        let side = |turn: &Turn| AuditSide { text: plain(turn), ..AuditSide::default() };
        let mut prompt = plain(&row.prompt);
        prompt.push_str(row.steps.as_deref().unwrap_or_default());
        let (chosen, rejected) = (side(&row.chosen), side(&row.rejected));
        Self { prompt, chosen, rejected, ..Self::default() }
    }
}

/// Text of a turn; the contents of its messages are joined by line breaks.
fn plain(turn: &Turn) -> String {
    match turn {
        Turn::Text(text) => text.clone(),
        Turn::Messages(turns) => {
            let contents: Vec<&str> = turns.iter().map(|turn| turn.content.as_str()).collect();
            contents.join("\n")
        }
    }
}
