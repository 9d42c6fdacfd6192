//! `report.json` of each round and of the complete run.
//!
//! Two runs with the same seed have equal reports except for `seconds`. Figures that depend on caches and
//! machines (tokens actually computed) are stored only in `cost.json` of each round.

use std::collections::BTreeMap;

use regrowth_policy::Usage;
use regrowth_verifiers::{Unanswered, equations};
use serde::{Deserialize, Serialize};

use super::config::RunConfig;
use super::machine::Machine;
use super::statistics::RoundStatistics;
use super::test_evaluation::EvalRow;
use crate::stats::{Paired, Share};

/// Version of both kinds of report.
pub(super) const REPORT_VERSION: u32 = 1;

/// Accuracy on a named set of problems.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// Source of the problems.
    pub task: String,
    /// Number of problems, number and share of right answers.
    #[serde(flatten)]
    pub share: Share,
    /// Number of problems without an answer; they count as wrong. Absent if 0.
    #[serde(default, skip_serializing_if = "is_none")]
    pub failed: u64,
    /// Equations between plain numbers in the solutions, and how many hold: shows whether steps stay correct
    /// while the policy's choices change. Absent if there are no equations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equations: Option<Share>,
    /// Number of solutions that ended by themselves without a readable answer.
    #[serde(default)]
    pub no_answer: u64,
    /// Number of solutions that the token limit cut off before an answer.
    #[serde(default)]
    pub cut_off: u64,
}

impl EvalReport {
    /// Number of solutions that state no answer.
    #[must_use]
    pub fn unanswered(&self) -> Unanswered {
        let Self { no_answer, cut_off, .. } = *self;
        Unanswered { solutions: self.share.n, no_answer, cut_off }
    }

    /// Builds the figures from the answers `rows` to the problems of `task`.
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

/// Decision of the gate about a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateReport {
    /// Number of the round whose policy this round started from.
    pub start_round: u32,
    /// Whether the next round starts from this round's policy.
    pub accepted: bool,
    /// Reason of the decision.
    pub reason: String,
}

/// Token counts by use. Files also contain `prompts` as `prefilled` and `sampled` as `decoded`, the terms of
/// inference servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "TokensRow", into = "TokensRow")]
pub struct RoundTokens {
    /// Tokens of the searched prompts, counted once per tree, as with a perfect prefix cache. The tokens
    /// actually computed are in `cost.json`.
    pub prompts: u64,
    /// Tokens sampled by the search.
    pub sampled: u64,
    /// Tokens of forward and backward passes.
    pub trained: u64,
    /// Tokens of forward passes of the reference policy.
    pub referenced: u64,
    /// Tokens sampled on validation problems.
    pub validated: u64,
}

/// [`RoundTokens`] as written to files. Older files contain only one of the two names of each count.
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

/// Wall time by phase, in seconds; the only part of a report that differs between equal runs. If a phase was
/// interrupted and resumed, only its last part counts.
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
    /// Estimate of the KL divergence from the base policy.
    #[serde(alias = "probe")]
    pub kl: f64,
}

impl Seconds {
    /// Total of all phases.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.search + self.train + self.validate + self.test + self.kl
    }
}

/// KL divergence of a policy from the base policy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KlToBase {
    /// Number of problems with a solution that both policies could score.
    pub problems: u64,
    /// Number of tokens of those solutions.
    pub tokens: u64,
    /// Estimate of KL(policy || base policy) per solution, in nats.
    pub per_solution: f64,
    /// Estimate of KL(policy || base policy) per token, in nats.
    pub per_token: f64,
}

/// `cost.json` of a round: its cost on this machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Cost {
    /// Wall time.
    pub(super) seconds: Seconds,
    /// Tokens actually computed for the search's requests.
    pub(super) search: Usage,
    /// CPU, threads and memory of the round.
    pub(crate) machine: Machine,
    /// When the round began and ended.
    pub(crate) times: Times,
}

/// When the first phase of a round began and its last phase ended, in seconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Times {
    /// Start of the first phase.
    pub(crate) began: Option<u64>,
    /// End of the last phase.
    pub(crate) ended: Option<u64>,
}

