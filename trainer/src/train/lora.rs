//! Settings of low-rank adaptation (Hu et al. 2021, arXiv:2106.09685).

use std::collections::BTreeSet;

use regrowth_policy::candle::{Adapter, ModelConfig, Source};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// All projections of a layer, as PEFT's `all-linear`.
const ALL_LINEAR: [&str; 7] =
    ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/// Settings of LoRA: rank, scale, dropout and target projections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoraConfig {
    /// Rank of the updates, at least 1.
    pub rank: usize,
    /// Numerator of the scale `alpha / rank`, above 0.
    pub alpha: f64,
    /// Dropout probability of the inputs in training, in [0, 1).
    pub dropout: f64,
    /// Last parts of the names of the target projections.
    pub targets: Vec<String>,
}

impl Default for LoraConfig {
    /// Rank 16, alpha 32, all projections, no dropout.
    fn default() -> Self {
        Self::of_rank(16)
    }
}

impl LoraConfig {
    /// Default settings at the given rank; alpha is twice the rank.
    #[must_use]
    pub fn of_rank(rank: usize) -> Self {
        let targets = ALL_LINEAR.map(str::to_owned).to_vec();
        Self { rank, alpha: 2.0 * rank as f64, dropout: 0.0, targets }
    }

    /// Returns the number of weights of an adapter for a model of this shape.
    #[must_use]
    pub fn parameter_count(&self, config: &ModelConfig) -> usize {
        let shapes = config.tensor_shapes();
        let targets = shapes.iter().filter(|(name, _)| self.module(name).is_some());
        targets.map(|(_, shape)| self.rank * shape.iter().sum::<usize>()).sum()
    }

    /// Returns these settings at another rank, with the same targets and scale.
    #[must_use]
    pub fn at_rank(&self, rank: usize) -> Self {
        Self { rank, alpha: self.scale() * rank as f64, ..self.clone() }
    }

    /// Returns the settings under which the adapter in `source` can be trained further. `None` if `source` is
    /// no adapter, cannot be read, or has updates of different ranks or scales.
    #[must_use]
    pub fn of_adapter(source: &Source) -> Option<Self> {
        if !source.is_adapter() {
            return None;
        }
        // A fault of the adapter is reported when it is loaded.
        let adapter = Adapter::read(source).ok()?;
        let first = adapter.updates.values().next()?;
        let rank = first.a.dims()[0];
        let alike = |scale: f64| (scale - first.scale).abs() < 1e-9;
        if !adapter.updates.values().all(|u| u.a.dims()[0] == rank && alike(u.scale)) {
            return None;
        }
        let last = |module: &String| module.rsplit('.').next().unwrap_or_default().to_owned();
        let updated: BTreeSet<String> = adapter.updates.keys().map(last).collect();
        let targets = ALL_LINEAR.iter().filter(|name| updated.contains(**name));
        Some(Self {
            rank,
            alpha: first.scale * rank as f64,
            dropout: adapter.config.lora_dropout,
            targets: targets.map(|name| (*name).to_owned()).collect(),
        })
    }

    /// Checks that `source`, if it is an adapter, can be trained further under these settings.
    ///
    /// # Errors
    /// [`TrainError::Setting`] that says what differs and what to do.
    pub fn check_adapter(&self, source: &Source) -> Result<(), TrainError> {
        let Some(own) = Self::of_adapter(source) else { return Ok(()) };
        let sorted = |lora: &Self| lora.targets.iter().cloned().collect::<BTreeSet<_>>();
        let alike = own.rank == self.rank && (own.scale() - self.scale()).abs() < 1e-9;
        if alike && sorted(&own) == sorted(self) {
            return Ok(());
        }
        let shape = |lora: &Self| {
            format!("rank {}, alpha {} on {}", lora.rank, lora.alpha, lora.targets.join(", "))
        };
        Err(TrainError::Setting {
            name: "lora",
            detail: format!(
                "{} is an adapter of {}, and the settings ask for {}; leave the settings of adapters out \
                 to train it further, or start from the merged model",
                source.name(),
                shape(&own),
                shape(self)
            ),
        })
    }

    /// Factor of an update: `alpha / rank`.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }

    /// Checks ranges and names.
    ///
    /// # Errors
    /// [`TrainError::Setting`] that says what was expected.
    pub fn check(&self) -> Result<(), TrainError> {
        let fail = |detail: String| Err(TrainError::Setting { name: "lora", detail });
        if self.rank == 0 || !(self.alpha > 0.0 && self.alpha.is_finite()) {
            return fail(format!("rank {} and alpha {}: above 0", self.rank, self.alpha));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return fail(format!("dropout {} is not in [0, 1)", self.dropout));
        }
        match self.targets.iter().find(|t| !ALL_LINEAR.contains(&t.as_str())) {
            Some(unknown) => {
                fail(format!("target `{unknown}`; known are {}", ALL_LINEAR.join(", ")))
            }
            None => Ok(()),
        }
    }

    /// Returns the projection that a weight belongs to; `None` if it is no target.
    pub(super) fn module<'a>(&self, weight: &'a str) -> Option<&'a str> {
        let module = weight.strip_suffix(".weight")?;
        let last = module.rsplit('.').next()?;
        self.targets.iter().any(|t| t == last).then_some(module)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_last_parts_of_names() {
        let lora = LoraConfig { targets: vec!["q_proj".into()], ..LoraConfig::default() };
        let module = "model.layers.0.self_attn.q_proj";
        assert_eq!(lora.module(&format!("{module}.weight")), Some(module));
        assert_eq!(lora.module(&format!("{module}.bias")), None);
        assert_eq!(lora.module("model.layers.0.self_attn.k_proj.weight"), None);
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        assert!(LoraConfig::default().check().is_ok());
        assert!(LoraConfig::of_rank(0).check().is_err());
        assert!(LoraConfig { dropout: 1.0, ..LoraConfig::default() }.check().is_err());
        let targets = vec!["lm_head".to_owned()];
        assert!(LoraConfig { targets, ..LoraConfig::default() }.check().is_err());
    }
}
