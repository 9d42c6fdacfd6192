//! Forest attention for one key/value head: forward and backward, as matrix products over blocks.
//!
//! A block is a run of rows of one segment. Its rows attend to a few ranges of rows, so scores are one
//! product of queries with gathered keys. Gathered rows that a row may not attend to get weight 0. The
//! order of every reduction depends only on positions.

use std::borrow::Cow;
use std::ops::Range;

use super::gemm::{Matrix, multiply, product};
use super::simd::{dispatch, dot, exp, max, sum};
use crate::candle::PackedLayout;

/// Rows per block: enough rows for efficient products, and few enough that the causal mask hides only a
/// small part of the computed scores.
const BLOCK: usize = 64;

/// Layout, head size and window of a batch.
pub(super) struct Rows<'a> {
    /// Which rows attend to which.
    pub(super) layout: &'a PackedLayout,
    /// Head size D.
    pub(super) d: usize,
    /// Maximum number of rows that a row attends to.
    pub(super) window: Option<usize>,
}

/// Gradients of one key/value head and of the query heads that share it.
pub(super) struct Grads {
    /// Gradient of the queries: one `[T D]` per query head.
    pub(super) dq: Vec<Vec<f32>>,
    /// Gradient of the keys, `[T D]`.
    pub(super) dk: Vec<f32>,
    /// Gradient of the values, `[T D]`.
    pub(super) dv: Vec<f32>,
}

/// Consecutive rows of one segment, and the rows that they attend to.
struct Block {
    rows: Range<usize>,
    /// Ranges `(start, len)` of rows that the last row attends to, oldest first. Concatenated, their
    /// element j has position j.
    ranges: Vec<(usize, usize)>,
    /// Position of the first row.
    position: usize,
    /// Total length of all ranges.
    width: usize,
}

impl Rows<'_> {
    fn blocks(&self) -> impl Iterator<Item = Block> + '_ {
        let segments = self.layout.segments().iter().enumerate();
        segments.flat_map(|(index, segment)| {
            let visible = self.layout.visible(index);
            let before = visible.iter().map(|r| r.1).sum::<usize>() - segment.len;
            (0..segment.len).step_by(BLOCK).map(move |first| {
                let last = (first + BLOCK).min(segment.len);
                let mut ranges = visible.clone();
                if let Some(own) = ranges.last_mut() {
                    own.1 = last;
                }
                let rows = segment.start + first..segment.start + last;
                Block { rows, ranges, position: before + first, width: before + last }
            })
        })
    }

    /// Computes the attention weights of a block's rows, `[rows, width]`, from scaled queries.
    fn weights(&self, block: &Block, q: &[f32], keys: &[f32]) -> Vec<f32> {
        let mut weights = self.products(block, q, keys);
        dispatch(
            #[inline(always)]
            || {
                for (i, row) in weights.chunks_exact_mut(block.width).enumerate() {
                    let count = block.position + i + 1;
                    softmax(row, self.low(count)..count);
                }
            },
        );
        weights
    }

    /// Computes `x keys^T` for the rows of a block, `[rows, width]`.
    fn products(&self, block: &Block, x: &[f32], keys: &[f32]) -> Vec<f32> {
        let (n, d) = (block.rows.len(), self.d);
        let x = Matrix::new(&x[block.rows.start * d..block.rows.end * d], n, d);
        product(x, Matrix::new(keys, block.width, d).t())
    }

    /// Returns the first position that a row attends to; `count` is the row's position plus one.
    fn low(&self, count: usize) -> usize {
        count.saturating_sub(self.window.unwrap_or(count))
    }
}

