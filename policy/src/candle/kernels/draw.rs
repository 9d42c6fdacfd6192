//! Samples an index from a row of log-probabilities, with sums over blocks that vectorise.
//!
//! The caller provides the random number and has applied top-k, top-p and min-p, if set.

use super::simd::{dispatch, exp, max, sum};

/// Number of values that are summed together.
const BLOCK: usize = 64;

/// A row of weights `e^(l / temperature)`, summed by blocks, from which any number of indices can be sampled.
pub(crate) struct RowWeights<'a> {
    logps: &'a [f32],
    temperature: f32,
    top: f32,
    totals: Vec<f64>,
}

impl<'a> RowWeights<'a> {
    /// Sums the weights of a row. Values may be -inf, but not all of them.
    pub(crate) fn new(logps: &'a [f32], temperature: f32) -> Self {
        dispatch(
            #[inline(always)]
            || {
                let top = max(logps);
                let totals = totals(logps, top, temperature).collect();
                Self { logps, temperature, top, totals }
            },
        )
    }

    /// Samples an index by inverse transform: returns the first index at which the cumulative sum of
    /// weights exceeds the share `uniform` in [0, 1) of the total.
    pub(crate) fn draw(&self, uniform: f64) -> usize {
        let (index, rest) = pick(&self.totals, uniform * self.totals.iter().sum::<f64>());
        let from = index * BLOCK;
        let part = &self.logps[from..self.logps.len().min(from + BLOCK)];
        let part = dispatch(
            #[inline(always)]
            || weights(part, self.top, self.temperature),
        );
        from + pick(&part.map(f64::from), rest).0
    }
}

/// Returns the sum of all weights `e^((l - top) / temperature)`, in a fixed order.
pub(crate) fn total_weight(logps: &[f32], temperature: f32) -> f64 {
    dispatch(
        #[inline(always)]
        || totals(logps, max(logps), temperature).sum(),
    )
}

/// Returns the largest value of a row; NaN if any value is NaN.
pub(crate) fn highest(logps: &[f32]) -> f32 {
    dispatch(
        #[inline(always)]
        || max(logps),
    )
}

/// Returns the sum of weights of each [`BLOCK`].
#[inline(always)]
fn totals(logps: &[f32], top: f32, temperature: f32) -> impl Iterator<Item = f64> + '_ {
    logps.chunks(BLOCK).map(move |part| f64::from(sum(&weights(part, top, temperature))))
}

/// Returns the first index at which the cumulative sum of weights exceeds `rest`, and the part of `rest`
/// that lies within this weight. If rounding leaves a remainder, returns the last weight that is not 0.
#[inline(always)]
pub(crate) fn pick(weights: &[f64], mut rest: f64) -> (usize, f64) {
    let mut last = 0;
    for (i, &w) in weights.iter().enumerate().filter(|(_, w)| **w > 0.0) {
        if rest < w {
            return (i, rest);
        }
        rest -= w;
        last = i;
    }
    (last, rest)
}

/// Returns `e^((l - top) / temperature)` of at most [`BLOCK`] values; negligible weights are 0, and the block
/// is padded with 0.
#[inline(always)]
fn weights(logps: &[f32], top: f32, temperature: f32) -> [f32; BLOCK] {
    let mut block = [0f32; BLOCK];
    for (w, l) in block.iter_mut().zip(logps) {
        let x = (l - top) / temperature;
        *w = if x < -80.0 { 0.0 } else { exp(x) };
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_is_the_inverse_of_the_sum_of_weights() {
        let logps: Vec<f32> = (0..131).map(|i| (i as f32 * 0.37).sin() * 5.0).collect();
        for temperature in [0.3, 1.0, 2.0] {
            let weights: Vec<f64> =
                logps.iter().map(|l| f64::from(l / temperature).exp()).collect();
            let total: f64 = weights.iter().sum();
            let row = RowWeights::new(&logps, temperature);
            let mut below = 0.0;
            for (i, w) in weights.iter().enumerate() {
                // Away from the boundaries by more than the rounding error of single precision.
                for share in [0.01, 0.5, 0.99] {
                    if *w / total > 1e-4 {
                        assert_eq!(row.draw((below + share * w) / total), i);
                    }
                }
                below += w;
            }
        }
    }

    #[test]
    fn what_has_no_weight_is_never_drawn() {
        let mut logps = [f32::NEG_INFINITY; 200];
        logps[150] = -3.0;
        for uniform in [0.0, 0.5, 1.0 - f64::EPSILON] {
            assert_eq!(RowWeights::new(&logps, 0.01).draw(uniform), 150);
        }
    }
}
