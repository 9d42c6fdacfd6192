//! Products of quantised rows with one panel of int8 weights: one kernel per instruction set, all with the same bits.
//!
//! The sum of the products of a block is an exact integer, so the order of its additions does not matter. Its
//! scaling is one multiplication of the two scales and one fused multiply-add per block, in order.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::panels::PANEL;

/// Inputs of a block, which share a scale.
pub(super) const BLOCK: usize = 32;

/// Words of a block of one row or output: four int8 numbers each, the first in the lowest byte.
pub(super) const QUADS: usize = BLOCK / 4;

/// Words of a block of a quantised row: `QUADS`, the scale (bits of an f32), and the sum of the numbers (an i32).
pub(super) const ROW_WORDS: usize = QUADS + 2;

/// Words of a block of a panel: `[QUADS, PANEL]`, then the scales `[PANEL]`.
pub(super) const WEIGHT_WORDS: usize = (QUADS + 1) * PANEL;

/// Rows that share the loads of a panel: on AVX-512, 4 x 2 sums of integers, as many of floats, and the operands
/// fit in the 32 registers.
pub(super) const ROWS: usize = 4;

/// An instruction set. No kernel prefetches: on an AMD EPYC with AVX-512, prefetching lowered the speed of `Vnni` from
/// 176 to 111 billion multiply-adds per second and thread with weights in the cache, and did not raise it without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// `VPDPBUSD` on 512 bits.
    #[cfg(target_arch = "x86_64")]
    Vnni,
    /// `VPMADDUBSW` on 256 bits.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Plain Rust.
    Portable,
}

