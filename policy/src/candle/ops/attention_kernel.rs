//! The loops of forest attention for one head: forward and backward.
//!
//! Scores of a row are sums of scaled key rows stored transposed, so that every inner loop runs
//! over consecutive memory and vectorises without reassociating a sum. The order of every
//! reduction depends on positions alone.

use super::simd::{axpy, dispatch, exp, max, sum};
use crate::candle::PackedLayout;

/// What the loops need to know of the batch.
pub(super) struct Rows<'a> {
    /// Who sees whom.
    pub(super) layout: &'a PackedLayout,
    /// Head width D.
    pub(super) d: usize,
    /// Rows that a row sees at most.
    pub(super) window: Option<usize>,
}

/// Gradients of one key/value head and the query heads that share it.
pub(super) struct Grads {
    /// One `[T D]` per query head.
    pub(super) dq: Vec<Vec<f32>>,
    /// `[T D]`.
    pub(super) dk: Vec<f32>,
    /// `[T D]`.
    pub(super) dv: Vec<f32>,
}

/// One row and the ranges of rows it sees, oldest first; element j of the concatenated ranges has
/// position j.
struct Row<'a> {
    index: usize,
    ranges: &'a [(usize, usize)],
    /// First visible position under the sliding window.
    low: usize,
    /// Number of positions, its own included.
    count: usize,
}

impl Rows<'_> {
    /// Calls `f` for every row.
    #[inline(always)]
    fn each(&self, mut f: impl FnMut(Row)) {
        for (index, segment) in self.layout.segments().iter().enumerate() {
            let mut ranges = self.layout.visible(index);
            let before: usize = ranges.iter().map(|r| r.1).sum::<usize>() - segment.len;
            for i in 0..segment.len {
                if let Some(own) = ranges.last_mut() {
                    own.1 = i + 1;
                }
                let count = before + i + 1;
                let low = count.saturating_sub(self.window.unwrap_or(count));
                f(Row { index: segment.start + i, ranges: &ranges, low, count });
            }
        }
    }

    /// `[T, D]` to `[D, T]`.
    fn transpose(&self, x: &[f32]) -> Vec<f32> {
        let t = self.layout.rows();
        let mut out = vec![0f32; x.len()];
        for (row, values) in x.chunks_exact(self.d).enumerate() {
            for (i, v) in values.iter().enumerate() {
                out[i * t + row] = *v;
            }
        }
        out
    }
}

/// `out[j] = sum_d x[d] * transposed[d][j]` over the visible rows.
#[inline(always)]
fn products(out: &mut [f32], x: &[f32], transposed: &[f32], row: &Row) {
    let t = transposed.len() / x.len();
    out[..row.count].fill(0.0);
    let mut offset = 0;
    for &(start, len) in row.ranges {
        let out = &mut out[offset..offset + len];
        for (i, &a) in x.iter().enumerate() {
            axpy(out, a, &transposed[i * t + start..i * t + start + len]);
        }
        offset += len;
    }
}

/// Attention weights of a row over its visible positions, from scores in place.
#[inline(always)]
fn softmax(scores: &mut [f32], row: &Row) {
    scores[..row.low].fill(0.0);
    let visible = &mut scores[row.low..row.count];
    let top = max(visible);
    for s in visible.iter_mut() {
        *s = exp(*s - top);
    }
    let scale = sum(visible).recip();
    for s in visible {
        *s *= scale;
    }
}

/// `(row index, position)` of every visible row.
#[inline(always)]
fn visible_rows(row: &Row, mut f: impl FnMut(usize, usize)) {
    let mut position = 0;
    for &(start, len) in row.ranges {
        for r in start..start + len {
            if position >= row.low {
                f(r, position);
            }
            position += 1;
        }
    }
}

/// Attention of one head: q rotated and scaled, k rotated, all `[T D]`.
pub(super) fn forward(rows: &Rows, q: &[f32], k: &[f32], v: &[f32]) -> Vec<f32> {
    let d = rows.d;
    let k = rows.transpose(k);
    let mut out = vec![0f32; q.len()];
    let mut weights = vec![0f32; rows.layout.rows()];
    dispatch(
        #[inline(always)]
        || {
            rows.each(|row| {
                let own = row.index * d..(row.index + 1) * d;
                products(&mut weights, &q[own.clone()], &k, &row);
                softmax(&mut weights, &row);
                let out = &mut out[own];
                visible_rows(&row, |r, j| axpy(out, weights[j], &v[r * d..(r + 1) * d]));
            });
        },
    );
    out
}

/// Backward pass of one key/value head: `q` and `g` (gradient of the result) have one entry per
/// query head. Weights are computed again rather than kept.
pub(super) fn backward(rows: &Rows, q: &[Vec<f32>], k: &[f32], v: &[f32], g: &[Vec<f32>]) -> Grads {
    let d = rows.d;
    let (k_t, v_t) = (rows.transpose(k), rows.transpose(v));
    let t = rows.layout.rows();
    let (mut weights, mut slopes) = (vec![0f32; t], vec![0f32; t]);
    let mut grads = Grads { dq: vec![], dk: vec![0f32; k.len()], dv: vec![0f32; v.len()] };
    for (q, g) in q.iter().zip(g) {
        let mut dq = vec![0f32; q.len()];
        let (dk, dv) = (&mut grads.dk, &mut grads.dv);
        dispatch(
            #[inline(always)]
            || {
                rows.each(|row| {
                    let own = row.index * d..(row.index + 1) * d;
                    let (q, g, dq) = (&q[own.clone()], &g[own.clone()], &mut dq[own]);
                    products(&mut weights, q, &k_t, &row);
                    softmax(&mut weights, &row);
                    products(&mut slopes, g, &v_t, &row);
                    let mean = super::simd::dot(&weights[..row.count], &slopes[..row.count]);
                    for j in row.low..row.count {
                        slopes[j] = weights[j] * (slopes[j] - mean);
                    }
                    visible_rows(&row, |r, j| {
                        let at = r * d..(r + 1) * d;
                        axpy(dq, slopes[j], &k[at.clone()]);
                        axpy(&mut dk[at.clone()], slopes[j], q);
                        axpy(&mut dv[at], weights[j], g);
                    });
                });
            },
        );
        grads.dq.push(dq);
    }
    grads
}
