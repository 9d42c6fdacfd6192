//! The embedding of a model with a separate output head, in the dtype of its weights in memory.

use candle_core::{DType, Result, Tensor};
use half::{bf16, f16};

/// The embedding matrix `[V, D]`, row-major.
pub(crate) enum Embedding {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
    F16(Vec<f16>),
}

impl Embedding {
    pub(crate) fn new(weight: &Tensor) -> Result<Self> {
        let flat = weight.flatten_all()?;
        match flat.dtype() {
            DType::BF16 => flat.to_vec1().map(Self::Bf16),
            DType::F16 => flat.to_vec1().map(Self::F16),
            _ => flat.to_vec1().map(Self::F32),
        }
    }

    /// Copies the row of a token into `out`, `[D]`.
    pub(crate) fn copy_row(&self, id: usize, out: &mut [f32]) {
        let row = id * out.len()..(id + 1) * out.len();
        match self {
            Self::F32(values) => out.copy_from_slice(&values[row]),
            Self::Bf16(values) => widen(&values[row], out),
            Self::F16(values) => widen(&values[row], out),
        }
    }
}

fn widen<T: Copy + Into<f32>>(row: &[T], out: &mut [f32]) {
    out.iter_mut().zip(row).for_each(|(out, value)| *out = (*value).into());
}