impl Kernel {
    /// Returns the kernels that this CPU can run, the fastest first.
    pub(super) fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let fast = [
            (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni"))
                .then_some(Self::Vnni),
            (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"))
                .then_some(Self::Avx2),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let fast = [];
        fast.into_iter().flatten().chain([Self::Portable])
    }

    /// Returns the fastest kernel of this CPU.
    pub(super) fn best() -> Self {
        Self::available().next().unwrap_or(Self::Portable)
    }

    /// Multiplies up to [`ROWS`] quantised rows by a panel: x `[R, blocks, ROW_WORDS]`, weights
    /// `[blocks, WEIGHT_WORDS]`, into out `[R, PANEL]`.
    pub(super) fn multiply(self, x: &[u32], weights: &[u32], out: &mut [[f32; PANEL]]) {
        match out {
            [a] => self.rows::<1>(x, weights, [a]),
            [a, b] => self.rows::<2>(x, weights, [a, b]),
            [a, b, c] => self.rows::<3>(x, weights, [a, b, c]),
            [a, b, c, d] => self.rows::<4>(x, weights, [a, b, c, d]),
            _ => assert!(out.is_empty(), "more than {ROWS} rows"),
        }
    }

    fn rows<const R: usize>(self, x: &[u32], weights: &[u32], out: [&mut [f32; PANEL]; R]) {
        let (weights, _) = weights.as_chunks::<WEIGHT_WORDS>();
        let (x, _) = x.as_chunks::<ROW_WORDS>();
        let rows: [&[[u32; ROW_WORDS]]; R] =
            std::array::from_fn(|r| &x[r * weights.len()..(r + 1) * weights.len()]);
        match self {
            // SAFETY: `available` returns this kernel only if the CPU has its instructions.
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => unsafe { by_vnni(rows, weights, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { by_avx2(rows, weights, out) },
            Self::Portable => portable(rows, weights, out),
        }
    }
}

/// The definition.
fn portable<const R: usize>(
    rows: [&[[u32; ROW_WORDS]]; R],
    weights: &[[u32; WEIGHT_WORDS]],
    out: [&mut [f32; PANEL]; R],
) {
    let numbers = |word: u32| word.to_le_bytes().map(|byte| i32::from(byte.cast_signed()));
    for (row, out) in rows.into_iter().zip(out) {
        out.fill(0.0);
        for (x, weights) in row.iter().zip(weights) {
            let mut sums = [0i32; PANEL];
            for (x, weights) in x.iter().zip(weights.as_chunks::<PANEL>().0).take(QUADS) {
                let x = numbers(*x);
                for (sum, word) in sums.iter_mut().zip(weights) {
                    let w = numbers(*word);
                    *sum += x[0] * w[0] + x[1] * w[1] + x[2] * w[2] + x[3] * w[3];
                }
            }
            let x_scale = f32::from_bits(x[QUADS]);
            let scales = &weights[QUADS * PANEL..];
            for ((out, sum), scale) in out.iter_mut().zip(sums).zip(scales) {
                *out = (sum as f32).mul_add(f32::from_bits(*scale) * x_scale, *out);
            }
        }
    }
}

/// `VPDPBUSD` multiplies unsigned by signed bytes. The weights are made unsigned by adding 128, and 128 times the sum
/// of the row's numbers is subtracted in advance.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni")]
fn by_vnni<const R: usize>(
    rows: [&[[u32; ROW_WORDS]]; R],
    weights: &[[u32; WEIGHT_WORDS]],
    out: [&mut [f32; PANEL]; R],
) {
    const LANES: usize = PANEL / 2;
    let high = _mm512_set1_epi32(i32::from_ne_bytes([0x80; 4]));
    let mut totals = [[_mm512_setzero_ps(); 2]; R];
    for (block, weights) in weights.iter().enumerate() {
        let mut sums = rows.map(|row| {
            [_mm512_set1_epi32(row[block][QUADS + 1].cast_signed().wrapping_mul(-128)); 2]
        });
        for (quad, words) in weights.as_chunks::<PANEL>().0[..QUADS].iter().enumerate() {
            // SAFETY: both loads lie inside the 32 words.
            let words = unsafe {
                [
                    _mm512_loadu_si512(words.as_ptr().cast()),
                    _mm512_loadu_si512(words[LANES..].as_ptr().cast()),
                ]
            };
            let words = words.map(|word| _mm512_xor_si512(word, high));
            for (row, sums) in rows.iter().zip(&mut sums) {
                let x = _mm512_set1_epi32(row[block][quad].cast_signed());
                sums[0] = _mm512_dpbusd_epi32(sums[0], words[0], x);
                sums[1] = _mm512_dpbusd_epi32(sums[1], words[1], x);
            }
        }
        let scales = &weights[QUADS * PANEL..];
        // SAFETY: the two loads are the 32 scales.
        let scales = unsafe {
            [
                _mm512_loadu_ps(scales.as_ptr().cast()),
                _mm512_loadu_ps(scales[LANES..].as_ptr().cast()),
            ]
        };
        for ((row, sums), totals) in rows.iter().zip(sums).zip(&mut totals) {
            let x_scale = _mm512_set1_ps(f32::from_bits(row[block][QUADS]));
            for half in 0..2 {
                let scale = _mm512_mul_ps(scales[half], x_scale);
                totals[half] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[half]), scale, totals[half]);
            }
        }
    }
    for (out, totals) in out.into_iter().zip(totals) {
        // SAFETY: the two stores are the 32 values.
        unsafe {
            _mm512_storeu_ps(out.as_mut_ptr(), totals[0]);
            _mm512_storeu_ps(out[LANES..].as_mut_ptr(), totals[1]);
        }
    }
}

/// `VPMADDUBSW` multiplies unsigned by signed bytes and adds pairs with saturation. With absolute values of the
/// weights and their signs moved to the row's numbers, a pair is at most 2 x 127 x 127, which does not saturate.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn by_avx2<const R: usize>(
    rows: [&[[u32; ROW_WORDS]]; R],
    weights: &[[u32; WEIGHT_WORDS]],
    mut out: [&mut [f32; PANEL]; R],
) {
    const LANES: usize = 8;
    let ones = _mm256_set1_epi16(1);
    for column in (0..PANEL).step_by(LANES) {
        let mut totals = [_mm256_setzero_ps(); R];
        for (block, weights) in weights.iter().enumerate() {
            let mut sums = [_mm256_setzero_si256(); R];
            for (quad, words) in weights.as_chunks::<PANEL>().0[..QUADS].iter().enumerate() {
                let words = &words[column..column + LANES];
                // SAFETY: the load is these 8 words.
                let words = unsafe { _mm256_loadu_si256(words.as_ptr().cast()) };
                let absolute = _mm256_abs_epi8(words);
                for (row, sum) in rows.iter().zip(&mut sums) {
                    let x = _mm256_set1_epi32(row[block][quad].cast_signed());
                    let pairs = _mm256_maddubs_epi16(absolute, _mm256_sign_epi8(x, words));
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
                }
            }
            let scales = &weights[QUADS * PANEL + column..][..LANES];
            // SAFETY: the load is these 8 scales.
            let scales = unsafe { _mm256_loadu_ps(scales.as_ptr().cast()) };
            for ((row, sum), total) in rows.iter().zip(sums).zip(&mut totals) {
                let scale =
                    _mm256_mul_ps(scales, _mm256_set1_ps(f32::from_bits(row[block][QUADS])));
                *total = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), scale, *total);
            }
        }
        for (out, total) in out.iter_mut().zip(totals) {
            // SAFETY: the store is the 8 values from `column` on.
            unsafe { _mm256_storeu_ps(out[column..column + LANES].as_mut_ptr(), total) };
        }
    }
}
