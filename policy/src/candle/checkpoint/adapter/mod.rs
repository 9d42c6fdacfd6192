//! LoRA adapters as they are trained here: applied to rows, merged into weights, and written in PEFT's
//! layout. Adapters that were trained elsewhere are merged in `merge.rs`.
//!
//! The update of a projection W `[out, in]` is `scale B A` with A `[r, in]` and B `[out, r]` (Hu et al.
//! 2021, arXiv:2106.09685, section 4.1).

pub(crate) mod config;
pub(crate) mod file;
mod init;
pub(crate) mod merge;
pub(crate) mod module_pattern;
mod sum;
pub(crate) mod targets;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Result as TensorResult, Tensor};
use regrowth_datasets::stream_key;

use crate::PolicyError;
use crate::candle::checkpoint::adapter::config::{AdapterConfig, Init};
use crate::candle::checkpoint::adapter::file::{PEFT_PREFIX, Part, read_parts};
use crate::candle::checkpoint::names::{ADAPTER_CONFIG, ADAPTER_WEIGHTS};
use crate::candle::checkpoint::source::Source;
use crate::candle::checkpoint::staged::replace_folder;
use crate::candle::checkpoint::tensor_file::write_tensors;
use crate::candle::kernels::{Dropout, Frozen, low_rank_linear};
use crate::text::Files;

/// The low-rank update of one projection, in its differentiable form.
#[derive(Debug, Clone)]
pub struct LowRank {
    /// A, `[r, in]`.
    pub a: Tensor,
    /// B, `[out, r]`.
    pub b: Tensor,
    /// `alpha / r`, or `alpha / sqrt(r)` for rsLoRA.
    pub scale: f64,
    /// Dropout probability of the update's inputs in training, in [0, 1).
    pub dropout: f64,
}

impl LowRank {
    /// Computes `w x + scale B A x` for rows x `[T, in]` and a frozen weight `[out, in]`. If `key` is set,
    /// dropout is applied to the update's inputs; the mask depends on the key and the projection's name.
    pub(crate) fn project(
        &self,
        x: &Tensor,
        weight: &Frozen,
        key: Option<u64>,
        name: &str,
    ) -> TensorResult<Tensor> {
        let dropout = key
            .filter(|_| self.dropout > 0.0)
            .map(|key| Dropout { p: self.dropout, key: stream_key(key, &[name.as_bytes()]) });
        low_rank_linear(x, weight, (&self.a, &self.b), self.scale, dropout)
    }

    /// Returns a weight `[out, in]` with the update added, in f32.
    pub(crate) fn added_to(&self, weight: &Tensor) -> TensorResult<Tensor> {
        weight.to_dtype(DType::F32)? + self.matrix()?
    }

    /// The update as one matrix, `[out, in]`.
    fn matrix(&self) -> TensorResult<Tensor> {
        self.b.matmul(&self.a)? * self.scale
    }
}

/// A LoRA adapter: its configuration and the update of each projection, by the projection's name.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// Its configuration.
    pub config: AdapterConfig,
    /// Updates by projection, for example `model.layers.0.self_attn.q_proj`.
    pub updates: BTreeMap<String, LowRank>,
}

impl Adapter {
    /// Reads the adapter in `source` to train it further. The adapter may hold only updates of projections,
    /// and its initialisation must leave the base unchanged.
    ///
    /// # Errors
    /// If a file is missing or corrupted, or the adapter holds more, such as DoRA magnitudes, biases or full
    /// weights.
    pub fn read(source: &Source) -> Result<Self, PolicyError> {
        let fail = |detail: String| source.error(ADAPTER_CONFIG, detail);
        let config = AdapterConfig::parse(&source.text(ADAPTER_CONFIG)?).map_err(fail)?;
        let plain = config.init().map_err(fail)? == Init::Plain;
        if !plain || !config.layer_replication.is_empty() {
            return Err(fail("changes its base beside its updates; merge it to train on".into()));
        }
        let scales = config.scales().map_err(fail)?;
        let (file, parts) = read_parts(source)?;
        let mut updates = BTreeMap::new();
        for (module, mut parts) in parts {
            let halves = (parts.remove(&Part::A), parts.remove(&Part::B));
            let ((Some(a), Some(b)), true) = (halves, parts.is_empty()) else {
                let detail =
                    format!("`{module}`: expected lora_A and lora_B alone; merge it to train on");
                return Err(source.error(file, detail));
            };
            let scale = scales.scale(&module);
            updates.insert(module, LowRank { a, b, scale, dropout: config.lora_dropout });
        }
        Ok(Self { config, updates })
    }

    /// Adds every update to its weight.
    ///
    /// # Errors
    /// If a weight is missing.
    pub fn merge_into(&self, tensors: &mut BTreeMap<String, Tensor>) -> TensorResult<()> {
        for (module, update) in &self.updates {
            let name = format!("{module}.weight");
            let Some(weight) = tensors.get_mut(&name) else {
                candle_core::bail!("no tensor `{name}` to merge an adapter into");
            };
            *weight = update.added_to(weight)?;
        }
        Ok(())
    }

    /// Writes the folder `dir` in PEFT's layout, with tensors of this dtype and the tokenizer files of
    /// `origin`. The folder is never seen half-written.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, dir: &Path, origin: &Source, dtype: DType) -> Result<(), PolicyError> {
        let config = serde_json::to_string_pretty(&self.config)
            .map_err(|e| PolicyError::Model(e.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (module, update) in &self.updates {
            for (half, tensor) in [("A", &update.a), ("B", &update.b)] {
                let tensor =
                    tensor.to_dtype(dtype).map_err(|e| PolicyError::Model(e.to_string()))?;
                tensors.insert(format!("{PEFT_PREFIX}{module}.lora_{half}.weight"), tensor);
            }
        }
        replace_folder(dir, origin, |staged| {
            std::fs::write(staged.join(ADAPTER_CONFIG), config + "\n")?;
            write_tensors(&staged.join(ADAPTER_WEIGHTS), tensors)
        })
    }
}
