//! Causal attention over a packed forest of segments, including rotary embedding, with its backward pass.
//!
//! T rows, H heads, K key/value heads, D head size. The fused implementation never holds a T x T matrix.
//! The plain implementation does; it is used on other devices and in tests.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp3, D, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::attention_kernel::{self as kernel, Rows};
use super::rope::{RopeTable, rotate_rows};
use super::{values, with_values};
use crate::candle::PackedLayout;

/// Shape and mask of one attention call.
#[derive(Debug, Clone)]
pub(crate) struct AttentionShape {
    /// Which rows attend to which.
    pub(crate) layout: Arc<PackedLayout>,
    /// Rotary table for every position in `layout`.
    pub(crate) rope: Arc<RopeTable>,
    /// H.
    pub(crate) heads: usize,
    /// K.
    pub(crate) kv_heads: usize,
    /// D.
    pub(crate) head_dim: usize,
    /// Maximum number of rows that a row attends to, including itself.
    pub(crate) window: Option<usize>,
}

/// Computes attention of q `[T, H D]`, k and v `[T, K D]`, result `[T, H D]`. q and k are not rotated yet.
pub(crate) fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    shape: &AttentionShape,
) -> Result<Tensor> {
    if q.device().is_cpu() {
        q.apply_op3(k, v, Fused(shape.clone()))
    } else {
        plain(q, k, v, shape)
    }
}

fn plain(q: &Tensor, k: &Tensor, v: &Tensor, shape: &AttentionShape) -> Result<Tensor> {
    let (t, d) = (q.dim(0)?, shape.head_dim);
    let group = shape.heads / shape.kv_heads;
    let split = |x: &Tensor, heads: usize| x.reshape((t, heads, d))?.transpose(0, 1);
    let repeat = |x: Tensor| {
        let wide = x.unsqueeze(1)?.expand((shape.kv_heads, group, t, d))?;
        wide.contiguous()?.reshape((shape.heads, t, d))
    };
    let q = turn(&split(q, shape.heads)?, shape)?;
    let k = repeat(turn(&split(k, shape.kv_heads)?, shape)?)?;
    let v = repeat(split(v, shape.kv_heads)?.contiguous()?)?;
    let scale = 1.0 / (d as f64).sqrt();
    let scores = (q.contiguous()?.matmul(&k.transpose(1, 2)?.contiguous()?)? * scale)?;
    let scores = scores.broadcast_add(&mask(shape, q.device())?)?;
    let shifted = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
    let weights = shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)?;
    weights.matmul(&v)?.transpose(0, 1)?.contiguous()?.reshape((t, shape.heads * d))
}

/// Applies the rotary embedding to `[heads, T, D]` with plain operations.
fn turn(x: &Tensor, shape: &AttentionShape) -> Result<Tensor> {
    let (t, half) = (x.dim(1)?, shape.head_dim / 2);
    let table = |pick: fn(&RopeTable, u32) -> &[f32]| {
        let rows = shape.layout.positions().iter();
        let data: Vec<f32> = rows.flat_map(|&p| pick(&shape.rope, p).to_vec()).collect();
        Tensor::from_vec(data, (t, half), x.device())?.to_dtype(x.dtype())
    };
    let (cos, sin) = (table(|r, p| r.at(p).0)?, table(|r, p| r.at(p).1)?);
    let (a, b) = (x.narrow(2, 0, half)?, x.narrow(2, half, half)?);
    let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
    let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
    Tensor::cat(&[first, second], 2)
}

/// Returns the mask `[T, T]`: 0 where a row may attend, a large negative number elsewhere.
fn mask(shape: &AttentionShape, device: &candle_core::Device) -> Result<Tensor> {
    let t = shape.layout.rows();
    let mut data = vec![f32::MIN / 2.0; t * t];
    for (index, segment) in shape.layout.segments().iter().enumerate() {
        let visible = shape.layout.visible(index);
        for row in segment.start..segment.start + segment.len {
            let columns = visible.iter().flat_map(|&(s, l)| s..s + l).filter(|&c| c <= row);
            let columns: Vec<usize> = columns.collect();
            let keep = shape.window.unwrap_or(usize::MAX).min(columns.len());
            for &c in &columns[columns.len() - keep..] {
                data[row * t + c] = 0.0;
            }
        }
    }
    Tensor::from_vec(data, (t, t), device)?.to_dtype(DType::F32)
}

struct Fused(AttentionShape);

impl Fused {
    /// Copies rows of `heads` heads to head-major order: `[heads][T D]`.
    fn by_head(&self, x: &[f32], heads: usize) -> Vec<Vec<f32>> {
        let d = self.0.head_dim;
        let head = |h: usize| {
            let mut out = Vec::with_capacity(x.len() / heads);
            for row in x.chunks_exact(heads * d) {
                out.extend_from_slice(&row[h * d..(h + 1) * d]);
            }
            out
        };
        (0..heads).map(head).collect()
    }

