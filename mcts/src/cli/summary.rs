//! `summary.json`: counts, figures and costs of a search.
//!
//! The only file of a search that may differ between two runs with one seed: it contains seconds and the
//! effect of the policy's cache.

use std::collections::BTreeMap;

use regrowth_datasets::PreferencePair;
use regrowth_verifiers::Unanswered;
use serde::{Deserialize, Serialize};

use super::rows::SKIPPED;
use crate::SearchSummary;
use crate::calibration::{Calibration, JudgedSolutions};
use crate::config::JudgePolicy;
use crate::fitted::{FoundJudge, JudgeFit};
use crate::likelihood::LikelihoodCalibration;
use crate::pairs::{DropReason, ExtractedPairs, JointCounts};

/// Version of the file's format.
const SUMMARY_VERSION: u32 = 1;

#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    version: u32,
    policy: String,
    /// The prompt of the first problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_example: Option<String>,
    problems: u64,
    pub(crate) trees: u64,
    nodes: u64,
    simulations: u64,
    pairs: u64,
    pairs_dropped: BTreeMap<DropReason, u64>,
    /// Counts of joint pairs and of trees without contrast; absent if `pairs.joint` is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    joint: Option<JointCounts>,
    /// Number of trees whose committed answer is right; not an accuracy if `oracle` is true. Null if no
    /// problem has a reference answer.
    correct: Option<u64>,
    /// Number of skipped bad rows of the problem files.
    bad_rows: u64,
    /// Numbers of finished solutions in the trees: all of them, those that ended by themselves without a
    /// readable answer, and those that the token limit cut off before an answer.
    #[serde(flatten)]
    unanswered: Unanswered,
    /// Number of solutions in the trees whose answer is undecided, by reason. They have the outcome of a
    /// wrong solution, or 0 with a verifier command (`verifier_...`).
    undecided: BTreeMap<String, u64>,
    oracle: bool,
    /// Whether time affected the result, by a stopping rule or by --max-seconds; another run may then give
    /// different trees.
    timed: bool,
    pub(crate) cancelled: bool,
    skipped: BTreeMap<String, u64>,
    skipped_examples: Vec<(String, String)>,
    tokens: SearchTokens,
    model_calls: u64,
    /// Cost of a policy that judges in place of the searched one. Its calls are included in `model_calls`,
    /// its tokens are not included in `tokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    judge: Option<JudgeCost>,
    /// Self-evaluations compared with verified outcomes; absent if nothing was judged.
    self_evaluation: Option<Calibration>,
    /// Calibration of log-likelihoods fitted to the outcomes; absent if there are too few.
    #[serde(skip_serializing_if = "Option::is_none")]
    likelihood: Option<LikelihoodCalibration>,
    /// Identity of the probe fitted to the outcomes; its weights are in `judge_probe.json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<String>,
    /// Figures of judges that are fitted to outcomes, each solution judged by a fit to other problems; empty
    /// if trees store no hidden states.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    held_out: BTreeMap<String, Calibration>,
    margin: Spread,
    depth: Spread,
    chosen_tokens: Spread,
    rejected_tokens: Spread,
    seconds: f64,
}

/// Numbers of tokens by use; the first seven are reported by the policy.
#[derive(Debug, Serialize)]
struct SearchTokens {
    /// Computed tokens of prompts and steps.
    prefilled: u64,
    /// Tokens among `prefilled` that had been evicted from the cache, because it was too small.
    recomputed: u64,
    /// Tokens of prompts and steps that were found in the cache.
    reused: u64,
    /// Rows of forward passes computed for sampling; candidates with a common beginning share them.
    sampling_rows: u64,
    /// Sampled tokens that were computed: one for each of these rows, so the same number, under the name used
    /// by inference servers. `sampled` also counts tokens that share a row.
    decoded: u64,
    /// Computed tokens of questions that follow a step.
    judged: u64,
    /// Computed tokens of judge prompts that restate problem and solution.
    restated: u64,
    /// Sampled tokens in the trees, including dropped duplicates.
    sampled: u64,
    /// Number of distinct prefixes in each tree: tokens that must be computed once.
    unique_in_trees: u64,
    /// (`prefilled` + `sampling_rows`) / `unique_in_trees`; 1 if no token is computed twice.
    computed_per_unique: f64,
}

