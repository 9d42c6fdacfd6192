//! Step-level preference training, DPO and its variants (arXiv:2405.00451, section 2.2): from pairs
//! to a trained model.
//!
//! All pairs of one search tree are packed into one sequence with a tree attention mask, so that
//! the prompt and shared steps go through the model only once. [`super::pairs`] makes the loss
//! masks, [`super::reference`] computes the reference log-probabilities, and [`super::preference`]
//! the loss.

use std::collections::BTreeMap;
use std::time::Duration;

use regrowth_datasets::{JointPair, PreferencePair, StepLabel};
use serde::{Deserialize, Serialize};

use super::dpo_config::DpoConfig;
use super::flip_rate::LabelEvidence;
use super::judge;
use super::loss::PreferenceLoss;
use super::memory::{PeakBatch, TrainingMemory};
use super::model::Model;
use super::pairs::{Prepared, Rows, micro_batches, plan, prepare};
use super::preference::Preference;
use super::ranking::{Ranking, RankingOptions};
use super::rationale::{self, Rationale};
use super::reference::{self, Reference};
use super::run::{EvalResult, OnStep, TrainLoop, Trained};
use super::schedule::Schedule;
use super::session::Session;
use super::state;
use crate::TrainError;

/// Result of a preference training.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DpoSummary {
    /// Optimizer steps.
    pub steps: usize,
    /// Pairs of siblings trained on, each counted once.
    pub pairs: usize,
    /// Joint pairs trained on, each counted once.
    #[serde(default, skip_serializing_if = "is_none")]
    pub joint_pairs: usize,
    /// Step labels trained on, each counted once.
    pub step_labels: usize,
    /// Pairs trained with a rationale; the other pairs have none, or theirs was left out.
    #[serde(default, skip_serializing_if = "is_none")]
    pub rationales: usize,
    /// Pairs, step labels and rationales left out, by reason.
    pub skipped: BTreeMap<String, usize>,
    /// Tokens of forward and backward passes, over all epochs.
    pub tokens: u64,
    /// Tokens of the reference policy's forward passes.
    pub reference_tokens: u64,
    /// Metrics of the last step under TRL's names, such as `rewards/margins`; with
    /// [`DpoConfig::ranking`] also those of the trained policy over all pairs (`train/...`,
    /// `held_out/...`).
    pub metrics: BTreeMap<String, f64>,
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

/// Threshold of the mean `rewards/margins / beta`, in nats per pair, below which the policy counts
/// as unmoved. At 0.05 the odds of the chosen against the rejected side have changed by 5 % (not
/// tuned).
const MIN_MARGIN_NATS: f64 = 0.05;
/// Minimum number of steps for the warning. Metrics of a step are measured before its update, so
/// after very few steps the margin is close to 0 in any case.
const MIN_STEPS_TO_WARN: usize = 4;

impl DpoSummary {
    /// A warning that suggests a higher learning rate, if the reward margin of the last step is
    /// still close to 0, i.e. the policy has hardly moved from the reference.
    #[must_use]
    pub fn low_learning_rate_warning(&self, config: &DpoConfig) -> Option<String> {
        let margin =
            self.metrics.get("rewards/margins").filter(|_| self.steps >= MIN_STEPS_TO_WARN)?;
        let moved = (margin / config.beta).abs();
        // In single precision, so that ten times 1e-6 is printed as 1e-5.
        let (rate, more) = (config.learning_rate as f32, (10.0 * config.learning_rate) as f32);
        (moved < MIN_MARGIN_NATS).then(|| {
            format!(
                "{} steps moved the policy by {moved:.3} nats a pair, which is next to nothing: \
                 the learning rate of {rate:e} is too low for this model; try --learning-rate \
                 {more:e}",
                self.steps,
            )
        })
    }
}

/// Data of a preference training.
#[derive(Debug, Clone, Copy)]
pub struct PreferenceData<'a> {
    /// The pairs; at least one, or a joint pair.
    pub pairs: &'a [PreferencePair],
    /// Pairs of solutions of two problems.
    pub joint_pairs: &'a [JointPair],
    /// Step labels; used only if `config.judge.weight` is above 0.
    pub step_labels: &'a [StepLabel],
    /// Held-out pairs: not trained on, but ranked after training.
    pub held_out: &'a [PreferencePair],
    /// Rationales of pairs; used only if `config.rationale` is above 0.
    pub rationales: &'a [Rationale],
}

impl<'a> From<&'a [PreferencePair]> for PreferenceData<'a> {
    fn from(pairs: &'a [PreferencePair]) -> Self {
        Self { pairs, joint_pairs: &[], step_labels: &[], held_out: &[], rationales: &[] }
    }
}

/// Trains a model on preference pairs, in place.
#[derive(Clone, Copy)]
pub struct DpoTrainer<'a> {
    /// The model that is trained.
    pub model: &'a Model,
    /// Log-probabilities of the reference policy.
    pub reference: &'a Reference<'a>,
    /// Loss, optimizer and batches.
    pub config: &'a DpoConfig,
    /// Threads, output folder, and, with `carry_optimizer`, the schedule and optimizer state of all rounds.
    pub session: Session<'a>,
}

