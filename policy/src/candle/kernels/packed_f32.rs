//! Multiplies a few rows (tokens) by packed weights, for decoding.
//!
//! Weights are stored in panels of [`PANEL`] outputs, so that a product reads them from memory once, in
//! order, for any number of rows. Every output is one chain of fused multiply-adds over the inputs, first to
//! last. So a row's result does not depend on the number of rows, on how threads share panels, or on the type
//! in which the weights are stored ([`super::weight_word`]).

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::panels::{Out, PANEL, Write, split, threads_for};
use super::weight_word::WeightWord;

/// Rows that share the loads of a panel: 8 x 2 accumulators fill half of the 32 registers, and
/// keep both multiply-add units busy.
const ROWS: usize = 8;

/// Number of panels by which a single row is multiplied at a time: 8 accumulators hide the latency of
/// multiply-adds.
const UNROLL: usize = 4;

/// Prefetch distance into the L2 cache, in words. Measured at 90 million parameters and 8 rows, together
/// with [`NEAR`]: prefetching gives 1.4 to 1.5 times the tokens/s; 1,024 and 2,048 words are equally fast,
/// 4,096 is slower.
const FAR: usize = 2048;
/// Prefetch distance into the L1 cache, in words.
const NEAR: usize = 256;

/// A weight matrix `[outputs, inputs]` in panels, multiplied in f32 and stored as `T`, with an optional bias.
pub(crate) struct PackedF32<T: WeightWord = f32> {
    /// `[ceil(outputs / PANEL), ceil(inputs / VALUES), PANEL]`; padding after the last output or input is
    /// 0.
    words: Vec<T::Word>,
    /// `[outputs]`.
    bias: Option<Vec<f32>>,
    inputs: usize,
    outputs: usize,
}

impl<T: WeightWord> PackedF32<T> {
    /// Allocates a matrix of zeros, to be filled by [`Self::pack`].
    pub(crate) fn zeros(outputs: usize, inputs: usize, bias: Option<Vec<f32>>) -> Self {
        let words = outputs.div_ceil(PANEL) * PANEL * inputs.div_ceil(T::VALUES);
        Self { words: vec![T::Word::default(); words], bias, inputs, outputs }
    }

    /// Packs the weights `[n, inputs]` (row-major, as in checkpoints) of the outputs from `first`
    /// on. `T` must represent them exactly.
    pub(crate) fn pack(&mut self, first: usize, weights: &[f32]) {
        for (output, row) in (first..).zip(weights.chunks_exact(self.inputs)) {
            let start = self.start(output);
            let column = self.words[start..].iter_mut().step_by(PANEL);
            for (word, values) in column.zip(row.chunks(T::VALUES)) {
                *word = T::Word::default();
                for (part, value) in values.iter().enumerate() {
                    T::put(word, part, *value);
                }
            }
        }
    }

    /// Number of words per panel.
    fn panel_size(&self) -> usize {
        self.inputs.div_ceil(T::VALUES) * PANEL
    }

    /// Index of the first word of an output.
    fn start(&self, output: usize) -> usize {
        output / PANEL * self.panel_size() + output % PANEL
    }

    /// Number of outputs.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Returns the weights of one output, `[inputs]`.
    pub(crate) fn row(&self, output: usize) -> impl Iterator<Item = f32> + '_ {
        let words = self.words[self.start(output)..].iter().step_by(PANEL);
        let values = words.flat_map(|word| (0..T::VALUES).map(|part| T::value(*word, part)));
        values.take(self.inputs)
    }

    /// Computes `x w^T (+ bias)` for rows of x `[R, inputs]`, into `out` `[R, outputs]`.
    ///
    /// Runs on the current rayon pool.
    pub(crate) fn apply(&self, x: &[f32], out: &mut [f32], write: Write) {
        let rows = x.len() / self.inputs;
        assert_eq!((x.len(), out.len()), (rows * self.inputs, rows * self.outputs));
        let out = Out::new(out.as_mut_ptr(), self.outputs, self.bias.as_deref(), write);
        split(self.outputs, threads_for(rows * self.inputs * self.outputs), |panels| {
            Arch::new().dispatch(Part { weights: self, x, out, panels });
        });
    }
}

/// The product with some of the panels.
struct Part<'a, T: WeightWord> {
    weights: &'a PackedF32<T>,
    x: &'a [f32],
    out: Out<'a>,
    panels: Range<usize>,
}

impl<T: WeightWord> WithSimd for Part<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let k = self.weights.inputs;
        if self.x.len() == k {
            return self.single(simd);
        }
        for panel in self.panels.clone() {
            let weights = self.panel(panel);
            for (block, x) in self.x.chunks(ROWS * k).enumerate() {
                let first = block * ROWS;
                match x.len() / k {
                    // The first block of rows has loaded the panel into the L2 cache.
                    ROWS if block > 0 => {
                        self.tile::<S, ROWS, false>(simd, x, weights, panel, first)
                    }
                    1 => self.tile::<S, 1, true>(simd, x, weights, panel, first),
                    2 => self.tile::<S, 2, true>(simd, x, weights, panel, first),
                    3 => self.tile::<S, 3, true>(simd, x, weights, panel, first),
                    4 => self.tile::<S, 4, true>(simd, x, weights, panel, first),
                    5 => self.tile::<S, 5, true>(simd, x, weights, panel, first),
                    6 => self.tile::<S, 6, true>(simd, x, weights, panel, first),
                    7 => self.tile::<S, 7, true>(simd, x, weights, panel, first),
                    _ => self.tile::<S, ROWS, true>(simd, x, weights, panel, first),
                }
            }
        }
    }
}

