//! Attention of single rows, each over keys and values in scattered slots.
//!
//! H heads, K key/value heads, D head size, R rows. Rows are processed in groups, tile by tile of
//! positions, so that keys and values of a common prefix are fetched once per group. Query heads that share a
//! key/value head are processed together, so that each of its keys and values is loaded once for them. Within a row,
//! positions are reduced in order and in the same way for every length. So the result depends only on the
//! row's query and on the keys and values that the row attends to.
//!
//! A *word* of keys or values is one f32, or two bf16 (values i and i + D/2 of a head, see [`KvWord`]);
//! `part` selects one of the two.

use std::cell::Cell;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::kv_word::KvWord;
use super::simd::{exp, max, sum};

/// Rows per group. Candidates of one node are adjacent rows, and a node rarely has more than this many.
const GROUP: usize = 8;

/// Positions per tile. It is so small that the keys and values read for one head are still in the L1 data
/// cache for the next head, even if their addresses map to the same cache sets. With an 8-way L1, attention
/// took 21 % of decoding time with 8 positions and 26 % with 64.
const TILE: usize = 8;

/// Number of partial sums of a dot product.
const PARTIAL: usize = 16;

/// Maximum number of query heads that are processed together with SIMD registers of `lanes` values: the sums of
/// all of them, four registers per head, must fit in the registers.
const fn most_heads(lanes: usize) -> usize {
    if lanes >= 16 { 4 } else { 2 }
}

/// The queries of one row and the slots that the row attends to.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a> {
    /// Rotated queries of all heads, not scaled, `[H D]`.
    pub(crate) q: &'a [f32],
    /// Slots of the positions that the row attends to, oldest first; not empty.
    pub(crate) slots: &'a [u32],
}

/// Keys and values of one layer, `[slots, K D]` each, in words of type W, and the shape of the heads.
#[derive(Clone, Copy)]
pub(crate) struct Stored<'a, W> {
    pub(crate) keys: &'a [W],
    pub(crate) values: &'a [W],
    /// H.
    pub(crate) heads: usize,
    /// K.
    pub(crate) kv_heads: usize,
    /// D.
    pub(crate) d: usize,
}

/// Computes attention of every query into `out` `[R, H D]`; split over the rayon pool if `parallel`.
pub(crate) fn attend_rows<W: KvWord>(
    out: &mut [f32],
    queries: &[Query],
    stored: &Stored<W>,
    parallel: bool,
) {
    let width = stored.heads * stored.d;
    let group = |(out, queries)| {
        Arch::new().dispatch(Group { out, queries, stored });
    };
    if parallel && rayon::current_num_threads() > 1 {
        let rows = queries.len().div_ceil(rayon::current_num_threads()).min(GROUP);
        out.par_chunks_mut(rows * width).zip(queries.par_chunks(rows)).for_each(group);
    } else {
        out.chunks_mut(GROUP * width).zip(queries.chunks(GROUP)).for_each(group);
    }
}

thread_local! {
    /// Attention weights of a group; kept to reuse the memory.
    static WEIGHTS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Returns the maximum number of values that a thread holds while a group attends to `positions` positions
/// with this many heads.
pub(crate) fn attended_values(heads: usize, positions: usize) -> usize {
    GROUP * heads * positions
}

/// Evaluates `$body` with the constant `$H` set to a number of heads of at most 4.
macro_rules! with_count {
    ($count:expr, $H:ident => $body:block) => {
        match $count {
            1 => {
                const $H: usize = 1;
                $body
            }
            2 => {
                const $H: usize = 2;
                $body
            }
            3 => {
                const $H: usize = 3;
                $body
            }
            _ => {
                const $H: usize = 4;
                $body
            }
        }
    };
}

/// Rows that are processed together.
struct Group<'a, W> {
    out: &'a mut [f32],
    queries: &'a [Query<'a>],
    stored: &'a Stored<'a, W>,
}

