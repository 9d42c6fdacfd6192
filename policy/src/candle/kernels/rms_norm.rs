//! RMSNorm over the last dimension, with its backward pass.
//!
//! `y = x / sqrt(mean(x^2) + eps) * w` (Zhang and Sennrich 2019, arXiv:1910.07467).

use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor};

use super::simd::{dispatch, dot};
use super::{values, with_values};

/// Computes RMSNorm of `x` `[.., D]` with weight `w` `[D]`.
pub(crate) fn rms_norm(x: &Tensor, w: &Tensor, eps: f32) -> Result<Tensor> {
    if x.device().is_cpu() { x.contiguous()?.apply_op2(w, Fused { eps }) } else { plain(x, w, eps) }
}

fn plain(x: &Tensor, w: &Tensor, eps: f32) -> Result<Tensor> {
    let scale = (x.sqr()?.mean_keepdim(D::Minus1)? + f64::from(eps))?.sqrt()?;
    x.broadcast_div(&scale)?.broadcast_mul(w)
}

/// Writes the RMSNorm of each row of `x` to `out`; rows are as wide as `w`.
pub(crate) fn rms_norm_rows(out: &mut [f32], x: &[f32], w: &[f32], eps: f32) {
    dispatch(
        #[inline(always)]
        || {
            let d = w.len();
            for (out, x) in out.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
                let scale = inverse_rms(x, eps);
                for ((o, x), w) in out.iter_mut().zip(x).zip(w) {
                    *o = x * scale * w;
                }
            }
        },
    );
}

/// Computes [`rms_norm_rows`] in place.
pub(crate) fn rms_norm_in_place(x: &mut [f32], w: &[f32], eps: f32) {
    dispatch(
        #[inline(always)]
        || {
            for x in x.chunks_exact_mut(w.len()) {
                let scale = inverse_rms(x, eps);
                for (x, w) in x.iter_mut().zip(w) {
                    *x = *x * scale * w;
                }
            }
        },
    );
}

#[inline(always)]
fn inverse_rms(x: &[f32], eps: f32) -> f32 {
    (dot(x, x) / x.len() as f32 + eps).sqrt().recip()
}

struct Fused {
    eps: f32,
}

impl CustomOp2 for Fused {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, w) = (values(x, x_layout)?, values(w, w_layout)?);
        let mut out = vec![0f32; x.len()];
        rms_norm_rows(&mut out, x, w, self.eps);
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, dw) = with_values(x, |xs| {
            with_values(w, |ws| with_values(grad, |gs| Ok(backward(xs, ws, gs, self.eps))))
        })?;
        let dx = Tensor::from_vec(dx, x.shape(), x.device())?;
        let dw = Tensor::from_vec(dw, w.shape(), w.device())?;
        Ok((Some(dx), Some(dw)))
    }
}

/// Returns `(dx, dw)`. With s = 1 / rms: `dx = s (g w) - x s^3 mean(g w x)`, `dw = sum over rows of g x s`.
fn backward(x: &[f32], w: &[f32], g: &[f32], eps: f32) -> (Vec<f32>, Vec<f32>) {
    let d = w.len();
    let mut dx = vec![0f32; x.len()];
    let mut dw = vec![0f32; d];
    dispatch(
        #[inline(always)]
        || {
            let rows = dx.chunks_exact_mut(d).zip(x.chunks_exact(d)).zip(g.chunks_exact(d));
            for ((dx, x), g) in rows {
                let s = inverse_rms(x, eps);
                for i in 0..d {
                    dx[i] = g[i] * w[i];
                    dw[i] += g[i] * x[i] * s;
                }
                let pull = dot(dx, x) / d as f32 * s * s * s;
                for i in 0..d {
                    dx[i] = dx[i] * s - x[i] * pull;
                }
            }
        },
    );
    (dx, dw)
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn in_place_gives_the_same_bits() {
        let mut x: Vec<f32> = (0..72).map(|i| (i as f32 * 0.37).sin()).collect();
        let w: Vec<f32> = (0..24).map(|i| 1.0 + i as f32 / 24.0).collect();
        let mut out = vec![0.0; x.len()];
        rms_norm_rows(&mut out, &x, &w, 1e-5);
        rms_norm_in_place(&mut x, &w, 1e-5);
        assert_eq!(x, out);
    }

    #[test]
    fn fused_equals_plain() {
        let (x, w) = (check::random(&[5, 24], 1), check::random(&[24], 2));
        check::same(
            &rms_norm(&x, &w, 1e-5).unwrap(),
            &plain(&x, &w, 1e-5).unwrap(),
            &[&x, &w],
            2e-6,
        );
    }
}
