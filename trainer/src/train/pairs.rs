//! Prepares pairs for batches: checks them, finds the scored tokens, and plans batches of whole trees.
//!
//! Only tokens from the first difference of the two sides on are scored, unless the scope is full completions
//! or the loss needs whole steps. EOS is scored if the step really ended the solution, because ids are used
//! as they were sampled. Judged steps of a tree are in the same batch as its pairs.

use std::collections::BTreeMap;
use std::ops::Range;

use rand::seq::SliceRandom;
use regrowth_datasets::{JointPair, PreferencePair, keyed_rng};

use super::collate::{PackedBatch, PackedSequence, common_prefix, pack};
use super::dpo_config::{Average, DpoConfig, Scope};
use super::judge::JudgeExample;
use super::loss::{PairLogps, PreferenceLoss};
use super::model::Model;
use super::pair_row::{PairRow, PairSide};
use super::rationale::Rationale;
use crate::TrainError;

/// A pair ready for batches.
pub(super) struct Prepared<'a> {
    pub(super) row: PairRow<'a>,
    /// First scored index of both sides.
    pub(super) first: usize,
    /// Sums of both sides' scored log-probabilities under the reference; `None` until they are known.
    pub(super) reference: Option<(f64, f64)>,
    /// Number of rounds since the pair was sampled; 0 for the newest round in the data.
    pub(super) age: u32,
    /// Index of the pair in the data; joint pairs come after the pairs of siblings.
    pub(super) index: usize,
    /// Why the chosen side is better; `None` if no rationale is trained for this pair.
    pub(super) rationale: Option<&'a Rationale>,
}

/// Checks every pair and finds its scored tokens; joint pairs come last. The second value counts the pairs
/// left out, by reason.
pub(super) fn prepare<'a>(
    pairs: &'a [PreferencePair],
    joint_pairs: &'a [JointPair],
    model: &Model,
    config: &DpoConfig,
) -> Result<(Vec<Prepared<'a>>, BTreeMap<String, usize>), TrainError> {
    let mut skipped = BTreeMap::new();
    let rows = pairs.iter().map(PairRow::Siblings).chain(joint_pairs.iter().map(PairRow::Joint));
    let mut prepared = Vec::with_capacity(pairs.len() + joint_pairs.len());
    let newest = rows.clone().map(PairRow::round).max().unwrap_or(0);
    for (index, row) in rows.enumerate() {
        check(row, model, config).map_err(|detail| TrainError::Example { index, detail })?;
        let Some(first) = first_scored(row, config) else {
            *skipped.entry("one side begins with the other".to_owned()).or_insert(0) += 1;
            continue;
        };
        let age = newest - row.round();
        prepared.push(Prepared { row, first, reference: None, age, index, rationale: None });
    }
    Ok((prepared, skipped))
}

/// First scored index of both sides; `None` if one sibling step begins with the other. The common prefix of
/// siblings cancels in a difference of sums and is not scored, unless the scope is full completions. It is
/// scored if the loss has a target for each side, and for solutions of two problems, because it does not
/// cancel there.
pub(super) fn first_scored(row: PairRow, config: &DpoConfig) -> Option<usize> {
    if row.siblings().is_none() {
        return Some(0);
    }
    let [chosen, rejected] = row.sides().map(|side| side.ids);
    let common = common_prefix(chosen, rejected);
    let whole = config.scope == Scope::Completion || config.loss.needs_advantages();
    let differ = common < chosen.len().min(rejected.len());
    differ.then_some(if whole { 0 } else { common })
}

