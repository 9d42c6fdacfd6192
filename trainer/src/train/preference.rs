//! A preference loss as training objective, and the metrics of every pair.

use serde_json::{Value, json};

use super::collate::PackedBatch;
use super::gradients::{Evaluation, TrainingObjective};
use super::loss::{PairLogps, PreferenceLoss};
use super::metrics::Metrics;
use super::pairs::{Batch, BatchPair, Rows};
use super::rationale::MeanNll;

/// Weighted mean of a preference loss over the pairs of a step, plus the losses of rationales and of the
/// judge.
pub(super) struct Preference<'a> {
    pub(super) loss: PreferenceLoss,
    pub(super) beta: f64,
    pub(super) nll: f64,
    /// Weight of the rationales' loss.
    pub(super) rationale: f64,
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
            let row = &self.rows.pairs[pair.index];
            let loss = row.loss(self.loss);
            let value = loss.with_nll(self.beta, self.nll, &values);
            result.loss += pair.share * value.loss;
            result.gradient[pair.chosen.clone()].fill((pair.share * value.by_chosen) as f32);
            result.gradient[pair.rejected.clone()].fill((pair.share * value.by_rejected) as f32);
            if let Some(at) = &pair.rationale {
                let loss = MeanNll::of(&logps[at.clone()]);
                let weight = pair.share * self.rationale;
                result.loss += weight * loss.value;
                result.gradient[at.clone()].fill((weight * loss.by_each) as f32);
                result.metrics.record("rationale/nll", loss.value, pair.share);
            }
            if row.row.siblings().is_none() {
                record_joint(&mut result.metrics, &values, self.beta, (value.loss, pair.share));
                continue;
            }
            let idealised = loss.ranks_right_at_optimum(self.beta, &values);
            record(&mut result.metrics, &values, (self.beta, idealised), pair.share);
            let newest = f64::from(u8::from(row.age == 0));
            result.metrics.record("newest_round_share", newest, pair.share);
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
        let pairs = batch.pairs.iter().map(|pair| self.rows.pairs[pair.index].row.json());
        let judge_examples =
            batch.judge_examples.iter().map(|l| json!(self.rows.judge_examples[l.index].row));
        pairs.chain(judge_examples).collect()
    }
}

/// Records the metrics of a pair: those of a preference loss under TRL's names, and ranking accuracies
/// (arXiv:2405.19534): whether the policy itself ranks the pair right, and whether it would at the optimum of
/// the loss, if the optimum determines this.
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

/// Records joint pairs under separate names: sums over whole solutions of two problems would blur the means
/// over steps.
fn record_joint(metrics: &mut Metrics, pair: &PairLogps, beta: f64, (loss, weight): (f64, f64)) {
    let delta = pair.delta();
    metrics.record("joint/loss", loss, weight);
    metrics.record("joint/margins", beta * delta, weight);
    metrics.record("joint/accuracies", f64::from(u8::from(delta > 0.0)), weight);
}

#[cfg(test)]
mod tests {
    use regrowth_datasets::{JointPair, PreferencePair, TokenId};

    use super::super::dpo_config::DpoConfig;
    use super::super::pair_row::PairRow;
    use super::super::pairs::{Prepared, first_scored, micro_batches, plan};
    use super::super::rationale::Rationale;
    use super::*;

    fn pair(chosen: &[TokenId], rejected: &[TokenId]) -> PreferencePair {
        serde_json::from_value(json!({
            "version": 1, "problem_id": "p", "round": 0, "policy": "", "oracle": false, "depth": 1,
            "prompt": "", "chosen": "", "rejected": "", "prompt_ids": [1, 2],
            "chosen_ids": chosen, "rejected_ids": rejected, "chosen_logps": [], "rejected_logps": [],
            "logps_exact": false, "q_chosen": 1.0, "q_rejected": 0.0, "n_chosen": 0, "n_rejected": 0,
            "prior_chosen": 0.0, "prior_rejected": 0.0, "outcome_chosen": 0.0, "outcome_rejected": 0.0,
            "terminal_chosen": true, "terminal_rejected": true, "alpha": 0.0, "margin": 1.0,
            "weight": 1.0,
        }))
        .unwrap()
    }

