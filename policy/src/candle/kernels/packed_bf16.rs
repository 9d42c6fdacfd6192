//! GEMM of a few rows with packed bf16 weights and f32 accumulation: half the memory of f32, and
//! faster with AMX.
//!
//! Both operands are rounded to bf16. Inputs are processed in blocks of [`DEPTH`]. Within a block, one
//! chain of fused multiply-adds runs over the even inputs and one over the odd ones; the sum of both is
//! added to the output. This is the definition of AMX ([`super::amx`]), and the portable kernel computes
//! the same bits (except for denormals, which AMX counts as zero). A row's result depends neither on the
//! other rows nor on the number of threads.

use std::cell::Cell;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::bf16_word::{HIGH, halves, nearest};
use super::panels::{Out, PANEL, Write, split, threads_for};
use super::random_bits::mix;
use super::simd::dispatch;

/// Inputs of a block: the depth of one tile.
pub(super) const DEPTH: usize = 32;

/// Outputs of one tile.
const COLUMNS: usize = 16;

/// Words of one tile of weights; a word holds a pair of inputs of one output.
const TILE: usize = DEPTH / 2 * COLUMNS;

/// Rows of x in one tile; the packed rows are padded to whole tiles.
pub(super) const TILE_ROWS: usize = 16;

/// Number of rows for which the portable kernel reuses a loaded weight.
const ROWS: usize = 4;

/// A weight matrix `[outputs, inputs]` in bf16, with an optional bias.
pub(crate) struct PackedBf16 {
    /// `[ceil(outputs / PANEL), ceil(inputs / DEPTH), 2 tiles, DEPTH / 2, COLUMNS]`. A word holds
    /// two inputs of one output, the even one in its low half. Padding is 0.
    words: Vec<u32>,
    /// `[outputs]`.
    bias: Option<Vec<f32>>,
    inputs: usize,
    outputs: usize,
}

impl PackedBf16 {
    /// Allocates a full matrix of zeros, to be filled by [`Self::pack`].
    pub(crate) fn zeros(outputs: usize, inputs: usize, bias: Option<Vec<f32>>) -> Self {
        let words = vec![0; outputs.div_ceil(PANEL) * PANEL * padded(inputs) / 2];
        Self { words, bias, inputs, outputs }
    }

    /// Packs the weights of the outputs from `first` on, row-major `[n, inputs]`.
    ///
    /// Rounding is stochastic, with a random number fixed by the weight's position. So an update
    /// below half a unit in the last place, such as a merged adapter's, survives on average instead
    /// of vanishing everywhere. Values that bf16 represents are unchanged.
    pub(crate) fn pack(&mut self, first: usize, weights: &[f32]) {
        for (output, row) in (first..).zip(weights.chunks_exact(self.inputs)) {
            for (pair, values) in row.chunks(2).enumerate() {
                let draw = mix((output as u64) << 32 | pair as u64);
                let low = rounded_by(values[0], draw as u16);
                let high = values.get(1).map_or(0, |v| rounded_by(*v, (draw >> 16) as u16));
                let at = self.word(output, pair);
                self.words[at] = u32::from(low) | u32::from(high) << 16;
            }
        }
    }

    /// Index in `words` of a pair of inputs of an output.
    fn word(&self, output: usize, pair: usize) -> usize {
        let blocks = padded(self.inputs) / DEPTH;
        let (panel, column) = (output / PANEL, output % PANEL);
        let (block, line) = (pair / (DEPTH / 2), pair % (DEPTH / 2));
        ((panel * blocks + block) * 2 + column / COLUMNS) * TILE + line * COLUMNS + column % COLUMNS
    }

