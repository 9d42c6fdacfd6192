//! Dtypes in which the tensors of a checkpoint are held in memory after reading.

use candle_core::{DType, Result, Tensor};

use crate::candle::kernels::for_chunks;

/// Number of values that are converted to f32 at a time when all values of a tensor are read.
pub(crate) const CHUNK: usize = 1 << 20;

/// Dtypes of tensors in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// All tensors in f32, whatever the dtype in the file, because training changes them.
    F32,
    /// Matrices in bf16 and f16 keep their dtype, everything else is f32. Inference converts the matrices to
    /// f32 when it multiplies.
    AsStored,
}

impl Held {
    /// Returns the dtype in memory of a tensor with this many dimensions and dtype `stored` in the file.
    pub(crate) fn dtype(self, stored: DType, dimensions: usize) -> DType {
        match (self, stored) {
            (Self::AsStored, DType::BF16 | DType::F16) if dimensions > 1 => stored,
            _ => DType::F32,
        }
    }

    /// Converts a tensor of a file to its dtype in memory.
    pub(crate) fn hold(self, tensor: Tensor) -> Result<Tensor> {
        tensor.to_dtype(self.dtype(tensor.dtype(), tensor.dims().len()))
    }
}

/// Whether all values are finite numbers.
pub(crate) fn finite(tensor: &Tensor) -> Result<bool> {
    let mut all = true;
    for_chunks(tensor, CHUNK, |values| all &= values.iter().all(|v| v.is_finite()))?;
    Ok(all)
}

/// Whether two tensors hold the same values.
pub(crate) fn equal(a: &Tensor, b: &Tensor) -> Result<bool> {
    if a.dims() != b.dims() {
        return Ok(false);
    }
    let (a, b) = (a.flatten_all()?, b.flatten_all()?);
    let n = a.elem_count();
    for start in (0..n).step_by(CHUNK) {
        let part = |t: &Tensor| {
            t.narrow(0, start, CHUNK.min(n - start))?.to_dtype(DType::F32)?.to_vec1::<f32>()
        };
        if part(&a)? != part(&b)? {
            return Ok(false);
        }
    }
    Ok(true)
}
