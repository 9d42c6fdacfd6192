//! Gradient checkpointing: only one layer's activations are in memory at a time.
//!
//! The forward pass stores only the input of every layer. In the backward pass each layer is run a second
//! time to get its activations (Chen et al. 2016, arXiv:1604.06174, section 3). The gradients equal those
//! without checkpointing; the computation grows by a third.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use regrowth_policy::candle::ForwardPass;

use super::gradients::{Compute, Top, TrainingObjective, collect};
use crate::TrainError;

/// Adds the gradients of one micro-batch to `gradients`; returns its loss and metrics.
pub(super) fn backward<O: TrainingObjective>(
    objective: &O,
    compute: Compute,
    batch: &O::Batch,
    pass: &ForwardPass,
    gradients: &mut BTreeMap<String, Tensor>,
) -> Result<Top, TrainError> {
    let Compute { model, variables, .. } = compute;
    let packed = objective.packed(batch);
    let mut inputs = vec![model.embed(&packed.ids, &packed.layout)?.detach()];
    for layer in 0..model.layers() {
        let next = model.layer(layer, &inputs[layer], pass)?.detach();
        inputs.push(next);
    }
    let mut behind = None;
    let mut gradient = None;
    while let Some(input) = inputs.pop() {
        let x = Var::from_tensor(&input)?;
        let functional = match &gradient {
            None => {
                let top = Top::new(objective, model, batch, &x)?;
                let functional = top.functional.clone();
                behind = Some(Top { functional: functional.detach(), ..top });
                functional
            }
            Some(gradient) => (model.layer(inputs.len(), &x, pass)? * gradient)?.sum_all()?,
        };
        let mut store = functional.backward()?;
        gradient = store.remove(&x);
        if gradient.is_none() {
            return Err(TrainError::MissingGradient(format!("input of layer {}", inputs.len())));
        }
        collect(store, variables, gradients)?;
    }
    let embedded = model.embed(&packed.ids, &packed.layout)?;
    if let Some(gradient) = gradient.filter(|_| embedded.track_op()) {
        collect((embedded * gradient)?.sum_all()?.backward()?, variables, gradients)?;
    }
    behind.ok_or(TrainError::Setting { name: "layers", detail: "a model without layers".into() })
}
