//! Writes checkpoint folders in Hugging Face layout, with one converted tensor in memory at a time.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Tensor};
use serde_json::json;

use crate::PolicyError;
use crate::candle::checkpoint::adapter::{Adapter, LowRank};
use crate::candle::checkpoint::config::ModelConfig;
use crate::candle::checkpoint::names::{INDEX, WEIGHTS};
use crate::candle::checkpoint::source::Source;
use crate::candle::checkpoint::staged::replace_folder;
use crate::candle::checkpoint::tensor_file::write_tensors;

/// Options for writing a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaveOptions {
    /// Dtype of the tensors in the file; by default the one in `config.json`.
    pub dtype: Option<DType>,
    /// Maximum size of a weight file, in bytes. A larger tensor gets a file of its own.
    pub max_shard_bytes: usize,
}

impl Default for SaveOptions {
    /// The dtype of `config.json`, and 5 GB per file as in `save_pretrained`.
    fn default() -> Self {
        Self { dtype: None, max_shard_bytes: 5_000_000_000 }
    }
}

/// The weights of a checkpoint to write.
#[derive(Debug, Clone, Copy)]
pub struct SavedWeights<'a> {
    /// The tensors by name.
    pub tensors: &'a BTreeMap<String, Tensor>,
    /// Updates to add to tensors. Each tensor is merged when it is written, so a merged model is never in
    /// memory.
    pub adapter: Option<&'a Adapter>,
}

impl<'a> From<&'a BTreeMap<String, Tensor>> for SavedWeights<'a> {
    fn from(tensors: &'a BTreeMap<String, Tensor>) -> Self {
        Self { tensors, adapter: None }
    }
}

/// Writes a checkpoint folder in Hugging Face layout: weights, configuration, and the companion files of
/// `origin`. The folder is never seen half-written, and an existing one is replaced. Besides the weights,
/// one converted tensor is in memory at a time.
///
/// # Errors
/// If a file cannot be written, or an adapter updates a tensor that does not exist.
pub fn save_checkpoint<'a>(
    dir: &Path,
    config: &ModelConfig,
    weights: impl Into<SavedWeights<'a>>,
    origin: &Source,
    options: SaveOptions,
) -> Result<(), PolicyError> {
    let weights = weights.into();
    weights.check()?;
    let tensors = weights.tensors;
    let dtype = options.dtype.unwrap_or_else(|| config.dtype());
    let config = serde_json::to_string_pretty(&config.raw_with_dtype(dtype))
        .map_err(|e| PolicyError::Model(e.to_string()))?;
    let shards = shards(tensors, dtype, options.max_shard_bytes);
    replace_folder(dir, origin, |staged| {
        std::fs::write(staged.join("config.json"), config + "\n")?;
        if let [all] = shards.as_slice() {
            return weights.write(&staged.join(WEIGHTS), all, dtype);
        }
        let mut weight_map = BTreeMap::new();
        for (i, shard) in shards.iter().enumerate() {
            let file = format!("model-{:05}-of-{:05}.safetensors", i + 1, shards.len());
            weights.write(&staged.join(&file), shard, dtype)?;
            weight_map.extend(shard.iter().map(|(name, _)| (*name, file.clone())));
        }
        let total: usize = tensors.values().map(|t| bytes_of(t, dtype)).sum();
        let index = json!({ "metadata": { "total_size": total }, "weight_map": weight_map });
        std::fs::write(staged.join(INDEX), format!("{index:#}\n"))
    })
}

/// Tensors of one weight file.
type ShardTensors<'a> = Vec<(&'a str, &'a Tensor)>;

/// Splits the tensors, in order, into files of at most `most` bytes.
fn shards(tensors: &BTreeMap<String, Tensor>, dtype: DType, most: usize) -> Vec<ShardTensors<'_>> {
    let mut shards: Vec<ShardTensors> = vec![vec![]];
    let mut room = most;
    for (name, tensor) in tensors {
        let bytes = bytes_of(tensor, dtype);
        if bytes > room && shards.last().is_some_and(|s| !s.is_empty()) {
            shards.push(vec![]);
            room = most;
        }
        if let Some(shard) = shards.last_mut() {
            shard.push((name, tensor));
        }
        room = room.saturating_sub(bytes);
    }
    shards
}

fn bytes_of(tensor: &Tensor, dtype: DType) -> usize {
    tensor.elem_count() * dtype.size_in_bytes()
}

impl SavedWeights<'_> {
    fn check(&self) -> Result<(), PolicyError> {
        let updated = self.adapter.iter().flat_map(|adapter| adapter.updates.keys());
        for module in updated {
            if !self.tensors.contains_key(&format!("{module}.weight")) {
                let detail = format!("no tensor `{module}.weight` to merge an adapter into");
                return Err(PolicyError::Model(detail));
            }
        }
        Ok(())
    }

    fn write(&self, path: &Path, shard: &ShardTensors, dtype: DType) -> std::io::Result<()> {
        let failed = RefCell::new(None);
        let tensors = shard.iter().map(|&(name, tensor)| {
            let module = name.strip_suffix(".weight");
            let update = self.adapter.and_then(|adapter| adapter.updates.get(module?));
            (name, WrittenTensor { tensor, update, dtype, failed: &failed })
        });
        let written = write_tensors(path, tensors);
        match failed.take() {
            Some(error) => {
                std::fs::remove_file(path)?;
                Err(std::io::Error::other(error))
            }
            None => written,
        }
    }
}

/// A tensor that is merged and converted when it is written.
struct WrittenTensor<'a> {
    tensor: &'a Tensor,
    update: Option<&'a LowRank>,
    dtype: DType,
    /// The first failure, which the methods of `safetensors::View` cannot return.
    failed: &'a RefCell<Option<candle_core::Error>>,
}

impl WrittenTensor<'_> {
    fn converted(&self) -> candle_core::Result<Tensor> {
        match self.update {
            Some(update) => update.added_to(self.tensor)?.to_dtype(self.dtype),
            None => self.tensor.to_dtype(self.dtype),
        }
    }
}

impl safetensors::View for WrittenTensor<'_> {
    fn dtype(&self) -> safetensors::Dtype {
        self.dtype.into()
    }

    fn shape(&self) -> &[usize] {
        self.tensor.dims()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self.converted() {
            Ok(tensor) => Cow::Owned(safetensors::View::data(&tensor).into_owned()),
            Err(error) => {
                self.failed.borrow_mut().get_or_insert(error);
                Cow::Owned(vec![0; self.data_len()])
            }
        }
    }

    fn data_len(&self) -> usize {
        bytes_of(self.tensor, self.dtype)
    }
}
