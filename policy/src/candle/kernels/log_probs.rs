//! Log-probabilities of target tokens from hidden states, without holding all logits at once.
//!
//! n rows, D hidden size, V vocabulary. Logits are computed for a block of rows at a time, in the forward
//! pass and again in the backward pass.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, D, Layout, Result, Shape, Tensor};

use super::frozen::Frozen;
use super::gemm::{Matrix, multiply, product};
use super::simd::{dispatch, exp, max, sum};
use super::{values, with_values};

/// Maximum number of logits held at once (16 MiB of f32).
const BLOCK_LOGITS: usize = 1 << 22;

/// Returns `log softmax(h w^T)` at each row's target: h `[n, D]`, w `[V, D]`, result `[n]`.
pub(crate) fn log_probs(h: &Tensor, w: &Tensor, targets: &[u32]) -> Result<Tensor> {
    if h.device().is_cpu() {
        h.contiguous()?.apply_op2(w, Fused { targets: targets.to_vec() })
    } else {
        plain(h, w, targets)
    }
}

/// Like [`log_probs`], with a frozen head, on the CPU.
pub(crate) fn frozen_log_probs(h: &Tensor, head: &Frozen, targets: &[u32]) -> Result<Tensor> {
    h.contiguous()?
        .apply_op1(FusedFrozen { fused: Fused { targets: targets.to_vec() }, head: head.clone() })
}

fn plain(h: &Tensor, w: &Tensor, targets: &[u32]) -> Result<Tensor> {
    let logits = h.matmul(&w.t()?)?;
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?;
    let sums = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    let index = Tensor::new(targets, h.device())?.unsqueeze(1)?;
    (shifted.gather(&index, 1)? - sums)?.squeeze(1)
}

/// Turns one row of logits into log-probabilities, in place.
pub(crate) fn log_softmax_row(logits: &mut [f32]) {
    dispatch(
        #[inline(always)]
        || {
            let shift = log_sum_exp(logits);
            for l in logits.iter_mut() {
                *l -= shift;
            }
        },
    );
}

/// Logarithm of the sum of exponentials, numerically stable and in a fixed order.
#[inline(always)]
fn log_sum_exp(logits: &[f32]) -> f32 {
    let top = max(logits);
    let mut total = 0f32;
    let mut block = [0f32; 64];
    for part in logits.chunks(64) {
        for (b, l) in block.iter_mut().zip(part) {
            *b = exp(*l - top);
        }
        total += sum(&block[..part.len()]);
    }
    top + total.ln()
}

struct Fused {
    targets: Vec<u32>,
}

impl Fused {
    /// Calls `f(first row, logits of a block of rows)` for each block; `product` computes logits from
    /// hidden states.
    fn blocks(
        &self,
        h: &[f32],
        (d, v): (usize, usize),
        product: impl Fn(&[f32]) -> Result<Vec<f32>>,
        mut f: impl FnMut(usize, &mut [f32]) -> Result<()>,
    ) -> Result<()> {
        let rows = (BLOCK_LOGITS / v).clamp(1, 512).min(self.targets.len().max(1));
        for (block, h) in h.chunks(rows * d).enumerate() {
            f(block * rows, &mut product(h)?)?;
        }
        Ok(())
    }

    /// Returns the log-probabilities of the targets.
    fn forward(
        &self,
        h: &[f32],
        (d, v): (usize, usize),
        product: impl Fn(&[f32]) -> Result<Vec<f32>>,
    ) -> Result<(CpuStorage, Shape)> {
        let mut out = vec![0f32; self.targets.len()];
        self.blocks(h, (d, v), product, |first, logits| {
            for (i, row) in logits.chunks_exact(v).enumerate() {
                let shift = dispatch(
                    #[inline(always)]
                    || log_sum_exp(row),
                );
                out[first + i] = row[self.targets[first + i] as usize] - shift;
            }
            Ok(())
        })?;
        Ok((CpuStorage::F32(out), Shape::from(self.targets.len())))
    }

    /// Turns a block of logits into their gradients, given the gradients of the log-probabilities.
    fn gradients(&self, first: usize, v: usize, logits: &mut [f32], g: &[f32]) {
        for (i, row) in logits.chunks_exact_mut(v).enumerate() {
            let (g, target) = (g[first + i], self.targets[first + i] as usize);
            // d log p(target) / d logits = onehot(target) - softmax.
            dispatch(
                #[inline(always)]
                || {
                    let shift = log_sum_exp(row);
                    for l in row.iter_mut() {
                        *l = -g * exp(*l - shift);
                    }
                },
            );
            row[target] += g;
        }
    }

