//! Words in which keys and values are stored: one f32, or two bf16.
//!
//! A word with two values holds value i of a head and value i + D / 2. So a register of words gives
//! adjacent values of one half of the head, without interleaving.

use pulp::Simd;

use super::bf16_word::{HIGH, halves, nearest};

/// A word of stored keys or values.
pub(crate) trait KvWord: Copy + Default + Send + Sync + 'static {
    /// Number of values in a word.
    const VALUES: usize;

    /// Stores a head `[D]` in its words `[D / VALUES]`.
    fn store(head: &[f32], words: &mut [Self]);

    /// Returns value `part` of a word; `part` is below [`Self::VALUES`].
    fn value(self, part: usize) -> f32;

    /// Loads value `part` of as many words as a register has lanes.
    fn load<S: Simd>(simd: S, words: &[Self], part: usize) -> S::f32s;
}

impl KvWord for f32 {
    const VALUES: usize = 1;

    fn store(head: &[f32], words: &mut [Self]) {
        words.copy_from_slice(head);
    }

    #[inline(always)]
    fn value(self, _part: usize) -> f32 {
        self
    }

    #[inline(always)]
    fn load<S: Simd>(_simd: S, words: &[Self], _part: usize) -> S::f32s {
        S::as_simd_f32s(words).0[0]
    }
}

impl KvWord for u32 {
    const VALUES: usize = 2;

    fn store(head: &[f32], words: &mut [Self]) {
        let (low, high) = head.split_at(words.len());
        for ((word, low), high) in words.iter_mut().zip(low).zip(high) {
            *word = nearest(*low) >> 16 | nearest(*high) & HIGH;
        }
    }

    #[inline(always)]
    fn value(self, part: usize) -> f32 {
        let (low, high) = halves(self);
        if part == 0 { low } else { high }
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, words: &[Self], part: usize) -> S::f32s {
        let words = S::as_simd_u32s(words).0[0];
        let bits = match part {
            0 => simd.wrapping_dyn_shl_u32s(words, simd.splat_u32s(16)),
            _ => simd.and_u32s(words, simd.splat_u32s(HIGH)),
        };
        simd.transmute_f32s_u32s(bits)
    }
}
