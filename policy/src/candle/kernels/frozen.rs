//! A frozen projection with both of its products: the forward pass, and the gradient of its input.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};

use super::gemm::{Matrix, product};
use super::packed_bf16::PackedBf16;
use super::{for_chunks, values, with_values};

/// Number of weight rows converted to f32 at a time during packing.
const ROWS: usize = 256;

/// A weight `[outputs, inputs]` that is not trained.
#[derive(Clone)]
pub(crate) enum Frozen {
    /// Multiplied in f32. The checkpoint's tensor keeps its dtype in memory; a 16-bit tensor is converted to
    /// f32 for each product, which gives bit-identical results.
    F32(Tensor),
    /// Multiplied in bf16 (see [`super::packed_bf16`]): both operands of a product are rounded, sums are
    /// f32.
    Bf16(Arc<Bf16Pair>),
}

/// A weight in bf16, packed for both directions.
pub(crate) struct Bf16Pair {
    forward: PackedBf16,
    /// The transposed weight. It is packed at the first backward pass, because scoring does not need it.
    backward: OnceLock<PackedBf16>,
}

impl Bf16Pair {
    /// Returns the transposed weight. It has the same rounded values as `forward`, so the result is the
    /// gradient of the function that the forward pass computes.
    fn backward(&self) -> &PackedBf16 {
        self.backward.get_or_init(|| {
            let (outputs, inputs) = (self.forward.outputs(), self.forward.inputs());
            let mut transposed = vec![0f32; inputs * outputs];
            for output in 0..outputs {
                let column = transposed[output..].iter_mut().step_by(outputs);
                column.zip(self.forward.row(output)).for_each(|(to, from)| *to = from);
            }
            let mut backward = PackedBf16::zeros(inputs, outputs, None);
            backward.pack(0, &transposed);
            backward
        })
    }
}

impl std::fmt::Debug for Frozen {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::F32(weight) => write!(f, "Frozen::F32({:?})", weight.dims()),
            Self::Bf16(_) => f.write_str("Frozen::Bf16"),
        }
    }
}

impl Frozen {
    /// Packs a weight in bf16.
    ///
    /// # Errors
    /// If `weight` is not a matrix on the CPU.
    pub(crate) fn bf16(weight: &Tensor) -> Result<Self> {
        let (outputs, inputs) = weight.dims2()?;
        let mut forward = PackedBf16::zeros(outputs, inputs, None);
        let mut first = 0;
        for_chunks(weight, ROWS * inputs, |values| {
            forward.pack(first, values);
            first += values.len() / inputs;
        })?;
        Ok(Self::Bf16(Arc::new(Bf16Pair { forward, backward: OnceLock::new() })))
    }

    /// Returns `(outputs, inputs)`.
    pub(crate) fn dims(&self) -> Result<(usize, usize)> {
        match self {
            Self::F32(weight) => weight.dims2(),
            Self::Bf16(pair) => Ok((pair.forward.outputs(), pair.forward.inputs())),
        }
    }

    /// Prepares the weight for several successive products: a 16-bit weight that is multiplied in f32 is
    /// converted to f32 once.
    pub(crate) fn widened(&self) -> Result<Cow<'_, Self>> {
        match self {
            Self::F32(weight) if weight.dtype() != DType::F32 => {
                Ok(Cow::Owned(Self::F32(weight.to_dtype(DType::F32)?)))
            }
            _ => Ok(Cow::Borrowed(self)),
        }
    }

    /// Computes `x w^T`: `[T, inputs]` to `[T, outputs]`.
    pub(crate) fn forward(&self, x: &[f32]) -> Result<Vec<f32>> {
        let (outputs, inputs) = self.dims()?;
        match self {
            Self::F32(weight) => with_values(&weight.to_dtype(DType::F32)?, |w| {
                let x = Matrix::new(x, x.len() / inputs, inputs);
                Ok(product(x, Matrix::new(w, outputs, inputs).t()))
            }),
            Self::Bf16(pair) => Ok(pair.forward.product(x)),
        }
    }

    /// Computes `grad w`: `[T, outputs]` to `[T, inputs]`.
    pub(crate) fn backward(&self, grad: &[f32]) -> Result<Vec<f32>> {
        let (outputs, inputs) = self.dims()?;
        match self {
            Self::F32(weight) => with_values(&weight.to_dtype(DType::F32)?, |w| {
                let grad = Matrix::new(grad, grad.len() / outputs, outputs);
                Ok(product(grad, Matrix::new(w, outputs, inputs)))
            }),
            Self::Bf16(pair) => Ok(pair.backward().product(grad)),
        }
    }
}

/// Computes `x w^T` for x `[T, inputs]` on the CPU, differentiable with respect to x.
pub(crate) fn frozen_linear(x: &Tensor, w: &Frozen) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Linear(w.clone()))
}

struct Linear(Frozen);

impl CustomOp1 for Linear {
    fn name(&self) -> &'static str {
        "frozen_linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let ((t, _), (outputs, _)) = (layout.shape().dims2()?, self.0.dims()?);
        let out = self.0.forward(values(x, layout)?)?;
        Ok((CpuStorage::F32(out), Shape::from((t, outputs))))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let dx = with_values(grad, |grad| self.0.backward(grad))?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn both_directions_in_bf16_are_near_those_in_f32() {
        let (x, w) = (check::random(&[9, 48], 1), check::random(&[70, 48], 2));
        let packed = Frozen::bf16(&w.as_detached_tensor()).unwrap();
        let plain = x.matmul(&w.t().unwrap()).unwrap();
        check::same(&frozen_linear(&x, &packed).unwrap(), &plain, &[&x], 0.1);
    }

    #[test]
    fn a_weight_held_in_16_bits_gives_the_bits_of_the_same_weight_in_f32() {
        let (x, w) = (check::random(&[9, 48], 1), check::random(&[70, 48], 2));
        for dtype in [DType::BF16, DType::F16] {
            let narrow = w.as_detached_tensor().to_dtype(dtype).unwrap();
            let wide = narrow.to_dtype(DType::F32).unwrap();
            let [narrow, wide] = [narrow, wide].map(Frozen::F32);
            let (a, b) = (frozen_linear(&x, &narrow).unwrap(), frozen_linear(&x, &wide).unwrap());
            check::same(&a, &b, &[&x], 0.0);
        }
    }

    #[test]
    fn f32_is_the_plain_product() {
        let (x, w) = (check::random(&[9, 48], 1), check::random(&[70, 48], 2));
        let frozen = Frozen::F32(w.as_detached_tensor());
        let plain = x.matmul(&w.t().unwrap()).unwrap();
        check::same(&frozen_linear(&x, &frozen).unwrap(), &plain, &[&x], 1e-5);
    }
}
