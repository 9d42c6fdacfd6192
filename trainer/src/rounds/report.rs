//! What a run says about itself: `report.json` of each round and of the whole run.
//!
//! Two runs with one seed have equal reports but for `seconds`. Figures that depend on caches and
//! machines (tokens really computed) lie in `cost.json` of each round and nowhere else.

use std::collections::BTreeMap;

use regrowth_policy::Usage;
use regrowth_verifiers::{Unanswered, equations};
use serde::{Deserialize, Serialize};

use super::config::RunConfig;
use super::machine::Machine;
use super::statistics::RoundStatistics;
use super::test_evaluation::EvalRow;
use crate::stats::{Paired, Share};

/// Version of both reports.
pub(super) const REPORT_VERSION: u32 = 1;

/// Accuracy on a named set of problems.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// Source of the problems.
    pub task: String,
    /// The figures.
    #[serde(flatten)]
    pub share: Share,
    /// Problems without an answer; they count as wrong. Absent where there are none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub failed: u64,
    /// Equations between plain numbers in the solutions, and how many hold: whether steps stay legal
    /// while choices change. Absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equations: Option<Share>,
    /// Solutions that ended by themselves and state no answer that can be read.
    #[serde(default)]
    pub no_answer: u64,
    /// Solutions that the token limit cut off before they stated one.
    #[serde(default)]
    pub cut_off: u64,
}

impl EvalReport {
    /// How many of the solutions state no answer.
    #[must_use]
    pub fn unanswered(&self) -> Unanswered {
        let Self { no_answer, cut_off, .. } = *self;
        Unanswered { solutions: self.share.n, no_answer, cut_off }
    }

    /// Figures of these answers to the problems of `task`.
    pub(super) fn of(task: &str, rows: &[EvalRow]) -> Self {
        let equations = rows.iter().flat_map(|row| equations(&row.text)).map(|e| e.holds);
        let equations = Some(Share::of(equations)).filter(|share| share.n > 0);
        let share = Share::of(rows.iter().map(|row| row.correct));
        let failed = rows.iter().filter(|row| row.failure.is_some()).count() as u64;
        let reasons = || rows.iter().filter_map(|row| row.unanswered.as_deref());
        let cut_off = reasons().filter(|reason| *reason == "cut_off").count() as u64;
        let no_answer = reasons().count() as u64 - cut_off;
        Self { task: task.to_owned(), share, failed, equations, no_answer, cut_off }
    }
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

/// What the gate decided about a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateReport {
    /// Round whose policy this one started from.
    pub start_round: u32,
    /// Whether the next round starts from this round's policy.
    pub accepted: bool,
    /// Why.
    pub reason: String,
}

/// Tokens by what was done with them. Files have `prompts` also as `prefilled` and `sampled` also as
/// `decoded`, as inference servers call them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "TokensRow", into = "TokensRow")]
pub struct RoundTokens {
    /// Tokens of the searched prompts, each tree's once (what a perfect prefix cache would read;
    /// what was really computed is in `cost.json`).
    pub prompts: u64,
    /// Tokens sampled by the search.
    pub sampled: u64,
    /// Tokens through forward and backward.
    pub trained: u64,
    /// Tokens through reference forwards.
    pub referenced: u64,
    /// Tokens sampled on validation problems.
    pub validated: u64,
}

/// [`Tokens`] as files have them; older ones have one name of each count.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct TokensRow {
    prompts: Option<u64>,
    prefilled: Option<u64>,
    sampled: Option<u64>,
    decoded: Option<u64>,
    trained: u64,
    referenced: u64,
    validated: u64,
}

impl From<TokensRow> for RoundTokens {
    fn from(row: TokensRow) -> Self {
        Self {
            prompts: row.prompts.or(row.prefilled).unwrap_or_default(),
            sampled: row.sampled.or(row.decoded).unwrap_or_default(),
            trained: row.trained,
            referenced: row.referenced,
            validated: row.validated,
        }
    }
}

