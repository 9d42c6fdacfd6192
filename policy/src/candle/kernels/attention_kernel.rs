//! Forest attention for one key/value head: forward and backward, as matrix products over blocks.
//!
//! A block is a run of rows of one segment. Everything its rows may see is a few ranges of rows, so
//! scores are one product of queries with gathered keys, and what a row may not see of them has
//! weight 0. The order of every reduction depends on positions alone.

use std::borrow::Cow;
use std::ops::Range;

use super::gemm::{Matrix, multiply, product};
use super::simd::{dispatch, dot, exp, max, sum};
use crate::candle::PackedLayout;

/// Rows of a block: enough for products to pay, few enough that little of what they compute lies
/// ahead of a row.
const BLOCK: usize = 64;

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

/// Consecutive rows of one segment and the rows they see.
struct Block {
    rows: Range<usize>,
    /// Ranges `(start, len)` of rows that the last row sees, oldest first; element j of them all has
    /// position j.
    ranges: Vec<(usize, usize)>,
    /// Position of the first row.
    position: usize,
    /// Length of all ranges.
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

    /// Attention weights of a block's rows over what they see, `[rows, width]`, from scaled queries.
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

    /// `x keys^T` for the rows of a block: `[rows, width]`.
    fn products(&self, block: &Block, x: &[f32], keys: &[f32]) -> Vec<f32> {
        let (n, d) = (block.rows.len(), self.d);
        let x = Matrix::new(&x[block.rows.start * d..block.rows.end * d], n, d);
        product(x, Matrix::new(keys, block.width, d).t())
    }

    /// First position that a row with `count` positions behind and at it sees.
    fn low(&self, count: usize) -> usize {
        count.saturating_sub(self.window.unwrap_or(count))
    }
}

impl Block {
    /// The rows of `x` that the block sees, one after the other.
    fn gather<'a>(&self, x: &'a [f32], d: usize) -> Cow<'a, [f32]> {
        let rows = |&(start, len): &(usize, usize)| &x[start * d..(start + len) * d];
        match self.ranges.as_slice() {
            [one] => Cow::Borrowed(rows(one)),
            many => Cow::Owned(many.iter().flat_map(rows).copied().collect()),
        }
    }

    /// Adds rows in the order of [`Self::gather`] to where they came from.
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

/// Attention weights of a row from its scores, in place; 0 outside what it sees.
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

/// Attention of one head: q rotated and scaled, k rotated, all `[T D]`.
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

/// Backward pass of one key/value head: `q` and `g` (gradient of the result) have one entry per
/// query head. Weights are computed again rather than kept.
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

/// Gradients by scores from gradients by weights, in place: `w (x - sum(w x))`, row by row.
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