/// Minimum, mean and maximum; all 0 without values.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Spread {
    min: f64,
    mean: f64,
    max: f64,
    #[serde(skip)]
    count: u64,
}

impl Spread {
    fn add(&mut self, value: f64) {
        self.count += 1;
        if self.count == 1 {
            *self = Self { min: value, mean: value, max: value, count: 1 };
        } else {
            self.min = self.min.min(value);
            self.max = self.max.max(value);
            self.mean += (value - self.mean) / self.count as f64;
        }
    }
}

/// Counts collected while pairs are written.
#[derive(Debug, Default)]
pub(crate) struct PairCounts {
    pub(crate) pairs: u64,
    pub(crate) dropped: BTreeMap<DropReason, u64>,
    /// Number of pairs whose sides the ensemble swapped.
    pub(crate) flipped: u64,
    /// Counts of joint pairs; `None` if none were requested.
    pub(crate) joint: Option<JointCounts>,
    margin: Spread,
    depth: Spread,
    chosen_tokens: Spread,
    rejected_tokens: Spread,
    /// Number of tokens sampled in all trees.
    pub(crate) sampled: u64,
    /// Finished solutions of all trees.
    pub(crate) solutions: JudgedSolutions,
    /// Numbers of finished solutions of all trees that state no answer.
    pub(crate) unanswered: Unanswered,
    /// Verified steps of all trees.
    pub(crate) verified: JudgeFit,
}

impl PairCounts {
    pub(crate) fn add(&mut self, extracted: &ExtractedPairs) {
        for (reason, count) in &extracted.dropped {
            *self.dropped.entry(*reason).or_default() += count;
        }
        self.flipped += extracted.flipped;
        extracted.pairs.iter().for_each(|pair| self.add_pair(pair));
    }

    fn add_pair(&mut self, pair: &PreferencePair) {
        self.pairs += 1;
        self.margin.add(pair.margin);
        self.depth.add(f64::from(pair.depth));
        self.chosen_tokens.add(pair.chosen_ids.len() as f64);
        self.rejected_tokens.add(pair.rejected_ids.len() as f64);
    }
}

/// Cost of a policy that judges.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct JudgeCost {
    /// Identity of the policy.
    pub(super) policy: String,
    /// Number of judgements.
    calls: u64,
    /// Number of tokens computed for them.
    tokens: u64,
}

impl JudgeCost {
    /// The sum of this cost and of another cost of the same policy.
    pub(super) fn and(self, other: Self) -> Self {
        let (calls, tokens) = (self.calls + other.calls, self.tokens + other.tokens);
        Self { policy: self.policy, calls, tokens }
    }

    pub(super) fn of(judge: &JudgePolicy) -> Self {
        let JudgePolicy { policy, meter } = judge;
        Self { policy: policy.identity().to_owned(), calls: meter.calls(), tokens: meter.tokens() }
    }
}

/// Results of a search that has ended.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Finished {
    /// Identity of the policy.
    pub(super) policy: String,
    /// Prompt of the first problem.
    pub(super) prompt_example: Option<String>,
    /// Whether any problem has a reference answer.
    pub(super) has_references: bool,
    /// Number of skipped bad rows of the problem files.
    pub(super) bad_rows: u64,
    /// Cost of a policy that judges in place of the searched one.
    pub(super) judge: Option<JudgeCost>,
    /// Counts of the search.
    pub(super) search: SearchSummary,
    /// Duration in seconds.
    pub(super) seconds: f64,
}

impl Finished {
    /// Adds another part of the same search. Bad rows are not added, because every part reads all rows.
    pub(super) fn add_part(&mut self, part: &Self) {
        self.policy.clone_from(&part.policy);
        self.prompt_example = self.prompt_example.take().or(part.prompt_example.clone());
        self.has_references |= part.has_references;
        self.bad_rows = self.bad_rows.max(part.bad_rows);
        self.judge = match (self.judge.take(), part.judge.clone()) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        self.search.add_part(&part.search);
        self.seconds += part.seconds;
    }
}

impl Summary {
    /// Whether the search ran to its end without a tree for any problem.
    pub(crate) fn is_fruitless(&self) -> bool {
        self.trees == 0 && self.problems > 0 && !self.cancelled
    }

