//! GEMM of a few rows with packed int8 weights, rows quantised to int8 on the fly (W8A8), and f32 accumulation:
//! a quarter of the memory of f32, and up to four times the arithmetic where the processor has VNNI.
//!
//! Both operands are quantised symmetrically in blocks of [`BLOCK`] inputs, each with its own f32 scale, as in
//! llama.cpp's `Q8_0`. The products of a block are summed exactly in i32; the sum is scaled and added to the output
//! by one fused multiply-add per block. So all kernels ([`super::int8_panel`]) compute the same bits, and a row's
//! result depends neither on the other rows nor on the number of threads.

use std::cell::Cell;
use std::ops::Range;

use rayon::prelude::*;

use super::int8_panel::{BLOCK, Kernel, QUADS, ROW_WORDS, ROWS, WEIGHT_WORDS};
use super::panels::{Out, PANEL, Write, split, threads_for};
use super::random_bits::mix;
use super::simd::dispatch;

/// Largest absolute value of a quantised number.
const MOST: f32 = 127.0;

/// 1.5 * 2^23: adding it rounds a small number to an integer (ties to even) in the lowest bits of the mantissa.
const MAGIC: f32 = 12_582_912.0;

/// A weight matrix `[outputs, inputs]` in int8, with an optional bias.
pub(crate) struct PackedInt8 {
    /// `[ceil(outputs / PANEL), ceil(inputs / BLOCK), WEIGHT_WORDS]`. Padding is 0.
    words: Vec<u32>,
    /// `[outputs]`.
    bias: Option<Vec<f32>>,
    inputs: usize,
    outputs: usize,
}

impl PackedInt8 {
    /// Allocates a full matrix of zeros, to be filled by [`Self::pack`].
    pub(crate) fn zeros(outputs: usize, inputs: usize, bias: Option<Vec<f32>>) -> Self {
        let blocks = outputs.div_ceil(PANEL) * inputs.div_ceil(BLOCK);
        Self { words: vec![0; blocks * WEIGHT_WORDS], bias, inputs, outputs }
    }

    /// Packs the weights of the outputs from `first` on, row-major `[n, inputs]`.
    ///
    /// Rounding is stochastic, with a random number fixed by the weight's position. So an update below half a
    /// quantisation step, such as a merged adapter's, survives on average instead of vanishing everywhere: the
    /// weights of a `Q8_0` checkpoint lie exactly on the steps. Such weights are unchanged, except for about one
    /// in 100,000, whose quotient is rounded below its step and draws 0.
    pub(crate) fn pack(&mut self, first: usize, weights: &[f32]) {
        for (output, row) in (first..).zip(weights.chunks_exact(self.inputs)) {
            dispatch(
                #[inline(always)]
                || self.pack_row(output, row),
            );
        }
    }

    /// Packs the weights of one output.
    #[inline(always)]
    fn pack_row(&mut self, output: usize, row: &[f32]) {
        for (block, values) in row.chunks(BLOCK).enumerate() {
            let (words, lane) = (self.block(output, block), output % PANEL);
            let (scale, inverse) = scales(values);
            let words = &mut self.words[words];
            words[QUADS * PANEL + lane] = scale.to_bits();
            for (quad, values) in values.chunks(4).enumerate() {
                let draws = mix((output as u64) << 32 | (block * QUADS + quad) as u64);
                let mut bytes = [0; 4];
                for (i, value) in values.iter().enumerate() {
                    // 16 random bits per weight, as a number in [0, 1).
                    let draw = f32::from((draws >> (16 * i)) as u16) / 65_536.0;
                    let rounded = (value * inverse + draw).floor().clamp(-MOST, MOST);
                    bytes[i] = (rounded as i8).cast_unsigned();
                }
                words[quad * PANEL + lane] = u32::from_le_bytes(bytes);
            }
        }
    }

