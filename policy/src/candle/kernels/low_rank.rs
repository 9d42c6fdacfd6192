//! A frozen projection with a low-rank update, as one operation (LoRA, arXiv:2106.09685, section 4.1).
//!
//! With separate operations, the graph would hold four tensors of the output's size: the product with the
//! weight, the product with the update, the scaled update, and the sum. One operation holds only the output;
//! the intermediate `[T, r]` is recomputed in the backward pass.

use std::borrow::Cow;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::frozen::Frozen;
use super::gemm::{Matrix, product};
use super::{values, with_values};

/// Dropout of an update's inputs in training.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dropout {
    /// Probability that an input is dropped, in (0, 1).
    pub(crate) p: f64,
    /// Determines the mask.
    pub(crate) key: u64,
}

/// Computes `x w^T + scale (mask x) a^T b^T`: x `[T, in]`, w `[out, in]` frozen, a `[r, in]`, b `[out, r]`.
pub(crate) fn low_rank_linear(
    x: &Tensor,
    w: &Frozen,
    (a, b): (&Tensor, &Tensor),
    scale: f64,
    dropout: Option<Dropout>,
) -> Result<Tensor> {
    match w {
        Frozen::F32(w) if !x.device().is_cpu() || w.track_op() => {
            plain(x, w, (a, b), scale, dropout)
        }
        _ => {
            let op = Fused { w: w.clone(), scale: scale as f32, dropout };
            x.contiguous()?.apply_op3(a, b, op)
        }
    }
}

fn plain(
    x: &Tensor,
    w: &Tensor,
    (a, b): (&Tensor, &Tensor),
    scale: f64,
    dropout: Option<Dropout>,
) -> Result<Tensor> {
    let kept = match dropout {
        Some(dropout) => {
            (x * Tensor::from_vec(dropout.mask(x.elem_count()), x.shape(), x.device())?)?
        }
        None => x.clone(),
    };
    x.matmul(&w.t()?)? + (kept.matmul(&a.t()?)?.matmul(&b.t()?)? * scale)?
}

impl Dropout {
    /// Returns `n` factors of inverted dropout: 0 with probability `p`, else `1 / (1 - p)`.
    fn mask(self, n: usize) -> Vec<f32> {
        use rand::RngExt;
        let mut rng = regrowth_datasets::keyed_rng(self.key, &[b"dropout"]);
        let keep = (1.0 / (1.0 - self.p)) as f32;
        (0..n).map(|_| if rng.random::<f64>() < self.p { 0.0 } else { keep }).collect()
    }
}

/// Sizes of the operands: T rows, `in` and `out` columns, rank r.
#[derive(Clone, Copy)]
struct Sizes {
    t: usize,
    inputs: usize,
    outputs: usize,
    r: usize,
}

/// Gradients of the operands.
struct Gradients {
    x: Option<Vec<f32>>,
    a: Vec<f32>,
    b: Vec<f32>,
}

struct Fused {
    w: Frozen,
    scale: f32,
    dropout: Option<Dropout>,
}

impl Fused {
    /// Returns the update's inputs after dropout, and the mask that was applied.
    fn kept<'a>(&self, x: &'a [f32]) -> (Cow<'a, [f32]>, Option<Vec<f32>>) {
        let Some(dropout) = self.dropout else { return (x.into(), None) };
        let mask = dropout.mask(x.len());
        let kept: Vec<f32> = x.iter().zip(&mask).map(|(x, m)| x * m).collect();
        (kept.into(), Some(mask))
    }

    /// Returns the gradients; the gradient of x only if `of_x`.
    fn backward(
        &self,
        (x, a, b): (&[f32], &[f32], &[f32]),
        grad: &[f32],
        sizes: Sizes,
        of_x: bool,
    ) -> Result<Gradients> {
        let Sizes { t, inputs, outputs, r } = sizes;
        let (kept, mask) = self.kept(x);
        let kept = Matrix::new(&kept, t, inputs);
        let scaled: Vec<f32> = grad.iter().map(|g| g * self.scale).collect();
        let scaled = Matrix::new(&scaled, t, outputs);
        let down = product(kept, Matrix::new(a, r, inputs).t());
        let db = product(scaled.t(), Matrix::new(&down, t, r));
        let back = product(scaled, Matrix::new(b, outputs, r));
        let back = Matrix::new(&back, t, r);
        let da = product(back.t(), kept);
        if !of_x {
            return Ok(Gradients { x: None, a: da, b: db });
        }
        let mut dx = self.w.backward(grad)?;
        let update = product(back, Matrix::new(a, r, inputs));
        match mask {
            None => dx.iter_mut().zip(update).for_each(|(dx, u)| *dx += u),
            Some(mask) => {
                dx.iter_mut().zip(update).zip(mask).for_each(|((dx, u), m)| *dx += u * m);
            }
        }
        Ok(Gradients { x: Some(dx), a: da, b: db })
    }
}

impl CustomOp3 for Fused {
    fn name(&self) -> &'static str {
        "low_rank_linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let ((t, inputs), (outputs, r)) = (x_layout.shape().dims2()?, b_layout.shape().dims2()?);
        let (x, a, b) = (values(x, x_layout)?, values(a, a_layout)?, values(b, b_layout)?);
        let (kept, _) = self.kept(x);
        let down = product(Matrix::new(&kept, t, inputs), Matrix::new(a, r, inputs).t());
        let update = product(Matrix::new(&down, t, r), Matrix::new(b, outputs, r).t());
        let mut y = self.w.forward(x)?;
        y.iter_mut().zip(update).for_each(|(y, u)| *y += u * self.scale);
        Ok((CpuStorage::F32(y), Shape::from((t, outputs))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let ((t, inputs), (outputs, r)) = (x.dims2()?, b.dims2()?);
        let (sizes, tracked) = (Sizes { t, inputs, outputs, r }, x.track_op());
        let gradients = with_values(x, |x| {
            with_values(grad, |g| {
                with_values(a, |a| with_values(b, |b| self.backward((x, a, b), g, sizes, tracked)))
            })
        })?;
        let shaped = |values, of: &Tensor| Tensor::from_vec(values, of.shape(), of.device());
        let dx = gradients.x.map(|dx| shaped(dx, x)).transpose()?;
        Ok((dx, Some(shaped(gradients.a, a)?), Some(shaped(gradients.b, b)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn fused_equals_plain() {
        let (x, w) = (check::random(&[9, 16], 1), check::random(&[24, 16], 2));
        let (a, b) = (check::random(&[4, 16], 3), check::random(&[24, 4], 4));
        let w = w.as_detached_tensor();
        let frozen = Frozen::F32(w.clone());
        for dropout in [None, Some(Dropout { p: 0.4, key: 7 })] {
            let fused = low_rank_linear(&x, &frozen, (&a, &b), 0.7, dropout).unwrap();
            let plain = plain(&x, &w, (&a, &b), 0.7, dropout).unwrap();
            check::same(&fused, &plain, &[&x, &a, &b], 1e-5);
        }
    }

    #[test]
    fn dropped_inputs_follow_the_key_and_keep_the_mean() {
        let mask = |key| Dropout { p: 0.3, key }.mask(10_000);
        assert_eq!(mask(1), mask(1));
        assert_ne!(mask(1), mask(2));
        let mean: f32 = mask(1).iter().sum::<f32>() / 10_000.0;
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
    }
}