impl<T: WeightWord> Part<'_, T> {
    /// The words of a panel.
    #[inline(always)]
    fn panel(&self, panel: usize) -> &[T::Word] {
        let size = self.weights.panel_size();
        &self.weights.words[panel * size..][..size]
    }

    /// Multiplies one row by all panels: several panels at a time, so that independent chains of
    /// multiply-adds overlap.
    #[inline(always)]
    fn single<S: Simd>(&self, simd: S) {
        let mut panel = self.panels.start;
        while self.panels.end - panel >= UNROLL {
            self.unrolled::<S, UNROLL>(simd, panel);
            panel += UNROLL;
        }
        while panel < self.panels.end {
            self.unrolled::<S, 1>(simd, panel);
            panel += 1;
        }
    }

    /// Multiplies one row by P panels.
    #[inline(always)]
    fn unrolled<S: Simd, const P: usize>(&self, simd: S, first: usize) {
        let panels: [&[T::Word]; P] = std::array::from_fn(|p| self.panel(first + p));
        let lanes = S::F32_LANES;
        let mut result = [[0f32; PANEL]; P];
        for column in (0..PANEL).step_by(2 * lanes) {
            let mut sums = [[simd.splat_f32s(0.0); 2]; P];
            for (i, x) in self.x.chunks(T::VALUES).enumerate() {
                for (part, x) in x.iter().enumerate() {
                    let x = simd.splat_f32s(*x);
                    for (sums, panel) in sums.iter_mut().zip(&panels) {
                        let words = &panel[i * PANEL + column..(i + 1) * PANEL];
                        sums[0] = simd.mul_add_f32s(x, T::load(simd, words, part), sums[0]);
                        let words = &words[lanes..];
                        sums[1] = simd.mul_add_f32s(x, T::load(simd, words, part), sums[1]);
                    }
                }
            }
            for (result, sums) in result.iter_mut().zip(&sums) {
                let (vectors, _) = S::as_mut_simd_f32s(&mut result[column..]);
                vectors[..2].copy_from_slice(sums);
            }
        }
        for (p, result) in result.iter().enumerate() {
            self.store(0, first + p, result);
        }
    }

    /// Multiplies R rows, from `first` on, by one panel; if FETCH, prefetches the weights that follow.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const FETCH: bool>(
        &self,
        simd: S,
        x: &[f32],
        weights: &[T::Word],
        panel: usize,
        first: usize,
    ) {
        let k = self.weights.inputs;
        let lanes = S::F32_LANES;
        let rows: [&[f32]; R] = std::array::from_fn(|r| &x[r * k..(r + 1) * k]);
        let mut result = [[0f32; PANEL]; R];
        // Two registers of columns at a time; on AVX-512 that is the whole panel.
        for column in (0..PANEL).step_by(2 * lanes) {
            let mut sums = [[simd.splat_f32s(0.0); 2]; R];
            for (i, words) in weights.chunks_exact(PANEL).enumerate() {
                if FETCH {
                    fetch(words);
                }
                for part in 0..T::VALUES {
                    let input = i * T::VALUES + part;
                    if input == k {
                        break;
                    }
                    let low = T::load(simd, &words[column..], part);
                    let high = T::load(simd, &words[column + lanes..], part);
                    for r in 0..R {
                        let x = simd.splat_f32s(rows[r][input]);
                        sums[r][0] = simd.mul_add_f32s(x, low, sums[r][0]);
                        sums[r][1] = simd.mul_add_f32s(x, high, sums[r][1]);
                    }
                }
            }
            for r in 0..R {
                let (vectors, _) = S::as_mut_simd_f32s(&mut result[r][column..]);
                vectors[..2].copy_from_slice(&sums[r]);
            }
        }
        for (r, result) in result.iter().enumerate() {
            self.store(first + r, panel, result);
        }
    }

    /// Writes one row's outputs of a panel.
    #[inline(always)]
    fn store(&self, row: usize, panel: usize, result: &[f32; PANEL]) {
        // SAFETY: `row` is below R; no other part writes these columns (ranges of panels are disjoint), and
        // `apply` holds the only reference to the whole.
        unsafe { self.out.store(row, panel, result) };
    }
}

