//! The loop over optimizer steps: gradients, update, log, state; the same for SFT and DPO.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use regrowth_policy::candle::{Checkpoint, ModelConfig, Source, Transformer, save_checkpoint};

use super::gradients::{Objective, gradients};
use super::metrics::{Metrics, MetricsLog};
use super::optim::{Optimizer, OptimizerConfig};
use super::schedule::Schedule;
use super::state::{self, Restored};
use super::variables::Variables;
use crate::TrainError;

/// A model in training: its shape, its weights, and where its tokenizer files come from.
#[derive(Debug, Clone)]
pub struct Model {
    /// Shape.
    pub config: ModelConfig,
    /// Weights.
    pub variables: Variables,
    /// Where the companion files (tokenizer, generation settings) are copied from.
    pub origin: Source,
}

impl Model {
    /// The weights of a checkpoint, ready to be trained.
    ///
    /// # Errors
    /// When a tensor cannot be copied.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self, TrainError> {
        Ok(Self {
            config: checkpoint.config.clone(),
            variables: Variables::from_checkpoint(checkpoint)?,
            origin: checkpoint.source.clone(),
        })
    }

    /// Fresh weights for the `config.json` of a folder that has tokenizer files but no weights.
    ///
    /// # Errors
    /// When the configuration is missing or malformed.
    pub fn fresh(origin: Source, seed: u64) -> Result<Self, TrainError> {
        let config = ModelConfig::parse(&origin.text("config.json")?)
            .map_err(|detail| origin.error("config.json", detail))?;
        let variables = Variables::fresh(&config, seed, &candle_core::Device::Cpu)?;
        Ok(Self { config, variables, origin })
    }

    /// The differentiable decoder over these weights.
    ///
    /// # Errors
    /// When a weight is missing.
    pub fn transformer(&self) -> Result<Transformer, TrainError> {
        Ok(Transformer::new(&self.config, &self.variables)?)
    }

    /// Writes the checkpoint folder `dir`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), TrainError> {
        Ok(save_checkpoint(dir, &self.config, &self.variables.tensors()?, &self.origin)?)
    }
}

/// What a run of steps needs beside its batches.
pub(super) struct Steps<'a> {
    /// The model to train.
    pub(super) model: &'a Model,
    /// Learning rate by step.
    pub(super) schedule: Schedule,
    /// Optimizer settings.
    pub(super) optimizer: OptimizerConfig,
    /// Micro-batches at once.
    pub(super) threads: usize,
    /// Where state and metrics go; `None` keeps nothing on disk.
    pub(super) dir: Option<&'a Path>,
    /// How often the state is saved.
    pub(super) save_every: Duration,
}

/// What is reported after every step.
#[derive(Debug, Clone)]
pub struct Progress<'a> {
    /// Step just done, from 1.
    pub step: usize,
    /// Steps of the run.
    pub steps: usize,
    /// Loss of the step.
    pub loss: f64,
    /// Means of the step.
    pub metrics: &'a Metrics,
}

/// Sees every step and may end the run after it: the state is saved, and the same call goes on.
pub type OnStep<'a> = dyn FnMut(&Progress) -> ControlFlow<()> + 'a;

/// What the steps of a run left beside the weights.
pub(super) struct Trained {
    /// Means of the last step.
    pub(super) last: Metrics,
    /// Tokens through forward and backward, over all steps.
    pub(super) tokens: u64,
}

impl Steps<'_> {
    /// Trains to the end, from the last saved state if there is one. `batches(step)` gives the
    /// micro-batches of a step (from 1) and must depend on the step alone.
    pub(super) fn run<O: Objective>(
        &self,
        objective: &O,
        mut batches: impl FnMut(usize) -> Result<Vec<O::Batch>, TrainError>,
        progress: &mut OnStep,
    ) -> Result<Trained, TrainError> {
        let variables = &self.model.variables;
        let restored = match self.dir {
            Some(dir) => state::restore(dir, variables, self.optimizer)?,
            None => None,
        };
        let start = || Restored { step: 0, tokens: 0, optimizer: Optimizer::new(self.optimizer) };
        let Restored { step: done, mut tokens, mut optimizer } = restored.unwrap_or_else(start);
        let mut log = match self.dir {
            Some(dir) => Some(MetricsLog::resume(&dir.join("metrics.jsonl"), done)?),
            None => None,
        };
        let transformer = self.model.transformer()?;
        let mut saved = Instant::now();
        let mut last = Metrics::default();
        for step in done + 1..=self.schedule.steps {
            let batch = batches(step)?;
            tokens += batch.iter().map(|b| objective.packed(b).ids.len() as u64).sum::<u64>();
            let sums = gradients(objective, &transformer, variables, &batch, self.threads)?;
            if !sums.loss.is_finite() {
                return Err(TrainError::Diverged { what: "the loss", step });
            }
            let rate = self.schedule.rate(step);
            let norm = optimizer.update(variables, &sums.gradients, rate)?;
            if let Some(log) = &mut log {
                let mut row =
                    vec![("loss", sums.loss), ("learning_rate", rate), ("grad_norm", norm)];
                row.extend(sums.metrics.means());
                log.write(step, &row)?;
            }
            let steps = self.schedule.steps;
            let seen = Progress { step, steps, loss: sums.loss, metrics: &sums.metrics };
            // The last step's metrics are its own result, so a run never resumes behind it.
            let stop = progress(&seen).is_break() && step < steps;
            let due = saved.elapsed() >= self.save_every && step < steps;
            if let (Some(dir), Some(log), true) = (self.dir, &log, stop || due) {
                log.sync()?;
                state::save(dir, (step, tokens), variables, &optimizer)?;
                saved = Instant::now();
            }
            if stop {
                return Err(TrainError::Interrupted);
            }
            last = sums.metrics;
        }
        Ok(Trained { last, tokens })
    }
}
