//! The loop over optimizer steps: gradients, update, log, state; the same for SFT and DPO.

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

/// What a run of steps needs beside its batches.
pub(super) struct TrainLoop<'a> {
    /// The model to train.
    pub(super) model: &'a Model,
    /// Learning rate by step of the course.
    pub(super) schedule: Schedule,
    /// TrainLoop of this run.
    pub(super) steps: usize,
    /// The longer training that this run is a part of.
    pub(super) course: Option<Course<'a>>,
    /// Optimizer settings.
    pub(super) optimizer: OptimizerConfig,
    /// Passes over the data, for the metric `epoch`.
    pub(super) epochs: usize,
    /// Seed of dropout masks.
    pub(super) seed: u64,
    /// Whether activations are computed a second time in place of being held.
    pub(super) recompute: bool,
    /// Micro-batches at once.
    pub(super) threads: usize,
    /// Where state and metrics go; `None` keeps nothing on disk.
    pub(super) dir: Option<&'a Path>,
    /// Whether TensorBoard event files are written beside the metrics.
    pub(super) tensorboard: bool,
    /// How often the state is saved.
    pub(super) save_every: Duration,
}

/// A training in several runs, with one schedule and one optimizer state over all of them.
#[derive(Debug, Clone, Copy)]
pub struct Course<'a> {
    /// TrainLoop of all runs, which the schedule is made for.
    pub steps: usize,
    /// Folder of the run before, whose [`OPTIMIZER`](super::OPTIMIZER) this one goes on with; `None`
    /// starts the course. This run leaves its own in its folder.
    pub before: Option<&'a Path>,
}

/// What is reported after every step.
#[derive(Debug, Clone)]
pub struct StepProgress<'a> {
    /// Step just done, from 1.
    pub step: usize,
    /// TrainLoop of the run.
    pub steps: usize,
    /// Loss of the step.
    pub loss: f64,
    /// Tokens computed by this run so far, those of steps before an interruption included.
    pub tokens: u64,
    /// Tokens a second in this process so far.
    pub rate: f64,
    /// Means of the step.
    pub metrics: &'a Metrics,
}

/// Sees every step and may end the run after it: the state is saved, and the same call goes on.
pub type OnStep<'a> = dyn FnMut(&StepProgress) -> ControlFlow<()> + 'a;

/// What a look at the model after a step found.
#[derive(Default)]
pub(super) struct Look {
    /// Added to the step's metrics.
    pub(super) row: Vec<(&'static str, f64)>,
    /// Whether the run ends here.
    pub(super) stop: bool,
}

/// What the steps of a run left beside the weights.
pub(super) struct Trained {
    /// Means of the last step.
    pub(super) last: Metrics,
    /// TrainLoop that were done.
    pub(super) steps: usize,
    /// Tokens through forward and backward, over all steps.
    pub(super) tokens: u64,
}

impl TrainLoop<'_> {
    /// Trains to the end, from the last saved state if there is one. `batches(step)` gives the
    /// micro-batches of a step (from 1) and must depend on the step alone; `look(step)` runs when the
    /// update of a step is done, adds to its row and may end the run.
    pub(super) fn run<O: TrainingObjective>(
        &self,
        objective: &O,
        mut batches: impl FnMut(usize) -> Result<Vec<O::Batch>, TrainError>,
        mut look: impl FnMut(usize) -> Result<Look, TrainError>,
        progress: &mut OnStep,
    ) -> Result<Trained, TrainError> {
        let standing = self.restore()?;
        let logs = Logs::open(self, standing.step)?;
        let transformer = self.model.transformer()?;
        let compute = Compute {
            model: &transformer,
            variables: &self.model.variables,
            recompute: self.recompute,
            dropout: 0,
        };
        std::thread::scope(|scope| {
            let workers = Workers::start(scope, objective, compute, self.threads);
            let mut step = |step: usize, standing: &mut Restored| {
                self.step((objective, &workers), batches(step)?, step, standing)
            };
            self.go_on(standing, logs, &mut step, &mut look, progress)
        })
    }

