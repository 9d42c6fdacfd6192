//! Top-k, top-p and min-p: the tokens that a draw may take.
//!
//! Each keeps the beginning of the row in its order of falling probability (equals by their ids), so
//! what all keep is the shortest of the three beginnings. That is what sorting the row would give;
//! here only so much of it is put in order as is kept. Nothing is drawn here.

use regrowth_datasets::TokenId;

use crate::Sampling;
use crate::candle::kernels::{highest, total_weight};

/// Tokens that are put in order first where no number of them is asked for; then four times as many
/// at a time (taste: a nucleus of 0.95 is mostly smaller).
const CHUNK: usize = 128;

/// Tokens that survive top-k, top-p and min-p (in that order), most likely first, with their weights
/// `((p / p_max)^(1 / temperature))`; at least one. Log-probabilities may be -inf, but not all.
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

/// A row in the order of falling probability, of which as much is put in order as is asked for.
struct Ranked<'a> {
    logps: &'a [f32],
    /// The first `ordered` ids are the most likely ones in their order, the others are less likely.
    ids: Vec<TokenId>,
    ordered: usize,
    /// Ids that are put in order next.
    chunk: usize,
}

impl<'a> Ranked<'a> {
    /// The tokens of a row that may be kept: all but those below min-p and those that even together
    /// have not the probability that top-p leaves out.
    fn new(logps: &'a [f32], sampling: &Sampling, top: f32) -> Self {
        let chunk = if sampling.top_k == 0 { CHUNK } else { sampling.top_k };
        let n = logps.len();
        let floor = floor(sampling, n);
        let may_be_kept = |l: f32| (l - top) / sampling.temperature >= floor;
        let ids = (0..n).filter(|&id| may_be_kept(logps[id])).map(|id| id as TokenId).collect();
        Self { logps, ids, ordered: 0, chunk }
    }

    /// The token of this rank, from 0 on.
    fn get(&mut self, rank: usize) -> Option<TokenId> {
        while self.ordered <= rank && self.ordered < self.ids.len() {
            self.order_more();
        }
        self.ids.get(rank).copied()
    }

    /// Puts the next chunk in order.
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

/// The logarithm of a weight below which none of `n` tokens is kept, or -inf.
fn floor(sampling: &Sampling, n: usize) -> f32 {
    /// Far more than rounding does to a logarithm of a weight, in single precision.
    const MARGIN: f32 = 1e-3;
    /// Far more than rounding does to the sum of all weights.
    const SHARE: f32 = 1e-4;
    let left_out = 1.0 - sampling.top_p;
    if sampling.top_k > 0 && left_out > 0.0 {
        // What is below min-p is part of the probability of which top-p keeps a share.
        return f32::NEG_INFINITY;
    }
    // All weights together are at least 1, that of the best: n below this have at most half of what
    // top-p leaves out.
    let negligible = if left_out > SHARE { left_out / (2.0 * n as f32) } else { 0.0 };
    sampling.min_p.max(negligible).ln() - MARGIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition: the whole row in order, then three cuts.
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
        // Steps make many equal; some rows are flat, some have one token that has it all.
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
