//! Weights of a projection, packed for products with a few rows, in one of several storage and compute
//! dtypes.

use candle_core::DType;
use half::{bf16, f16};

use super::packed_bf16::PackedBf16;
use super::packed_f32::PackedF32;
use super::packed_int8::PackedInt8;
use super::panels::Write;
use crate::Dtype;

/// A weight matrix `[outputs, inputs]` with an optional bias.
pub(crate) enum PackedWeights {
    /// Stored and multiplied in f32.
    F32(PackedF32),
    /// Stored in bf16, multiplied in f32: the weights of a bf16 checkpoint, unchanged.
    F32OfBf16(PackedF32<bf16>),
    /// Stored in f16, multiplied in f32.
    F32OfF16(PackedF32<f16>),
    /// Stored and multiplied in bf16, summed in f32.
    Bf16(PackedBf16),
    /// Stored and multiplied in int8, summed in f32.
    Int8(PackedInt8),
}

/// Calls a method that all variants have.
macro_rules! each {
    ($packed:expr, $weights:ident => $call:expr) => {
        match $packed {
            PackedWeights::F32($weights) => $call,
            PackedWeights::F32OfBf16($weights) => $call,
            PackedWeights::F32OfF16($weights) => $call,
            PackedWeights::Bf16($weights) => $call,
            PackedWeights::Int8($weights) => $call,
        }
    };
}

impl PackedWeights {
    /// Allocates a full matrix of zeros, to be filled by [`Self::pack`] with weights that the dtype
    /// `stored` represents exactly. `bias` is `[outputs]`.
    pub(crate) fn zeros(
        dtype: Dtype,
        stored: DType,
        (outputs, inputs): (usize, usize),
        bias: Option<Vec<f32>>,
    ) -> Self {
        match (dtype, stored) {
            (Dtype::Int8, _) => Self::Int8(PackedInt8::zeros(outputs, inputs, bias)),
            (Dtype::Bf16, _) => Self::Bf16(PackedBf16::zeros(outputs, inputs, bias)),
            (_, DType::BF16) => Self::F32OfBf16(PackedF32::zeros(outputs, inputs, bias)),
            (_, DType::F16) => Self::F32OfF16(PackedF32::zeros(outputs, inputs, bias)),
            _ => Self::F32(PackedF32::zeros(outputs, inputs, bias)),
        }
    }

    /// Whether products are computed in bf16 or int8.
    pub(crate) fn is_reduced(&self) -> bool {
        matches!(self, Self::Bf16(_) | Self::Int8(_))
    }

    /// Packs the weights of the outputs from `first` on, row-major `[n, inputs]`.
    pub(crate) fn pack(&mut self, first: usize, weights: &[f32]) {
        each!(self, packed => packed.pack(first, weights));
    }

    /// Number of outputs.
    pub(crate) fn outputs(&self) -> usize {
        each!(self, packed => packed.outputs())
    }

    /// Copies the weights of one output into `out`, `[inputs]`.
    pub(crate) fn copy_row(&self, output: usize, out: &mut [f32]) {
        each!(self, packed => out.iter_mut().zip(packed.row(output)).for_each(|(o, w)| *o = w));
    }

    /// Computes `x w^T (+ bias)` for rows of x `[R, inputs]`, into `out` `[R, outputs]`.
    ///
    /// Runs on the current rayon pool. A row's result does not depend on the size of the pool or on the
    /// other rows.
    pub(crate) fn apply(&self, x: &[f32], out: &mut [f32], write: Write) {
        each!(self, packed => packed.apply(x, out, write));
    }
}
