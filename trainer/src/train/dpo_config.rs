//! Settings of step-level preference training (docs/paper.md).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::judge::JudgeConfig;
use super::lora::LoraConfig;
use super::loss::PreferenceLoss;
use super::optim::OptimizerConfig;
use super::schedule::ScheduleKind;

/// Settings of preference training (docs/paper.md).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DpoConfig {
    /// Seed for the order of trees.
    pub seed: u64,
    /// The loss.
    pub loss: PreferenceLoss,
    /// Inverse temperature, above 0.
    pub beta: f64,
    /// Weight of the chosen side's mean negative log-likelihood; 0 leaves it out (TRL: `rpo_alpha`).
    pub nll: f64,
    /// Weight of the mean negative log-likelihood of a pair's rationale, given prompt and both sides
    /// (default 0, which leaves it out; arXiv:2407.14477).
    #[serde(skip_serializing_if = "is_zero")]
    pub rationale: f64,
    /// Training of the judge together with the policy.
    pub judge: JudgeConfig,
    /// Whether ranking accuracies over all pairs are measured after training, by one forward pass
    /// (default false; always measured if there are held-out pairs).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ranking: bool,
    /// Passes over the pairs.
    pub epochs: usize,
    /// Approximate number of pairs per optimizer step (whole trees are kept together).
    pub batch_pairs: usize,
    /// Number of trees with pairs per optimizer step, instead of `batch_pairs` (default none; the authors'
    /// code: 64).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_trees: Option<usize>,
    /// Whether the loss of a step is averaged over pairs or over trees (default pairs; the authors' code:
    /// trees).
    #[serde(skip_serializing_if = "is_pairs")]
    pub average: Average,
    /// Maximum number of packed tokens per micro-batch (a larger tree gets a micro-batch of its own).
    pub micro_tokens: usize,
    /// Whether shared prefixes are computed once; false is the naive reference form.
    pub share_prefixes: bool,
    /// Which tokens of a side are scored.
    pub scope: Scope,
    /// Whether trees are shuffled in every epoch; if false, they keep the order of the file.
    pub shuffle: bool,
    /// Whether activations are recomputed in the backward pass instead of stored: a third more computation,
    /// with one layer's activations in memory.
    pub gradient_checkpointing: bool,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Share of the steps that are warm-up steps.
    pub warmup: f64,
    /// Shape of the learning rate decay.
    pub schedule: ScheduleKind,
    /// Optimizer.
    pub optimizer: OptimizerConfig,
    /// LoRA: train low-rank updates instead of the whole model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// Whether TensorBoard event files are written in addition to the metrics.
    pub tensorboard: bool,
    /// Seconds between saves of the training state.
    pub save_seconds: u64,
}

fn is_zero(weight: &f64) -> bool {
    *weight == 0.0
}

fn is_pairs(average: &Average) -> bool {
    *average == Average::Pairs
}

impl Default for DpoConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            loss: PreferenceLoss::Conservative,
            beta: 0.1,
            nll: 0.0,
            rationale: 0.0,
            judge: JudgeConfig::default(),
            ranking: false,
            epochs: 1,
            batch_pairs: 64,
            batch_trees: None,
            average: Average::Pairs,
            micro_tokens: 4096,
            share_prefixes: true,
            scope: Scope::Difference,
            shuffle: true,
            gradient_checkpointing: false,
            learning_rate: 1e-6,
            warmup: 0.03,
            schedule: ScheduleKind::Cosine,
            optimizer: OptimizerConfig::default(),
            lora: None,
            tensorboard: false,
            save_seconds: 120,
        }
    }
}

/// Which tokens of a side are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Tokens from the first difference of the two sides on: shared tokens carry no preference.
    #[default]
    Difference,
    /// The whole side, as in TRL. The shared beginning cancels in a difference of sums, but not in averages
    /// over tokens or in the NLL term.
    Completion,
}

/// What the loss of an optimizer step is averaged over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Average {
    /// Over all pairs of the step.
    #[default]
    Pairs,
    /// Over the trees of the step, each with the mean over its own pairs: a tree with many pairs has no more
    /// weight than other trees (the authors' code).
    Trees,
}