impl Prepared<'_> {
    /// Inputs of the loss for this pair, from the sums of both sides' scored log-probabilities under the
    /// policy.
    pub(super) fn logps(&self, (chosen, rejected): (f64, f64)) -> PairLogps {
        let (reference_chosen, reference_rejected) = self.reference.unwrap_or_default();
        let [len_chosen, len_rejected] =
            self.row.sides().map(|side| (side.ids.len() - self.first) as f64);
        let siblings = self.row.siblings();
        let advantage = |of: fn(&PreferencePair) -> Option<f64>| siblings.and_then(of);
        PairLogps {
            chosen,
            rejected,
            reference_chosen,
            reference_rejected,
            len_chosen,
            len_rejected,
            alpha: siblings.map_or(0.0, |pair| pair.alpha),
            margin: siblings.map_or(0.0, |pair| pair.margin),
            advantage_chosen: advantage(|pair| pair.advantage_chosen).unwrap_or_default(),
            advantage_rejected: advantage(|pair| pair.advantage_rejected).unwrap_or_default(),
        }
    }

    /// The loss of this pair if pairs of siblings use `loss`. A pair of two problems uses DOVE's loss,
    /// because its evidence is two verified outcomes and no value gap (arXiv:2404.00530).
    pub(super) fn loss(&self, loss: PreferenceLoss) -> PreferenceLoss {
        match self.row {
            PairRow::Siblings(_) => loss,
            PairRow::Joint(_) => PreferenceLoss::Sigmoid,
        }
    }

    /// Sums of both sides' recorded log-probabilities over the scored tokens; `None` if they are not exact.
    pub(super) fn recorded(&self) -> Option<(f64, f64)> {
        let sum = |side: PairSide| {
            let scored = &side.logps[self.first..];
            side.exact.then(|| scored.iter().map(|&l| f64::from(l)).sum::<f64>())
        };
        let [chosen, rejected] = self.row.sides().map(sum);
        chosen.zip(rejected)
    }
}

fn check(row: PairRow, model: &Model, config: &DpoConfig) -> Result<(), String> {
    for (side, name) in row.sides().iter().zip(["chosen", "rejected"]) {
        check_side(side, name, model)?;
    }
    let Some(pair) = row.siblings() else { return Ok(()) };
    if config.loss.needs_advantages()
        && (pair.advantage_chosen.is_none() || pair.advantage_rejected.is_none())
    {
        return Err(format!(
            "the loss `{}` needs the columns `advantage_chosen` and `advantage_rejected`, which `mcts \
             search`, `mcts pairs` and `regrowth iterate` write; extract the pairs from their trees again \
             (mcts pairs --trees TREES --out PAIRS), or use a loss of the value gap, such as `soft`",
            config.loss
        ));
    }
    let sound = (0.0..=0.5).contains(&pair.alpha) && pair.weight > 0.0 && pair.weight.is_finite();
    if sound { Ok(()) } else { Err("expected `alpha` in [0, 0.5] and `weight` above 0".into()) }
}

/// Checks that a side fits the model, and that its recorded log-probabilities match its ids.
fn check_side(side: &PairSide, name: &str, model: &Model) -> Result<(), String> {
    let PairSide { prompt, ids, logps, exact } = *side;
    let (length, context) = (prompt.len() + ids.len(), model.config.context);
    if length > context {
        return Err(format!("{length} tokens, but the model's context is {context}"));
    }
    if prompt.is_empty() {
        return Err("`prompt_ids` is empty; expected the ids of the prefix".into());
    }
    let vocabulary = model.config.vocab_size;
    if let Some(id) = prompt.iter().chain(ids).find(|&&id| id as usize >= vocabulary) {
        return Err(format!(
            "token id {id} is outside the model's vocabulary of {vocabulary}: another tokenizer?"
        ));
    }
    let recorded = logps.len() == ids.len() && logps.iter().all(|l| l.is_finite());
    if exact && !recorded {
        return Err(format!(
            "the log-probabilities of the {name} side must be one finite number for each of its ids"
        ));
    }
    Ok(())
}

/// Packs the two sides of each listed pair; ranges of targets alternate between chosen and rejected.
pub(super) fn pack_pairs(
    prepared: &[Prepared],
    indices: &[usize],
    share: bool,
) -> (PackedBatch, Vec<Range<usize>>) {
    let sequences: Vec<PackedSequence> =
        indices.iter().flat_map(|&i| sides(&prepared[i])).collect();
    pack(&sequences, share)
}

fn sides<'a>(prepared: &Prepared<'a>) -> [PackedSequence<'a>; 2] {
    prepared.row.sides().map(|side| PackedSequence {
        prefix: side.prompt,
        tail: side.ids,
        scored: side.prompt.len() + prepared.first,
    })
}

/// Training rows: pairs of siblings, then joint pairs; and judge examples.
pub(super) struct Rows<'a> {
    pub(super) pairs: Vec<Prepared<'a>>,
    pub(super) judge_examples: Vec<JudgeExample<'a>>,
}

impl<'a> Rows<'a> {
    /// The pairs of siblings, without the joint pairs.
    pub(super) fn siblings(&self) -> &[Prepared<'a>] {
        &self.pairs[..self.pairs.partition_point(|pair| pair.row.siblings().is_some())]
    }
}

