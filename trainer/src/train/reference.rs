//! Reference log-probabilities: recorded while sampling, read from disk, or computed.
//!
//! With the round-start reference nothing has to be computed: sampling recorded the log-probabilities in the
//! pairs. Some of them are compared with a forward pass before training, because training with a wrong
//! reference fails silently.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use candle_core::{DType, Tensor};
use crossbeam::channel::unbounded;
use rand::seq::SliceRandom;
use regrowth_datasets::{keyed_rng, stream_key};
use regrowth_policy::Dtype;
use regrowth_policy::candle::{Parameters, Transformer};
use serde::{Deserialize, Serialize};

use super::dpo_config::DpoConfig;
use super::gradients::{alone, log_probs};
use super::model::Model;
use super::pairs::{Prepared, pack_pairs};
use crate::TrainError;
use crate::artefact::{read_checksummed, write_checksummed};

/// Number of recorded pairs that are compared with a forward pass.
const CHECKED: usize = 16;
/// Maximum difference of two summed log-probabilities that is attributed to rounding, in nats per token, with
/// frozen weights computed in f32 and in bf16.
const TOLERANCE: [f64; 2] = [0.01, 0.1];
/// Number of values of a weight that are hashed at a time, so that no large weight is copied.
const HASHED: usize = 1 << 20;
/// Number of pairs per forward pass.
const GROUP: usize = 32;

/// Source of the reference log-probabilities.
pub enum Reference<'a> {
    /// The log-probabilities recorded while sampling, if they are exact (`logps_exact`); otherwise a forward pass of
    /// the model before the first step. Callers clear `logps_exact` of pairs that another policy sampled.
    RoundStart,
    /// A forward pass of this model.
    Model(&'a Model),
}

/// `reference.json`: the computed log-probabilities.
#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    /// Hash of the weights, pairs and loss mask (`scope`) for which the log-probabilities were computed.
    key: String,
    /// Number of tokens of the forward passes.
    tokens: u64,
    /// Summed log-probabilities of both sides, by pair; `None` for pairs that use the recorded ones.
    logps: Vec<Option<(f64, f64)>>,
}

/// Sets the reference log-probabilities of every pair. Returns the number of tokens of the forward passes,
/// made now or when the stored values were computed. If `dir` is given, computed values are stored there.
pub(super) fn fill(
    prepared: &mut [Prepared],
    model: &Model,
    reference: &Reference,
    config: &DpoConfig,
    (threads, dir): (usize, Option<&Path>),
) -> Result<u64, TrainError> {
    let scorer = match reference {
        Reference::Model(other) => other,
        Reference::RoundStart => model,
    };
    let key = key(prepared, scorer, reference)?;
    let path = dir.map(|dir| dir.join("reference.json"));
    if let Some(kept) = path.as_deref().and_then(|path| read(path, &key, prepared.len())) {
        for (p, logps) in prepared.iter_mut().zip(kept.logps) {
            p.reference = logps.or_else(|| p.recorded());
        }
        return Ok(kept.tokens);
    }
    let mut tokens = 0;
    if matches!(reference, Reference::RoundStart) {
        prepared.iter_mut().for_each(|p| p.reference = p.recorded());
        tokens += check(prepared, scorer, config)?;
    }
    let missing: Vec<usize> =
        (0..prepared.len()).filter(|&i| prepared[i].reference.is_none()).collect();
    let (logps, computed) = forward(prepared, &missing, scorer, (config.share_prefixes, threads))?;
    tokens += computed;
    let mut kept = vec![None; prepared.len()];
    for (i, logps) in missing.into_iter().zip(logps) {
        prepared[i].reference = Some(logps);
        kept[i] = Some(logps);
    }
    if let Some(path) = path {
        let kept = Kept { version: 1, key, tokens, logps: kept };
        write_checksummed(&path, &kept)?;
    }
    Ok(tokens)
}

/// Reads the stored values; `None` if they are corrupted or belong to other weights or pairs, so that they
/// are computed again.
fn read(path: &Path, key: &str, pairs: usize) -> Option<Kept> {
    let kept: Kept = read_checksummed(path).ok()??;
    (kept.version == 1 && kept.key == key && kept.logps.len() == pairs).then_some(kept)
}

