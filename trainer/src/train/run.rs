//! The training loop over optimizer steps (gradients, update, log, state), shared by SFT and DPO.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use regrowth_datasets::{stream_key, write_jsonl};

use super::gradients::{Compute, TrainingObjective};
use super::metrics::{Metrics, MetricsLog};
use super::model::Model;
use super::optim::{Optimizer, OptimizerConfig};
use super::schedule::Schedule;
use super::state::{self, Restored};
use super::tensorboard::EventFile;
use super::workers::{Summed, Workers};
use crate::TrainError;

/// Settings of the training loop; [`TrainLoop::run`] runs it.
pub(super) struct TrainLoop<'a> {
    /// The model to train.
    pub(super) model: &'a Model,
    /// Learning-rate schedule, over the optimizer steps of the whole [`MultiRoundSchedule`] if there is one.
    pub(super) schedule: Schedule,
    /// Optimizer steps of this run.
    pub(super) steps: usize,
    /// The training across rounds that this run is part of (`carry_optimizer`); `None` for an independent
    /// run.
    pub(super) across_rounds: Option<MultiRoundSchedule<'a>>,
    /// Optimizer settings.
    pub(super) optimizer: OptimizerConfig,
    /// Number of passes over the data, for the metric `epoch`.
    pub(super) epochs: usize,
    /// Seed of dropout masks.
    pub(super) seed: u64,
    /// If true, gradient checkpointing is on: activations are recomputed in the backward pass instead of
    /// stored.
    pub(super) recompute: bool,
    /// Number of threads; each computes one micro-batch at a time.
    pub(super) threads: usize,
    /// Folder of state and metrics; if `None`, nothing is written.
    pub(super) dir: Option<&'a Path>,
    /// Whether TensorBoard event files are written in addition to the metrics.
    pub(super) tensorboard: bool,
    /// Interval at which the state is saved.
    pub(super) save_every: Duration,
}

/// A training that spans several runs (`carry_optimizer`: the rounds of `regrowth iterate`), with
/// one learning-rate schedule and one optimizer state.
#[derive(Debug, Clone, Copy)]
pub struct MultiRoundSchedule<'a> {
    /// Optimizer steps of all runs together, over which the learning-rate schedule extends.
    pub steps: usize,
    /// Folder of the previous run, whose optimizer state ([`OPTIMIZER`](super::OPTIMIZER)) this run
    /// continues from; `None` for the first run. Each run saves its own state at its end.
    pub before: Option<&'a Path>,
}

/// Progress after an optimizer step.
#[derive(Debug, Clone)]
pub struct StepProgress<'a> {
    /// Number of the step just done, from 1.
    pub step: usize,
    /// Total number of optimizer steps of this run.
    pub steps: usize,
    /// Loss of the step.
    pub loss: f64,
    /// Tokens computed by this run so far, including steps before an interruption.
    pub tokens: u64,
    /// Tokens per second in this process.
    pub rate: f64,
    /// Metrics of the step.
    pub metrics: &'a Metrics,
}

/// Called after every optimizer step. `Break` before the last step saves the state and ends the run
/// with [`TrainError::Interrupted`]; the same call later resumes it.
pub type OnStep<'a> = dyn FnMut(&StepProgress) -> ControlFlow<()> + 'a;

/// Result of the callback that evaluates the model after a step (TRL: `eval_steps`).
#[derive(Default)]
pub(super) struct EvalResult {
    /// Added to the step's metrics.
    pub(super) row: Vec<(&'static str, f64)>,
    /// Whether the run ends after this step (early stopping).
    pub(super) stop: bool,
}

/// Result of a training loop; the weights are updated in place.
pub(super) struct Trained {
    /// Metrics of the last step.
    pub(super) last: Metrics,
    /// Number of optimizer steps done, including those before an interruption.
    pub(super) steps: usize,
    /// Number of tokens of forward and backward passes, over all steps.
    pub(super) tokens: u64,
}

impl TrainLoop<'_> {
    /// Trains to the end, from the last saved state if there is one. `batches(step)` returns the
    /// micro-batches of a step (from 1) and must depend on `step` alone. `evaluate(step)` runs after the
    /// step's update; it can add metrics to the step's row and end the run.
    pub(super) fn run<O: TrainingObjective>(
        &self,
        objective: &O,
        mut batches: impl FnMut(usize) -> Result<Vec<O::Batch>, TrainError>,
        mut evaluate: impl FnMut(usize) -> Result<EvalResult, TrainError>,
        progress: &mut OnStep,
    ) -> Result<Trained, TrainError> {
        let current = self.restore()?;
        let logs = Logs::open(self, current.step)?;
        let transformer = self.model.transformer()?;
        let compute = Compute {
            model: &transformer,
            variables: &self.model.variables,
            recompute: self.recompute,
            dropout: 0,
        };
        std::thread::scope(|scope| {
            let workers = Workers::start(scope, objective, compute, self.threads);
            let mut step = |step: usize, current: &mut Restored| {
                self.step((objective, &workers), batches(step)?, step, current)
            };
            self.run_steps(current, logs, &mut step, &mut evaluate, progress)
        })
    }