    /// From the state of the last step on: a step, a look, the log, now and then the state.
    fn go_on(
        &self,
        mut standing: Restored,
        mut logs: Logs,
        take: &mut dyn FnMut(usize, &mut Restored) -> Result<StepDone, TrainError>,
        look: &mut dyn FnMut(usize) -> Result<Look, TrainError>,
        progress: &mut OnStep,
    ) -> Result<Trained, TrainError> {
        let (started, before) = (Instant::now(), standing.tokens);
        let mut saved = Instant::now();
        let mut last = Metrics::default();
        for step in standing.step + 1..=self.steps {
            let mut done = take(step, &mut standing)?;
            let look = look(step)?;
            done.row.extend(look.row);
            logs.write(step, &done.row)?;
            let (steps, tokens) = (self.steps, standing.tokens);
            let rate = (tokens - before) as f64 / started.elapsed().as_secs_f64();
            let (loss, metrics) = (done.loss, &done.metrics);
            let seen = StepProgress { step, steps, loss, tokens, rate, metrics };
            // The last step's metrics are its own result, so a run never resumes behind it.
            let stop = progress(&seen).is_break() && step < steps;
            last = done.metrics;
            if look.stop {
                break;
            }
            let due = saved.elapsed() >= self.save_every && step < steps;
            if let (Some(dir), true) = (self.dir, stop || due) {
                logs.sync()?;
                state::save(dir, (step, tokens), &self.model.variables, &standing.optimizer)?;
                saved = Instant::now();
            }
            if stop {
                return Err(TrainError::Interrupted);
            }
        }
        if let (Some(dir), Some(_)) = (self.dir, self.course) {
            state::save_optimizer(dir, &standing.optimizer)?;
        }
        Ok(Trained { last, steps: standing.step, tokens: standing.tokens })
    }

    /// The state of this run's last step, or else that of the run before.
    fn restore(&self) -> Result<Restored, TrainError> {
        let before = self.course.and_then(|course| course.before);
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

    /// One step: gradients, update, and the row that is logged of it.
    fn step<O: TrainingObjective>(
        &self,
        (objective, workers): (&O, &Workers<O::Batch>),
        batches: Vec<O::Batch>,
        step: usize,
        standing: &mut Restored,
    ) -> Result<StepDone, TrainError> {
        let variables = &self.model.variables;
        let dropout = stream_key(self.seed, &[b"step", &(step as u64).to_le_bytes()]);
        let Summed { total: sums, batches } = workers.step(batches, dropout)?;
        let diverged = |what| self.diverged(objective, &batches, what, step);
        if !sums.loss.is_finite() {
            return Err(diverged("the loss"));
        }
        let rate = self.schedule.rate(standing.optimizer.steps() + 1);
        let norm = standing.optimizer.update(variables, &sums.gradients, rate)?;
        let norm = norm.ok_or_else(|| diverged("the gradient"))?;
        standing.step = step;
        standing.tokens +=
            batches.iter().map(|b| objective.packed(b).ids.len() as u64).sum::<u64>();
        let epoch = self.epochs as f64 * step as f64 / self.steps as f64;
        let mut row = vec![
            ("loss", sums.loss),
            ("learning_rate", rate),
            ("grad_norm", norm),
            ("epoch", epoch),
            ("num_tokens", standing.tokens as f64),
        ];
        row.extend(sums.metrics.means());
        Ok(StepDone { loss: sums.loss, metrics: sums.metrics, row })
    }

    /// The error of a step whose numbers are not finite; its batch is kept beside the metrics.
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

/// What one step leaves behind.
struct StepDone {
    loss: f64,
    metrics: Metrics,
    row: Vec<(&'static str, f64)>,
}

/// Where the rows of steps go.
struct Logs {
    metrics: Option<MetricsLog>,
    events: Option<EventFile>,
}

impl Logs {
    /// Those of a run that goes on behind `step`.
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

    /// Forces the metrics to the disk.
    fn sync(&self) -> Result<(), TrainError> {
        self.metrics.as_ref().map_or(Ok(()), MetricsLog::sync)
    }
}
