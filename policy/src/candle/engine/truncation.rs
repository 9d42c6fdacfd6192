//! Top-k, top-p and min-p: selects the tokens that may be sampled from a row of log-probabilities.
//!
//! Each of the three keeps a prefix of the row's tokens sorted by descending probability (ties by token
//! id), so the tokens that pass all three are the shortest of the three prefixes. The result is the same as
//! after sorting the whole row, but only the kept part is sorted. Sampling itself is in
//! [`sampler`](super::sampler).

use regrowth_datasets::TokenId;

use crate::Sampling;
use crate::candle::kernels::{highest, total_weight};

/// Number of tokens that are sorted first if top-k is off. Each further chunk is four times as large (not
/// tuned: a nucleus of 0.95 is mostly smaller).
const CHUNK: usize = 128;

/// Returns the tokens that pass top-k, top-p and min-p (in that order), most likely first, with their
/// weights `((p / p_max)^(1 / temperature))`; at least one. Log-probabilities may be -inf, but not all of
/// them.
pub(crate) fn truncate(logps: &[f32], sampling: &Sampling) -> (Vec<TokenId>, Vec<f64>) {
    let top = highest(logps);
    let weight = |id: TokenId| f64::from((logps[id as usize] - top) / sampling.temperature).exp();
    let mut ranked = Ranked::new(logps, sampling, top);
    let total = match (sampling.top_p < 1.0, sampling.top_k) {
        (false, _) => f64::INFINITY,
        (true, 0) => total_weight(logps, sampling.temperature),
        (true, k) => (0..k).map_while(|rank| ranked.get(rank)).map(weight).sum(),
    };
    let most = if sampling.top_k == 0 { logps.len() } else { sampling.top_k };
    let (mut ids, mut weights, mut before) = (vec![], vec![], 0.0);
    while ids.len() < most
        && let Some(id) = ranked.get(ids.len())
    {
        let w = weight(id);
        let outside = before >= f64::from(sampling.top_p) || w < f64::from(sampling.min_p);
        if outside && !ids.is_empty() {
            break;
        }
        ids.push(id);
        weights.push(w);
        before += w / total;
    }
    (ids, weights)
}

/// The tokens of a row in descending order of probability, sorted only as far as needed.
struct Ranked<'a> {
    logps: &'a [f32],
    /// The first `ordered` ids are the most likely ones, sorted; the ids after them are less likely and
    /// unsorted.
    ids: Vec<TokenId>,
    ordered: usize,
    /// Number of ids that are sorted next.
    chunk: usize,
}

impl<'a> Ranked<'a> {
    /// Collects the tokens of a row that may be kept. Tokens below min-p are left out, and so are unlikely
    /// tokens whose total probability is less than the share `1 - top_p` that top-p discards.
    fn new(logps: &'a [f32], sampling: &Sampling, top: f32) -> Self {
        let chunk = if sampling.top_k == 0 { CHUNK } else { sampling.top_k };
        let n = logps.len();
        let floor = floor(sampling, n);
        let may_be_kept = |l: f32| (l - top) / sampling.temperature >= floor;
        let ids = (0..n).filter(|&id| may_be_kept(logps[id])).map(|id| id as TokenId).collect();
        Self { logps, ids, ordered: 0, chunk }
    }

    /// Returns the token of this rank (0 is the most likely), or `None` after the last token.
    fn get(&mut self, rank: usize) -> Option<TokenId> {
        while self.ordered <= rank && self.ordered < self.ids.len() {
            self.order_more();
        }
        self.ids.get(rank).copied()
    }

    /// Sorts the next chunk.
    fn order_more(&mut self) {
        let logps = self.logps;
        let of = |id: TokenId| logps[id as usize];
        let order = |a: &TokenId, b: &TokenId| of(*b).total_cmp(&of(*a)).then(a.cmp(b));
        let rest = &mut self.ids[self.ordered..];
        let chunk = self.chunk.min(rest.len());
        if chunk < rest.len() {
            rest.select_nth_unstable_by(chunk, order);
        }
        rest[..chunk].sort_unstable_by(order);
        self.ordered += chunk;
        self.chunk = self.chunk.saturating_mul(4);
    }
}