/// Indices of the pairs and of the judge examples of one tree.
#[derive(Debug, Clone, Default)]
pub(super) struct TreeRows {
    pairs: Vec<usize>,
    judge_examples: Vec<usize>,
}

/// The trees of each step, over all epochs. Every epoch shuffles the trees anew if `shuffle` is set.
pub(super) type BatchPlan = Vec<Vec<TreeRows>>;

pub(super) fn plan(rows: &Rows, config: &DpoConfig) -> Result<BatchPlan, TrainError> {
    let trees = trees(rows);
    if rows.pairs.is_empty() || config.epochs == 0 {
        let detail = "no pair to train on; expected at least one pair and one epoch".into();
        return Err(TrainError::Setting { name: "pairs", detail });
    }
    let mut steps: BatchPlan = Vec::new();
    for epoch in 0..config.epochs as u64 {
        let mut order: Vec<&TreeRows> = trees.iter().collect();
        if config.shuffle {
            order.shuffle(&mut keyed_rng(config.seed, &[b"dpo-order", &epoch.to_le_bytes()]));
        }
        // Every epoch begins a new step. Trees without pairs join steps with pairs, so no step is without a
        // pair.
        steps.push(Vec::new());
        let full = config.batch_trees.unwrap_or(config.batch_pairs).max(1);
        let mut room = full;
        for tree in order {
            if room == 0 && !tree.pairs.is_empty() {
                steps.push(Vec::new());
                room = full;
            }
            if let Some(step) = steps.last_mut() {
                step.push(tree.clone());
            }
            let taken = match config.batch_trees {
                Some(_) => usize::from(!tree.pairs.is_empty()),
                None => tree.pairs.len(),
            };
            room = room.saturating_sub(taken);
        }
    }
    Ok(steps)
}

/// The rows of each tree, in the order in which the trees first appear among pairs, then among judge
/// examples.
fn trees(rows: &Rows) -> Vec<TreeRows> {
    let mut places: BTreeMap<(u32, &str), usize> = BTreeMap::new();
    let mut trees: Vec<TreeRows> = Vec::new();
    let pairs = rows.pairs.iter().map(|p| (p.row.round(), p.row.problem_id()));
    let judge_examples =
        rows.judge_examples.iter().map(|l| (l.row.round, l.row.problem_id.as_str()));
    for (index, key) in pairs.chain(judge_examples).enumerate() {
        let place = *places.entry(key).or_insert(trees.len());
        if place == trees.len() {
            trees.push(TreeRows::default());
        }
        match index.checked_sub(rows.pairs.len()) {
            Some(example) => trees[place].judge_examples.push(example),
            None => trees[place].pairs.push(index),
        }
    }
    trees
}

/// A micro-batch of whole trees.
pub(super) struct Batch {
    pub(super) packed: PackedBatch,
    pub(super) pairs: Vec<BatchPair>,
    pub(super) judge_examples: Vec<BatchLesson>,
}

/// One pair of a micro-batch.
pub(super) struct BatchPair {
    /// Index of the pair among the prepared pairs.
    pub(super) index: usize,
    /// Targets of the chosen side.
    pub(super) chosen: Range<usize>,
    /// Targets of the rejected side.
    pub(super) rejected: Range<usize>,
    /// Targets of the rationale; `None` if no rationale is trained for this pair.
    pub(super) rationale: Option<Range<usize>>,
    /// The pair's share of the step's total weight.
    pub(super) share: f64,
}

/// One judge example of a micro-batch.
pub(super) struct BatchLesson {
    /// Index of the example.
    pub(super) index: usize,
    /// Targets: the labels of its questions.
    pub(super) labels: Range<usize>,
    /// The example's share of the step's judge examples.
    pub(super) share: f64,
}

