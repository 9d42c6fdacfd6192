//! A model in training: its configuration and weights; loading and saving.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use regrowth_policy::candle::{
    Adapter, AdapterConfig, Checkpoint, Files, ModelConfig, SaveOptions, SavedWeights, Source,
    Transformer, save_checkpoint,
};
use regrowth_policy::{Dtype, PolicyError};

use super::lora::LoraConfig;
use super::variables::Variables;
use crate::{TrainError, pages};

/// A model in training: its configuration, its weights, and the source of its tokenizer files.
#[derive(Debug, Clone)]
pub struct Model {
    /// Configuration (layers, sizes).
    pub config: ModelConfig,
    /// Weights.
    pub variables: Variables,
    /// Source from which companion files (tokenizer, generation settings) are copied.
    pub origin: Source,
    /// Warnings about the checkpoint, for the user.
    pub warnings: Vec<String>,
}

impl Model {
    /// Makes all weights of a checkpoint trainable.
    ///
    /// # Errors
    /// If a tensor cannot be copied.
    pub fn from_checkpoint(checkpoint: Checkpoint) -> Result<Self, TrainError> {
        let Checkpoint { source: origin, config, tensors, warnings } = checkpoint;
        Ok(Self { config, variables: Variables::taking(tensors)?, origin, warnings })
    }

    /// Initialises weights for the `config.json` of a folder that has tokenizer files but no weights.
    ///
    /// # Errors
    /// If the configuration is missing or malformed.
    pub fn fresh(origin: Source, seed: u64) -> Result<Self, TrainError> {
        let config = ModelConfig::parse(&origin.text("config.json")?)
            .map_err(|detail| origin.error("config.json", detail))?;
        let variables = Variables::fresh(&config, seed, &Device::Cpu)?;
        Ok(Self { config, variables, origin, warnings: vec![] })
    }

    /// Loads a checkpoint. Without `lora` all weights are trained. With `lora` they are frozen and low-rank
    /// updates are trained, initialised with `seed`.
    ///
    /// # Errors
    /// If the checkpoint cannot be read, a setting is out of range, or no projection matches a target.
    pub fn load(source: Source, lora: Option<&LoraConfig>, seed: u64) -> Result<Self, TrainError> {
        pages::giving_back(|| Self::over(Self::read(source, lora)?, lora, seed))
    }

    /// As [`load`](Self::load) with `lora`, but if `source` is an adapter, it is trained further on the
    /// frozen weights of its base, rather than merged before a new one is added.
    ///
    /// # Errors
    /// As [`load`](Self::load); [`TrainError::Setting`] if the adapter differs in shape from `lora`.
    pub fn load_adapter(source: Source, lora: &LoraConfig, seed: u64) -> Result<Self, TrainError> {
        let Source::Adapter { base, .. } = &source else {
            return Self::load(source, Some(lora), seed);
        };
        let model = Self::load((**base).clone(), Some(lora), seed)?;
        let adapter = Adapter::read(&source)?;
        model.variables.adopt(&adapter).map_err(|detail| TrainError::Setting {
            name: "lora",
            detail: format!("{}: {detail}", source.name()),
        })?;
        Ok(model)
    }

    /// Reads a checkpoint for [`Self::over`]. With `lora`, the weights keep their stored dtype, because they
    /// stay frozen.
    ///
    /// # Errors
    /// If the checkpoint cannot be read.
    pub fn read(source: Source, lora: Option<&LoraConfig>) -> Result<Checkpoint, TrainError> {
        Ok(match lora {
            Some(_) => Checkpoint::read_as_stored(source)?,
            None => Checkpoint::read(source)?,
        })
    }

