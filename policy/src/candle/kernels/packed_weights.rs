//! Weights of a projection, packed for products of a few rows, in the type that they are computed in.

use super::packed_bf16::PackedBf16;
use super::packed_f32::{PackedF32, Write};
use crate::Dtype;

/// A weight matrix `[outputs, inputs]` with an optional bias.
pub(crate) enum PackedWeights {
    /// Stored and multiplied in f32.
    F32(PackedF32),
    /// Stored and multiplied in bf16, summed in f32.
    Bf16(PackedBf16),
}

/// Calls a method that both forms have.
macro_rules! either {
    ($packed:expr, $weights:ident => $call:expr) => {
        match $packed {
            PackedWeights::F32($weights) => $call,
            PackedWeights::Bf16($weights) => $call,
        }
    };
}

impl PackedWeights {
    /// A matrix of zeros, allocated whole, for [`Self::pack`] to fill. `bias` is `[outputs]`.
    pub(crate) fn zeros(
        dtype: Dtype,
        (outputs, inputs): (usize, usize),
        bias: Option<Vec<f32>>,
    ) -> Self {
        match dtype {
            Dtype::Bf16 => Self::Bf16(PackedBf16::zeros(outputs, inputs, bias)),
            _ => Self::F32(PackedF32::zeros(outputs, inputs, bias)),
        }
    }

    /// Packs the weights of the outputs from `first` on, row-major `[n, inputs]`.
    pub(crate) fn pack(&mut self, first: usize, weights: &[f32]) {
        either!(self, packed => packed.pack(first, weights));
    }

    /// Number of outputs.
    pub(crate) fn outputs(&self) -> usize {
        either!(self, packed => packed.outputs())
    }

    /// Copies the weights of one output into `out`, `[inputs]`.
    pub(crate) fn copy_row(&self, output: usize, out: &mut [f32]) {
        either!(self, packed => out.iter_mut().zip(packed.row(output)).for_each(|(o, w)| *o = w));
    }

    /// `x w^T (+ bias)` for rows of x `[R, inputs]`, into `out` `[R, outputs]`.
    ///
    /// Runs on the current rayon pool; a row's result depends on neither its size nor the other rows.
    pub(crate) fn apply(&self, x: &[f32], out: &mut [f32], write: Write) {
        either!(self, packed => packed.apply(x, out, write));
    }
}