    /// Number of outputs.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Number of inputs.
    pub(super) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Returns the weights of one output, `[inputs]`, as f32.
    pub(crate) fn row(&self, output: usize) -> impl Iterator<Item = f32> + '_ {
        (0..self.inputs).map(move |input| {
            let word = self.words[self.word(output, input / 2)];
            let (even, odd) = halves(word);
            if input % 2 == 0 { even } else { odd }
        })
    }

    /// Computes `x w^T (+ bias)` for rows of x `[R, inputs]`, into `out` `[R, outputs]`.
    ///
    /// Runs on the current rayon pool.
    pub(crate) fn apply(&self, x: &[f32], out: &mut [f32], write: Write) {
        let rows = x.len() / self.inputs;
        assert_eq!((x.len(), out.len()), (rows * self.inputs, rows * self.outputs));
        self.apply_to(x, self.out(out.as_mut_ptr(), write));
    }

    /// Returns `x w^T (+ bias)` as a new vector `[R, outputs]`, which is not zeroed first.
    pub(crate) fn product(&self, x: &[f32]) -> Vec<f32> {
        let n = x.len() / self.inputs * self.outputs;
        let mut out = Vec::with_capacity(n);
        self.apply_to(x, self.out(out.as_mut_ptr(), Write::Set));
        // SAFETY: there is room for n values, and the panels write every column of every row.
        unsafe { out.set_len(n) };
        out
    }

    fn out(&self, start: *mut f32, write: Write) -> Out<'_> {
        Out::new(start, self.outputs, self.bias.as_deref(), write)
    }

    /// Computes [`Self::apply`] into `out`, which must have space for `[R, outputs]`.
    fn apply_to(&self, x: &[f32], out: Out) {
        let rows = x.len() / self.inputs;
        assert_eq!(x.len(), rows * self.inputs, "x is not whole rows of `inputs` values");
        let threads = threads_for(rows * self.inputs * self.outputs);
        let mut words = PACKED_ROWS.take();
        pack(x, self.inputs, threads > 1, &mut words);
        let product = Product { weights: self, x: &words, rows, out };
        split(self.outputs, threads, |panels| product.panels(panels));
        PACKED_ROWS.set(words);
    }
}

/// `inputs`, padded to full blocks.
fn padded(inputs: usize) -> usize {
    inputs.next_multiple_of(DEPTH)
}

thread_local! {
    /// Packed rows of a product. Kept for reuse, because the operating system zeroes the pages of a new
    /// allocation of this size.
    static PACKED_ROWS: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
}

/// Packs rows `[R, inputs]`, rounded to bf16 (nearest, ties to even), two inputs per word, into `words`
/// `[R padded to full tiles, pairs]`. Padding rows keep the old content of `words`, because their results
/// are dropped. Runs on the rayon pool if `shared`.
fn pack(x: &[f32], inputs: usize, shared: bool, words: &mut Vec<u32>) {
    let pairs = padded(inputs) / 2;
    words.resize((x.len() / inputs).next_multiple_of(TILE_ROWS) * pairs, 0);
    let row = |(words, x): (&mut [u32], &[f32])| {
        dispatch(
            #[inline(always)]
            || pack_row(words, x),
        );
    };
    match shared {
        true => words.par_chunks_mut(pairs).zip(x.par_chunks(inputs)).for_each(row),
        false => words.chunks_mut(pairs).zip(x.chunks(inputs)).for_each(row),
    }
}

/// Packs one row.
#[inline(always)]
fn pack_row(words: &mut [u32], x: &[f32]) {
    let (whole, rest) = x.as_chunks::<2>();
    for (word, [even, odd]) in words.iter_mut().zip(whole) {
        *word = nearest(*even) >> 16 | nearest(*odd) & HIGH;
    }
    let padding = &mut words[whole.len()..];
    padding.fill(0);
    if let [last] = rest {
        padding[0] = nearest(*last) >> 16;
    }
}

/// Rounds stochastically to bf16: away from zero if the 16 discarded bits exceed `draw`, which is uniform
/// over 0 to 65,535; otherwise towards zero.
fn rounded_by(value: f32, draw: u16) -> u16 {
    let bits = value.to_bits();
    let carry = u32::from(u32::from(draw) < (bits & !HIGH));
    // Do not round the largest finite values to infinity.
    let up = (bits >> 16) + carry;
    let finite = up & 0x7f80 != 0x7f80 || bits >> 16 & 0x7f80 == 0x7f80;
    (if finite { up } else { bits >> 16 }) as u16
}

/// The operands and output of one product; each thread computes its own panels.
struct Product<'a> {
    weights: &'a PackedBf16,
    /// Rows from [`pack`].
    x: &'a [u32],
    rows: usize,
    out: Out<'a>,
}

