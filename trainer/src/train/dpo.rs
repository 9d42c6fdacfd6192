//! Step-level preference training (method, section 3): settings, and the run from pairs to weights.
//!
//! All pairs of one tree are packed into one forest, so a prompt and its shared steps go through
//! the model once. Which tokens count is [`super::pairs`]' business, against which reference is
//! [`super::reference`]'s, and what is made of them [`super::preference`]'s.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use regrowth_datasets::{PreferencePair, StepLabel};
use serde::{Deserialize, Serialize};

use super::judge::{self, JudgeConfig};
use super::lora::LoraConfig;
use super::loss::PreferenceLoss;
use super::memory::{Largest, MemoryPlan};
use super::optim::OptimizerConfig;
use super::pairs::{Prepared, Rows, Scope, micro_batches, plan, prepare};
use super::preference::Preference;
use super::reference::{self, Reference};
use super::run::{Look, Model, OnStep, Steps, Trained};
use super::schedule::{Schedule, ScheduleKind};
use super::state;
use crate::TrainError;

/// Settings of preference training (method, section 3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DpoConfig {
    /// Seed of the order of trees.
    pub seed: u64,
    /// The loss.
    pub loss: PreferenceLoss,
    /// Inverse temperature, above 0.
    pub beta: f64,
    /// Weight of the chosen side's mean negative log-likelihood; 0 leaves it out.
    pub nll: f64,
    /// Teaching the judge beside the policy.
    pub judge: JudgeConfig,
    /// Passes over the pairs.
    pub epochs: usize,
    /// Pairs of one optimizer step, roughly (whole trees are kept together).
    pub batch_pairs: usize,
    /// Packed tokens of one micro-batch, at most (a larger tree has one of its own).
    pub micro_tokens: usize,
    /// Whether shared prefixes are computed once; off is the naive reference form.
    pub share_prefixes: bool,
    /// Which tokens of a side count.
    pub scope: Scope,
    /// Whether trees are shuffled in every epoch; off keeps the order of the file.
    pub shuffle: bool,
    /// Whether activations are computed a second time in place of being held: a third more work,
    /// one layer's activations in memory.
    pub gradient_checkpointing: bool,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Share of the steps that warm up.
    pub warmup: f64,
    /// Form of the decay.
    pub schedule: ScheduleKind,
    /// Optimizer.
    pub optimizer: OptimizerConfig,
    /// Low-rank updates in place of training the whole model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// Whether TensorBoard event files are written beside the metrics.
    pub tensorboard: bool,
    /// Seconds between saved states.
    pub save_seconds: u64,
}

impl Default for DpoConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            loss: PreferenceLoss::Conservative,
            beta: 0.1,
            nll: 0.0,
            judge: JudgeConfig::default(),
            epochs: 1,
            batch_pairs: 64,
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

/// What a run of preference training did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DpoSummary {
    /// Optimizer steps.
    pub steps: usize,
    /// Pairs trained on, each counted once.
    pub pairs: usize,
    /// Step labels trained on, each counted once.
    pub step_labels: usize,
    /// Pairs and step labels left out, by reason.
    pub skipped: BTreeMap<String, usize>,
    /// Tokens through forward and backward over all epochs.
    pub tokens: u64,
    /// Tokens through reference forwards.
    pub reference_tokens: u64,
    /// Means of the last step, by TRL's names.
    pub metrics: BTreeMap<String, f64>,
}

/// What preference training learns from.
#[derive(Debug, Clone, Copy)]
pub struct PreferenceData<'a> {
    /// The pairs; at least one.
    pub pairs: &'a [PreferencePair],
    /// Labels of steps; used where the judge is taught.
    pub step_labels: &'a [StepLabel],
}

impl<'a> From<&'a [PreferencePair]> for PreferenceData<'a> {
    fn from(pairs: &'a [PreferencePair]) -> Self {
        Self { pairs, step_labels: &[] }
    }
}

/// Trains `model` on pairs and, where `config` says so, on step labels. With `dir`, state, metrics and
/// computed reference log-probabilities go there and an interrupted run continues.
///
/// # Errors
/// When a row does not fit the model, a gradient is missing or not finite, or a file cannot be
/// written.
pub fn train_dpo(
    model: &Model,
    data: PreferenceData,
    reference: &Reference,
    config: &DpoConfig,
    threads: usize,
    dir: Option<&Path>,
    progress: &mut OnStep,
) -> Result<DpoSummary, TrainError> {
    let (mut rows, skipped) = rows(model, data, config)?;
    let reference_tokens =
        reference::fill(&mut rows.pairs, model, reference, config, (threads, dir))?;
    let steps = plan(&rows, config)?;
    let run = Steps {
        model,
        schedule: Schedule {
            kind: config.schedule,
            peak: config.learning_rate,
            warmup: (config.warmup * steps.len() as f64).ceil() as usize,
            steps: steps.len(),
        },
        optimizer: config.optimizer,
        epochs: config.epochs,
        seed: config.seed,
        recompute: config.gradient_checkpointing,
        threads,
        dir,
        tensorboard: config.tensorboard,
        save_every: Duration::from_secs(config.save_seconds),
    };
    let loss = config.loss.settled(mean_alpha(&rows.pairs));
    let objective = Preference {
        loss,
        beta: config.beta,
        nll: config.nll,
        judge: config.judge.weight,
        rows: &rows,
    };
    let batches = |step: usize| Ok(micro_batches(&rows, &steps[step - 1], config));
    let Trained { last, tokens, .. } =
        run.run(&objective, batches, |_| Ok(Look::default()), progress)?;
    if let Some(dir) = dir {
        state::clear(dir)?;
    }
    Ok(DpoSummary {
        steps: steps.len(),
        pairs: rows.pairs.len(),
        step_labels: rows.lessons.len(),
        skipped,
        tokens,
        reference_tokens,
        metrics: last.means().map(|(n, v)| (n.to_owned(), v)).collect(),
    })
}

/// What training on `data` will take.
///
/// # Errors
/// When a row does not fit the model or there is no pair.
pub fn plan_dpo(
    model: &Model,
    data: PreferenceData,
    config: &DpoConfig,
    threads: usize,
) -> Result<MemoryPlan, TrainError> {
    let (rows, _) = rows(model, data, config)?;
    let mut largest = Largest::new(threads);
    for step in plan(&rows, config)? {
        largest.see(micro_batches(&rows, &step, config).iter().map(|b| &b.packed));
    }
    let (kind, recompute) = (config.optimizer.kind, config.gradient_checkpointing);
    Ok(MemoryPlan::new(model, kind, recompute, &largest.together))
}

/// Checked rows, and what was left out.
fn rows<'a>(
    model: &Model,
    data: PreferenceData<'a>,
    config: &DpoConfig,
) -> Result<(Rows<'a>, BTreeMap<String, usize>), TrainError> {
    let (pairs, mut skipped) = prepare(data.pairs, model, config.scope)?;
    let taught = if config.judge.weight > 0.0 { data.step_labels } else { &[] };
    let (lessons, long) = judge::lessons(taught, model, config.judge.labels)?;
    if long > 0 {
        skipped.insert("step label longer than the context".into(), long);
    }
    Ok((Rows { pairs, lessons }, skipped))
}

/// Mean smoothing of the pairs: the share of labels that visits say are swapped.
fn mean_alpha(prepared: &[Prepared]) -> f64 {
    let total: f64 = prepared.iter().map(|p| p.pair.alpha).sum();
    total / prepared.len().max(1) as f64
}
