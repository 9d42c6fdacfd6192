//! A model in training: its shape, its weights, and how it is read and written.

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

/// A model in training: its shape, its weights, and where its tokenizer files come from.
#[derive(Debug, Clone)]
pub struct Model {
    /// Shape.
    pub config: ModelConfig,
    /// Weights.
    pub variables: Variables,
    /// Where the companion files (tokenizer, generation settings) are copied from.
    pub origin: Source,
    /// What a user should know of the checkpoint that it began as.
    pub warnings: Vec<String>,
}

impl Model {
    /// The weights of a checkpoint, ready to be trained.
    ///
    /// # Errors
    /// When a tensor cannot be copied.
    pub fn from_checkpoint(checkpoint: Checkpoint) -> Result<Self, TrainError> {
        let Checkpoint { source: origin, config, tensors, warnings } = checkpoint;
        Ok(Self { config, variables: Variables::taking(tensors)?, origin, warnings })
    }

    /// Fresh weights for the `config.json` of a folder that has tokenizer files but no weights.
    ///
    /// # Errors
    /// When the configuration is missing or malformed.
    pub fn fresh(origin: Source, seed: u64) -> Result<Self, TrainError> {
        let config = ModelConfig::parse(&origin.text("config.json")?)
            .map_err(|detail| origin.error("config.json", detail))?;
        let variables = Variables::fresh(&config, seed, &Device::Cpu)?;
        Ok(Self { config, variables, origin, warnings: vec![] })
    }

    /// The weights of a checkpoint to be trained as a whole or, with `lora`, frozen beneath low-rank
    /// updates whose first values `seed` decides.
    ///
    /// # Errors
    /// When the checkpoint cannot be read, a setting is out of range, or no projection is called as
    /// a target.
    pub fn load(source: Source, lora: Option<&LoraConfig>, seed: u64) -> Result<Self, TrainError> {
        pages::giving_back(|| Self::over(Self::read(source, lora)?, lora, seed))
    }

    /// As [`load`](Self::load) with `lora`, but an adapter in `source` is trained on as it is, on the
    /// frozen weights of its base, rather than merged beneath a new one.
    ///
    /// # Errors
    /// As [`load`](Self::load); [`TrainError::Setting`] when the adapter is of another shape than
    /// `lora` asks for.
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

    /// Reads a checkpoint for [`Self::over`]: weights that stay frozen are held as they are stored.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(source: Source, lora: Option<&LoraConfig>) -> Result<Checkpoint, TrainError> {
        Ok(match lora {
            Some(_) => Checkpoint::read_as_stored(source)?,
            None => Checkpoint::read(source)?,
        })
    }

    /// The weights of a checkpoint that was read, as in [`Self::load`].
    ///
    /// # Errors
    /// When a setting is out of range, or no projection is called as a target.
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

    /// The same model with weights frozen beneath updates multiplied in this type. Training knows f32
    /// and bf16; f16 is computed in f32, with a warning.
    #[must_use]
    pub fn with_frozen_dtype(mut self, dtype: Dtype) -> Self {
        if dtype == Dtype::F16 {
            self.warnings.push("--dtype f16: training computes in f32 or bf16; f32 is used".into());
        }
        self.variables = self.variables.with_frozen_dtype(dtype);
        self
    }

    /// The weights of the whole model, updates merged. Those that are trained share the variables'
    /// memory and change with them; so do those whose update is still zero with the frozen ones.
    ///
    /// # Errors
    /// When a tensor operation fails.
    pub fn weights(&self) -> Result<BTreeMap<String, Tensor>, TrainError> {
        let Some(adapter) = self.moved_adapter()? else { return Ok(self.variables.trained()) };
        let mut merged = self.variables.frozen().clone();
        adapter.merge_into(&mut merged)?;
        Ok(merged)
    }

    /// The updates that are not zero any more, if only updates are trained.
    fn moved_adapter(&self) -> Result<Option<Adapter>, TrainError> {
        let Some(mut adapter) = self.adapter() else { return Ok(None) };
        for (module, update) in std::mem::take(&mut adapter.updates) {
            if update.b.abs()?.max_all()?.to_scalar::<f32>()? != 0.0 {
                adapter.updates.insert(module, update);
            }
        }
        Ok(Some(adapter))
    }

    /// The differentiable decoder over these weights.
    ///
    /// # Errors
    /// When a weight is missing.
    pub fn transformer(&self) -> Result<Transformer, TrainError> {
        Ok(Transformer::new(&self.config, &self.variables)?)
    }

    /// Writes the checkpoint folder `dir`, updates merged.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, dir: &Path, options: SaveOptions) -> Result<(), TrainError> {
        let adapter = self.moved_adapter()?;
        let trained = self.variables.trained();
        let tensors = if adapter.is_some() { self.variables.frozen() } else { &trained };
        let weights = SavedWeights { tensors, adapter: adapter.as_ref() };
        let saved = save_checkpoint(dir, &self.config, weights, &self.origin, options);
        saved.map_err(|error| match error {
            // A full disk is no fault of the policy.
            PolicyError::File { path, detail } => TrainError::File { path, detail },
            other => other.into(),
        })
    }

    /// Writes the trained updates as a PEFT adapter into the folder `dir`, in numbers of this type.
    ///
    /// # Errors
    /// [`TrainError::Setting`] if the whole model was trained; when a file cannot be written.
    pub fn save_adapter(&self, dir: &Path, dtype: DType) -> Result<(), TrainError> {
        let Some(adapter) = self.adapter() else {
            let detail = "the whole model was trained; there is no adapter to write".into();
            return Err(TrainError::Setting { name: "lora", detail });
        };
        Ok(adapter.save(dir, &self.origin, dtype)?)
    }

    /// The trained updates, if only those were trained.
    pub(super) fn adapter(&self) -> Option<Adapter> {
        let lora = self.variables.lora()?;
        let base = self.origin.name();
        let LoraConfig { rank, alpha, dropout, targets } = lora;
        let config = AdapterConfig::lora(base, *rank, *alpha, *dropout, targets);
        Some(Adapter { config, updates: self.variables.updates() })
    }
}