impl From<RoundTokens> for TokensRow {
    fn from(tokens: RoundTokens) -> Self {
        Self {
            prompts: Some(tokens.prompts),
            prefilled: Some(tokens.prompts),
            sampled: Some(tokens.sampled),
            decoded: Some(tokens.sampled),
            trained: tokens.trained,
            referenced: tokens.referenced,
            validated: tokens.validated,
        }
    }
}

/// Wall time by phase; the only part of a report that differs between equal runs. A phase that was
/// cut off and done again counts its last part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seconds {
    /// Search and pairs.
    pub search: f64,
    /// Training.
    pub train: f64,
    /// Validation problems.
    #[serde(alias = "evaluate")]
    pub validate: f64,
    /// Test problems, at the end of the run.
    pub test: f64,
    /// Estimate of the divergence from the base policy.
    #[serde(alias = "probe")]
    pub kl: f64,
}

impl Seconds {
    /// All phases together.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.search + self.train + self.validate + self.test + self.kl
    }
}

/// Divergence of a policy from the base policy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KlToBase {
    /// Problems with a solution that both policies could score.
    pub problems: u64,
    /// Tokens of those solutions.
    pub tokens: u64,
    /// Estimate of KL(policy || base policy) of whole solutions, in nats.
    pub per_solution: f64,
    /// The same over the solutions' tokens, in nats.
    pub per_token: f64,
}

/// `cost.json` of a round: what it took on this machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Cost {
    /// Wall time.
    pub(super) seconds: Seconds,
    /// Tokens that the search's requests really cost.
    pub(super) search: Usage,
    /// Where it ran, and the memory it took.
    pub(crate) machine: Machine,
    /// When it was worked on.
    pub(crate) times: Times,
}

/// When the phases of a round began and ended, in seconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Times {
    /// The first of them.
    pub(crate) began: Option<u64>,
    /// The last of them.
    pub(crate) ended: Option<u64>,
}

impl Times {
    /// Takes in a phase.
    pub(super) fn take(&mut self, began: u64, ended: u64) {
        self.began = Some(self.began.map_or(began, |first| first.min(began)));
        self.ended = self.ended.max(Some(ended));
    }
}

/// `report.json` of a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundReport {
    /// Version of the report.
    pub version: u32,
    /// The round; 0 is the base policy.
    pub round: u32,
    /// Identity of the policy after the round.
    pub policy: String,
    /// Accuracy on validation problems; decides gate and best round.
    pub validation: EvalReport,
    /// Accuracy on test problems; only in the report of the run, never fed back.
    #[serde(default, alias = "eval", skip_serializing_if = "Option::is_none")]
    pub test: Option<EvalReport>,
    /// What the gate decided; absent for round 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateReport>,
    /// Whether the policy after the round was asked the validation problems; else `validation` is
    /// that of the last round that was.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub validated: bool,
    /// Whether there is a checkpoint of this round, and if not, why.
    pub trained: bool,
    /// Why nothing was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_trained: Option<String>,
    /// Problems of the round.
    pub problems: u64,
    /// Pairs.
    pub pairs: u64,
    /// Pairs left out by the extraction or by training, by reason.
    pub pairs_dropped: BTreeMap<String, u64>,
    /// Trees.
    pub trees: u64,
    /// Optimizer steps.
    pub steps: u64,
    /// Tokens.
    pub tokens: RoundTokens,
    /// Last values of the training metrics, by TRL's names.
    pub metrics: BTreeMap<String, f64>,
    /// Share of the trained pairs (or solutions) that the round's start policy sampled; 0 if there
    /// are none.
    pub on_policy_share: f64,
    /// Trained pairs that were drawn from earlier rounds.
    #[serde(default)]
    pub replayed: u64,
    /// Divergence from the initial policy; absent where nothing was trained or measured.
    #[serde(default, alias = "drift", skip_serializing_if = "Option::is_none")]
    pub kl_to_base: Option<KlToBase>,
    /// Whether the search saw the reference answers (as it may while making data).
    pub oracle: bool,
    /// Validation problems that the start policy solved and this one does not.
    pub forgotten: u64,
    /// Validation problems that this policy solves and the start policy did not.
    pub learned: u64,
    /// Counts over trees and pairs.
    #[serde(alias = "audit")]
    pub statistics: RoundStatistics,
    /// Wall time.
    pub seconds: Seconds,
}