impl Product<'_> {
    /// Computes the outputs of some panels, with AMX if it is available.
    fn panels(&self, panels: Range<usize>) {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if let Some(tiles) = super::amx::Tiles::new() {
            return panels.for_each(|panel| self.by_tiles(&tiles, panel));
        }
        Arch::new().dispatch(Portable { product: self, panels });
    }

    /// The packed weights of a panel.
    fn weights(&self, panel: usize) -> &[u32] {
        let size = padded(self.weights.inputs) / 2 * PANEL;
        &self.weights.words[panel * size..(panel + 1) * size]
    }

    /// Computes one panel with AMX, 32 or 16 rows at a time.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    fn by_tiles(&self, tiles: &super::amx::Tiles, panel: usize) {
        let (weights, pairs) = (self.weights(panel), padded(self.weights.inputs) / 2);
        let mut result = [0f32; 2 * TILE_ROWS * PANEL];
        let blocks = self.x.chunks(2 * TILE_ROWS * pairs);
        // Prefetch the next panel from memory while this panel is multiplied.
        let next = &self.weights.words[(panel + 1) * weights.len()..];
        let next = &next[..next.len().min(weights.len())];
        let mut parts = next.chunks(next.len().div_ceil(blocks.len()).max(1));
        for (block, x) in blocks.enumerate() {
            if let Some(part) = parts.next() {
                super::amx::prefetch(part);
            }
            match x.len() / pairs {
                TILE_ROWS => tiles.multiply_16(x, weights, &mut result),
                _ => tiles.multiply_32(x, weights, &mut result),
            }
            self.store(block * 2 * TILE_ROWS, panel, result.as_chunks().0);
        }
    }

    /// Writes the results of the rows from `first` on; results of padding rows are dropped.
    #[inline(always)]
    fn store(&self, first: usize, panel: usize, results: &[[f32; PANEL]]) {
        for (row, result) in (first..self.rows).zip(results) {
            // SAFETY: `row` is below R. No other thread writes this panel's columns, and the caller of
            // `apply_to` owns the output exclusively.
            unsafe { self.out.store(row, panel, result) };
        }
    }
}

/// Computes some panels with f32 SIMD, for machines without AMX.
struct Portable<'a> {
    product: &'a Product<'a>,
    panels: Range<usize>,
}

impl WithSimd for Portable<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let pairs = padded(self.product.weights.inputs) / 2;
        for panel in self.panels.clone() {
            let weights = self.product.weights(panel);
            for first in (0..self.product.rows).step_by(ROWS) {
                let x = &self.product.x[first * pairs..];
                match self.product.rows - first {
                    1 => self.rows::<S, 1>(simd, x, weights, (first, panel)),
                    2 => self.rows::<S, 2>(simd, x, weights, (first, panel)),
                    3 => self.rows::<S, 3>(simd, x, weights, (first, panel)),
                    _ => self.rows::<S, ROWS>(simd, x, weights, (first, panel)),
                }
            }
        }
    }
}

impl Portable<'_> {
    /// Computes R rows of one panel, from `first` on.
    #[inline(always)]
    fn rows<S: Simd, const R: usize>(
        &self,
        simd: S,
        x: &[u32],
        weights: &[u32],
        (first, panel): (usize, usize),
    ) {
        let pairs = weights.len() / PANEL;
        let rows: [&[u32]; R] = std::array::from_fn(|r| &x[r * pairs..(r + 1) * pairs]);
        let mut result = [[0f32; PANEL]; R];
        for (tile, weights) in weights.chunks_exact(TILE).enumerate() {
            let (block, half) = (tile / 2, tile % 2);
            for column in (0..COLUMNS).step_by(S::F32_LANES) {
                let (mut even, mut odd) = ([simd.splat_f32s(0.0); R], [simd.splat_f32s(0.0); R]);
                for (pair, weights) in weights.chunks_exact(COLUMNS).enumerate() {
                    let (weights, _) = S::as_simd_u32s(&weights[column..]);
                    let [low, high] = widen(simd, weights[0]);
                    for r in 0..R {
                        let (a, b) = halves(rows[r][block * DEPTH / 2 + pair]);
                        even[r] = simd.mul_add_f32s(simd.splat_f32s(a), low, even[r]);
                        odd[r] = simd.mul_add_f32s(simd.splat_f32s(b), high, odd[r]);
                    }
                }
                for r in 0..R {
                    let sum = simd.add_f32s(even[r], odd[r]);
                    let (sums, _) = S::as_mut_simd_f32s(&mut result[r][half * COLUMNS + column..]);
                    sums[0] = simd.add_f32s(sums[0], sum);
                }
            }
        }
        self.product.store(first, panel, &result);
    }
}