impl Times {
    /// Extends the interval by a phase.
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
    /// Number of the round; 0 is the base policy.
    pub round: u32,
    /// Identity of the policy after the round.
    pub policy: String,
    /// Accuracy on validation problems; gate and best round depend on it.
    pub validation: EvalReport,
    /// Accuracy on test problems; only in the report of the run, and never fed back.
    #[serde(default, alias = "eval", skip_serializing_if = "Option::is_none")]
    pub test: Option<EvalReport>,
    /// Decision of the gate; absent for round 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateReport>,
    /// Whether the policy after the round was validated. If false, `validation` is that of the last validated
    /// policy.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub validated: bool,
    /// Whether the round trained a checkpoint.
    pub trained: bool,
    /// Why nothing was trained; absent if `trained`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_trained: Option<String>,
    /// Number of problems of the round.
    pub problems: u64,
    /// Number of pairs.
    pub pairs: u64,
    /// Number of pairs dropped by the extraction or by training, by reason.
    pub pairs_dropped: BTreeMap<String, u64>,
    /// Number of trees.
    pub trees: u64,
    /// Number of optimizer steps.
    pub steps: u64,
    /// Token counts.
    pub tokens: RoundTokens,
    /// Last values of the training metrics, by TRL's metric names.
    pub metrics: BTreeMap<String, f64>,
    /// Share of the trained pairs (or solutions) that the round's start policy sampled; 0 if nothing was
    /// trained.
    pub on_policy_share: f64,
    /// Number of trained pairs that were drawn from earlier rounds.
    #[serde(default)]
    pub replayed: u64,
    /// KL divergence from the base policy; absent if nothing was trained or the divergence was not estimated.
    #[serde(default, alias = "drift", skip_serializing_if = "Option::is_none")]
    pub kl_to_base: Option<KlToBase>,
    /// Whether the search saw the reference answers.
    pub oracle: bool,
    /// Number of validation problems that the start policy solved and this policy does not.
    pub forgotten: u64,
    /// Number of validation problems that this policy solves and the start policy did not.
    pub learned: u64,
    /// Counts over trees and pairs.
    #[serde(alias = "audit")]
    pub statistics: RoundStatistics,
    /// Wall time.
    pub seconds: Seconds,
}

impl RoundReport {
    /// Report of a round without results; the caller fills them in.
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
    /// Report of a round that is not finished, without results.
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
    /// An example prompt: a problem as it is given to the base policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_example: Option<String>,
    /// One entry per round, round 0 first.
    pub rounds: Vec<RoundReport>,
    /// Round with the highest validation accuracy; the earliest on a tie.
    pub best_round: u32,
    /// Folder of the best round's checkpoint, relative to the run; absent for round 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// p-value of the best round against round 0 on the same test problems (exact McNemar test).
    pub p_value: f64,
    /// The comparison that `p_value` belongs to.
    pub comparison: Paired,
    /// Whether the gate ended the run before its last round.
    pub stopped_by_gate: bool,
    /// Whether the run ended early because `patience` rounds brought no new best.
    #[serde(default)]
    pub stopped_early: bool,
    /// Numbers of rounds at which the run had been finished, including the test evaluation, before rounds
    /// were added. Absent if none were added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extended: Vec<u32>,
    /// SHA-256 of the files in this folder that were computed from the rounds.
    #[serde(default)]
    pub checksums: BTreeMap<String, String>,
}

impl RunReport {
    /// Returns the report of a round.
    #[must_use]
    pub fn round(&self, round: u32) -> Option<&RoundReport> {
        self.rounds.iter().find(|r| r.round == round)
    }

    /// If rounds were added after a test evaluation, returns a sentence that says so.
    #[must_use]
    pub fn earlier_looks(&self) -> Option<String> {
        let after: Vec<String> = self.extended.iter().map(u32::to_string).collect();
        let after = (!after.is_empty()).then(|| after.join(", "))?;
        Some(format!("they had been looked at after round {after}, before rounds were added"))
    }

    /// Total wall time of all rounds and phases, in seconds.
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