/// Returns the logarithm of a weight below which none of the `n` tokens is kept; -inf if there is no such
/// bound.
fn floor(sampling: &Sampling, n: usize) -> f32 {
    /// Far larger than the rounding error of the logarithm of a weight in single precision.
    const MARGIN: f32 = 1e-3;
    /// Far larger than the rounding error of the sum of all weights.
    const SHARE: f32 = 1e-4;
    let left_out = 1.0 - sampling.top_p;
    if sampling.top_k > 0 && left_out > 0.0 {
        // After top-k, top-p keeps a share of the sum over the k most likely tokens, including those below
        // min-p. So no token may be left out here.
        return f32::NEG_INFINITY;
    }
    // The weights sum to at least 1, the weight of the most likely token. `n` tokens with weights below
    // `negligible` therefore hold at most half of the probability that top-p leaves out.
    let negligible = if left_out > SHARE { left_out / (2.0 * n as f32) } else { 0.0 };
    sampling.min_p.max(negligible).ln() - MARGIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reference implementation: sorts the whole row, then truncates three times.
    fn sorted(logps: &[f32], sampling: &Sampling) -> (Vec<TokenId>, Vec<f64>) {
        let of = |id: TokenId| logps[id as usize];
        let mut ids: Vec<TokenId> = (0..logps.len() as TokenId).collect();
        ids.sort_by(|&a, &b| of(b).total_cmp(&of(a)).then(a.cmp(&b)));
        if sampling.top_k > 0 {
            ids.truncate(sampling.top_k);
        }
        let top = of(ids[0]);
        let weight = |&id: &TokenId| f64::from((of(id) - top) / sampling.temperature).exp();
        let mut weights: Vec<f64> = ids.iter().map(weight).collect();
        let total = match sampling.top_k {
            0 => total_weight(logps, sampling.temperature),
            _ => weights.iter().sum(),
        };
        let mut mass = 0.0;
        let nucleus = weights.iter().take_while(|w| {
            let before = mass;
            mass += **w / total;
            sampling.top_p >= 1.0 || before < f64::from(sampling.top_p)
        });
        let nucleus = nucleus.count().max(1);
        let floor = f64::from(sampling.min_p);
        let kept = weights[..nucleus].iter().take_while(|w| **w >= floor).count();
        ids.truncate(kept);
        weights.truncate(kept);
        (ids, weights)
    }

    fn rows() -> impl Strategy<Value = Vec<f32>> {
        // Integer steps make many values equal. Some rows are flat; in some, one token has nearly all
        // probability.
        (0u8..3, prop::collection::vec(-200i32..1, 1..700), 0u16..40).prop_map(
            |(kind, row, gap)| {
                let scale = [0.1, 0.001, 2.0][usize::from(kind)];
                let mut row: Vec<f32> = row.into_iter().map(|l| l as f32 * scale).collect();
                row[0] += f32::from(gap);
                let last = row.len() - 1;
                row[last] = if kind == 2 && last > 0 { f32::NEG_INFINITY } else { row[last] };
                crate::candle::kernels::log_softmax_row(&mut row);
                row
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn what_is_kept_is_what_sorting_the_whole_row_keeps(
            row in rows(),
            temperature in prop::sample::select(vec![0.05f32, 0.7, 1.0, 3.0]),
            top_k in prop::sample::select(vec![0usize, 0, 1, 2, 50, 1000]),
            top_p in prop::sample::select(vec![1.0f32, 0.0, 0.5, 0.95, 0.999_999]),
            min_p in prop::sample::select(vec![0.0f32, 0.05, 1e-6, 1.0]),
        ) {
            let sampling = Sampling { temperature, top_k, top_p, min_p };
            prop_assert_eq!(truncate(&row, &sampling), sorted(&row, &sampling));
        }
    }

    #[test]
    fn little_of_a_large_row_is_put_in_order() {
        let mut row: Vec<f32> =
            (0..152_000).map(|i| -((i * 7919 % 152_000) as f32) / 500.0).collect();
        crate::candle::kernels::log_softmax_row(&mut row);
        let top = highest(&row);
        for (top_k, top_p, min_p, most) in
            [(50, 1.0, 0.0, 50), (0, 0.9, 0.0, 2688), (0, 1.0, 0.1, 2688)]
        {
            let sampling = Sampling { temperature: 1.0, top_k, top_p, min_p };
            let kept = truncate(&row, &sampling).0;
            let mut ranked = Ranked::new(&row, &sampling, top);
            assert_eq!(ranked.get(kept.len() - 1), kept.last().copied());
            assert!(ranked.ordered <= most, "{sampling:?}: {}", ranked.ordered);
        }
    }
}
