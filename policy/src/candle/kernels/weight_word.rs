//! Words in which weights that are multiplied in f32 are stored: one f32, or two bf16 or f16 as in the
//! checkpoint.
//!
//! Both 16-bit types widen to f32 exactly, so a product has the same bits for every storage type. A word
//! with two values holds adjacent inputs of one output, the even one in its low half.

use half::{bf16, f16};
use pulp::Simd;

use super::kv_word::KvWord;

/// A type in which weights are stored.
pub(crate) trait WeightWord: 'static {
    /// The word in memory.
    type Word: Copy + Default + Send + Sync;

    /// Number of values in a word.
    const VALUES: usize;

    /// Sets value `part` (below [`Self::VALUES`]) of a word. The type must represent the value, and this
    /// part of the word must be 0.
    fn put(word: &mut Self::Word, part: usize, value: f32);

    /// Returns value `part` of a word.
    fn value(word: Self::Word, part: usize) -> f32;

    /// Loads value `part` of as many words as a register has lanes.
    fn load<S: Simd>(simd: S, words: &[Self::Word], part: usize) -> S::f32s;
}

impl WeightWord for f32 {
    type Word = Self;

    const VALUES: usize = 1;

    fn put(word: &mut Self, _part: usize, value: f32) {
        *word = value;
    }

    fn value(word: Self, _part: usize) -> f32 {
        word
    }

    #[inline(always)]
    fn load<S: Simd>(_simd: S, words: &[Self], _part: usize) -> S::f32s {
        S::as_simd_f32s(words).0[0]
    }
}

impl WeightWord for bf16 {
    type Word = u32;

    const VALUES: usize = 2;

    fn put(word: &mut u32, part: usize, value: f32) {
        *word |= u32::from(Self::from_f32(value).to_bits()) << (16 * part);
    }

    fn value(word: u32, part: usize) -> f32 {
        KvWord::value(word, part)
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, words: &[u32], part: usize) -> S::f32s {
        KvWord::load(simd, words, part)
    }
}

impl WeightWord for f16 {
    type Word = u32;

    const VALUES: usize = 2;

    fn put(word: &mut u32, part: usize, value: f32) {
        *word |= u32::from(Self::from_f32(value).to_bits()) << (16 * part);
    }

    fn value(word: u32, part: usize) -> f32 {
        Self::from_bits((word >> (16 * part)) as u16).to_f32()
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, words: &[u32], part: usize) -> S::f32s {
        let words = S::as_simd_u32s(words).0[0];
        let splat = |bits: u32| simd.splat_u32s(bits);
        // Move the 16 bits into the upper half of each lane.
        let upper = match part {
            0 => simd.wrapping_dyn_shl_u32s(words, splat(16)),
            _ => words,
        };
        let sign = simd.and_u32s(upper, splat(1 << 31));
        let magnitude =
            simd.and_u32s(simd.wrapping_dyn_shr_u32s(upper, splat(3)), splat(MAGNITUDE));
        // Add the difference of the exponent biases. A subnormal value first gets the exponent of the
        // smallest normal f16, whose value is then subtracted.
        let normal = simd.add_u32s(magnitude, splat(BIAS));
        let raised = simd.transmute_f32s_u32s(simd.add_u32s(magnitude, splat(BIAS + LEAST_NORMAL)));
        let subnormal = simd.sub_f32s(raised, simd.splat_f32s(f32::from_bits(BIAS + LEAST_NORMAL)));
        let small = simd.less_than_u32s(magnitude, splat(LEAST_NORMAL));
        let value = simd.select_u32s(small, simd.transmute_u32s_f32s(subnormal), normal);
        simd.transmute_f32s_u32s(simd.or_u32s(value, sign))
    }
}

/// Exponent and mantissa of an f16, at their position in an f32.
const MAGNITUDE: u32 = 0x7fff << 13;

/// Exponent bias of an f32 minus that of an f16: 127 - 15.
const BIAS: u32 = 112 << 23;

/// Smallest exponent of a normal value, at its position in an f32.
const LEAST_NORMAL: u32 = 1 << 23;

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;

    /// Widens both parts of every word.
    struct Widen<'a, T: WeightWord>(&'a [T::Word]);

    impl<T: WeightWord> WithSimd for Widen<'_, T> {
        type Output = [Vec<f32>; 2];

        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            [0, 1].map(|part| {
                let mut values = vec![0f32; self.0.len()];
                for (words, out) in
                    self.0.chunks_exact(S::F32_LANES).zip(values.chunks_exact_mut(S::F32_LANES))
                {
                    S::as_mut_simd_f32s(out).0[0] = T::load(simd, words, part);
                }
                values
            })
        }
    }

    /// Results with the widest instructions of this CPU, with AVX2 if it has that, and without SIMD.
    fn on_every_processor<F: WithSimd>(op: impl Fn() -> F) -> Vec<F::Output> {
        let mut results = vec![Arch::new().dispatch(op()), pulp::Scalar.vectorize(op())];
        #[cfg(target_arch = "x86_64")]
        results.extend(pulp::x86::V3::try_new().map(|avx2| Simd::vectorize(avx2, op())));
        results
    }

    /// Checks every finite value of a 16-bit type, in both parts of a word.
    fn all_finite_values_widen_exactly<T: WeightWord<Word = u32>>(to_f32: impl Fn(u16) -> f32) {
        let finite: Vec<f32> = (0..=u16::MAX).map(to_f32).filter(|v| v.is_finite()).collect();
        let whole = &finite[..finite.len() / 16 * 16];
        let words: Vec<u32> = whole
            .iter()
            .zip(whole.iter().rev())
            .map(|(even, odd)| {
                let mut word = 0;
                T::put(&mut word, 0, *even);
                T::put(&mut word, 1, *odd);
                assert_eq!(
                    [0, 1].map(|part| T::value(word, part).to_bits()),
                    [even, odd].map(|v| v.to_bits())
                );
                word
            })
            .collect();
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let reversed: Vec<f32> = whole.iter().rev().copied().collect();
        for [even, odd] in on_every_processor(|| Widen::<T>(&words)) {
            assert!(bits(&even) == bits(whole) && bits(&odd) == bits(&reversed));
        }
    }

    #[test]
    fn values_of_16_bits_widen_exactly() {
        all_finite_values_widen_exactly::<bf16>(|bits| bf16::from_bits(bits).to_f32());
        all_finite_values_widen_exactly::<f16>(|bits| f16::from_bits(bits).to_f32());
    }
}