    fn joint(right: &[TokenId], wrong: &[TokenId]) -> JointPair {
        let side = |id: &str, prompt: &[TokenId], completion: &[TokenId]| {
            json!({
                "problem_id": id, "prompt": "", "completion": "", "prompt_ids": prompt,
                "completion_ids": completion, "completion_logps": [], "logps_exact": false,
            })
        };
        let (right, wrong) = (side("p", &[1, 2], right), side("q", &[3, 4, 5], wrong));
        let row = json!({"version": 1, "round": 0, "policy": "", "right": right, "wrong": wrong});
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn a_shared_beginning_is_left_out_only_where_it_cancels() {
        let (siblings, joint) = (pair(&[10, 11, 12], &[10, 13]), joint(&[10, 11], &[10, 12]));
        let first = |row, loss| first_scored(row, &DpoConfig { loss, ..DpoConfig::default() });
        let (sigmoid, gpo) = (PreferenceLoss::Sigmoid, PreferenceLoss::Gpo { temperature: 1.0 });
        assert_eq!(first(PairRow::Siblings(&siblings), sigmoid), Some(1));
        assert_eq!(first(PairRow::Siblings(&siblings), gpo), Some(0));
        assert_eq!(first(PairRow::Joint(&joint), sigmoid), Some(0));
        let longer = pair(&[10, 11], &[10]);
        assert_eq!(first(PairRow::Siblings(&longer), gpo), None);
    }

    /// The expected numbers are those of `benches/peers/joint_loss.py` (PyTorch).
    #[test]
    fn siblings_take_the_loss_that_is_set_and_joint_pairs_that_of_dove() {
        let siblings = PreferencePair {
            advantage_chosen: Some(1.5 - (-0.5 + 0.2) / 2.0),
            advantage_rejected: Some(-0.5 - (1.5 + 0.2) / 2.0),
            ..pair(&[10, 11], &[12])
        };
        // Both sides begin alike, but the beginning is scored as well, because the prompts differ.
        let joint = joint(&[13, 14, 15], &[13, 16]);
        let prepared = |row, index, reference| Prepared {
            row,
            first: 0,
            reference: Some(reference),
            age: 0,
            index,
            rationale: None,
        };
        let pairs = vec![
            prepared(PairRow::Siblings(&siblings), 0, (-2.0, -1.0)),
            prepared(PairRow::Joint(&joint), 1, (-1.0, -2.5)),
        ];
        let rows = Rows { pairs, judge_examples: vec![] };
        assert_eq!(rows.siblings().len(), 1);
        let config = DpoConfig { shuffle: false, ..DpoConfig::default() };
        let batches = micro_batches(&rows, &plan(&rows, &config).unwrap()[0], &config);
        let objective = Preference {
            loss: PreferenceLoss::Gpo { temperature: 0.8 },
            beta: 0.5,
            nll: 0.0,
            rationale: 0.0,
            judge: 0.0,
            rows: &rows,
        };
        assert_eq!(batches[0].packed.targets, [10, 11, 12, 13, 14, 15, 13, 16]);
        // The joint pair's right side shares the prompt of the siblings; its wrong side has a prompt of its
        // own.
        assert_eq!(batches[0].packed.ids, [1, 2, 10, 13, 14, 3, 4, 5, 13]);
        let logps = [-0.5, -1.25, -1.5, -0.75, -0.125, -0.5, -0.25, -2.0];
        let found = objective.evaluate(&batches[0], &logps);
        assert!((found.loss - 6.251089931135).abs() < 1e-9, "{}", found.loss);
        let (right, wrong) = (-0.144373841296, 0.144373841296);
        let expected = [-1.9375, -1.9375, 1.4375, right, right, right, wrong, wrong];
        for (at, (gradient, expected)) in found.gradient.iter().zip(expected).enumerate() {
            assert!((f64::from(*gradient) - expected).abs() < 1e-6, "{at}: {gradient}");
        }
        let mean = |name| found.metrics.mean(name);
        assert_eq!(mean("joint/accuracies"), Some(0.0));
        assert_eq!(mean("logps/chosen"), Some(-1.75), "of the siblings alone");
    }

    /// The expected numbers are those of `benches/peers/rationale_loss.py` (PyTorch).
    #[test]
    fn a_rationale_adds_its_mean_nll_in_the_share_of_its_pair() {
        let pairs = [pair(&[10, 11], &[12]), pair(&[13], &[14, 15])];
        let rationale = Rationale { pair: 0, prompt: vec![1, 7], completion: vec![8, 9, 8] };
        let prepared = |index: usize, reference| Prepared {
            row: PairRow::Siblings(&pairs[index]),
            first: 0,
            reference: Some(reference),
            age: 0,
            index,
            rationale: (index == 0).then_some(&rationale),
        };
        let pairs = vec![prepared(0, (-2.0, -1.0)), prepared(1, (-1.0, -2.5))];
        let rows = Rows { pairs, judge_examples: vec![] };
        let config = DpoConfig { shuffle: false, ..DpoConfig::default() };
        let batches = micro_batches(&rows, &plan(&rows, &config).unwrap()[0], &config);
        let objective = Preference {
            loss: PreferenceLoss::Sigmoid,
            beta: 0.5,
            nll: 0.0,
            rationale: 0.4,
            judge: 0.0,
            rows: &rows,
        };
        assert_eq!(batches[0].packed.targets, [10, 11, 12, 13, 14, 15, 8, 9, 8]);
        let logps = [-0.5, -1.25, -1.5, -0.75, -0.25, -2.0, -0.5, -1.0, -2.25];
        let found = objective.evaluate(&batches[0], &logps);
        assert!((found.loss - 0.858135222350).abs() < 1e-9, "{}", found.loss);
        let (first, second, each) = (0.101833350011, 0.125, -0.066666666667);
        let expected = [-first, -first, first, -second, second, second, each, each, each];
        for (at, (gradient, expected)) in found.gradient.iter().zip(expected).enumerate() {
            assert!((f64::from(*gradient) - expected).abs() < 1e-7, "{at}: {gradient}");
        }
        assert_eq!(found.metrics.mean("rationale/nll"), Some(1.25));
    }
}
