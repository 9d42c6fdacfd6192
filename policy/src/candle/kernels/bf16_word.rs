//! Words of two bf16 values.

/// The upper half of a word.
pub(super) const HIGH: u32 = 0xffff_0000;

/// Returns bits whose upper half is the bf16 nearest to `value`. NaN and infinities are kept.
#[inline(always)]
pub(super) fn nearest(value: f32) -> u32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    // Set the quiet bit: rounding could carry a NaN into infinity or zero.
    if value.is_nan() { bits | 1 << 22 } else { rounded }
}

/// Returns both values of a word, the even input first.
#[inline(always)]
pub(super) fn halves(word: u32) -> (f32, f32) {
    (f32::from_bits(word << 16), f32::from_bits(word & HIGH))
}