    /// Builds the model from a checkpoint that was read, as in [`Self::load`].
    ///
    /// # Errors
    /// If a setting is out of range, or no projection matches a target.
    pub fn over(
        checkpoint: Checkpoint,
        lora: Option<&LoraConfig>,
        seed: u64,
    ) -> Result<Self, TrainError> {
        let Some(lora) = lora else { return Self::from_checkpoint(checkpoint) };
        lora.check()?;
        let variables = Variables::low_rank(&checkpoint, lora, seed)?;
        let Checkpoint { source: origin, config, warnings, .. } = checkpoint;
        Ok(Self { config, variables, origin, warnings })
    }

    /// Returns the model with `dtype` as compute dtype of its frozen weights (LoRA). Training supports f32
    /// and bf16; for int8, bf16 is used, and for f16, f32 with a warning.
    #[must_use]
    pub fn with_frozen_dtype(mut self, dtype: Dtype) -> Self {
        if dtype == Dtype::F16 {
            self.warnings.push("--dtype f16: training computes in f32 or bf16; f32 is used".into());
        }
        let dtype = if dtype == Dtype::Int8 { Dtype::Bf16 } else { dtype };
        self.variables = self.variables.with_frozen_dtype(dtype);
        self
    }

    /// Returns all weights, with updates merged. Trained weights share the variables' memory and change with
    /// them. Weights whose update is still zero share the memory of the frozen weights.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn weights(&self) -> Result<BTreeMap<String, Tensor>, TrainError> {
        let Some(adapter) = self.moved_adapter()? else { return Ok(self.variables.trained()) };
        let mut merged = self.variables.frozen().clone();
        adapter.merge_into(&mut merged)?;
        Ok(merged)
    }

    /// Returns the updates that are not zero; `None` if the full model is trained.
    fn moved_adapter(&self) -> Result<Option<Adapter>, TrainError> {
        let Some(mut adapter) = self.adapter() else { return Ok(None) };
        for (module, update) in std::mem::take(&mut adapter.updates) {
            if update.b.abs()?.max_all()?.to_scalar::<f32>()? != 0.0 {
                adapter.updates.insert(module, update);
            }
        }
        Ok(Some(adapter))
    }

    /// Returns the differentiable decoder over these weights.
    ///
    /// # Errors
    /// If a weight is missing.
    pub fn transformer(&self) -> Result<Transformer, TrainError> {
        Ok(Transformer::new(&self.config, &self.variables)?)
    }

    /// Writes the checkpoint folder `dir`, with updates merged.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, dir: &Path, options: SaveOptions) -> Result<(), TrainError> {
        let adapter = self.moved_adapter()?;
        let trained = self.variables.trained();
        let tensors = if adapter.is_some() { self.variables.frozen() } else { &trained };
        let weights = SavedWeights { tensors, adapter: adapter.as_ref() };
        let saved = save_checkpoint(dir, &self.config, weights, &self.origin, options);
        saved.map_err(|error| match error {
            // An I/O error, such as a full disk, is reported as a file error and not as a policy error.
            PolicyError::File { path, detail } => TrainError::File { path, detail },
            other => other.into(),
        })
    }

    /// Writes the trained updates as a PEFT adapter into the folder `dir`, stored as `dtype`.
    ///
    /// # Errors
    /// [`TrainError::Setting`] if the full model was trained; an error if a file cannot be written.
    pub fn save_adapter(&self, dir: &Path, dtype: DType) -> Result<(), TrainError> {
        let Some(adapter) = self.adapter() else {
            let detail = "the whole model was trained; there is no adapter to write".into();
            return Err(TrainError::Setting { name: "lora", detail });
        };
        Ok(adapter.save(dir, &self.origin, dtype)?)
    }

    /// Returns the trained updates; `None` if the full model is trained.
    pub(super) fn adapter(&self) -> Option<Adapter> {
        let lora = self.variables.lora()?;
        let base = self.origin.name();
        let LoraConfig { rank, alpha, dropout, targets } = lora;
        let config = AdapterConfig::lora(base, *rank, *alpha, *dropout, targets);
        Some(Adapter { config, updates: self.variables.updates() })
    }
}
