//! Validation loss of supervised training, early stopping, and the weights of the best validation step.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use regrowth_policy::candle::write_tensors;
use serde::{Deserialize, Serialize};

use super::collate::{PackedSequence, pack};
use super::gradients::log_probs;
use super::model::Model;
use super::run::EvalResult;
use super::sft::{Example, SftConfig};
use crate::TrainError;
use crate::artefact::{read_json, write_json};

const BEST: &str = "best.json";
const WEIGHTS: &str = "best.safetensors";

/// Result of an evaluation on the validation examples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Optimizer step after which it was evaluated.
    pub step: usize,
    /// Mean negative log-likelihood of the completion tokens, in nats.
    pub nll: f64,
}

/// Evaluates the model on the validation examples between optimizer steps.
pub(super) struct Validation<'a> {
    model: &'a Model,
    examples: &'a [Example],
    config: &'a SftConfig,
    dir: Option<&'a Path>,
    best: Option<Best>,
    /// Weights of the best evaluation, if early stopping is on and they are not written to a file.
    kept: Option<BTreeMap<String, Tensor>>,
}

impl<'a> Validation<'a> {
    /// If `dir` is given and early stopping is on, the best evaluation is stored there and survives an
    /// interruption.
    pub(super) fn new(
        model: &'a Model,
        examples: &'a [Example],
        config: &'a SftConfig,
        dir: Option<&'a Path>,
    ) -> Result<Self, TrainError> {
        let mut validation = Self { model, examples, config, dir, best: None, kept: None };
        if let Some(best) = validation.path(BEST) {
            validation.best = read_json(&best)?;
        }
        Ok(validation)
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.dir.filter(|_| !self.examples.is_empty()).map(|dir| dir.join(name))
    }

    /// Evaluates after `step` of `steps`, if an evaluation is due.
    pub(super) fn evaluate(&mut self, step: usize, steps: usize) -> Result<EvalResult, TrainError> {
        let every = self.config.validate_every.max(1);
        if self.examples.is_empty() || !(step.is_multiple_of(every) || step == steps) {
            return Ok(EvalResult::default());
        }
        // After an interruption, an evaluation may be repeated; it gives the same result.
        self.best = self.best.filter(|best| best.step < step);
        let nll = self.nll()?;
        if self.best.is_none_or(|best| nll < best.nll) {
            self.keep(Best { step, nll })?;
        }
        let since = self.best.map_or(0, |best| step - best.step);
        let patience = self.config.patience;
        let stop = patience > 0 && since >= patience * every;
        Ok(EvalResult { row: vec![("validation/nll", nll)], stop })
    }

    fn keep(&mut self, best: Best) -> Result<(), TrainError> {
        self.best = Some(best);
        if self.config.patience == 0 {
            return Ok(());
        }
        match (self.path(WEIGHTS), self.path(BEST)) {
            (Some(weights), Some(record)) => {
                let trained = self.model.variables.trained();
                write_tensors(&weights, &trained).map_err(TrainError::io(&weights))?;
                write_json(&record, &best)
            }
            _ => {
                let copy = |(name, t): (String, Tensor)| Ok((name, t.copy()?));
                let trained = self.model.variables.trained().into_iter();
                self.kept = Some(trained.map(copy).collect::<candle_core::Result<_>>()?);
                Ok(())
            }
        }
    }

    /// Restores the best weights, if early stopping kept them; returns the best evaluation.
    pub(super) fn finish(mut self) -> Result<Option<Best>, TrainError> {
        let (weights, record) = (self.path(WEIGHTS), self.path(BEST));
        if let Some(path) = weights.as_deref().filter(|path| path.exists()) {
            let tensors = candle_core::safetensors::load(path, &Device::Cpu)?;
            self.kept = Some(tensors.into_iter().collect());
        }
        if let Some(kept) = &self.kept {
            self.model.variables.assign(kept)?;
        }
        for path in [record, weights].into_iter().flatten().filter(|path| path.exists()) {
            std::fs::remove_file(&path).map_err(TrainError::io(&path))?;
        }
        Ok(self.best)
    }

    /// Mean negative log-likelihood of the examples' completion tokens, with the weights used in training.
    fn nll(&self) -> Result<f64, TrainError> {
        let transformer = self.model.transformer()?;
        let (mut total, mut weights) = (0.0, 0.0);
        for group in groups(self.examples, self.config.micro_tokens) {
            let sequences: Vec<PackedSequence> = group.iter().map(Example::sequence).collect();
            let (packed, ranges) = pack(&sequences, false);
            let logps: Vec<f32> = log_probs(&transformer, &packed)?.to_vec1()?;
            for (example, range) in group.iter().zip(ranges) {
                let weight = f64::from(example.weight);
                weights += weight * range.len() as f64;
                total -= weight * logps[range].iter().map(|&l| f64::from(l)).sum::<f64>();
            }
        }
        Ok(total / weights)
    }
}

/// Splits the examples into consecutive groups of about `tokens` tokens.
fn groups(examples: &[Example], tokens: usize) -> Vec<&[Example]> {
    let mut groups = Vec::new();
    let (mut start, mut filled) = (0, 0);
    for (i, example) in examples.iter().enumerate() {
        if filled + example.len() > tokens && i > start {
            groups.push(&examples[start..i]);
            (start, filled) = (i, 0);
        }
        filled += example.len();
    }
    groups.push(&examples[start..]);
    groups
}