    /// Builds the summary from the search, the counts of its rows, and the judges fitted to the outcomes of
    /// all trees.
    pub(super) fn of(finished: &Finished, pairs: PairCounts, found: FoundJudge) -> Self {
        let Finished { policy, prompt_example, has_references, .. } = finished.clone();
        let Finished { bad_rows, judge, search, seconds, .. } = finished.clone();
        let usage = search.usage;
        Self {
            version: SUMMARY_VERSION,
            policy,
            prompt_example,
            problems: search.problems,
            trees: search.trees,
            nodes: search.nodes,
            simulations: search.simulations,
            pairs: pairs.pairs,
            pairs_dropped: pairs.dropped,
            joint: pairs.joint,
            correct: has_references.then_some(search.correct),
            bad_rows,
            unanswered: pairs.unanswered,
            undecided: search.undecided,
            oracle: search.oracle,
            timed: search.timed,
            cancelled: search.cancelled,
            skipped: search.skipped,
            skipped_examples: search.skipped_examples,
            tokens: SearchTokens {
                prefilled: usage.prefilled,
                recomputed: usage.recomputed,
                reused: usage.reused,
                sampling_rows: usage.sampling_rows,
                decoded: usage.sampling_rows,
                judged: usage.judged,
                restated: usage.restated,
                sampled: pairs.sampled,
                unique_in_trees: search.unique_tokens,
                computed_per_unique: (usage.prefilled + usage.sampling_rows) as f64
                    / search.unique_tokens.max(1) as f64,
            },
            model_calls: search.model_calls,
            judge,
            self_evaluation: pairs.solutions.calibration(),
            likelihood: found.likelihood,
            probe: found.probe.map(|probe| probe.identity()),
            held_out: found.held_out,
            margin: pairs.margin,
            depth: pairs.depth,
            chosen_tokens: pairs.chosen_tokens,
            rejected_tokens: pairs.rejected_tokens,
            seconds,
        }
    }

    /// Number of right committed answers, in words.
    fn right(&self) -> String {
        let Some(correct) = self.correct else {
            return "no reference answers to compare with".to_owned();
        };
        let note = if self.oracle { " (with the reference answers: no accuracy)" } else { "" };
        format!("{correct} of {} committed answers right{note}", self.trees)
    }

    /// Warnings about solutions without an answer, with advice.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.unanswered.warnings("`search.max_solution_tokens` or --depth")
    }

    /// A few lines of text for people; `written` is whether the results were written to the folder.
    pub(crate) fn text(&self, written: bool) -> String {
        let mut text = format!(
            "{} problems, {} trees, {} nodes, {} simulations, {} model calls\n{} pairs, {}\n{} tokens \
             sampled; computed: {} to sample, {} of prompts and steps, {} to judge; {} reused, {:.1} s",
            self.problems,
            self.trees,
            self.nodes,
            self.simulations,
            self.model_calls,
            self.pairs,
            self.right(),
            self.tokens.sampled,
            self.tokens.sampling_rows,
            self.tokens.prefilled,
            self.tokens.judged + self.tokens.restated,
            self.tokens.reused,
            self.seconds,
        );
        if let Some(joint) = self.joint {
            text.push_str(&format!("\n{}", joint.in_words()));
        }
        if let Some(JudgeCost { policy, calls, tokens }) = &self.judge {
            text.push_str(&format!("\njudge {policy}: {calls} judgements, {tokens} tokens"));
        }
        if let Some(found) = &self.self_evaluation {
            text.push_str(&format!("\nself-evaluation: {}", found.all));
        }
        for (name, found) in &self.held_out {
            text.push_str(&format!("\n{name} (fitted to other problems): {}", found.all));
        }
        for (reason, count) in &self.undecided {
            // Reasons of a verifier command; see `Finding::undecided`.
            let counts = match reason.starts_with("verifier_") {
                true => "outcome 0",
                false => "counted as wrong",
            };
            text.push_str(&format!("\n{count} solutions undecided, {counts}: {reason}"));
        }
        if self.bad_rows > 0 {
            text.push_str(&format!("\n{} bad rows of the problem files skipped", self.bad_rows));
        }
        for (reason, count) in &self.skipped {
            text.push_str(&format!("\n{count} problems skipped: {reason}"));
        }
        for (problem, reason) in self.skipped_examples.iter().take(3) {
            text.push_str(&format!("\n  {problem}: {reason}"));
        }
        if written && !self.skipped.is_empty() {
            text.push_str(&format!("\nevery skipped problem is in {SKIPPED}"));
        }
        text
    }
}
