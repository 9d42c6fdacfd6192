//! Memory of a checkpoint's weights as inference holds them, computed from the headers of its files.

use std::collections::BTreeMap;

use candle_core::DType;

use crate::PolicyError;
use crate::candle::checkpoint::adapter::config::AdapterConfig;
use crate::candle::checkpoint::adapter::targets::Targets;
use crate::candle::checkpoint::config::ModelConfig;
use crate::candle::checkpoint::held::Held;
use crate::candle::checkpoint::names::ADAPTER_CONFIG;
use crate::candle::checkpoint::source::Source;
use crate::candle::checkpoint::tensor_file::TensorFile;
use crate::candle::checkpoint::weights_file::weight_files;

/// Sizes of weights in memory ([`Held::AsStored`]), in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// All weights.
    pub(crate) all: u64,
    /// The largest tensor.
    pub(crate) largest: u64,
}

impl Footprint {
    /// Computes the sizes for a checkpoint. If the headers of its files cannot be read, all tensors are
    /// counted as f32; loading the weights reports the error.
    pub(crate) fn new(source: &Source, config: &ModelConfig) -> Self {
        let stored = stored(source, config).unwrap_or_default();
        let targets = source.is_adapter().then(|| targets(source)).flatten();
        let widened = |name: &str| {
            let module = name.strip_suffix(".weight").unwrap_or(name);
            targets.as_ref().is_some_and(|t| t.holds(module) != Some(false) || t.saves(module))
        };
        let bytes = config.tensor_shapes().into_iter().map(|(name, shape)| {
            let stored = stored.get(&name).copied().filter(|_| !widened(&name));
            let dtype = Held::AsStored.dtype(stored.unwrap_or(DType::F32), shape.len());
            (shape.iter().product::<usize>() * dtype.size_in_bytes()) as u64
        });
        let bytes: Vec<u64> = bytes.collect();
        Self { all: bytes.iter().sum(), largest: bytes.into_iter().max().unwrap_or(0) }
    }
}

/// Returns the dtype of each tensor in the files, by its name in transformers.
fn stored(source: &Source, config: &ModelConfig) -> Result<BTreeMap<String, DType>, PolicyError> {
    if let Some(file) = source.gguf() {
        return Ok(file.dtypes(config));
    }
    let mut stored = BTreeMap::new();
    for file in weight_files(source)? {
        let file = TensorFile::open(source, &file)?;
        for name in file.names() {
            let Some(dtype) = file.dtype(&name) else { continue };
            // If a model was saved without its head, its tensor names lack the prefix `model.`.
            stored.insert(format!("model.{name}"), dtype);
            stored.insert(name, dtype);
        }
    }
    Ok(stored)
}

/// Returns the modules that an adapter changes; `None` if its configuration cannot be read.
fn targets(source: &Source) -> Option<Targets> {
    let config = AdapterConfig::parse(&source.text(ADAPTER_CONFIG).ok()?).ok()?;
    Targets::new(&config).ok()
}