/// Prefetches the weights [`FAR`] and [`NEAR`] words after `words`, a row of a panel (two cache lines).
#[inline(always)]
fn fetch<W>(words: &[W]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        let far = words.as_ptr().wrapping_add(FAR).cast::<i8>();
        let near = words.as_ptr().wrapping_add(NEAR).cast::<i8>();
        // SAFETY: a prefetch reads nothing and faults nowhere, whatever the address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T1>(far);
            _mm_prefetch::<_MM_HINT_T1>(far.wrapping_add(64));
            _mm_prefetch::<_MM_HINT_T0>(near);
            _mm_prefetch::<_MM_HINT_T0>(near.wrapping_add(64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gemm::{Matrix, product};
    use super::*;
    use half::{bf16, f16};
    use rand::RngExt;

    const SHAPES: [(usize, usize); 5] =
        [(128, 384), (352, 128), (128, 480), (768, 3072), (2048, 50)];

    fn random(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = regrowth_datasets::keyed_rng(seed, &[b"panels"]);
        (0..n).map(|_| rng.random_range(-1f32..1.0)).collect()
    }

    /// Several matrices side by side.
    fn panels(parts: &[&[f32]], inputs: usize, bias: Option<Vec<f32>>) -> PackedF32 {
        stored_as(parts, inputs, bias)
    }

    fn stored_as<T: WeightWord>(
        parts: &[&[f32]],
        inputs: usize,
        bias: Option<Vec<f32>>,
    ) -> PackedF32<T> {
        let all = parts.concat();
        let mut panels = PackedF32::zeros(all.len() / inputs, inputs, bias);
        let mut first = 0;
        for part in parts {
            panels.pack(first, part);
            first += part.len() / inputs;
        }
        panels
    }

    fn apply<T: WeightWord>(weights: &PackedF32<T>, x: &[f32]) -> Vec<f32> {
        let mut out = vec![f32::NAN; x.len() / weights.inputs * weights.outputs];
        weights.apply(x, &mut out, Write::Set);
        out
    }

    #[test]
    fn rows_of_a_product_do_not_depend_on_how_many_there_are() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        for (inputs, outputs) in SHAPES {
            let values = random(inputs * outputs, 1);
            let weights = panels(&[&values], inputs, None);
            let x = random(150 * inputs, 2);
            let whole = apply(&weights, &x);
            for rows in [1, 2, 3, 4, 5, 6, 7, 8, 17, 33, 63, 64, 65, 100] {
                let part = apply(&weights, &x[..rows * inputs]);
                assert!(part == whole[..rows * outputs], "{rows} rows of {inputs} x {outputs}");
                let shared = pool.install(|| apply(&weights, &x[..rows * inputs]));
                assert!(part == shared, "{rows} rows of {inputs} x {outputs} on three threads");
            }
        }
    }

    /// Checks that products of weights stored as `T` equal those of the same weights stored as f32.
    fn same_bits_as_f32<T: WeightWord>(rounded: impl Fn(f32) -> f32) {
        for (inputs, outputs) in SHAPES.into_iter().chain([(49, 70), (1, 3)]) {
            let values: Vec<f32> = random(inputs * outputs, 1).into_iter().map(&rounded).collect();
            let half = outputs / 2 * inputs;
            let parts = [&values[..half], &values[half..]];
            let plain = panels(&parts, inputs, None);
            let stored: PackedF32<T> = stored_as(&parts, inputs, None);
            assert_eq!(
                stored.row(outputs - 1).collect::<Vec<_>>(),
                values[(outputs - 1) * inputs..]
            );
            for rows in [1, 3, 8, 21] {
                let x = random(rows * inputs, 2);
                assert!(
                    apply(&stored, &x) == apply(&plain, &x),
                    "{rows} rows of {inputs} x {outputs}"
                );
            }
        }
    }

    #[test]
    fn weights_of_16_bits_give_the_bits_of_the_same_weights_in_f32() {
        same_bits_as_f32::<bf16>(|value| bf16::from_f32(value).to_f32());
        same_bits_as_f32::<f16>(|value| f16::from_f32(value).to_f32());
    }

    #[test]
    fn products_are_those_of_gemm() {
        for (inputs, outputs) in SHAPES {
            let values = random(inputs * outputs, 1);
            let half = outputs / 2 * inputs;
            let parts = [&values[..half], &values[half..]];
            let weights = panels(&parts, inputs, None);
            let x = random(9 * inputs, 2);
            let matrix = Matrix::new(&values, outputs, inputs).t();
            let expected = product(Matrix::new(&x, 9, inputs), matrix);
            for (a, b) in apply(&weights, &x).iter().zip(&expected) {
                assert!((a - b).abs() < 1e-3, "{a} and {b}");
            }
            let last: Vec<f32> = weights.row(outputs - 1).collect();
            assert_eq!(last, values[(outputs - 1) * inputs..]);
        }
    }

    #[test]
    fn bias_and_addition_come_after_the_product() {
        let weights = panels(&[&[1.0, 2.0, 3.0, 4.0]], 2, Some(vec![0.5, 1.0]));
        let mut out = vec![10.0, 20.0];
        weights.apply(&[1.0, 1.0], &mut out, Write::Add);
        assert_eq!(out, [13.5, 28.0]);
        weights.apply(&[1.0, 1.0], &mut out, Write::Set);
        assert_eq!(out, [3.5, 8.0]);
    }
}
