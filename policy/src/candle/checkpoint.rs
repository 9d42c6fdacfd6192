//! Weights of a checkpoint: read from safetensors (one file or shards) and written back.
//!
//! Every tensor that the configuration asks for must be there with its shape and finite values;
//! errors name the file and the tensor. Weights are held in f32 whatever the file's type.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use serde_json::Value;

use super::config::ModelConfig;
use super::source::Source;
use crate::PolicyError;

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Files beside the weights that belong to a checkpoint and travel with it.
const COMPANIONS: [&str; 7] = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "added_tokens.json",
    "regrowth.json",
];

/// Configuration and weights of one checkpoint.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Where it came from.
    pub source: Source,
    /// Shapes and switches.
    pub config: ModelConfig,
    /// Weights by their names in the file, f32.
    pub tensors: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// Reads configuration and weights.
    ///
    /// # Errors
    /// When a file is missing or malformed, or a tensor is missing, misshapen or not finite.
    pub fn read(source: Source, device: &Device) -> Result<Self, PolicyError> {
        let config = ModelConfig::parse(&source.text("config.json")?)
            .map_err(|detail| source.error("config.json", detail))?;
        let files = weight_files(&source)?;
        let mut wanted: BTreeMap<String, Vec<usize>> = config.tensor_shapes().into_iter().collect();
        let mut tensors = BTreeMap::new();
        for file in &files {
            read_file(&source, file, &mut wanted, &mut tensors, device)?;
        }
        if let Some((name, shape)) = wanted.first_key_value() {
            let detail = format!("tensor `{name}` of shape {shape:?} is missing");
            return Err(source.error(&files.join(", "), detail));
        }
        Ok(Self { source, config, tensors })
    }
}

/// Names of the weight files: the single file, or the shards that the index lists.
fn weight_files(source: &Source) -> Result<Vec<String>, PolicyError> {
    let Some(bytes) = source.optional(INDEX)? else { return Ok(vec![WEIGHTS.to_owned()]) };
    let index: Value = serde_json::from_slice(&bytes)
        .map_err(|e| source.error(INDEX, format!("not valid JSON: {e}")))?;
    let map = index.get("weight_map").and_then(Value::as_object).ok_or_else(|| {
        source.error(INDEX, "field `weight_map` is missing; expected an object".into())
    })?;
    let mut files: Vec<String> =
        map.values().filter_map(Value::as_str).map(str::to_owned).collect();
    files.sort();
    files.dedup();
    if let Some(file) = files.iter().find(|f| f.contains(['/', '\\'])) {
        return Err(source.error(INDEX, format!("shard `{file}` lies outside the checkpoint")));
    }
    Ok(files)
}

/// Moves the tensors of one file that are still wanted into `tensors`.
fn read_file(
    source: &Source,
    file: &str,
    wanted: &mut BTreeMap<String, Vec<usize>>,
    tensors: &mut BTreeMap<String, Tensor>,
    device: &Device,
) -> Result<(), PolicyError> {
    let bytes = source.required(file)?;
    let parsed = SafeTensors::deserialize(&bytes)
        .map_err(|e| source.error(file, format!("not a whole safetensors file: {e}")))?;
    for (name, view) in parsed.iter() {
        let Some(shape) = wanted.get(name) else { continue };
        let fail = |detail: String| source.error(file, format!("tensor `{name}`: {detail}"));
        if view.shape() != shape.as_slice() {
            return Err(fail(format!("shape {:?}, expected {shape:?}", view.shape())));
        }
        let tensor = to_f32(&view, device).map_err(fail)?;
        if !is_finite(&tensor).map_err(|e| fail(e.to_string()))? {
            return Err(fail("holds values that are not finite numbers".into()));
        }
        tensors.insert(name.to_owned(), tensor);
        wanted.remove(name);
    }
    Ok(())
}

fn to_f32(view: &safetensors::tensor::TensorView, device: &Device) -> Result<Tensor, String> {
    use safetensors::Dtype;
    let dtype = match view.dtype() {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        other => return Err(format!("type {other:?}, expected F32, F16 or BF16")),
    };
    Tensor::from_raw_buffer(view.data(), dtype, view.shape(), device)
        .and_then(|t| t.to_dtype(DType::F32))
        .map_err(|e| e.to_string())
}

fn is_finite(tensor: &Tensor) -> candle_core::Result<bool> {
    // A sum of absolute values is finite exactly when no value is NaN or infinite (f64: no overflow).
    let total = tensor.abs()?.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?;
    Ok(total.is_finite())
}

/// Writes a checkpoint folder in Hugging Face layout: weights, configuration, and the companion
/// files of `origin`. The folder appears whole or not at all; an existing one is replaced.
///
/// # Errors
/// When a file cannot be written.
pub fn save_checkpoint(
    dir: &Path,
    config: &ModelConfig,
    tensors: &BTreeMap<String, Tensor>,
    origin: &Source,
) -> Result<(), PolicyError> {
    let fail = |e: &dyn std::fmt::Display| PolicyError::File {
        path: dir.to_owned(),
        detail: format!("cannot write the checkpoint: {e}"),
    };
    let mut companions = Vec::new();
    for name in COMPANIONS {
        if let Some(bytes) = origin.optional(name)? {
            companions.push((name, bytes));
        }
    }
    let staged = dir.with_extension("tmp");
    let write = || -> std::io::Result<()> {
        if staged.exists() {
            std::fs::remove_dir_all(&staged)?;
        }
        std::fs::create_dir_all(&staged)?;
        write_tensors(&staged.join(WEIGHTS), tensors)?;
        let config = serde_json::to_string_pretty(&config.raw)?;
        std::fs::write(staged.join("config.json"), config + "\n")?;
        for (name, bytes) in &companions {
            std::fs::write(staged.join(name), bytes)?;
        }
        for entry in std::fs::read_dir(&staged)? {
            std::fs::File::open(entry?.path())?.sync_all()?;
        }
        if dir.exists() {
            std::fs::remove_dir_all(dir)?;
        }
        std::fs::rename(&staged, dir)?;
        let parent = dir.parent().filter(|p| !p.as_os_str().is_empty());
        std::fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|e| fail(&e))
}

/// Writes tensors to a safetensors file and syncs it. The file gets the mode that the process gives
/// new files (the library's own temporary file would be for its owner alone).
///
/// # Errors
/// What the system or the library answers; a partial file is never left under `path`.
pub fn write_tensors(path: &Path, tensors: &BTreeMap<String, Tensor>) -> std::io::Result<()> {
    let mode = std::fs::File::create(path)?.metadata()?.permissions();
    let written = safetensors::serialize_to_file(tensors, Some(metadata()), path);
    if let Err(error) = written {
        std::fs::remove_file(path)?;
        return Err(match error {
            safetensors::SafeTensorError::IoError(error) => error,
            other => std::io::Error::other(other),
        });
    }
    std::fs::set_permissions(path, mode)?;
    std::fs::File::open(path)?.sync_all()
}

/// The header that `transformers` asks for.
fn metadata() -> std::collections::HashMap<String, String> {
    [("format".to_owned(), "pt".to_owned())].into()
}