fn key(prepared: &[Prepared], scorer: &Model, reference: &Reference) -> Result<String, TrainError> {
    let mut keys = vec![u64::from(matches!(reference, Reference::RoundStart))];
    for (name, tensor) in scorer.weights()? {
        let values = tensor.flatten_all()?;
        for start in (0..values.elem_count()).step_by(HASHED) {
            let part = values.narrow(0, start, HASHED.min(values.elem_count() - start))?;
            let part: Vec<f32> = part.to_dtype(DType::F32)?.to_vec1()?;
            let bytes: Vec<u8> = part.iter().flat_map(|v| v.to_le_bytes()).collect();
            keys.push(stream_key(0, &[name.as_bytes(), &bytes]));
        }
    }
    for p in prepared {
        for ids in p.row.sides().iter().flat_map(|side| [side.prompt, side.ids]) {
            let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
            keys.push(stream_key(0, &[&bytes]));
        }
        keys.push(p.first as u64);
    }
    let bytes: Vec<u8> = keys.iter().flat_map(|k| k.to_le_bytes()).collect();
    Ok(format!("{:016x}", stream_key(0, &[&bytes])))
}

/// Compares some recorded log-probabilities with a forward pass; returns the number of its tokens.
fn check(prepared: &[Prepared], scorer: &Model, config: &DpoConfig) -> Result<u64, TrainError> {
    let mut sample: Vec<usize> =
        (0..prepared.len()).filter(|&i| prepared[i].reference.is_some()).collect();
    sample.shuffle(&mut keyed_rng(config.seed, &[b"reference-check"]));
    sample.truncate(CHECKED);
    sample.sort_unstable();
    let (logps, tokens) = forward(prepared, &sample, scorer, (config.share_prefixes, 1))?;
    let tolerance = match scorer.variables.frozen_dtype() {
        Dtype::F32 => TOLERANCE[0],
        _ => TOLERANCE[1],
    };
    for (index, computed) in sample.into_iter().zip(logps) {
        let Prepared { row, first, reference, .. } = &prepared[index];
        let Some(recorded) = reference else { continue };
        let [chosen, rejected] = row.sides().map(|side| side.ids.len() - first);
        let sides = [
            (recorded.0, computed.0, chosen, "chosen"),
            (recorded.1, computed.1, rejected, "rejected"),
        ];
        for (recorded, computed, tokens, side) in sides {
            if (recorded - computed).abs() > tolerance * tokens as f64 {
                let detail = format!(
                    "the recorded log-probability of the {side} side is {recorded:.3}, but the \
                     model gives {computed:.3}; was the pair sampled by another policy? Name it as \
                     the reference"
                );
                return Err(TrainError::Example { index, detail });
            }
        }
    }
    Ok(tokens)
}

/// The weights of a model with its updates merged, in the dtype in which an engine multiplies them.
struct Merged {
    weights: BTreeMap<String, Tensor>,
    dtype: Dtype,
}

impl Parameters for Merged {
    fn get(&self, name: &str) -> candle_core::Result<Tensor> {
        Parameters::get(&self.weights, name)
    }

    fn frozen_dtype(&self) -> Dtype {
        self.dtype
    }
}

/// Returns the summed log-probabilities of both sides of the listed pairs under `scorer`, and the number of
/// tokens computed. Groups of pairs are distributed over threads; the result does not depend on their number.
pub(super) fn forward(
    prepared: &[Prepared],
    indices: &[usize],
    scorer: &Model,
    (share, threads): (bool, usize),
) -> Result<(Vec<(f64, f64)>, u64), TrainError> {
    let frozen = Merged { weights: scorer.weights()?, dtype: scorer.variables.frozen_dtype() };
    let transformer = Transformer::new(&scorer.config, &frozen)?;
    let groups: Vec<&[usize]> = indices.chunks(GROUP).collect();
    let threads = threads.clamp(1, groups.len().max(1));
    let score = |group: &[usize]| -> Result<(Vec<(f64, f64)>, u64), TrainError> {
        let (packed, ranges) = pack_pairs(prepared, group, share);
        let logps: Vec<f32> = log_probs(&transformer, &packed)?.to_vec1()?;
        let sum = |r: &Range<usize>| logps[r.clone()].iter().map(|&l| f64::from(l)).sum::<f64>();
        let sums = ranges.chunks_exact(2).map(|sides| (sum(&sides[0]), sum(&sides[1]))).collect();
        Ok((sums, packed.ids.len() as u64))
    };
    let (send, receive) = unbounded();
    std::thread::scope(|scope| {
        for first in 0..threads {
            let (send, groups, score) = (send.clone(), &groups, &score);
            scope.spawn(move || {
                alone(move || {
                    for (i, group) in groups.iter().enumerate().skip(first).step_by(threads) {
                        // The receiver outlives the threads.
                        let _ = send.send((i, score(group)));
                    }
                });
            });
        }
    });
    drop(send);
    let mut scored: Vec<_> = receive.iter().collect();
    scored.sort_by_key(|(i, _)| *i);
    let (mut sums, mut tokens) = (Vec::with_capacity(indices.len()), 0);
    for (_, group) in scored {
        let (logps, more) = group?;
        sums.extend(logps);
        tokens += more;
    }
    Ok((sums, tokens))
}
