//! Gradients of one optimizer step, summed over micro-batches in a fixed order.
//!
//! Micro-batches are cut by their content alone and their gradients are added in their order, so
//! the sum is the same for any number of threads. A thread works on a whole micro-batch with
//! single-threaded products: small models have no products worth sharing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::Tensor;
use crossbeam::channel::unbounded;
use regrowth_policy::candle::Transformer;

use super::collate::Packed;
use super::metrics::Metrics;
use super::variables::Variables;
use crate::TrainError;

/// What an objective makes of the log-probabilities of one micro-batch.
pub struct Evaluation {
    /// Its part of the step's loss; the parts of a step are summed.
    pub loss: f64,
    /// Derivative of that part by each log-probability, as many as the batch has targets.
    pub slopes: Vec<f32>,
    /// Its parts of the step's metrics.
    pub metrics: Metrics,
}

/// A loss as a pure function of the log-probabilities of target tokens.
///
/// Giving slopes in place of a differentiable tensor keeps every loss a function of plain numbers
/// that can be tabulated and tested, and leaves the model as the only thing to differentiate.
pub trait Objective: Sync {
    /// What one micro-batch holds.
    type Batch: Sync;

    /// The packed tokens of a batch.
    fn packed<'a>(&self, batch: &'a Self::Batch) -> &'a Packed;

    /// Loss and slopes, given the log-probability of every target of the batch.
    fn evaluate(&self, batch: &Self::Batch, logps: &[f32]) -> Evaluation;
}

/// Loss, metrics and gradients by variable name, of one step.
pub(super) struct StepGradients {
    /// Sum over micro-batches.
    pub(super) loss: f64,
    /// Sum over micro-batches.
    pub(super) metrics: Metrics,
    /// One for each variable.
    pub(super) gradients: BTreeMap<String, Tensor>,
}

/// Runs every micro-batch of a step, `threads` at a time.
pub(super) fn gradients<O: Objective>(
    objective: &O,
    model: &Transformer,
    variables: &Variables,
    batches: &[O::Batch],
    threads: usize,
) -> Result<StepGradients, TrainError> {
    let next = AtomicUsize::new(0);
    let (send, receive) = unbounded();
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, batches.len().max(1)) {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
                loop {
                    // Relaxed: the counter only hands out indices; results travel by channel.
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(batch) = batches.get(index) else { break };
                    let work = || one(objective, model, variables, batch);
                    let result = match &pool {
                        Ok(pool) => pool.install(work),
                        Err(_) => work(),
                    };
                    if send.send((index, result)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        in_order(receive.iter())
    })
}

/// Adds results up in the order of their indices, holding back those that come early.
fn in_order(
    results: impl Iterator<Item = (usize, Result<StepGradients, TrainError>)>,
) -> Result<StepGradients, TrainError> {
    let mut early = BTreeMap::new();
    let mut expected = 0;
    let mut total: Option<StepGradients> = None;
    for (index, result) in results {
        early.insert(index, result?);
        while let Some(part) = early.remove(&expected) {
            expected += 1;
            match &mut total {
                None => total = Some(part),
                Some(total) => total.add(part)?,
            }
        }
    }
    total.ok_or(TrainError::Setting { name: "batch", detail: "a step without examples".into() })
}

impl StepGradients {
    fn add(&mut self, other: Self) -> Result<(), TrainError> {
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

fn one<O: Objective>(
    objective: &O,
    model: &Transformer,
    variables: &Variables,
    batch: &O::Batch,
) -> Result<StepGradients, TrainError> {
    let packed = objective.packed(batch);
    let logps = log_probs(model, packed)?;
    let result = objective.evaluate(batch, &logps.to_vec1::<f32>()?);
    let slopes = Tensor::from_vec(result.slopes, logps.shape(), logps.device())?;
    let mut store = (logps * slopes)?.sum_all()?.backward()?;
    let mut gradients = BTreeMap::new();
    for (name, var) in variables.iter() {
        let gradient =
            store.remove(var).ok_or_else(|| TrainError::MissingGradient(name.to_owned()))?;
        gradients.insert(name.to_owned(), gradient);
    }
    Ok(StepGradients { loss: result.loss, metrics: result.metrics, gradients })
}

/// Log-probability of every target of a batch, `[n]`.
pub(super) fn log_probs(model: &Transformer, packed: &Packed) -> Result<Tensor, TrainError> {
    let hidden = model.hidden(&packed.ids, &packed.layout)?;
    let rows = Tensor::new(packed.rows.as_slice(), hidden.device())?;
    Ok(model.log_probs(&hidden.index_select(&rows, 0)?, &packed.targets)?)
}
