//! Rotary position embedding (Su et al. 2021, arXiv:2104.09864) in the half-split layout of Hugging Face
//! checkpoints: dimension i is rotated with dimension i + head_dim / 2.

use candle_core::{Device, Result, Tensor};

/// Cosines and sines of positions 0..n.
#[derive(Debug)]
pub(crate) struct RopeTable {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl RopeTable {
    /// Computes the table for `positions` positions and these inverse frequencies, one per pair.
    pub(crate) fn new(inverse_frequencies: &[f32], positions: usize) -> Self {
        let angles =
            (0..positions).flat_map(|p| inverse_frequencies.iter().map(move |f| p as f32 * f));
        let (cos, sin) = angles.map(|a| (a.cos(), a.sin())).unzip();
        Self { cos, sin, half: inverse_frequencies.len() }
    }

    /// Multiplies cosines and sines by `scale`, as some kinds of RoPE scaling require.
    pub(crate) fn scaled(mut self, scale: f64) -> Self {
        self.cos.iter_mut().chain(&mut self.sin).for_each(|value| *value *= scale as f32);
        self
    }

    /// Returns cosines and sines as tensors, `[positions, head_dim / 2]` each.
    pub(crate) fn tensors(&self, device: &Device) -> Result<[Tensor; 2]> {
        let tensor =
            |values: &[f32]| Tensor::from_slice(values, (self.positions(), self.half), device);
        Ok([tensor(&self.cos)?, tensor(&self.sin)?])
    }

    /// Number of positions in the table.
    pub(crate) fn positions(&self) -> usize {
        self.cos.len() / self.half
    }

    /// Returns cosines and sines at a position, `head_dim / 2` each.
    pub(crate) fn at(&self, position: u32) -> (&[f32], &[f32]) {
        let from = position as usize * self.half;
        (&self.cos[from..from + self.half], &self.sin[from..from + self.half])
    }
}

/// Rotates every head of every row by the angles of the row's position. If `inverse`, rotates back, which
/// is also the backward pass.
///
/// `stride` is the width of a row of `x`; its first `heads * head_dim` values are rotated.
pub(crate) fn rotate_rows(
    x: &mut [f32],
    stride: usize,
    heads: usize,
    table: &RopeTable,
    positions: impl Iterator<Item = u32>,
    inverse: bool,
) {
    let half = table.half;
    for (row, position) in x.chunks_exact_mut(stride).zip(positions) {
        let (cos, sin) = table.at(position);
        for head in row[..heads * 2 * half].chunks_exact_mut(2 * half) {
            let (a, b) = head.split_at_mut(half);
            for i in 0..half {
                let s = if inverse { -sin[i] } else { sin[i] };
                (a[i], b[i]) = (a[i] * cos[i] - b[i] * s, b[i] * cos[i] + a[i] * s);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_back_restores_the_rows() {
        let table = RopeTable::new(&[1.0, 0.1], 10);
        let original: Vec<f32> = (0..16).map(|i| i as f32).collect();
        let mut x = original.clone();
        rotate_rows(&mut x, 8, 2, &table, [3, 9].into_iter(), false);
        assert!((x[0] - original[0]).abs() > 0.1);
        rotate_rows(&mut x, 8, 2, &table, [3, 9].into_iter(), true);
        for (a, b) in x.iter().zip(&original) {
            assert!((a - b).abs() < 1e-5);
        }
    }
}
