//! Samples a token from a row of logits, greedily or with a candidate's own random generator.
//!
//! The log-probability recorded with a token is always the model's own at temperature 1, whatever
//! temperature, top-k, top-p and min-p the token was sampled with.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use regrowth_datasets::TokenId;

use crate::Sampling;
use crate::candle::engine::truncation::truncate;
use crate::candle::kernels::{RowWeights, log_softmax_row, pick};

/// A sampled token with its log-probability at temperature 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Drawn {
    pub(crate) id: TokenId,
    pub(crate) logp: f32,
}

/// Turns logits into log-probabilities in place. Returns `false` if a logit is NaN or plus infinity. Minus
/// infinity is allowed: such a token is never sampled.
pub(crate) fn normalise(logits: &mut [f32]) -> bool {
    log_softmax_row(logits);
    // Log-probabilities are at most 0, up to rounding; minus infinity passes this check.
    logits.iter().all(|l| !l.is_nan() && *l < 1e-3)
}

/// Returns the most likely token; the first one if several are equally likely.
pub(crate) fn greedy(logps: &[f32]) -> Drawn {
    let mut best = 0;
    for (i, l) in logps.iter().enumerate() {
        if *l > logps[best] {
            best = i;
        }
    }
    Drawn { id: best as TokenId, logp: logps[best] }
}

/// Samples tokens from one row of log-probabilities at temperature 1; the temperature of a request is
/// applied while sampling. Candidates with the same settings share the passes over the row.
pub(crate) struct RowSampler<'a> {
    logps: &'a [f32],
    prepared: Option<(Sampling, Prepared<'a>)>,
}

/// The part of the work that all draws with the same settings share.
enum Prepared<'a> {
    Greedy(Drawn),
    Whole(RowWeights<'a>),
    Truncated { ids: Vec<TokenId>, weights: Vec<f64> },
}

impl<'a> Prepared<'a> {
    fn new(logps: &'a [f32], sampling: &Sampling) -> Self {
        let untruncated = sampling.top_k == 0 && sampling.top_p >= 1.0 && sampling.min_p <= 0.0;
        if sampling.temperature <= 0.0 {
            Self::Greedy(greedy(logps))
        } else if untruncated {
            Self::Whole(RowWeights::new(logps, sampling.temperature))
        } else {
            let (ids, weights) = truncate(logps, sampling);
            Self::Truncated { ids, weights }
        }
    }
}

impl<'a> RowSampler<'a> {
    pub(crate) fn new(logps: &'a [f32]) -> Self {
        Self { logps, prepared: None }
    }

    /// Samples a token with these settings. Greedy sampling consumes no random number.
    pub(crate) fn draw(&mut self, sampling: &Sampling, rng: &mut ChaCha8Rng) -> Drawn {
        if self.prepared.as_ref().is_some_and(|(of, _)| of != sampling) {
            self.prepared = None;
        }
        let logps = self.logps;
        let prepare = || (*sampling, Prepared::new(logps, sampling));
        let id = match &self.prepared.get_or_insert_with(prepare).1 {
            Prepared::Greedy(drawn) => return *drawn,
            Prepared::Whole(row) => row.draw(rng.random()),
            Prepared::Truncated { ids, weights } => {
                let uniform: f64 = rng.random();
                ids[pick(weights, uniform * weights.iter().sum::<f64>()).0] as usize
            }
        };
        Drawn { id: id as TokenId, logp: logps[id] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_datasets::keyed_rng;

    fn logps() -> Vec<f32> {
        [0.5f32, 0.25, 0.15, 0.1].map(f32::ln).to_vec()
    }

    fn shares(sampling: &Sampling) -> [f64; 4] {
        let mut counts = [0f64; 4];
        let mut rng = keyed_rng(1, &[b"shares"]);
        let logps = logps();
        let mut row = RowSampler::new(&logps);
        for _ in 0..20_000 {
            counts[row.draw(sampling, &mut rng).id as usize] += 1.0 / 20_000.0;
        }
        counts
    }

    #[test]
    fn plain_sampling_follows_the_probabilities() {
        let s = shares(&Sampling::default());
        for (share, p) in s.iter().zip([0.5, 0.25, 0.15, 0.1]) {
            assert!((share - p).abs() < 0.015);
        }
    }

    #[test]
    fn truncations_keep_what_they_say() {
        let top_k = shares(&Sampling { top_k: 2, ..Sampling::default() });
        assert!((top_k[0] - 2.0 / 3.0).abs() < 0.015 && top_k[2] == 0.0);
        let top_p = shares(&Sampling { top_p: 0.7, ..Sampling::default() });
        assert!(top_p[1] > 0.0 && top_p[2] == 0.0);
        let min_p = shares(&Sampling { min_p: 0.25, ..Sampling::default() });
        assert!(min_p[2] > 0.0 && min_p[3] == 0.0);
    }

    #[test]
    fn settings_may_change_from_draw_to_draw() {
        let logps = logps();
        let mut row = RowSampler::new(&logps);
        let settings = [
            Sampling::default(),
            Sampling::greedy(),
            Sampling { top_k: 2, ..Sampling::default() },
            Sampling { temperature: 0.5, ..Sampling::default() },
        ];
        let streams = || keyed_rng(3, &[b"settings"]);
        let (mut together, mut apart) = (streams(), streams());
        for sampling in settings.iter().cycle().take(400) {
            let drawn = row.draw(sampling, &mut together);
            assert_eq!(drawn, RowSampler::new(&logps).draw(sampling, &mut apart));
        }
    }

    #[test]
    fn temperature_zero_takes_the_first_maximum() {
        let mut rng = keyed_rng(1, &[b"greedy"]);
        let tied = [0.4f32, 0.4, 0.2].map(f32::ln);
        assert_eq!(RowSampler::new(&tied).draw(&Sampling::greedy(), &mut rng).id, 0);
    }

    #[test]
    fn the_recorded_log_probability_is_the_models_own() {
        let mut rng = keyed_rng(1, &[b"logp"]);
        let sampling = Sampling { temperature: 0.3, top_k: 1, ..Sampling::default() };
        let drawn = RowSampler::new(&logps()).draw(&sampling, &mut rng);
        assert_eq!(drawn.logp, 0.5f32.ln());
    }

    #[test]
    fn logits_that_are_no_numbers_are_noticed() {
        assert!(!normalise(&mut [0.0, f32::NAN]));
        assert!(normalise(&mut [0.0, 1.0]));
    }
}