impl DpoTrainer<'_> {
    /// Trains on pairs and, if `config.judge.weight` is above 0, on step labels. `on_step` is called after
    /// every optimizer step and may stop the training; `train` then saves its state and returns
    /// [`TrainError::Interrupted`].
    ///
    /// # Errors
    /// When a row does not fit the model, a gradient is missing or not finite, a file cannot be
    /// written, or the optimizer state of the previous round cannot be read.
    pub fn train(
        &self,
        data: PreferenceData,
        on_step: &mut OnStep,
    ) -> Result<DpoSummary, TrainError> {
        let &Self { model, reference, config, session: Session { threads, dir, .. } } = self;
        let (mut rows, skipped) = rows(model, data, config)?;
        let loss = resolve_loss(config, &rows.pairs)?;
        let mut reference_tokens =
            reference::fill(&mut rows.pairs, model, reference, config, (threads, dir))?;
        let ranked = RankingOptions { loss, config, threads };
        let (ranking, more) = Ranking::prepare(data.held_out, model, reference, ranked)?;
        reference_tokens += more;
        let steps = plan(&rows, config)?;
        let run = self.train_loop(steps.len());
        let objective = Preference {
            loss,
            beta: config.beta,
            nll: config.nll,
            rationale: config.rationale,
            judge: config.judge.weight,
            rows: &rows,
        };
        let batches = |step: usize| Ok(micro_batches(&rows, &steps[step - 1], config));
        let Trained { last, tokens, .. } =
            run.run(&objective, batches, |_| Ok(EvalResult::default()), on_step)?;
        let mut metrics: BTreeMap<String, f64> =
            last.means().map(|(n, v)| (n.to_owned(), v)).collect();
        if let Some(ranking) = ranking {
            metrics.extend(ranking.measure(rows.siblings(), model, dir)?);
        }
        if let Some(dir) = dir {
            state::clear(dir)?;
        }
        Ok(DpoSummary {
            steps: steps.len(),
            pairs: rows.siblings().len(),
            joint_pairs: rows.pairs.len() - rows.siblings().len(),
            step_labels: rows.judge_examples.len(),
            rationales: rows.pairs.iter().filter(|pair| pair.rationale.is_some()).count(),
            skipped,
            tokens,
            reference_tokens,
            metrics,
        })
    }

    /// The loop over this many optimizer steps.
    fn train_loop(&self, steps: usize) -> TrainLoop<'_> {
        let &Self { model, config, session: Session { threads, dir, across_rounds }, .. } = self;
        let planned = across_rounds.map_or(steps, |across_rounds| across_rounds.steps);
        let DpoConfig { schedule, learning_rate, warmup, .. } = *config;
        TrainLoop {
            model,
            schedule: Schedule::new(schedule, learning_rate, warmup, planned),
            steps,
            across_rounds,
            optimizer: config.optimizer,
            epochs: config.epochs,
            seed: config.seed,
            recompute: config.gradient_checkpointing,
            threads,
            dir,
            tensorboard: config.tensorboard,
            save_every: Duration::from_secs(config.save_seconds),
        }
    }
}

/// Plans a training on `data` without running it; returns the memory that it needs.
///
/// # Errors
/// When a row does not fit the model or there is no pair.
pub fn plan_dpo(
    model: &Model,
    data: PreferenceData,
    config: &DpoConfig,
    threads: usize,
) -> Result<TrainingMemory, TrainError> {
    let (rows, _) = rows(model, data, config)?;
    let mut busiest = PeakBatch::new(model, config.gradient_checkpointing, threads);
    for step in plan(&rows, config)? {
        busiest.see(micro_batches(&rows, &step, config).iter().map(|b| &b.packed));
    }
    Ok(TrainingMemory::new(model, config.optimizer.kind, &busiest))
}

/// Prepares the training rows; also returns how many were skipped, by reason.
fn rows<'a>(
    model: &Model,
    data: PreferenceData<'a>,
    config: &DpoConfig,
) -> Result<(Rows<'a>, BTreeMap<String, usize>), TrainError> {
    let (mut pairs, mut skipped) = prepare(data.pairs, data.joint_pairs, model, config)?;
    let rationales = if config.rationale > 0.0 { data.rationales } else { &[] };
    let long = rationale::attach(&mut pairs, rationales, model)?;
    if long > 0 {
        skipped.insert("rationale longer than the context".into(), long);
    }
    let step_labels = if config.judge.weight > 0.0 { data.step_labels } else { &[] };
    let (judge_examples, long) = judge::judge_examples(step_labels, model, config.judge.labels)?;
    if long > 0 {
        skipped.insert("step label longer than the context".into(), long);
    }
    Ok((Rows { pairs, judge_examples }, skipped))
}

/// The loss with its parameters filled in: if the flip rate of robust DPO (TRL: `label_smoothing`) is not
/// set, it is computed from verified outcomes.
fn resolve_loss(config: &DpoConfig, prepared: &[Prepared]) -> Result<PreferenceLoss, TrainError> {
    let evidence = LabelEvidence::of(prepared.iter().filter_map(|p| p.row.siblings()));
    let setting = |detail| TrainError::Setting { name: "loss", detail };
    config.loss.with_flip_rate(evidence).map_err(setting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_moves_nothing_is_warned_about() {
        let after = |steps, margin| {
            let metrics = [("rewards/margins".to_owned(), margin)].into();
            let config = DpoConfig { learning_rate: 1e-6, ..DpoConfig::default() };
            let (pairs, step_labels, tokens, reference_tokens) = (9, 0, 9, 0);
            let summary = DpoSummary {
                steps,
                pairs,
                joint_pairs: 0,
                step_labels,
                rationales: 0,
                skipped: BTreeMap::new(),
                tokens,
                reference_tokens,
                metrics,
            };
            summary.low_learning_rate_warning(&config)
        };
        let said = after(44, -0.0004).expect("a warning");
        assert!(said.contains("1e-6") && said.contains("--learning-rate 1e-5"), "{said}");
        assert_eq!(after(44, 0.02), None);
        assert_eq!(after(44, -0.02), None, "it moved, if the wrong way");
        assert_eq!(after(1, 0.0), None, "one step is measured before its update");
    }
}
