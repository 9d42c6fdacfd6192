//! Numeric kernels.
//!
//! For training: fused operations with their own backward pass (attention over packed batches, linear,
//! log-probabilities, norm, RoPE, SwiGLU), each with a plain candle implementation next to it. For
//! inference: attention of single rows over KV slots ([`attend_rows`]), products with packed weights,
//! sampling.
//!
//! The fused implementation runs on the CPU. Other devices use the plain implementation, which is also the
//! reference in tests. candle-nn's fused norm, RoPE and softmax are not used in training: they have no
//! backward pass and cut the graph silently.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
mod attend_rows;
mod attention;
mod attention_kernel;
mod bf16_word;
mod draw;
mod frozen;
mod gemm;
mod int8_panel;
mod kv_word;
mod layout;
mod linear;
mod log_probs;
mod low_rank;
mod packed_bf16;
mod packed_f32;
mod packed_int8;
mod packed_weights;
mod panels;
mod random_bits;
mod rms_norm;
mod rope;
mod simd;
mod swiglu;
mod weight_word;

pub(crate) use attend_rows::{Query, Stored, attend_rows, attended_values};
pub(crate) use attention::{AttentionShape, attention};
pub(crate) use draw::{RowWeights, highest, pick, total_weight};
pub(crate) use frozen::{Frozen, frozen_linear};
pub(crate) use kv_word::KvWord;
pub use layout::{PackedLayout, Segment};
pub(crate) use linear::linear;
pub(crate) use log_probs::{frozen_log_probs, log_probs, log_softmax_row};
pub(crate) use low_rank::{Dropout, low_rank_linear};
pub(crate) use packed_weights::PackedWeights;
pub(crate) use panels::Write;
pub(crate) use rms_norm::{rms_norm, rms_norm_in_place, rms_norm_rows};
pub(crate) use rope::{RopeTable, rotate_rows};
pub(crate) use swiglu::{swiglu, swiglu_rows};

use candle_core::{CpuStorage, DType, Layout, Result, Tensor, bail};

/// Returns the contiguous f32 values of a storage with this layout.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("fused operations take contiguous tensors")
    };
    match storage {
        CpuStorage::F32(v) => Ok(&v[start..end]),
        _ => bail!("fused operations take f32 tensors"),
    }
}

/// Calls `f` with the values of a CPU tensor in f32, at most `chunk` at a time. A tensor in f32 is passed
/// in one piece.
pub(crate) fn for_chunks(tensor: &Tensor, chunk: usize, mut f: impl FnMut(&[f32])) -> Result<()> {
    if tensor.dtype() == DType::F32 {
        return with_values(tensor, |values| {
            f(values);
            Ok(())
        });
    }
    let flat = tensor.flatten_all()?;
    let n = flat.elem_count();
    for start in (0..n).step_by(chunk.max(1)) {
        let part = flat.narrow(0, start, chunk.min(n - start))?.to_dtype(DType::F32)?;
        with_values(&part, |values| {
            f(values);
            Ok(())
        })?;
    }
    Ok(())
}

/// Calls `f` with the f32 values of a CPU tensor.
pub(crate) fn with_values<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> Result<T>) -> Result<T> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        candle_core::Storage::Cpu(cpu) => f(values(cpu, layout)?),
        _ => bail!("fused operations run on the CPU"),
    }
}

#[cfg(test)]
pub(crate) mod check {
    //! Compares a fused operation with its plain implementation: values and gradients.

    use candle_core::{Device, Tensor, Var};

    /// A variable with seeded random values in [-1, 1).
    pub(crate) fn random(shape: &[usize], seed: u64) -> Var {
        use rand::RngExt;
        let mut rng = regrowth_datasets::keyed_rng(seed, &[b"ops"]);
        let n = shape.iter().product();
        let data: Vec<f32> = (0..n).map(|_| rng.random_range(-1.0f32..1.0)).collect();
        Var::from_tensor(&Tensor::from_vec(data, shape, &Device::Cpu).unwrap()).unwrap()
    }

    /// Largest absolute difference.
    pub(crate) fn distance(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
    }

    /// Asserts equal values and equal gradients with respect to every variable, under a random
    /// linear functional of the result.
    pub(crate) fn same(fused: &Tensor, plain: &Tensor, vars: &[&Var], tolerance: f32) {
        assert!(distance(fused, plain) <= tolerance, "values differ");
        let weights = random(fused.dims(), 99);
        let grads = |t: &Tensor| (t * weights.as_tensor()).unwrap().sum_all().unwrap().backward();
        let (a, b) = (grads(fused).unwrap(), grads(plain).unwrap());
        for (i, var) in vars.iter().enumerate() {
            let d = distance(a.get(var).expect("fused"), b.get(var).expect("plain"));
            assert!(d <= tolerance, "gradient {i} differs by {d}");
        }
    }
}
