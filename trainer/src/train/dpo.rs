//! Step-level preference training: which tokens of a pair count, against which reference.
//!
//! All pairs of one tree are packed into one forest, so a prompt and its shared steps go through
//! the model once. Only tokens from the first difference of the two sides are scored; EOS counts
//! where a step really ended the solution, because ids are used as they were sampled.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use rand::seq::SliceRandom;
use regrowth_datasets::{PreferencePair, keyed_rng};
use serde::{Deserialize, Serialize};

use super::collate::{Packed, Sequence, common_prefix, pack};
use super::gradients::{Evaluation, Objective, log_probs};
use super::loss::{PairLogps, PreferenceLoss};
use super::metrics::Metrics;
use super::optim::OptimizerConfig;
use super::run::{Model, OnStep, Steps, Trained};
use super::schedule::{Schedule, ScheduleKind};
use super::state;
use crate::TrainError;

/// Settings of preference training (method, section 3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DpoConfig {
    /// Seed of the order of trees.
    pub seed: u64,
    /// The loss.
    pub loss: PreferenceLoss,
    /// Inverse temperature, above 0.
    pub beta: f64,
    /// Weight of the chosen side's mean negative log-likelihood; 0 leaves it out.
    pub nll: f64,
    /// Passes over the pairs.
    pub epochs: usize,
    /// Pairs of one optimizer step, roughly (whole trees are kept together).
    pub batch_pairs: usize,
    /// Packed tokens of one micro-batch, at most (a larger tree has one of its own).
    pub micro_tokens: usize,
    /// Whether shared prefixes are computed once; off is the naive reference form.
    pub share_prefixes: bool,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Share of the steps that warm up.
    pub warmup: f64,
    /// Form of the decay.
    pub schedule: ScheduleKind,
    /// Optimizer.
    pub optimizer: OptimizerConfig,
    /// Seconds between saved states.
    pub save_seconds: u64,
}

impl Default for DpoConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            loss: PreferenceLoss::Conservative,
            beta: 0.1,
            nll: 0.0,
            epochs: 1,
            batch_pairs: 64,
            micro_tokens: 4096,
            share_prefixes: true,
            learning_rate: 1e-6,
            warmup: 0.03,
            schedule: ScheduleKind::Cosine,
            optimizer: OptimizerConfig::default(),
            save_seconds: 120,
        }
    }
}

/// What a run of preference training did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DpoSummary {
    /// Optimizer steps.
    pub steps: usize,
    /// Pairs trained on, each counted once.
    pub pairs: usize,
    /// Pairs left out, by reason.
    pub skipped: BTreeMap<String, usize>,
    /// Tokens through forward and backward over all epochs.
    pub tokens: u64,
    /// Tokens through reference forwards.
    pub reference_tokens: u64,
    /// Means of the last step, by TRL's names.
    pub metrics: BTreeMap<String, f64>,
}

/// Where the log-probabilities of the reference come from.
pub enum Reference<'a> {
    /// Those recorded while sampling, where they are exact; else a forward of the model as it is
    /// before the first step. Right when the model is the one that sampled the pairs.
    RoundStart,
    /// A forward of this model.
    Model(&'a Model),
}

/// A pair ready for batches.
struct Prepared<'a> {
    pair: &'a PreferencePair,
    /// First index at which the two sides differ.
    first: usize,
    reference: Option<(f64, f64)>,
}

