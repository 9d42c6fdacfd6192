//! Hands out the tensors of a checkpoint while an inference model is built: each one once, so that it can
//! be freed.

use std::collections::BTreeMap;

use candle_core::{DType, Result, Tensor};

/// Tensors that are not taken yet, by their names in the checkpoint.
pub(crate) struct Weights(BTreeMap<String, Tensor>);

impl Weights {
    /// Wraps the tensors of a checkpoint.
    pub(crate) fn new(tensors: BTreeMap<String, Tensor>) -> Self {
        Self(tensors)
    }

    /// Removes and returns a tensor, in the dtype that it has in memory.
    pub(crate) fn take(&mut self, name: &str) -> Result<Tensor> {
        match self.0.remove(name) {
            Some(tensor) => Ok(tensor),
            None => candle_core::bail!("no tensor `{name}`"),
        }
    }

    /// Removes a tensor and returns its values in f32.
    pub(crate) fn flat(&mut self, name: &str) -> Result<Vec<f32>> {
        self.take(name)?.flatten_all()?.to_dtype(DType::F32)?.to_vec1()
    }
}