impl<W: KvWord> WithSimd for Group<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Stored { heads, kv_heads, d, .. } = *self.stored;
        let shape = (heads, kv_heads, most_heads(S::F32_LANES));
        let longest = self.queries.iter().map(|q| q.slots.len()).max().unwrap_or(0);
        let mut weights = WEIGHTS.take();
        // Old content is never read: every entry is written before it is read.
        weights.resize(self.queries.len() * heads * longest, 0.0);
        for_each_tile(
            self.queries,
            longest,
            shape,
            #[inline(always)]
            |row, at, tile| {
                let Query { q, slots } = self.queries[row];
                let out = &mut weights[(row * heads + at.first) * longest + tile.start..];
                let (q, slots) = (&q[at.first * d..][..at.count * d], &slots[tile]);
                with_count!(at.count, H => {
                    self.stored.scores::<S, H>(simd, q, slots, at.kv_head, (out, longest));
                });
            },
        );
        for (row, query) in self.queries.iter().enumerate() {
            for head in 0..heads {
                softmax(&mut weights[(row * heads + head) * longest..][..query.slots.len()]);
            }
        }
        self.out.fill(0.0);
        for_each_tile(
            self.queries,
            longest,
            shape,
            #[inline(always)]
            |row, at, tile| {
                let weights = &weights[(row * heads + at.first) * longest + tile.start..];
                let slots = &self.queries[row].slots[tile];
                let out = &mut self.out[(row * heads + at.first) * d..][..at.count * d];
                with_count!(at.count, H => {
                    self.stored.mix::<S, H>(simd, (weights, longest), slots, at.kv_head, out);
                });
            },
        );
        WEIGHTS.set(weights);
    }
}

/// Adjacent query heads that share a key/value head.
#[derive(Clone, Copy)]
struct Heads {
    first: usize,
    count: usize,
    kv_head: usize,
}

/// Calls `f` for every (row, heads, tile of positions), tiles outermost. `shape` is H, K and the maximum number of
/// heads per call.
#[inline(always)]
fn for_each_tile(
    queries: &[Query],
    longest: usize,
    (heads, kv_heads, most): (usize, usize, usize),
    mut f: impl FnMut(usize, Heads, Range<usize>),
) {
    let per = heads / kv_heads;
    for from in (0..longest).step_by(TILE) {
        for (row, query) in queries.iter().enumerate() {
            let tile = from.min(query.slots.len())..(from + TILE).min(query.slots.len());
            for kv_head in 0..kv_heads {
                for first in (0..per).step_by(most) {
                    let (first, count) = (kv_head * per + first, most.min(per - first));
                    f(row, Heads { first, count, kv_head }, tile.clone());
                }
            }
        }
    }
}