    /// Range in `words` of the block of inputs that contains an output's weights.
    fn block(&self, output: usize, block: usize) -> Range<usize> {
        let start = (output / PANEL * self.inputs.div_ceil(BLOCK) + block) * WEIGHT_WORDS;
        start..start + WEIGHT_WORDS
    }

    /// Number of outputs.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Returns the weights of one output, `[inputs]`, as f32.
    pub(crate) fn row(&self, output: usize) -> impl Iterator<Item = f32> + '_ {
        (0..self.inputs).map(move |input| {
            let words = &self.words[self.block(output, input / BLOCK)];
            let lane = output % PANEL;
            let scale = f32::from_bits(words[QUADS * PANEL + lane]);
            let bytes = words[input % BLOCK / 4 * PANEL + lane].to_le_bytes();
            f32::from(bytes[input % 4].cast_signed()) * scale
        })
    }

    /// Computes `x w^T (+ bias)` for rows of x `[R, inputs]`, into `out` `[R, outputs]`.
    ///
    /// Runs on the current rayon pool.
    pub(crate) fn apply(&self, x: &[f32], out: &mut [f32], write: Write) {
        let rows = x.len() / self.inputs;
        assert_eq!((x.len(), out.len()), (rows * self.inputs, rows * self.outputs));
        let threads = threads_for(rows * self.inputs * self.outputs);
        let mut words = QUANTISED_ROWS.take();
        quantise(x, self.inputs, threads > 1, &mut words);
        let out = Out::new(out.as_mut_ptr(), self.outputs, self.bias.as_deref(), write);
        let kernel = Kernel::best();
        split(self.outputs, threads, |panels| self.panels(kernel, &words, out, panels));
        QUANTISED_ROWS.set(words);
    }

    /// Computes the outputs of some panels for rows from [`quantise`].
    fn panels(&self, kernel: Kernel, x: &[u32], out: Out, panels: Range<usize>) {
        let blocks = self.inputs.div_ceil(BLOCK);
        for panel in panels {
            let weights = &self.words[panel * blocks * WEIGHT_WORDS..][..blocks * WEIGHT_WORDS];
            for (group, x) in x.chunks(ROWS * blocks * ROW_WORDS).enumerate() {
                let mut results = [[0f32; PANEL]; ROWS];
                let rows = x.len() / (blocks * ROW_WORDS);
                kernel.multiply(x, weights, &mut results[..rows]);
                for (row, result) in results[..rows].iter().enumerate() {
                    // SAFETY: there are as many rows in x as in the output. No other thread writes this panel's
                    // columns, and the caller of `apply` owns the output exclusively.
                    unsafe { out.store(group * ROWS + row, panel, result) };
                }
            }
        }
    }
}

thread_local! {
    /// Quantised rows of a product. Kept, because a new allocation of this size costs zeroed pages.
    static QUANTISED_ROWS: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
}

/// Quantises rows `[R, inputs]` into `words` `[R, ceil(inputs / BLOCK), ROW_WORDS]`. Runs on the rayon pool if
/// `shared`.
fn quantise(x: &[f32], inputs: usize, shared: bool, words: &mut Vec<u32>) {
    let size = inputs.div_ceil(BLOCK) * ROW_WORDS;
    words.resize(x.len() / inputs * size, 0);
    let row = |(words, x): (&mut [u32], &[f32])| {
        dispatch(
            #[inline(always)]
            || quantise_row(words, x),
        );
    };
    match shared {
        true => words.par_chunks_mut(size).zip(x.par_chunks(inputs)).for_each(row),
        false => words.chunks_mut(size).zip(x.chunks(inputs)).for_each(row),
    }
}

