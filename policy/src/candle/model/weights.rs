//! Checkpoint tensors on their way into a form for inference: each is handed out once, then let go.

use std::collections::BTreeMap;

use candle_core::{DType, Result, Tensor};

/// Tensors that are still to be taken, by their names in the checkpoint.
pub(crate) struct Weights(BTreeMap<String, Tensor>);

impl Weights {
    /// The tensors of a checkpoint.
    pub(crate) fn new(tensors: BTreeMap<String, Tensor>) -> Self {
        Self(tensors)
    }

    /// A tensor by its name, in the type that it is held in.
    pub(crate) fn take(&mut self, name: &str) -> Result<Tensor> {
        match self.0.remove(name) {
            Some(tensor) => Ok(tensor),
            None => candle_core::bail!("no tensor `{name}`"),
        }
    }

    /// The values of a tensor in f32.
    pub(crate) fn flat(&mut self, name: &str) -> Result<Vec<f32>> {
        self.take(name)?.flatten_all()?.to_dtype(DType::F32)?.to_vec1()
    }
}