    /// Returns the gradients with respect to h and, unless the weights are frozen, w.
    fn backward(
        &self,
        h: &[f32],
        w: &[f32],
        g: &[f32],
        (d, frozen): (usize, bool),
    ) -> Result<(Vec<f32>, Option<Vec<f32>>)> {
        let v = w.len() / d;
        let mut dh = vec![0f32; h.len()];
        let mut dw = (!frozen).then(|| vec![0f32; w.len()]);
        self.blocks(h, (d, v), logits_of(w, (d, v)), |first, logits| {
            let n = logits.len() / v;
            self.gradients(first, v, logits, g);
            let rows = first * d..(first + n) * d;
            let grad = Matrix::new(logits, n, v);
            multiply(&mut dh[rows.clone()], grad, Matrix::new(w, v, d), false);
            if let Some(dw) = &mut dw {
                multiply(dw, grad.t(), Matrix::new(&h[rows], n, d), true);
            }
            Ok(())
        })?;
        Ok((dh, dw))
    }
}

/// Returns a function that computes `h w^T` for hidden states.
fn logits_of(w: &[f32], (d, v): (usize, usize)) -> impl Fn(&[f32]) -> Result<Vec<f32>> {
    move |h| Ok(product(Matrix::new(h, h.len() / d, d), Matrix::new(w, v, d).t()))
}

/// [`Fused`] with a frozen head.
struct FusedFrozen {
    fused: Fused,
    head: Frozen,
}

impl CustomOp1 for FusedFrozen {
    fn name(&self) -> &'static str {
        "frozen_log_probs"
    }

    fn cpu_fwd(&self, h: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (v, d) = self.head.dims()?;
        let head = self.head.widened()?;
        let product = |h: &[f32]| head.forward(h);
        self.fused.forward(values(h, layout)?, (d, v), product)
    }

    fn bwd(&self, h: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (v, d) = self.head.dims()?;
        let mut dh = Vec::with_capacity(h.elem_count());
        let head = self.head.widened()?;
        let product = |h: &[f32]| head.forward(h);
        with_values(h, |h| {
            with_values(grad, |g| {
                self.fused.blocks(h, (d, v), product, |first, logits| {
                    self.fused.gradients(first, v, logits, g);
                    dh.extend(head.backward(logits)?);
                    Ok(())
                })
            })
        })?;
        Ok(Some(Tensor::from_vec(dh, h.shape(), h.device())?))
    }
}

impl CustomOp2 for Fused {
    fn name(&self) -> &'static str {
        "log_probs"
    }

    fn cpu_fwd(
        &self,
        h: &CpuStorage,
        h_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (v, d) = w_layout.shape().dims2()?;
        let product = logits_of(values(w, w_layout)?, (d, v));
        self.forward(values(h, h_layout)?, (d, v), product)
    }

    fn bwd(
        &self,
        h: &Tensor,
        w: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let work = (w.dim(1)?, !w.track_op());
        let (dh, dw) = with_values(h, |h| {
            with_values(w, |w| with_values(grad, |g| self.backward(h, w, g, work)))
        })?;
        let dh = Tensor::from_vec(dh, h.shape(), h.device())?;
        let dw = dw.map(|dw| Tensor::from_vec(dw, w.shape(), w.device())).transpose()?;
        Ok((Some(dh), dw))
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn fused_equals_plain() {
        let (h, w) = (check::random(&[9, 16], 1), check::random(&[70, 16], 2));
        let targets = [0, 69, 3, 3, 5, 17, 64, 1, 2];
        let fused = log_probs(&h, &w, &targets).unwrap();
        check::same(&fused, &plain(&h, &w, &targets).unwrap(), &[&h, &w], 5e-6);
        let frozen = w.as_detached_tensor();
        let plain = plain(&h, &frozen, &targets).unwrap();
        for (head, tolerance) in
            [(Frozen::F32(frozen.clone()), 5e-6), (Frozen::bf16(&frozen).unwrap(), 0.05)]
        {
            let fused = frozen_log_probs(&h, &head, &targets).unwrap();
            check::same(&fused, &plain, &[&h], tolerance);
        }
    }

    #[test]
    fn a_row_of_log_probabilities_sums_to_one() {
        let mut row: Vec<f32> = (0..131).map(|i| (i as f32 * 0.37).sin() * 5.0).collect();
        log_softmax_row(&mut row);
        let total: f32 = row.iter().map(|l| l.exp()).sum();
        assert!((total - 1.0).abs() < 1e-5);
    }
}