/// Quantises one row, rounding to the nearest step (ties to even).
#[inline(always)]
fn quantise_row(words: &mut [u32], x: &[f32]) {
    for (words, values) in words.as_chunks_mut::<ROW_WORDS>().0.iter_mut().zip(x.chunks(BLOCK)) {
        let mut block = [0f32; BLOCK];
        block[..values.len()].copy_from_slice(values);
        let (scale, inverse) = scales(&block);
        let (mut bytes, mut sum) = ([0u8; BLOCK], 0);
        for (byte, value) in bytes.iter_mut().zip(&block) {
            // The sum is rounded to an integer, whose lowest byte is that of the rounded value.
            *byte = (value * inverse + MAGIC).to_bits() as u8;
            sum += i32::from(byte.cast_signed());
        }
        for (word, quad) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*quad);
        }
        words[QUADS] = scale.to_bits();
        words[QUADS + 1] = sum.cast_unsigned();
    }
}

/// Returns the scale of a block, the step between quantised numbers, and its inverse. If a value is not finite, the
/// scale is NaN, so that the fault stays visible in the outputs.
#[inline(always)]
fn scales(values: &[f32]) -> (f32, f32) {
    // The bits of absolute values are ordered like the values, with infinity and NaN at the top.
    let bits = values.iter().fold(0, |most, v| most.max(v.to_bits() & 0x7fff_ffff));
    let most = f32::from_bits(bits);
    if bits >= f32::INFINITY.to_bits() {
        return (f32::NAN, 0.0);
    }
    let (scale, inverse) = (most / MOST, MOST / most);
    // The inverse of a tiny number overflows; such a block counts as zero.
    if inverse.is_finite() { (scale, inverse) } else { (0.0, 0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    const SHAPES: [(usize, usize); 5] = [(128, 384), (352, 128), (100, 50), (576, 1536), (33, 31)];

    fn random(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = regrowth_datasets::keyed_rng(seed, &[b"int8"]);
        (0..n).map(|_| rng.random_range(-1f32..1.0)).collect()
    }

    fn weights(inputs: usize, outputs: usize) -> PackedInt8 {
        let mut weights = PackedInt8::zeros(outputs, inputs, None);
        let values = random(inputs * outputs, 1);
        let half = outputs / 2 * inputs;
        weights.pack(0, &values[..half]);
        weights.pack(outputs / 2, &values[half..]);
        weights
    }

    fn apply(weights: &PackedInt8, x: &[f32]) -> Vec<f32> {
        let mut out = vec![f32::NAN; x.len() / weights.inputs * weights.outputs];
        weights.apply(x, &mut out, Write::Set);
        out
    }

    /// Computes one output by the definition, value by value, from weights in f32.
    fn defined(x: &[f32], w: &[f32]) -> f32 {
        let mut total = 0f32;
        for (x, w) in x.chunks(BLOCK).zip(w.chunks(BLOCK)) {
            let steps = |values: &[f32]| {
                let most = values.iter().fold(0f32, |most, v| most.max(v.abs()));
                let step = most / 127.0;
                let quantised: Vec<i32> =
                    values.iter().map(|v| (v * (127.0 / most)).round_ties_even() as i32).collect();
                (step, quantised)
            };
            let ((x_step, x), (w_step, w)) = (steps(x), steps(w));
            let sum: i32 = x.iter().zip(&w).map(|(x, w)| x * w).sum();
            total = (sum as f32).mul_add(w_step * x_step, total);
        }
        total
    }

    #[test]
    fn all_kernels_give_the_bits_of_the_definition_for_any_number_of_rows() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        for (inputs, outputs) in SHAPES {
            let weights = weights(inputs, outputs);
            let x = random(70 * inputs, 2);
            let whole = apply(&weights, &x);
            for (row, column) in [(0, 0), (69, outputs - 1), (17, outputs / 2), (40, 3)] {
                let w: Vec<f32> = weights.row(column).collect();
                let expected = defined(&x[row * inputs..(row + 1) * inputs], &w);
                let found = whole[row * outputs + column];
                // Weights that went through f32 have a scale that may differ in the last bit.
                assert!((found - expected).abs() <= 1e-5, "{found} {expected}");
            }
            for rows in [1, 2, 3, 4, 5, 7, 16, 33, 64] {
                let x = &x[..rows * inputs];
                let expected = &whole[..rows * outputs];
                assert!(apply(&weights, x) == expected, "{rows} rows of {inputs} x {outputs}");
                assert!(pool.install(|| apply(&weights, x)) == expected, "on three threads");
                let mut words = vec![];
                quantise(x, inputs, false, &mut words);
                for kernel in Kernel::available() {
                    let mut out = vec![f32::NAN; rows * outputs];
                    let target = Out::new(out.as_mut_ptr(), outputs, None, Write::Set);
                    weights.panels(kernel, &words, target, 0..outputs.div_ceil(PANEL));
                    assert!(out == expected, "{kernel:?}, {rows} rows of {inputs} x {outputs}");
                }
            }
        }
    }

    #[test]
    fn products_are_near_those_of_f32() {
        let (inputs, outputs) = (576, 64);
        let (values, x) = (random(inputs * outputs, 1), random(inputs, 2));
        let mut weights = PackedInt8::zeros(outputs, inputs, Some(vec![0.5; outputs]));
        weights.pack(0, &values);
        let mut out = vec![1.0; outputs];
        weights.apply(&x, &mut out, Write::Add);
        for (out, w) in out.iter().zip(values.chunks_exact(inputs)) {
            let exact: f64 = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
            // 576 products with an error of about 0.4 % of the largest product each, and random sign.
            assert!((f64::from(*out) - exact - 1.5).abs() < 0.25, "{out} and {exact}");
        }
    }

    #[test]
    fn the_largest_sums_are_exact_in_every_kernel() {
        // All products have the same sign and the largest absolute value.
        for (x, w) in [(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0)] {
            let mut weights = PackedInt8::zeros(PANEL, 2 * BLOCK, None);
            weights.pack(0, &[w; PANEL * 2 * BLOCK]);
            let mut words = vec![];
            quantise(&[x; 2 * BLOCK], 2 * BLOCK, false, &mut words);
            for kernel in Kernel::available() {
                let mut out = [0f32; PANEL];
                let target = Out::new(out.as_mut_ptr(), PANEL, None, Write::Set);
                weights.panels(kernel, &words, target, 0..1);
                let expected = x * w * 2.0 * BLOCK as f32;
                assert!(out.iter().all(|v| (v - expected).abs() < 1e-3), "{kernel:?} {out:?}");
            }
        }
    }

    #[test]
    fn weights_on_the_steps_stay_and_small_updates_survive_on_average() {
        let n = 4096;
        let mut exact = PackedInt8::zeros(1, n, None);
        let steps: Vec<f32> = (0..n).map(|i| (i % BLOCK) as f32 * 4.0 - 127.0 + 3.0).collect();
        let grid: Vec<f32> = steps.iter().map(|s| if *s == -124.0 { -127.0 } else { *s }).collect();
        exact.pack(0, &grid);
        assert!(exact.row(0).zip(&grid).all(|(w, g)| w == *g));
        // A sixteenth of a step.
        let moved: Vec<f32> =
            grid.iter().map(|g| if *g == -127.0 { *g } else { g + 0.0625 }).collect();
        let mut packed = PackedInt8::zeros(1, n, None);
        packed.pack(0, &moved);
        let change = packed.row(0).zip(&grid).map(|(w, g)| f64::from(w - g)).sum::<f64>();
        let share = (BLOCK - 1) as f64 / BLOCK as f64;
        assert!((change / n as f64 - 0.0625 * share).abs() < 0.01, "{change}");
    }

    #[test]
    fn tiny_and_zero_blocks_count_as_zero_and_what_is_not_finite_stays_visible() {
        let weights = weights(64, 40);
        assert!(apply(&weights, &[0.0; 64]).iter().all(|v| *v == 0.0));
        assert!(apply(&weights, &[f32::from_bits(1); 64]).iter().all(|v| *v == 0.0));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = random(64, 3);
            x[5] = bad;
            assert!(apply(&weights, &x).iter().all(|v| !v.is_finite()), "{bad}");
        }
    }
}