impl RoundReport {
    /// The report of a round that did nothing: what happened is filled in.
    pub(super) fn of(round: u32, policy: String) -> Self {
        Self {
            version: REPORT_VERSION,
            round,
            policy,
            validation: EvalReport::of("", &[]),
            test: None,
            gate: None,
            validated: true,
            trained: false,
            not_trained: None,
            problems: 0,
            pairs: 0,
            pairs_dropped: BTreeMap::new(),
            trees: 0,
            steps: 0,
            tokens: RoundTokens::default(),
            metrics: BTreeMap::new(),
            on_policy_share: 0.0,
            replayed: 0,
            kl_to_base: None,
            oracle: false,
            forgotten: 0,
            learned: 0,
            statistics: RoundStatistics::default(),
            seconds: Seconds::default(),
        }
    }
}

impl RoundReport {
    /// The report of a round that is not done: nothing was measured.
    pub(crate) fn unfinished(round: u32) -> Self {
        Self { validated: false, ..Self::of(round, String::new()) }
    }
}

fn yes() -> bool {
    true
}

/// `report.json` of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Version of the report.
    pub version: u32,
    /// Seed of the run.
    pub seed: u64,
    /// Settings.
    pub config: RunConfig,
    /// A problem as it is put to the policy of round 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_example: Option<String>,
    /// One entry per round, round 0 first.
    pub rounds: Vec<RoundReport>,
    /// Round with the highest accuracy on validation problems, the first of equals.
    pub best_round: u32,
    /// Folder of the best round's checkpoint, relative to the run; absent for round 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// Best round against round 0 on the same test problems: exact McNemar test.
    pub p_value: f64,
    /// The same comparison in full.
    pub comparison: Paired,
    /// Whether the gate ended the run before its last round.
    pub stopped_by_gate: bool,
    /// Whether the run ended early because rounds brought no new best.
    #[serde(default)]
    pub stopped_early: bool,
    /// Rounds after which the run was finished before rounds were added: its test problems were looked
    /// at then. Absent where none were added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extended: Vec<u32>,
    /// SHA-256 of the files beside this one that were computed from the rounds.
    #[serde(default)]
    pub checksums: BTreeMap<String, String>,
}

impl RunReport {
    /// The entry of a round.
    #[must_use]
    pub fn round(&self, round: u32) -> Option<&RoundReport> {
        self.rounds.iter().find(|r| r.round == round)
    }

    /// That the test problems were looked at before rounds were added, where they were.
    #[must_use]
    pub fn earlier_looks(&self) -> Option<String> {
        let after: Vec<String> = self.extended.iter().map(u32::to_string).collect();
        let after = (!after.is_empty()).then(|| after.join(", "))?;
        Some(format!("they had been looked at after round {after}, before rounds were added"))
    }

    /// Seconds of all rounds and phases.
    #[must_use]
    pub fn total_seconds(&self) -> f64 {
        self.rounds.iter().map(|r| r.seconds.total()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_under_either_name_and_written_under_both() {
        let tokens = RoundTokens { prompts: 3, sampled: 5, trained: 7, ..RoundTokens::default() };
        let text = serde_json::to_string(&tokens).unwrap();
        assert!(text.contains("\"prefilled\":3") && text.contains("\"decoded\":5"), "{text}");
        for file in [
            text.as_str(),
            r#"{"prompts": 3, "sampled": 5, "trained": 7}"#,
            r#"{"prefilled": 3, "decoded": 5, "trained": 7}"#,
        ] {
            assert_eq!(serde_json::from_str::<RoundTokens>(file).unwrap(), tokens, "{file}");
        }
    }
}