/// Widens the even and odd inputs of each word to f32.
#[inline(always)]
fn widen<S: Simd>(simd: S, words: S::u32s) -> [S::f32s; 2] {
    let low = simd.wrapping_dyn_shl_u32s(words, simd.splat_u32s(16));
    let high = simd.and_u32s(words, simd.splat_u32s(HIGH));
    [simd.transmute_f32s_u32s(low), simd.transmute_f32s_u32s(high)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    const SHAPES: [(usize, usize); 5] = [(128, 384), (352, 128), (100, 50), (577, 1536), (33, 31)];

    fn random(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = regrowth_datasets::keyed_rng(seed, &[b"bf16"]);
        (0..n).map(|_| rng.random_range(-1f32..1.0)).collect()
    }

    fn weights(inputs: usize, outputs: usize) -> PackedBf16 {
        let mut weights = PackedBf16::zeros(outputs, inputs, None);
        let values = random(inputs * outputs, 1);
        let half = outputs / 2 * inputs;
        weights.pack(0, &values[..half]);
        weights.pack(outputs / 2, &values[half..]);
        weights
    }

    fn apply(weights: &PackedBf16, x: &[f32]) -> Vec<f32> {
        let mut out = vec![f32::NAN; x.len() / weights.inputs * weights.outputs];
        weights.apply(x, &mut out, Write::Set);
        out
    }

    /// Computes one output by the definition, value by value.
    fn defined(x: &[f32], w: &[f32]) -> f32 {
        let rounded = |v: f32| f32::from_bits(nearest(v) & HIGH);
        let (mut total, mut parts) = (0f32, [0f32; 2]);
        for (i, (value, w)) in x.iter().zip(w).enumerate() {
            parts[i % 2] = rounded(*value).mul_add(*w, parts[i % 2]);
            if (i + 1) % DEPTH == 0 || i + 1 == x.len() {
                total += parts[0] + parts[1];
                parts = [0.0; 2];
            }
        }
        total
    }

    #[test]
    fn both_kernels_give_the_bits_of_the_definition_for_any_number_of_rows() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        for (inputs, outputs) in SHAPES {
            let weights = weights(inputs, outputs);
            let x = random(70 * inputs, 2);
            let whole = apply(&weights, &x);
            for (row, column) in [(0, 0), (69, outputs - 1), (17, outputs / 2), (40, 3)] {
                let w: Vec<f32> = weights.row(column).collect();
                let expected = defined(&x[row * inputs..(row + 1) * inputs], &w);
                assert_eq!(whole[row * outputs + column].to_bits(), expected.to_bits());
            }
            for rows in [1, 2, 3, 4, 5, 15, 16, 17, 31, 33, 48, 64] {
                let x = &x[..rows * inputs];
                let expected = &whole[..rows * outputs];
                assert!(apply(&weights, x) == expected, "{rows} rows of {inputs} x {outputs}");
                assert!(pool.install(|| apply(&weights, x)) == expected, "on three threads");
                let (mut packed, mut out) = (vec![], vec![f32::NAN; rows * outputs]);
                pack(x, inputs, false, &mut packed);
                let out_of = weights.out(out.as_mut_ptr(), Write::Set);
                let product = Product { weights: &weights, x: &packed, rows, out: out_of };
                let panels = 0..outputs.div_ceil(PANEL);
                Arch::new().dispatch(Portable { product: &product, panels });
                assert!(out == expected, "portable, {rows} rows of {inputs} x {outputs}");
            }
        }
    }

    #[test]
    fn products_are_near_those_of_f32() {
        let (inputs, outputs) = (576, 64);
        let (values, x) = (random(inputs * outputs, 1), random(inputs, 2));
        let mut weights = PackedBf16::zeros(outputs, inputs, Some(vec![0.5; outputs]));
        weights.pack(0, &values);
        let mut out = vec![1.0; outputs];
        weights.apply(&x, &mut out, Write::Add);
        for (out, w) in out.iter().zip(values.chunks_exact(inputs)) {
            let exact: f64 = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
            // 576 products with relative error 2^-8 and random sign.
            assert!((f64::from(*out) - exact - 1.5).abs() < 0.1, "{out} and {exact}");
        }
    }

    #[test]
    fn weights_that_bf16_holds_stay_and_small_updates_survive_on_average() {
        let n = 4096;
        let mut exact = PackedBf16::zeros(1, n, None);
        exact.pack(0, &vec![1.5; n]);
        assert!(exact.row(0).all(|w| w == 1.5));
        // A sixteenth of the distance to the next bf16 value.
        let mut moved = PackedBf16::zeros(1, n, None);
        moved.pack(0, &vec![1.5 + 1.0 / 2048.0; n]);
        let mean = moved.row(0).map(f64::from).sum::<f64>() / n as f64;
        assert!((mean - 1.5 - 1.0 / 2048.0).abs() < 1e-4, "{mean}");
        let mut largest = PackedBf16::zeros(1, 2, None);
        largest.pack(0, &[f32::MAX, -f32::MAX]);
        assert!(largest.row(0).all(f32::is_finite));
    }

    #[test]
    fn what_is_not_finite_stays_visible() {
        let weights = weights(64, 40);
        for bad in [f32::NAN, f32::INFINITY, f32::from_bits(0x7f80_0001)] {
            let mut x = random(64, 3);
            x[5] = bad;
            assert!(apply(&weights, &x).iter().all(|v| !v.is_finite()), "{bad}");
        }
    }
}