/// Trains `model` on `pairs`. With `dir`, state and `metrics.jsonl` go there and an interrupted run
/// continues.
///
/// # Errors
/// When a pair does not fit the model, a gradient is missing or not finite, or a file cannot be
/// written.
pub fn train_dpo(
    model: &Model,
    pairs: &[PreferencePair],
    reference: &Reference,
    config: &DpoConfig,
    threads: usize,
    dir: Option<&Path>,
    progress: &mut OnStep,
) -> Result<DpoSummary, TrainError> {
    let (mut prepared, skipped) =
        prepare(pairs, model, matches!(reference, Reference::RoundStart))?;
    let scorer = if let Reference::Model(other) = reference { other } else { model };
    let reference_tokens = fill_references(&mut prepared, scorer, config)?;
    let steps = plan(&prepared, config)?;
    let run = Steps {
        model,
        schedule: Schedule {
            kind: config.schedule,
            peak: config.learning_rate,
            warmup: (config.warmup * steps.len() as f64).ceil() as usize,
            steps: steps.len(),
        },
        optimizer: config.optimizer,
        threads,
        dir,
        save_every: Duration::from_secs(config.save_seconds),
    };
    let objective = Preference { loss: config.loss, beta: config.beta, nll: config.nll };
    let batches = |step: usize| Ok(micro_batches(&prepared, &steps[step - 1], config));
    let Trained { last, tokens } = run.run(&objective, batches, progress)?;
    if let Some(dir) = dir {
        state::clear(dir)?;
    }
    Ok(DpoSummary {
        steps: steps.len(),
        pairs: prepared.len(),
        skipped,
        tokens,
        reference_tokens,
        metrics: last.means().map(|(n, v)| (n.to_owned(), v)).collect(),
    })
}

/// Checks every pair and finds its first difference; the second value counts what was left out.
fn prepare<'a>(
    pairs: &'a [PreferencePair],
    model: &Model,
    recorded: bool,
) -> Result<(Vec<Prepared<'a>>, BTreeMap<String, usize>), TrainError> {
    let mut skipped = BTreeMap::new();
    let mut prepared = Vec::with_capacity(pairs.len());
    for (index, pair) in pairs.iter().enumerate() {
        check(pair, model).map_err(|detail| TrainError::Example { index, detail })?;
        let first = common_prefix(&pair.chosen_ids, &pair.rejected_ids);
        if first == pair.chosen_ids.len() || first == pair.rejected_ids.len() {
            *skipped.entry("one side begins with the other".to_owned()).or_insert(0) += 1;
            continue;
        }
        let sum = |logps: &[f32]| logps[first..].iter().map(|&l| f64::from(l)).sum::<f64>();
        let reference = (recorded && pair.logps_exact)
            .then(|| (sum(&pair.chosen_logps), sum(&pair.rejected_logps)));
        prepared.push(Prepared { pair, first, reference });
    }
    Ok((prepared, skipped))
}

fn check(pair: &PreferencePair, model: &Model) -> Result<(), String> {
    let longest = pair.prompt_ids.len() + pair.chosen_ids.len().max(pair.rejected_ids.len());
    let context = model.config.context;
    if longest > context {
        return Err(format!("{longest} tokens, but the model's context is {context}"));
    }
    if pair.prompt_ids.is_empty() {
        return Err("`prompt_ids` is empty; expected the ids of the prefix".into());
    }
    let ids = pair.prompt_ids.iter().chain(&pair.chosen_ids).chain(&pair.rejected_ids);
    let vocabulary = model.config.vocab_size;
    if let Some(id) = ids.into_iter().find(|&&id| id as usize >= vocabulary) {
        return Err(format!(
            "token id {id} is outside the model's vocabulary of {vocabulary}: another tokenizer?"
        ));
    }
    let recorded = [
        (&pair.chosen_logps, &pair.chosen_ids, "chosen"),
        (&pair.rejected_logps, &pair.rejected_ids, "rejected"),
    ];
    for (logps, ids, side) in recorded {
        if logps.len() != ids.len() || logps.iter().any(|l| !l.is_finite()) {
            return Err(format!(
                "`{side}_logps` must hold one finite number for each of `{side}_ids`"
            ));
        }
    }
    let sound = (0.0..=0.5).contains(&pair.alpha) && pair.weight > 0.0 && pair.weight.is_finite();
    if sound { Ok(()) } else { Err("expected `alpha` in [0, 0.5] and `weight` above 0".into()) }
}

