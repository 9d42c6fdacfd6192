//! Pairs on their way into batches: checked, cut to what is scored, and planned by whole trees.
//!
//! Only tokens from the first difference of the two sides are scored, unless whole completions are
//! asked for. EOS counts where a step really ended the solution, because ids are used as they were
//! sampled. It knows nothing of losses.

use std::collections::BTreeMap;
use std::ops::Range;

use rand::seq::SliceRandom;
use regrowth_datasets::{PreferencePair, TokenId, keyed_rng};
use serde::{Deserialize, Serialize};

use super::collate::{Packed, Sequence, common_prefix, pack};
use super::dpo::DpoConfig;
use super::run::Model;
use crate::TrainError;

/// Which tokens of a side count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// From the first difference of the two sides: what both say says nothing about either.
    #[default]
    Difference,
    /// The whole side, as TRL does. The shared beginning cancels in a difference of sums, not in
    /// averages over tokens or in the NLL term.
    Completion,
}

/// A pair ready for batches.
pub(super) struct Prepared<'a> {
    pub(super) pair: &'a PreferencePair,
    /// First scored index of both sides.
    pub(super) first: usize,
    /// Summed log-probabilities of both sides under the reference, once they are known.
    pub(super) reference: Option<(f64, f64)>,
    /// Rounds since it was sampled, 0 for the newest round of the file.
    pub(super) age: u32,
}

/// Checks every pair and finds what is scored; the second value counts what was left out.
pub(super) fn prepare<'a>(
    pairs: &'a [PreferencePair],
    model: &Model,
    scope: Scope,
) -> Result<(Vec<Prepared<'a>>, BTreeMap<String, usize>), TrainError> {
    let mut skipped = BTreeMap::new();
    let mut prepared = Vec::with_capacity(pairs.len());
    let newest = pairs.iter().map(|p| p.round).max().unwrap_or(0);
    for (index, pair) in pairs.iter().enumerate() {
        check(pair, model).map_err(|detail| TrainError::Example { index, detail })?;
        let common = common_prefix(&pair.chosen_ids, &pair.rejected_ids);
        if common == pair.chosen_ids.len() || common == pair.rejected_ids.len() {
            *skipped.entry("one side begins with the other".to_owned()).or_insert(0) += 1;
            continue;
        }
        let first = if scope == Scope::Difference { common } else { 0 };
        prepared.push(Prepared { pair, first, reference: None, age: newest - pair.round });
    }
    Ok((prepared, skipped))
}

impl Prepared<'_> {
    /// The recorded log-probabilities of the scored tokens, where they are exact.
    pub(super) fn recorded(&self) -> Option<(f64, f64)> {
        let sum = |logps: &[f32]| logps[self.first..].iter().map(|&l| f64::from(l)).sum::<f64>();
        let Self { pair, .. } = self;
        pair.logps_exact.then(|| (sum(&pair.chosen_logps), sum(&pair.rejected_logps)))
    }
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
    for (logps, ids, side) in recorded.into_iter().filter(|_| pair.logps_exact) {
        if logps.len() != ids.len() || logps.iter().any(|l| !l.is_finite()) {
            return Err(format!(
                "`{side}_logps` must hold one finite number for each of `{side}_ids`"
            ));
        }
    }
    let sound = (0.0..=0.5).contains(&pair.alpha) && pair.weight > 0.0 && pair.weight.is_finite();
    if sound { Ok(()) } else { Err("expected `alpha` in [0, 0.5] and `weight` above 0".into()) }
}

/// Packs the two sides of each listed pair; ranges of targets alternate chosen, rejected.
pub(super) fn pack_pairs(
    prepared: &[Prepared],
    indices: &[usize],
    share: bool,
) -> (Packed, Vec<Range<usize>>) {
    let sequences: Vec<Sequence> = indices.iter().flat_map(|&i| sides(&prepared[i])).collect();
    pack(&sequences, share)
}

fn sides<'a>(prepared: &Prepared<'a>) -> [Sequence<'a>; 2] {
    let (pair, first) = (prepared.pair, prepared.first);
    [&pair.chosen_ids, &pair.rejected_ids].map(|tail: &Vec<TokenId>| Sequence {
        prefix: &pair.prompt_ids,
        tail,
        scored: pair.prompt_ids.len() + first,
    })
}

/// Indices of the pairs of each tree of each step, trees shuffled anew in every epoch.
pub(super) type Plan = Vec<Vec<Vec<usize>>>;

pub(super) fn plan(prepared: &[Prepared], config: &DpoConfig) -> Result<Plan, TrainError> {
    let trees = trees(prepared);
    if trees.is_empty() || config.epochs == 0 {
        let detail = "no pair to train on; expected at least one pair and one epoch".into();
        return Err(TrainError::Setting { name: "pairs", detail });
    }
    let mut steps: Plan = Vec::new();
    for epoch in 0..config.epochs as u64 {
        let mut order: Vec<&Vec<usize>> = trees.iter().collect();
        if config.shuffle {
            order.shuffle(&mut keyed_rng(config.seed, &[b"dpo-order", &epoch.to_le_bytes()]));
        }
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

/// Indices of the pairs of each tree, in the order in which the trees first appear.
fn trees(prepared: &[Prepared]) -> Vec<Vec<usize>> {
    let mut places: BTreeMap<(u32, &str), usize> = BTreeMap::new();
    let mut trees: Vec<Vec<usize>> = Vec::new();
    for (index, p) in prepared.iter().enumerate() {
        let place = *places.entry((p.pair.round, &p.pair.problem_id)).or_insert(trees.len());
        match trees.get_mut(place) {
            Some(tree) => tree.push(index),
            None => trees.push(vec![index]),
        }
    }
    trees
}

/// A micro-batch of whole trees.
pub(super) struct Batch {
    pub(super) packed: Packed,
    pub(super) pairs: Vec<BatchPair>,
}

/// One pair of a micro-batch.
pub(super) struct BatchPair {
    /// Index of the pair among those prepared.
    pub(super) index: usize,
    /// Targets of the chosen side.
    pub(super) chosen: Range<usize>,
    /// Targets of the rejected side.
    pub(super) rejected: Range<usize>,
    /// Its share of the step's total weight.
    pub(super) share: f64,
}

/// The micro-batches of one step: whole trees, filled up to the wanted number of tokens.
pub(super) fn micro_batches(
    prepared: &[Prepared],
    trees: &[Vec<usize>],
    config: &DpoConfig,
) -> Vec<Batch> {
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
            index: i,
            chosen: sides[0].clone(),
            rejected: sides[1].clone(),
            share: prepared[i].pair.weight / total,
        })
        .collect();
    Batch { packed, pairs }
}