/// Micro-batches of one step: whole trees, up to `micro_tokens` tokens each.
pub(super) fn micro_batches(rows: &Rows, trees: &[TreeRows], config: &DpoConfig) -> Vec<Batch> {
    let weight = |&i: &usize| rows.pairs[i].row.weight();
    let weights: Vec<Vec<f64>> =
        trees.iter().map(|tree| tree.pairs.iter().map(weight).collect()).collect();
    let shares = shares(&weights, config.average);
    let judge_examples: usize = trees.iter().map(|tree| tree.judge_examples.len()).sum();
    let mut groups: Vec<(TreeRows, Vec<f64>)> = Vec::new();
    let mut room = 0usize;
    for (tree, shares) in trees.iter().zip(shares) {
        let tokens = pack_rows(rows, tree, config.share_prefixes).0.ids.len();
        if tokens > room || groups.is_empty() {
            groups.push(Default::default());
            room = config.micro_tokens;
        }
        if let Some((group, of_pairs)) = groups.last_mut() {
            of_pairs.extend(shares);
            group.pairs.extend_from_slice(&tree.pairs);
            group.judge_examples.extend_from_slice(&tree.judge_examples);
        }
        room = room.saturating_sub(tokens);
    }
    let share = config.share_prefixes;
    groups.iter().map(|(group, of)| batch(rows, group, share, (of, judge_examples))).collect()
}

/// Share of each pair in the loss of a step, from the pairs' weights, tree by tree; all shares add up to 1.
fn shares(trees: &[Vec<f64>], average: Average) -> Vec<Vec<f64>> {
    let within = |tree: &[f64]| match average {
        Average::Pairs => 1.0,
        Average::Trees => tree.iter().sum(),
    };
    let parts: Vec<Vec<f64>> = trees
        .iter()
        .map(|tree| tree.iter().map(|weight| weight / within(tree)).collect())
        .collect();
    let all: f64 = parts.iter().flatten().sum();
    parts.iter().map(|tree| tree.iter().map(|part| part / all).collect()).collect()
}

/// Packs the sides of pairs, the questions of judge examples and the rationales of pairs, in this order.
fn pack_rows(rows: &Rows, tree: &TreeRows, share: bool) -> (PackedBatch, Vec<Range<usize>>) {
    let tails: Vec<_> =
        tree.judge_examples.iter().map(|&i| rows.judge_examples[i].tails()).collect();
    let mut sequences: Vec<PackedSequence> =
        tree.pairs.iter().flat_map(|&i| sides(&rows.pairs[i])).collect();
    for (&i, tails) in tree.judge_examples.iter().zip(&tails) {
        sequences.extend(tails.iter().map(|tail| rows.judge_examples[i].sequence(tail)));
    }
    sequences.extend(rationales(rows, tree).map(Rationale::sequence));
    pack(&sequences, share)
}

/// The rationales of the pairs that have one.
fn rationales<'a>(rows: &Rows<'a>, tree: &TreeRows) -> impl Iterator<Item = &'a Rationale> {
    tree.pairs.iter().filter_map(|&i| rows.pairs[i].rationale)
}

fn batch(
    rows: &Rows,
    group: &TreeRows,
    share: bool,
    (shares, judge_examples): (&[f64], usize),
) -> Batch {
    let (packed, ranges) = pack_rows(rows, group, share);
    let (ranges, of_rationales) = ranges.split_at(ranges.len() - rationales(rows, group).count());
    let mut of_rationales = of_rationales.iter().cloned();
    let (sides, mut labels) = ranges.split_at(2 * group.pairs.len());
    let pairs = group
        .pairs
        .iter()
        .zip(sides.chunks_exact(2).zip(shares))
        .map(|(&i, (sides, &share))| BatchPair {
            index: i,
            chosen: sides[0].clone(),
            rejected: sides[1].clone(),
            rationale: rows.pairs[i].rationale.and_then(|_| of_rationales.next()),
            share,
        })
        .collect();
    let mut take = |count: usize| {
        let (own, rest) = labels.split_at(count);
        labels = rest;
        // The targets of one example are contiguous, one for every label.
        own[0].start..own[count - 1].end
    };
    let judge_examples = group
        .judge_examples
        .iter()
        .map(|&i| BatchLesson {
            index: i,
            labels: take(rows.judge_examples[i].labels()),
            share: 1.0 / judge_examples as f64,
        })
        .collect();
    Batch { packed, pairs, judge_examples }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_the_mean_of_its_pairs_or_of_its_trees() {
        let trees = [vec![1.0, 1.0, 2.0], vec![], vec![1.0]];
        let of_pairs = shares(&trees, Average::Pairs);
        assert_eq!(of_pairs, [vec![0.2, 0.2, 0.4], vec![], vec![0.2]]);
        // Each of the two trees with pairs counts one half, however many pairs it has.
        let of_trees = shares(&trees, Average::Trees);
        assert_eq!(of_trees, [vec![0.125, 0.125, 0.25], vec![], vec![0.5]]);
    }
}