/// Computes the reference log-probabilities that are not recorded; returns the tokens it took.
fn fill_references(
    prepared: &mut [Prepared],
    scorer: &Model,
    config: &DpoConfig,
) -> Result<u64, TrainError> {
    let missing: Vec<usize> =
        (0..prepared.len()).filter(|&i| prepared[i].reference.is_none()).collect();
    if missing.is_empty() {
        return Ok(0);
    }
    let frozen = scorer.variables.tensors()?;
    let transformer = regrowth_policy::candle::Transformer::new(&scorer.config, &frozen)?;
    let mut tokens = 0;
    for group in missing.chunks(config.batch_pairs.max(1)) {
        let (packed, ranges) = pack_pairs(prepared, group, config.share_prefixes);
        tokens += packed.ids.len() as u64;
        let logps: Vec<f32> = log_probs(&transformer, &packed)?.to_vec1()?;
        let sum = |r: &Range<usize>| logps[r.clone()].iter().map(|&l| f64::from(l)).sum::<f64>();
        for (&index, sides) in group.iter().zip(ranges.chunks_exact(2)) {
            prepared[index].reference = Some((sum(&sides[0]), sum(&sides[1])));
        }
    }
    Ok(tokens)
}

/// Packs the two sides of each listed pair; ranges alternate chosen, rejected.
fn pack_pairs(
    prepared: &[Prepared],
    indices: &[usize],
    share: bool,
) -> (Packed, Vec<Range<usize>>) {
    let sequences: Vec<Sequence> = indices
        .iter()
        .flat_map(|&i| {
            let (pair, first) = (prepared[i].pair, prepared[i].first);
            [&pair.chosen_ids, &pair.rejected_ids].map(|tail| Sequence {
                prefix: &pair.prompt_ids,
                tail,
                scored: pair.prompt_ids.len() + first,
            })
        })
        .collect();
    pack(&sequences, share)
}

/// Indices of the pairs of each tree of each step, trees shuffled anew in every epoch.
type Plan = Vec<Vec<Vec<usize>>>;

fn plan(prepared: &[Prepared], config: &DpoConfig) -> Result<Plan, TrainError> {
    let mut trees: BTreeMap<(u32, &str), Vec<usize>> = BTreeMap::new();
    for (index, p) in prepared.iter().enumerate() {
        trees.entry((p.pair.round, &p.pair.problem_id)).or_default().push(index);
    }
    if trees.is_empty() || config.epochs == 0 {
        let detail = "no pair to train on; expected at least one pair and one epoch".into();
        return Err(TrainError::Setting { name: "pairs", detail });
    }
    let mut steps: Plan = Vec::new();
    for epoch in 0..config.epochs as u64 {
        let mut order: Vec<&Vec<usize>> = trees.values().collect();
        order.shuffle(&mut keyed_rng(config.seed, &[b"dpo-order", &epoch.to_le_bytes()]));
        let mut room = 0;
        for tree in order {
            if room == 0 {
                steps.push(Vec::new());
                room = config.batch_pairs;
            }
            if let Some(step) = steps.last_mut() {
                step.push(tree.clone());
            }
            room = room.saturating_sub(tree.len());
        }
    }
    Ok(steps)
}

/// A micro-batch of whole trees.
struct Batch {
    packed: Packed,
    pairs: Vec<BatchPair>,
}

struct BatchPair {
    chosen: Range<usize>,
    rejected: Range<usize>,
    reference: (f64, f64),
    alpha: f64,
    margin: f64,
    /// Its share of the step's total weight.
    share: f64,
}

fn micro_batches(prepared: &[Prepared], trees: &[Vec<usize>], config: &DpoConfig) -> Vec<Batch> {
    let total: f64 = trees.iter().flatten().map(|&i| prepared[i].pair.weight).sum();
    let size = |tree: &[usize]| pack_pairs(prepared, tree, config.share_prefixes).0.ids.len();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut room = 0usize;
    for tree in trees {
        let tokens = size(tree);
        if tokens > room || groups.is_empty() {
            groups.push(Vec::new());
            room = config.micro_tokens;
        }
        if let Some(group) = groups.last_mut() {
            group.extend_from_slice(tree);
        }
        room = room.saturating_sub(tokens);
    }
    groups.iter().map(|group| batch(prepared, group, config.share_prefixes, total)).collect()
}

