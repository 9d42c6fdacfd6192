//! Attention of one row over keys and values in scattered slots.
//!
//! Positions are reduced in their order, in the same way for every path length, so the result
//! depends on the path's content alone.

use super::simd::{axpy, dispatch, dot, exp, max, sum};

/// Attention of the query heads in `q` (rotated, not scaled) over the slots of `path`, into `out`.
///
/// `keys` and `values` are `[slots, K D]`; `shape` is (H, K, D).
pub(crate) fn attend_row(
    out: &mut [f32],
    q: &[f32],
    keys: &[f32],
    values: &[f32],
    path: &[u32],
    (heads, kv_heads, d): (usize, usize, usize),
) {
    let (group, width) = (heads / kv_heads, kv_heads * d);
    let scale = (d as f32).sqrt().recip();
    out.fill(0.0);
    let mut weights = vec![0f32; path.len()];
    dispatch(
        #[inline(always)]
        || {
            for head in 0..heads {
                let q = &q[head * d..(head + 1) * d];
                let offset = head / group * d;
                for (w, &slot) in weights.iter_mut().zip(path) {
                    let at = slot as usize * width + offset;
                    *w = dot(q, &keys[at..at + d]) * scale;
                }
                let top = max(&weights);
                weights.iter_mut().for_each(|w| *w = exp(*w - top));
                let total = sum(&weights).recip();
                let out = &mut out[head * d..(head + 1) * d];
                for (w, &slot) in weights.iter().zip(path) {
                    let at = slot as usize * width + offset;
                    axpy(out, w * total, &values[at..at + d]);
                }
            }
        },
    );
}