impl<W: KvWord> Stored<'_, W> {
    /// Number of words per head.
    fn words(&self) -> usize {
        self.d / W::VALUES
    }

    /// Returns the index of the first word of a head in a slot.
    fn at(&self, slot: u32, head: usize) -> usize {
        (slot as usize * self.kv_heads + head) * self.words()
    }

    /// Computes the scaled products of H query heads, `[H, D]`, with the keys in `slots`. The scores of a head follow
    /// those of the previous head after `stride` values.
    #[inline(always)]
    fn scores<S: Simd, const H: usize>(
        &self,
        simd: S,
        q: &[f32],
        slots: &[u32],
        kv_head: usize,
        (out, stride): (&mut [f32], usize),
    ) {
        let scale = (self.d as f32).sqrt().recip();
        for (position, &slot) in slots.iter().enumerate() {
            let key = &self.keys[self.at(slot, kv_head)..][..self.words()];
            let dots: [f32; H] = dots(simd, q, key);
            for head in 0..H {
                out[head * stride + position] = dots[head] * scale;
            }
        }
    }

    /// Adds the values in `slots`, multiplied by their weights, to H heads of the result, `[H, D]`. The weights of a
    /// head follow those of the previous head after `stride` values.
    #[inline(always)]
    fn mix<S: Simd, const H: usize>(
        &self,
        simd: S,
        (weights, stride): (&[f32], usize),
        slots: &[u32],
        kv_head: usize,
        out: &mut [f32],
    ) {
        let (words, lanes) = (self.words(), S::F32_LANES);
        for part in 0..W::VALUES {
            let mut from = 0;
            while words - from >= 4 * lanes {
                let at = (kv_head, part, from);
                self.columns::<S, H, 4>(simd, (weights, stride), slots, at, out);
                from += 4 * lanes;
            }
            while words - from >= 2 * lanes {
                let at = (kv_head, part, from);
                self.columns::<S, H, 2>(simd, (weights, stride), slots, at, out);
                from += 2 * lanes;
            }
            while words - from >= lanes {
                let at = (kv_head, part, from);
                self.columns::<S, H, 1>(simd, (weights, stride), slots, at, out);
                from += lanes;
            }
            for head in 0..H {
                let weights = &weights[head * stride..];
                for (i, out) in
                    out[head * self.d + part * words..][..words].iter_mut().enumerate().skip(from)
                {
                    for (w, &slot) in weights.iter().zip(slots) {
                        *out += w * self.values[self.at(slot, kv_head) + i].value(part);
                    }
                }
            }
        }
    }

    /// Computes [`Self::mix`] for C SIMD registers of each head, beginning at word `from` of the part.
    #[inline(always)]
    fn columns<S: Simd, const H: usize, const C: usize>(
        &self,
        simd: S,
        (weights, stride): (&[f32], usize),
        slots: &[u32],
        (kv_head, part, from): (usize, usize, usize),
        out: &mut [f32],
    ) {
        let (lanes, base) = (S::F32_LANES, part * self.words() + from);
        let mut sums = [[simd.splat_f32s(0.0); C]; H];
        for head in 0..H {
            let (old, _) = S::as_simd_f32s(&out[head * self.d + base..][..C * lanes]);
            sums[head].copy_from_slice(&old[..C]);
        }
        for (position, &slot) in slots.iter().enumerate() {
            let words = &self.values[self.at(slot, kv_head) + from..][..C * lanes];
            let mut values = [simd.splat_f32s(0.0); C];
            for c in 0..C {
                values[c] = W::load(simd, &words[c * lanes..], part);
            }
            for head in 0..H {
                let weight = simd.splat_f32s(weights[head * stride + position]);
                for c in 0..C {
                    sums[head][c] = simd.add_f32s(sums[head][c], simd.mul_f32s(weight, values[c]));
                }
            }
        }
        for head in 0..H {
            let (new, _) = S::as_mut_simd_f32s(&mut out[head * self.d + base..][..C * lanes]);
            new[..C].copy_from_slice(&sums[head]);
        }
    }
}

/// Turns scores into attention weights, in place.
#[inline(always)]
fn softmax(scores: &mut [f32]) {
    let top = max(scores);
    for s in scores.iter_mut() {
        *s = exp(*s - top);
    }
    let scale = sum(scores).recip();
    for s in scores {
        *s *= scale;
    }
}

