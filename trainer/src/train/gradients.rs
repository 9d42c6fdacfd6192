//! Loss and gradients of one micro-batch: a forward pass, an objective, a backward pass.
//!
//! An objective maps log-probabilities to a loss and its gradient with respect to them. [`super::workers`]
//! distributes the micro-batches to threads and sums their gradients.

use std::collections::BTreeMap;

use candle_core::Tensor;
use candle_core::backprop::GradStore;
use regrowth_datasets::stream_key;
use regrowth_policy::candle::Transformer;
use serde_json::Value;

use super::collate::PackedBatch;
use super::metrics::Metrics;
use super::recompute;
use super::variables::Variables;
use crate::TrainError;

/// Result of an objective for one micro-batch.
pub struct Evaluation {
    /// This micro-batch's part of the step's loss; the parts of a step are summed.
    pub loss: f64,
    /// Derivative of `loss` with respect to each log-probability, one per target of the batch.
    pub gradient: Vec<f32>,
    /// This micro-batch's part of the step's metrics.
    pub metrics: Metrics,
}

/// A loss as a pure function of the log-probabilities of target tokens.
///
/// Because it returns a gradient and not a differentiable tensor, every loss is a function of plain numbers
/// that can be tabulated and tested. Only the model is differentiated automatically.
pub trait TrainingObjective: Sync {
    /// Content of one micro-batch.
    type Batch: Send + Sync;

    /// Returns the packed tokens of a batch.
    fn packed<'a>(&self, batch: &'a Self::Batch) -> &'a PackedBatch;

    /// Computes loss and gradient from the log-probability of every target of the batch.
    fn evaluate(&self, batch: &Self::Batch, logps: &[f32]) -> Evaluation;

    /// Returns the rows of a batch, to be written to a file if a step fails.
    fn rows(&self, batch: &Self::Batch) -> Vec<Value>;
}

/// Loss, metrics and gradients of one step, the gradients by variable name.
pub(super) struct StepGradients {
    /// Sum over micro-batches.
    pub(super) loss: f64,
    /// Sum over micro-batches.
    pub(super) metrics: Metrics,
    /// Sum over micro-batches, one gradient per variable.
    pub(super) gradients: BTreeMap<String, Tensor>,
}

/// Options of the gradient computation; only `dropout` changes the result.
#[derive(Clone, Copy)]
pub(super) struct Compute<'a> {
    /// The decoder with the weights `variables`.
    pub(super) model: &'a Transformer,
    /// The variables that are trained.
    pub(super) variables: &'a Variables,
    /// If true, activations are recomputed in the backward pass instead of stored.
    pub(super) recompute: bool,
    /// Key of the step's dropout masks.
    pub(super) dropout: u64,
}

/// Runs `work` with single-threaded matrix products: parallelism is over micro-batches.
pub(super) fn alone<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
        Ok(pool) => pool.install(work),
        Err(_) => work(),
    }
}

impl StepGradients {
    /// Adds the results of another micro-batch.
    pub(super) fn add(&mut self, other: Self) -> Result<(), TrainError> {
        self.loss += other.loss;
        self.metrics.add(&other.metrics);
        for (name, gradient) in other.gradients {
            if let Some(sum) = self.gradients.get_mut(&name) {
                *sum = (&*sum + gradient)?;
            }
        }
        Ok(())
    }
}

/// Computes loss and gradients of the micro-batch with this index in its step.
pub(super) fn gradients<O: TrainingObjective>(
    objective: &O,
    compute: Compute,
    index: usize,
    batch: &O::Batch,
) -> Result<StepGradients, TrainError> {
    let packed = objective.packed(batch);
    let key = stream_key(compute.dropout, &[&(index as u64).to_le_bytes()]);
    let pass = compute.model.pass(&packed.layout, Some(key))?;
    let mut gradients = BTreeMap::new();
    let top = if compute.recompute {
        recompute::backward(objective, compute, batch, &pass, &mut gradients)?
    } else {
        let mut x = compute.model.embed(&packed.ids, &packed.layout)?;
        for layer in 0..compute.model.layers() {
            x = compute.model.layer(layer, &x, &pass)?;
        }
        let top = Top::new(objective, compute.model, batch, &x)?;
        collect(top.functional.backward()?, compute.variables, &mut gradients)?;
        top
    };
    match compute.variables.iter().find(|(name, _)| !gradients.contains_key(*name)) {
        Some((name, _)) => Err(TrainError::MissingGradient(name.to_owned())),
        None => Ok(StepGradients { loss: top.loss, metrics: top.metrics, gradients }),
    }
}

/// Results of the forward pass.
pub(super) struct Top {
    pub(super) loss: f64,
    pub(super) metrics: Metrics,
    /// Scalar with the same gradient as the loss: the sum of log-probabilities times the loss's gradient with
    /// respect to them.
    pub(super) functional: Tensor,
}

impl Top {
    /// Computes the results from the last layer's output, `[T, D]`.
    pub(super) fn new<O: TrainingObjective>(
        objective: &O,
        model: &Transformer,
        batch: &O::Batch,
        x: &Tensor,
    ) -> Result<Self, TrainError> {
        let logps = target_log_probs(model, objective.packed(batch), x)?;
        let result = objective.evaluate(batch, &logps.to_vec1::<f32>()?);
        let gradient = Tensor::from_vec(result.gradient, logps.shape(), logps.device())?;
        let functional = (logps * gradient)?.sum_all()?;
        Ok(Self { loss: result.loss, metrics: result.metrics, functional })
    }
}

/// Adds the gradients of the trained variables to `gradients`.
pub(super) fn collect(
    mut store: GradStore,
    variables: &Variables,
    gradients: &mut BTreeMap<String, Tensor>,
) -> Result<(), TrainError> {
    for (name, var) in variables.iter() {
        let Some(gradient) = store.remove(var) else { continue };
        let sum = match gradients.remove(name) {
            Some(before) => (before + gradient)?,
            None => gradient,
        };
        gradients.insert(name.to_owned(), sum);
    }
    Ok(())
}

/// Log-probability of every target of a batch, `[n]`, without dropout.
pub(super) fn log_probs(model: &Transformer, packed: &PackedBatch) -> Result<Tensor, TrainError> {
    let pass = model.pass(&packed.layout, None)?;
    let mut x = model.embed(&packed.ids, &packed.layout)?;
    for layer in 0..model.layers() {
        x = model.layer(layer, &x, &pass)?;
    }
    target_log_probs(model, packed, &x)
}

/// Log-probabilities of the targets from the last layer's output. Only rows that predict a target go through
/// the final norm and the LM head.
fn target_log_probs(
    model: &Transformer,
    packed: &PackedBatch,
    x: &Tensor,
) -> Result<Tensor, TrainError> {
    let rows = Tensor::new(packed.rows.as_slice(), x.device())?;
    let hidden = model.last_norm(&x.index_select(&rows, 0)?)?;
    Ok(model.log_probs(&hidden, &packed.targets)?)
}