    /// Runs the remaining steps. For each: train, call `evaluate`, log, report progress, and save the
    /// state when due.
    fn run_steps(
        &self,
        mut current: Restored,
        mut logs: Logs,
        take: &mut dyn FnMut(usize, &mut Restored) -> Result<StepDone, TrainError>,
        evaluate: &mut dyn FnMut(usize) -> Result<EvalResult, TrainError>,
        progress: &mut OnStep,
    ) -> Result<Trained, TrainError> {
        let (started, before) = (Instant::now(), current.tokens);
        let mut saved = Instant::now();
        let mut last = Metrics::default();
        for step in current.step + 1..=self.steps {
            let mut done = take(step, &mut current)?;
            let evaluated = evaluate(step)?;
            done.row.extend(evaluated.row);
            logs.write(step, &done.row)?;
            let (steps, tokens) = (self.steps, current.tokens);
            let rate = (tokens - before) as f64 / started.elapsed().as_secs_f64();
            let (loss, metrics) = (done.loss, &done.metrics);
            let seen = StepProgress { step, steps, loss, tokens, rate, metrics };
            // Do not stop after the last step: its metrics are part of the result, and a resumed run without
            // remaining steps could not compute them.
            let stop = progress(&seen).is_break() && step < steps;
            last = done.metrics;
            if evaluated.stop {
                break;
            }
            let due = saved.elapsed() >= self.save_every && step < steps;
            if let (Some(dir), true) = (self.dir, stop || due) {
                logs.sync()?;
                state::save(dir, (step, tokens), &self.model.variables, &current.optimizer)?;
                saved = Instant::now();
            }
            if stop {
                return Err(TrainError::Interrupted);
            }
        }
        if let (Some(dir), Some(_)) = (self.dir, self.across_rounds) {
            state::save_optimizer(dir, &current.optimizer)?;
        }
        Ok(Trained { last, steps: current.step, tokens: current.tokens })
    }

    /// Restores this run's last saved state. Without one, starts at step 0 with the previous run's
    /// optimizer, or a new one.
    fn restore(&self) -> Result<Restored, TrainError> {
        let before = self.across_rounds.and_then(|across_rounds| across_rounds.before);
        if let Some(dir) = self.dir {
            let done = before.map_or(Ok(0), state::optimizer_steps)?;
            let found = state::restore(dir, &self.model.variables, (self.optimizer, done))?;
            if let Some(restored) = found {
                return Ok(restored);
            }
        }
        let optimizer = match before {
            Some(before) => state::read_optimizer(before, self.optimizer)?,
            None => Optimizer::new(self.optimizer),
        };
        Ok(Restored { step: 0, tokens: 0, optimizer })
    }

    /// Runs one step: gradients, update and log row.
    fn step<O: TrainingObjective>(
        &self,
        (objective, workers): (&O, &Workers<O::Batch>),
        batches: Vec<O::Batch>,
        step: usize,
        current: &mut Restored,
    ) -> Result<StepDone, TrainError> {
        let variables = &self.model.variables;
        let dropout = stream_key(self.seed, &[b"step", &(step as u64).to_le_bytes()]);
        let Summed { total: sums, batches } = workers.step(batches, dropout)?;
        let diverged = |what| self.diverged(objective, &batches, what, step);
        if !sums.loss.is_finite() {
            return Err(diverged("the loss"));
        }
        let rate = self.schedule.rate(current.optimizer.steps() + 1);
        let norm = current.optimizer.update(variables, &sums.gradients, rate)?;
        let norm = norm.ok_or_else(|| diverged("the gradient"))?;
        current.step = step;
        current.tokens += batches.iter().map(|b| objective.packed(b).ids.len() as u64).sum::<u64>();
        let epoch = self.epochs as f64 * step as f64 / self.steps as f64;
        let mut row = vec![
            ("loss", sums.loss),
            ("learning_rate", rate),
            ("grad_norm", norm),
            ("epoch", epoch),
            ("num_tokens", current.tokens as f64),
        ];
        row.extend(sums.metrics.means());
        Ok(StepDone { loss: sums.loss, metrics: sums.metrics, row })
    }

    /// Returns the error of a step with non-finite numbers, and writes its batch to a file next to the
    /// metrics.
    fn diverged<O: TrainingObjective>(
        &self,
        objective: &O,
        batch: &[O::Batch],
        what: &'static str,
        step: usize,
    ) -> TrainError {
        let path = self.dir.map(|dir| dir.join(format!("diverged-step-{step:08}.jsonl")));
        let rows = batch.iter().flat_map(|b| objective.rows(b));
        let kept = path.filter(|path| write_jsonl(path, rows).is_ok());
        TrainError::Diverged { what, step, batch: kept }
    }
}

/// Loss, metrics and log row of one step.
struct StepDone {
    loss: f64,
    metrics: Metrics,
    row: Vec<(&'static str, f64)>,
}

/// The logs that get one row per step: metrics and TensorBoard events.
struct Logs {
    metrics: Option<MetricsLog>,
    events: Option<EventFile>,
}

impl Logs {
    /// Opens the logs of a run that continues after `step`.
    fn open(steps: &TrainLoop, step: usize) -> Result<Self, TrainError> {
        let Some(dir) = steps.dir else { return Ok(Self { metrics: None, events: None }) };
        let events = steps.tensorboard.then(|| EventFile::create(&dir.join("tensorboard"), step));
        let metrics = Some(MetricsLog::resume(&dir.join("metrics.jsonl"), step)?);
        Ok(Self { metrics, events: events.transpose()? })
    }

    fn write(&mut self, step: usize, row: &[(&'static str, f64)]) -> Result<(), TrainError> {
        if let Some(metrics) = &mut self.metrics {
            metrics.write(step, row)?;
        }
        if let Some(events) = &mut self.events {
            events.write(step, row)?;
        }
        Ok(())
    }

    /// Syncs the metrics to the disk.
    fn sync(&self) -> Result<(), TrainError> {
        self.metrics.as_ref().map_or(Ok(()), MetricsLog::sync)
    }
}