/// Dot products of H query heads, `[H, D]`, with a key, each with 16 partial sums that are folded by halving: the
/// same bits for any register width and number of heads.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "one index for registers and for values in memory")]
fn dots<S: Simd, W: KvWord, const H: usize>(simd: S, q: &[f32], key: &[W]) -> [f32; H] {
    let (lanes, parts) = (S::F32_LANES, PARTIAL / S::F32_LANES);
    let (words, d) = (key.len(), key.len() * W::VALUES);
    let whole = words / PARTIAL * PARTIAL;
    let mut sums = [[simd.splat_f32s(0.0); PARTIAL]; H];
    let mut dots = [0f32; H];
    for part in 0..W::VALUES {
        for from in (0..whole).step_by(PARTIAL) {
            for i in 0..parts {
                let at = from + i * lanes;
                let values = W::load(simd, &key[at..], part);
                for head in 0..H {
                    let (x, _) = S::as_simd_f32s(&q[head * d + part * words + at..][..lanes]);
                    sums[head][i] = simd.add_f32s(sums[head][i], simd.mul_f32s(x[0], values));
                }
            }
        }
        for head in 0..H {
            let q = &q[head * d + part * words..][..words];
            let products = q[whole..].iter().zip(&key[whole..]).map(|(x, y)| x * y.value(part));
            dots[head] += products.sum::<f32>();
        }
    }
    for head in 0..H {
        let mut half = parts / 2;
        while half > 0 {
            for i in 0..half {
                sums[head][i] = simd.add_f32s(sums[head][i], sums[head][i + half]);
            }
            half /= 2;
        }
        dots[head] += simd.reduce_sum_f32s(sums[head][0]);
    }
    dots
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn a_row_does_not_depend_on_the_rows_beside_it() {
        let mut rng = regrowth_datasets::keyed_rng(3, &[b"rows"]);
        for (heads, kv_heads, d) in [(4, 4, 32), (4, 2, 64), (2, 1, 24), (3, 3, 8)] {
            let mut draw =
                |n: usize| (0..n).map(|_| rng.random_range(-1f32..1.0)).collect::<Vec<_>>();
            let slots = 300;
            let (keys, values) = (draw(slots * kv_heads * d), draw(slots * kv_heads * d));
            let q = draw(20 * heads * d);
            let path: Vec<u32> = (0..slots as u32).map(|i| (i * 7) % slots as u32).collect();
            let queries: Vec<Query> = q
                .chunks_exact(heads * d)
                .enumerate()
                .map(|(i, q)| Query { q, slots: &path[i % 3..10 + i * 14] })
                .collect();
            let stored = Stored { keys: &keys, values: &values, heads, kv_heads, d };
            each_alone(&queries, &stored, &stored);
            let [k, v] = [&keys, &values].map(|values| packed(values, d));
            let bf16 = Stored { keys: &k, values: &v, heads, kv_heads, d };
            let [keys, values] = [&k, &v].map(|words| unpacked(words, d));
            let exact = Stored { keys: &keys, values: &values, heads, kv_heads, d };
            each_alone(&queries, &bf16, &exact);
        }
    }

    /// Packs values into words of bf16, head by head.
    fn packed(values: &[f32], d: usize) -> Vec<u32> {
        let mut words = vec![0; values.len() / 2];
        for (values, words) in values.chunks(d).zip(words.chunks_mut(d / 2)) {
            u32::store(values, words);
        }
        words
    }

    /// Unpacks the words of [`packed`].
    fn unpacked(words: &[u32], d: usize) -> Vec<f32> {
        let head = |words: &[u32]| {
            (0..2).flat_map(|part| words.iter().map(move |w| w.value(part))).collect::<Vec<f32>>()
        };
        words.chunks(d / 2).flat_map(head).collect()
    }

    /// Attends to `stored` with all rows together and with each row alone, and compares both with the
    /// definition over `exact`, which holds the same values.
    fn each_alone<W: KvWord>(queries: &[Query], stored: &Stored<W>, exact: &Stored<f32>) {
        let width = stored.heads * stored.d;
        let mut all = vec![f32::NAN; queries.len() * width];
        attend_rows(&mut all, queries, stored, true);
        for (query, all) in queries.iter().zip(all.chunks_exact(width)) {
            let mut alone = vec![f32::NAN; width];
            attend_rows(&mut alone, &[*query], stored, false);
            assert!(alone == all);
            check(query, exact, all);
        }
    }

    /// Compares with the definition, computed in f64.
    fn check(query: &Query, stored: &Stored<f32>, out: &[f32]) {
        let Stored { keys, values, heads, kv_heads, d } = *stored;
        for head in 0..heads {
            let at = |slot: u32, i: usize| {
                slot as usize * kv_heads * d + head / (heads / kv_heads) * d + i
            };
            let weights: Vec<f64> = query
                .slots
                .iter()
                .map(|&s| {
                    let q = &query.q[head * d..(head + 1) * d];
                    let dot: f64 =
                        (0..d).map(|i| f64::from(q[i]) * f64::from(keys[at(s, i)])).sum();
                    (dot / (d as f64).sqrt()).exp()
                })
                .collect();
            let total: f64 = weights.iter().sum();
            for i in 0..d {
                let sum: f64 = query
                    .slots
                    .iter()
                    .zip(&weights)
                    .map(|(&s, w)| w / total * f64::from(values[at(s, i)]))
                    .sum();
                assert!((sum - f64::from(out[head * d + i])).abs() < 1e-5);
            }
        }
    }
}