fn batch(prepared: &[Prepared], group: &[usize], share: bool, total: f64) -> Batch {
    let (packed, ranges) = pack_pairs(prepared, group, share);
    let pairs = group
        .iter()
        .zip(ranges.chunks_exact(2))
        .map(|(&i, sides)| BatchPair {
            chosen: sides[0].clone(),
            rejected: sides[1].clone(),
            reference: prepared[i].reference.unwrap_or_default(),
            alpha: prepared[i].pair.alpha,
            margin: prepared[i].pair.margin,
            share: prepared[i].pair.weight / total,
        })
        .collect();
    Batch { packed, pairs }
}

/// The weighted mean of a preference loss over the pairs of a step.
struct Preference {
    loss: PreferenceLoss,
    beta: f64,
    nll: f64,
}

impl Objective for Preference {
    type Batch = Batch;

    fn packed<'a>(&self, batch: &'a Batch) -> &'a Packed {
        &batch.packed
    }

    fn evaluate(&self, batch: &Batch, logps: &[f32]) -> Evaluation {
        let mut result =
            Evaluation { loss: 0.0, slopes: vec![0.0; logps.len()], metrics: Metrics::default() };
        for pair in &batch.pairs {
            let sum = |r: &Range<usize>| logps[r.clone()].iter().map(|&l| f64::from(l)).sum();
            let values = PairLogps {
                chosen: sum(&pair.chosen),
                rejected: sum(&pair.rejected),
                reference_chosen: pair.reference.0,
                reference_rejected: pair.reference.1,
                len_chosen: pair.chosen.len() as f64,
                len_rejected: pair.rejected.len() as f64,
                alpha: pair.alpha,
                margin: pair.margin,
            };
            let value = self.loss.with_nll(self.beta, self.nll, &values);
            result.loss += pair.share * value.loss;
            result.slopes[pair.chosen.clone()].fill((pair.share * value.by_chosen) as f32);
            result.slopes[pair.rejected.clone()].fill((pair.share * value.by_rejected) as f32);
            record(&mut result.metrics, &values, self.beta, pair.share);
        }
        result
    }
}

/// TRL's names for what a preference loss did to a pair, and ranking accuracy beside them
/// (arXiv:2405.19534: whether the policy itself ranks the pair right).
fn record(metrics: &mut Metrics, pair: &PairLogps, beta: f64, weight: f64) {
    let (chosen, rejected) = (beta * pair.ratio_chosen(), beta * pair.ratio_rejected());
    let truth = |b: bool| f64::from(u8::from(b));
    // The idealised optimum ranks a pair right unless the reference's own gap outweighs the
    // preference: a pair of strength p flips only if ln(p / (1 - p)) / beta exceeds that gap.
    let gap = pair.reference_rejected - pair.reference_chosen;
    let strength = ((1.0 - pair.alpha) / pair.alpha.max(1e-12)).ln() / beta;
    for (name, value) in [
        ("logps/chosen", pair.chosen),
        ("logps/rejected", pair.rejected),
        ("rewards/chosen", chosen),
        ("rewards/rejected", rejected),
        ("rewards/margins", chosen - rejected),
        ("rewards/accuracies", truth(pair.ratio_chosen() > pair.ratio_rejected())),
        ("ranking_accuracy", truth(pair.chosen > pair.rejected)),
        ("ranking_accuracy_reference", truth(pair.reference_chosen > pair.reference_rejected)),
        ("ranking_accuracy_idealised", truth(strength > gap)),
    ] {
        metrics.record(name, value, weight);
    }
}
