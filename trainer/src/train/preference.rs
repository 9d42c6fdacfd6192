//! A preference loss as the objective of a step, and what is reported of every pair.

use serde_json::{Value, json};

use super::collate::PackedBatch;
use super::gradients::{Evaluation, TrainingObjective};
use super::loss::{PairLogps, PreferenceLoss};
use super::metrics::Metrics;
use super::pairs::{Batch, BatchPair, Rows};

/// The weighted mean of a preference loss over the pairs of a step, and the judge's beside it.
pub(super) struct Preference<'a> {
    pub(super) loss: PreferenceLoss,
    pub(super) beta: f64,
    pub(super) nll: f64,
    /// Weight of the judge's loss.
    pub(super) judge: f64,
    pub(super) rows: &'a Rows<'a>,
}

impl Preference<'_> {
    fn logps(&self, pair: &BatchPair, logps: &[f32]) -> PairLogps {
        let sum = |r: &std::ops::Range<usize>| logps[r.clone()].iter().map(|&l| f64::from(l)).sum();
        self.rows.pairs[pair.index].logps((sum(&pair.chosen), sum(&pair.rejected)))
    }
}

impl TrainingObjective for Preference<'_> {
    type Batch = Batch;

    fn packed<'a>(&self, batch: &'a Batch) -> &'a PackedBatch {
        &batch.packed
    }

    fn evaluate(&self, batch: &Batch, logps: &[f32]) -> Evaluation {
        let mut result =
            Evaluation { loss: 0.0, gradient: vec![0.0; logps.len()], metrics: Metrics::default() };
        for pair in &batch.pairs {
            let values = self.logps(pair, logps);
            let value = self.loss.with_nll(self.beta, self.nll, &values);
            result.loss += pair.share * value.loss;
            result.gradient[pair.chosen.clone()].fill((pair.share * value.by_chosen) as f32);
            result.gradient[pair.rejected.clone()].fill((pair.share * value.by_rejected) as f32);
            let idealised = self.loss.ranks_right_at_optimum(self.beta, &values);
            record(&mut result.metrics, &values, (self.beta, idealised), pair.share);
            let newest = f64::from(u8::from(self.rows.pairs[pair.index].age == 0));
            result.metrics.record("on_policy_share", newest, pair.share);
        }
        for example in &batch.judge_examples {
            let at = example.labels.clone();
            let gradient = &mut result.gradient[at.clone()];
            let row = &self.rows.judge_examples[example.index];
            let loss = row.loss(&logps[at], self.judge * example.share, gradient);
            loss.record(&mut result.metrics, example.share);
            result.loss += loss.weighted;
        }
        result
    }

    fn rows(&self, batch: &Batch) -> Vec<Value> {
        let pairs = batch.pairs.iter().map(|pair| json!(self.rows.pairs[pair.index].pair));
        let judge_examples =
            batch.judge_examples.iter().map(|l| json!(self.rows.judge_examples[l.index].row));
        pairs.chain(judge_examples).collect()
    }
}

/// TRL's names for what a preference loss did to a pair, and ranking accuracy beside them
/// (arXiv:2405.19534: whether the policy itself ranks the pair right, and whether it would at the
/// optimum of the loss, where that says).
fn record(
    metrics: &mut Metrics,
    pair: &PairLogps,
    (beta, idealised): (f64, Option<bool>),
    weight: f64,
) {
    let (chosen, rejected) = (beta * pair.ratio_chosen(), beta * pair.ratio_rejected());
    let truth = |b: bool| f64::from(u8::from(b));
    let observed = truth(pair.chosen > pair.rejected);
    for (name, value) in [
        ("logps/chosen", pair.chosen),
        ("logps/rejected", pair.rejected),
        ("rewards/chosen", chosen),
        ("rewards/rejected", rejected),
        ("rewards/margins", chosen - rejected),
        ("rewards/accuracies", truth(pair.ratio_chosen() > pair.ratio_rejected())),
        ("ranking_accuracy", observed),
        ("ranking_accuracy_reference", truth(pair.reference_chosen > pair.reference_rejected)),
    ] {
        metrics.record(name, value, weight);
    }
    if let Some(idealised) = idealised.map(truth) {
        metrics.record("ranking_accuracy_idealised", idealised, weight);
        metrics.record("alignment_gap", idealised - observed, weight);
    }
}
