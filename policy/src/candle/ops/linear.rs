//! `x w^T` with its backward pass, on the current rayon pool.
//!
//! candle's own product chooses its threads from the environment and leaves a transposition to the
//! backward pass; this one follows the pool it runs in, as every operation here does.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::gemm::{Matrix, multiply};
use super::{values, with_values};

/// x `[T, in]` times w `[out, in]` transposed: `[T, out]`.
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
        let mut out = vec![0f32; t * outputs];
        multiply(&mut out, x, w.t(), false);
        Ok((CpuStorage::F32(out), Shape::from((t, outputs))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let ((t, inputs), outputs) = (x.dims2()?, w.dim(0)?);
        let gradient = |of: &Tensor, by: &Tensor, product: &dyn Fn(&mut [f32], Matrix, &[f32])| {
            // Frozen weights and data need no gradient; each is a third of the work.
            of.track_op()
                .then(|| {
                    let mut out = vec![0f32; of.elem_count()];
                    with_values(grad, |g| {
                        with_values(by, |by| {
                            product(&mut out, Matrix::new(g, t, outputs), by);
                            Ok(())
                        })
                    })?;
                    Tensor::from_vec(out, of.shape(), of.device())
                })
                .transpose()
        };
        let dx = gradient(x, w, &|out, g, w| {
            multiply(out, g, Matrix::new(w, outputs, inputs), false);
        })?;
        let dw = gradient(w, x, &|out, g, x| {
            multiply(out, g.t(), Matrix::new(x, t, inputs), false);
        })?;
        Ok((dx, dw))
    }
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