impl Block {
    /// Returns the rows of `x` that the block attends to, concatenated.
    fn gather<'a>(&self, x: &'a [f32], d: usize) -> Cow<'a, [f32]> {
        let rows = |&(start, len): &(usize, usize)| &x[start * d..(start + len) * d];
        match self.ranges.as_slice() {
            [one] => Cow::Borrowed(rows(one)),
            many => Cow::Owned(many.iter().flat_map(rows).copied().collect()),
        }
    }

    /// Adds rows in the order of [`Self::gather`] to the rows that they were gathered from.
    fn scatter(&self, from: &[f32], to: &mut [f32], d: usize) {
        let mut from = from;
        for &(start, len) in &self.ranges {
            let (here, rest) = from.split_at(len * d);
            for (to, x) in to[start * d..(start + len) * d].iter_mut().zip(here) {
                *to += x;
            }
            from = rest;
        }
    }
}

/// Turns a row's scores into attention weights, in place; 0 outside `seen`.
#[inline(always)]
fn softmax(scores: &mut [f32], seen: Range<usize>) {
    scores[..seen.start].fill(0.0);
    scores[seen.end..].fill(0.0);
    let scores = &mut scores[seen];
    let top = max(scores);
    for s in scores.iter_mut() {
        *s = exp(*s - top);
    }
    let scale = sum(scores).recip();
    for s in scores {
        *s *= scale;
    }
}

/// Computes attention of one head: q rotated and scaled, k rotated, all `[T D]`.
pub(super) fn forward(rows: &Rows, q: &[f32], k: &[f32], v: &[f32]) -> Vec<f32> {
    let d = rows.d;
    let mut out = vec![0f32; q.len()];
    for block in rows.blocks() {
        let weights = rows.weights(&block, q, &block.gather(k, d));
        let values = block.gather(v, d);
        let weights = Matrix::new(&weights, block.rows.len(), block.width);
        let out = &mut out[block.rows.start * d..block.rows.end * d];
        multiply(out, weights, Matrix::new(&values, block.width, d), false);
    }
    out
}

/// Computes the backward pass of one key/value head: `q` and `g` (gradient of the result) have one entry
/// per query head. Attention weights are recomputed instead of stored.
pub(super) fn backward(rows: &Rows, q: &[Vec<f32>], k: &[f32], v: &[f32], g: &[Vec<f32>]) -> Grads {
    let d = rows.d;
    let dq = q.iter().map(|q| vec![0f32; q.len()]).collect();
    let mut grads = Grads { dq, dk: vec![0f32; k.len()], dv: vec![0f32; v.len()] };
    for block in rows.blocks() {
        let (n, width) = (block.rows.len(), block.width);
        let (keys, values) = (block.gather(k, d), block.gather(v, d));
        let (mut dk, mut dv) = (vec![0f32; width * d], vec![0f32; width * d]);
        for ((q, g), dq) in q.iter().zip(g).zip(&mut grads.dq) {
            let weights = rows.weights(&block, q, &keys);
            let mut gradient = rows.products(&block, g, &values);
            through_softmax(&mut gradient, &weights, width);
            let own = block.rows.start * d..block.rows.end * d;
            let [q, g] = [q, g].map(|x| Matrix::new(&x[own.clone()], n, d));
            let [weights, gradient] = [&weights, &gradient].map(|x| Matrix::new(x, n, width));
            multiply(&mut dq[own], gradient, Matrix::new(&keys, width, d), false);
            multiply(&mut dk, gradient.t(), q, true);
            multiply(&mut dv, weights.t(), g, true);
        }
        block.scatter(&dk, &mut grads.dk, d);
        block.scatter(&dv, &mut grads.dv, d);
    }
    grads
}

/// Turns gradients with respect to weights into gradients with respect to scores, in place and row by row:
/// `w (x - sum(w x))`.
fn through_softmax(gradient: &mut [f32], weights: &[f32], width: usize) {
    dispatch(
        #[inline(always)]
        || {
            for (gradient, weights) in
                gradient.chunks_exact_mut(width).zip(weights.chunks_exact(width))
            {
                let mean = dot(weights, gradient);
                for (s, w) in gradient.iter_mut().zip(weights) {
                    *s = w * (*s - mean);
                }
            }
        },
    );
}
