//! `x w^T` with its backward pass, on the current rayon pool.
//!
//! candle's own product takes its number of threads from the environment, and its backward pass needs an
//! extra transposition. This one runs on the current rayon pool, like every kernel in this folder.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::gemm::{Matrix, product};
use super::{values, with_values};

/// Computes `x w^T`: x `[T, in]`, w `[out, in]`, result `[T, out]`.
pub(crate) fn linear(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() { x.contiguous()?.apply_op2(w, Fused) } else { plain(x, w) }
}

fn plain(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    x.matmul(&w.t()?)
}

struct Fused;

impl CustomOp2 for Fused {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let ((t, inputs), (outputs, _)) = (x_layout.shape().dims2()?, w_layout.shape().dims2()?);
        let x = Matrix::new(values(x, x_layout)?, t, inputs);
        let w = Matrix::new(values(w, w_layout)?, outputs, inputs);
        Ok((CpuStorage::F32(product(x, w.t())), Shape::from((t, outputs))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let ((t, inputs), outputs) = (x.dims2()?, w.dim(0)?);
        let dx = gradient(x, w, grad, |g, w| {
            product(Matrix::new(g, t, outputs), Matrix::new(w, outputs, inputs))
        })?;
        let dw = gradient(w, x, grad, |g, x| {
            product(Matrix::new(g, t, outputs).t(), Matrix::new(x, t, inputs))
        })?;
        Ok((dx, dw))
    }
}

/// Returns the gradient of the operand `of`, computed by `make(grad, other operand)`; `None` if it needs no
/// gradient, as frozen weights and input data. Each gradient left out saves a third of the work.
fn gradient(
    of: &Tensor,
    other: &Tensor,
    grad: &Tensor,
    make: impl Fn(&[f32], &[f32]) -> Vec<f32>,
) -> Result<Option<Tensor>> {
    if !of.track_op() {
        return Ok(None);
    }
    let out = with_values(grad, |g| with_values(other, |other| Ok(make(g, other))))?;
    Ok(Some(Tensor::from_vec(out, of.shape(), of.device())?))
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn fused_equals_plain() {
        let (x, w) = (check::random(&[9, 16], 1), check::random(&[24, 16], 2));
        check::same(&linear(&x, &w).unwrap(), &plain(&x, &w).unwrap(), &[&x, &w], 5e-6);
    }
}
