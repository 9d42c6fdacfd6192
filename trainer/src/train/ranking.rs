//! Ranking accuracy after training, on all trained pairs and on held-out pairs, each with one forward pass.
//! The metrics of optimizer steps are different figures: they measure each pair once per epoch, before later
//! updates.

use std::path::Path;

use regrowth_datasets::{PreferencePair, write_jsonl};
use regrowth_mcts::audit::RankedPair;

use super::dpo_config::DpoConfig;
use super::loss::{PairLogps, PreferenceLoss};
use super::model::Model;
use super::pairs::{Prepared, prepare};
use super::reference::{self, Reference};
use crate::TrainError;

/// File with the log-probabilities of every trained pair of siblings under the reference and after training.
const RANKING: &str = "ranking.jsonl";

/// The ranking evaluation after training: loss settings and held-out pairs.
pub(super) struct Ranking<'a> {
    loss: PreferenceLoss,
    beta: f64,
    share: bool,
    threads: usize,
    held_out: Vec<Prepared<'a>>,
}

/// Options of the ranking evaluation.
pub(super) struct RankingOptions<'a> {
    pub(super) loss: PreferenceLoss,
    pub(super) config: &'a DpoConfig,
    pub(super) threads: usize,
}

impl<'a> Ranking<'a> {
    /// Prepares the held-out pairs, before the first optimizer step. Returns the evaluation and the number of
    /// tokens of reference forward passes. `None` if the settings do not enable it and there are no held-out
    /// pairs.
    pub(super) fn prepare(
        held_out: &'a [PreferencePair],
        model: &Model,
        reference: &Reference,
        options: RankingOptions,
    ) -> Result<(Option<Self>, u64), TrainError> {
        let RankingOptions { loss, config, threads } = options;
        if !config.ranking && held_out.is_empty() {
            return Ok((None, 0));
        }
        let (mut held_out, _) = prepare(held_out, &[], model, config)?;
        let mut tokens = 0;
        if !held_out.is_empty() {
            tokens = reference::fill(&mut held_out, model, reference, config, (threads, None))?;
        }
        let (beta, share) = (config.beta, config.share_prefixes);
        Ok((Some(Self { loss, beta, share, threads, held_out }), tokens))
    }

    /// Returns metrics `train/...` of the trained pairs of siblings and `held_out/...` of the held-out pairs.
    /// Writes the log-probabilities of the trained pairs to [`RANKING`] in `dir`.
    pub(super) fn measure(
        &self,
        trained: &[Prepared],
        model: &Model,
        dir: Option<&Path>,
    ) -> Result<Vec<(String, f64)>, TrainError> {
        let mut metrics = Vec::new();
        for (part, pairs) in [("train", trained), ("held_out", &self.held_out)] {
            if pairs.is_empty() {
                continue;
            }
            let all: Vec<usize> = (0..pairs.len()).collect();
            let (after, _) = reference::forward(pairs, &all, model, (self.share, self.threads))?;
            let mean = RankingMeans::of(pairs, &after, |pair| {
                self.loss.ranks_right_at_optimum(self.beta, pair)
            });
            metrics.extend(mean.named(part));
            if let (Some(dir), "train") = (dir, part) {
                write_jsonl(&dir.join(RANKING), rows(pairs, &after))?;
            }
        }
        Ok(metrics)
    }
}

/// Shares of pairs that are ranked correctly.
struct RankingMeans {
    observed: f64,
    reference: f64,
    /// `None` for losses whose optimum does not determine the ranking.
    idealised: Option<f64>,
}

impl RankingMeans {
    fn of(
        pairs: &[Prepared],
        after: &[(f64, f64)],
        idealised: impl Fn(&PairLogps) -> Option<bool>,
    ) -> Self {
        let n = pairs.len() as f64;
        let share = |right: usize| right as f64 / n;
        let values: Vec<PairLogps> =
            pairs.iter().zip(after).map(|(pair, sums)| pair.logps(*sums)).collect();
        let count = |right: fn(&PairLogps) -> bool| values.iter().filter(|v| right(v)).count();
        let at_optimum: Option<Vec<bool>> = values.iter().map(idealised).collect();
        Self {
            observed: share(count(|v| v.chosen > v.rejected)),
            reference: share(count(|v| v.reference_chosen > v.reference_rejected)),
            idealised: at_optimum.map(|right| share(right.iter().filter(|r| **r).count())),
        }
    }

    fn named(&self, part: &str) -> Vec<(String, f64)> {
        let named = |name: &str, value| (format!("{part}/{name}"), value);
        let mut metrics = vec![
            named("ranking_accuracy", self.observed),
            named("ranking_accuracy_reference", self.reference),
        ];
        if let Some(idealised) = self.idealised {
            metrics.push(named("ranking_accuracy_idealised", idealised));
            metrics.push(named("alignment_gap", idealised - self.observed));
        }
        metrics
    }
}

fn rows(pairs: &[Prepared], after: &[(f64, f64)]) -> Vec<RankedPair> {
    let row = |(pair, sums): (&Prepared, &(f64, f64))| {
        let before = pair.reference.unwrap_or_default();
        let siblings = pair.row.siblings()?;
        Some(RankedPair::new(siblings, [before.0, before.1], [sums.0, sums.1]))
    };
    pairs.iter().zip(after).filter_map(row).collect()
}