    /// Inverse of [`Self::by_head`].
    fn by_row(&self, heads: &[Vec<f32>]) -> Vec<f32> {
        let d = self.0.head_dim;
        let t = self.0.layout.rows();
        let mut out = Vec::with_capacity(t * heads.len() * d);
        for row in 0..t {
            for head in heads {
                out.extend_from_slice(&head[row * d..(row + 1) * d]);
            }
        }
        out
    }

    fn rotate(&self, x: &mut [f32], heads: usize, inverse: bool) {
        let s = &self.0;
        let positions = s.layout.positions().iter().copied();
        rotate_rows(x, heads * s.head_dim, heads, &s.rope, positions, inverse);
    }

    fn rows(&self) -> Rows<'_> {
        Rows { layout: &self.0.layout, d: self.0.head_dim, window: self.0.window }
    }

    /// Returns rotated q (scaled by 1 / sqrt(D)), rotated k, and v, each head by head.
    fn heads(&self, q: &[f32], k: &[f32], v: &[f32]) -> [Vec<Vec<f32>>; 3] {
        let scale = (self.0.head_dim as f32).sqrt().recip();
        let mut q: Vec<f32> = q.iter().map(|x| x * scale).collect();
        let mut k = k.to_vec();
        self.rotate(&mut q, self.0.heads, false);
        self.rotate(&mut k, self.0.kv_heads, false);
        [
            self.by_head(&q, self.0.heads),
            self.by_head(&k, self.0.kv_heads),
            self.by_head(v, self.0.kv_heads),
        ]
    }

    fn backward(&self, q: &[f32], k: &[f32], v: &[f32], g: &[f32]) -> [Vec<f32>; 3] {
        let s = &self.0;
        let group = s.heads / s.kv_heads;
        let [q, k, v] = self.heads(q, k, v);
        let g = self.by_head(g, s.heads);
        let grads: Vec<_> = (0..s.kv_heads)
            .into_par_iter()
            .map(|h| {
                let queries = h * group..(h + 1) * group;
                kernel::backward(&self.rows(), &q[queries.clone()], &k[h], &v[h], &g[queries])
            })
            .collect();
        let (mut dq, mut dk, mut dv) = (Vec::new(), Vec::new(), Vec::new());
        for grad in grads {
            dq.extend(grad.dq);
            dk.push(grad.dk);
            dv.push(grad.dv);
        }
        let scale = (s.head_dim as f32).sqrt().recip();
        let mut dq = self.by_row(&dq);
        dq.iter_mut().for_each(|x| *x *= scale);
        self.rotate(&mut dq, s.heads, true);
        let mut dk = self.by_row(&dk);
        self.rotate(&mut dk, s.kv_heads, true);
        [dq, dk, self.by_row(&dv)]
    }
}

impl CustomOp3 for Fused {
    fn name(&self) -> &'static str {
        "forest_attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let group = self.0.heads / self.0.kv_heads;
        let [q, k, v] =
            self.heads(values(q, q_layout)?, values(k, k_layout)?, values(v, v_layout)?);
        let out: Vec<Vec<f32>> = (0..self.0.heads)
            .into_par_iter()
            .map(|h| kernel::forward(&self.rows(), &q[h], &k[h / group], &v[h / group]))
            .collect();
        Ok((CpuStorage::F32(self.by_row(&out)), q_layout.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dq, dk, dv] = with_values(q, |q| {
            with_values(k, |k| {
                with_values(v, |v| with_values(grad, |g| Ok(self.backward(q, k, v, g))))
            })
        })?;
        let tensor = |data, like: &Tensor| Tensor::from_vec(data, like.shape(), like.device());
        Ok((Some(tensor(dq, q)?), Some(tensor(dk, k)?), Some(tensor(dv, v)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    fn forest() -> PackedLayout {
        let mut layout = PackedLayout::default();
        let root = layout.push(None, 5);
        let left = layout.push(Some(root), 3);
        layout.push(Some(left), 2);
        layout.push(Some(root), 4);
        layout.push(None, 3);
        layout
    }

    fn compare(heads: usize, kv_heads: usize, window: Option<usize>) {
        let d = 8;
        let layout = Arc::new(forest());
        let t = layout.rows();
        let rope = Arc::new(RopeTable::new(&[1.0, 0.3, 0.1, 0.03], 16));
        let shape = AttentionShape { layout, rope, heads, kv_heads, head_dim: d, window };
        let q = check::random(&[t, heads * d], 1);
        let k = check::random(&[t, kv_heads * d], 2);
        let v = check::random(&[t, kv_heads * d], 3);
        let fused = attention(&q, &k, &v, &shape).unwrap();
        let expected = plain(&q, &k, &v, &shape).unwrap();
        check::same(&fused, &expected, &[&q, &k, &v], 5e-6);
    }

    #[test]
    fn fused_equals_plain() {
        compare(2, 2, None);
    }

    #[test]
    fn fused_equals_plain_with_grouped_queries() {
        compare(4, 2, None);
    }

    #[test]
    fn fused_equals_plain_with_a_sliding_window() {
        compare(2, 1, Some(3));
    }
}
