//! Writes a checkpoint as a GGUF file: the inverse of reading one.
//!
//! Matrices are stored as f16 or Q8_0, norms and biases as f32 (as in llama.cpp's converter). Features that
//! llama.cpp would compute differently from this program are refused, and the error names them.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::quantized::gguf_file::{Value, write};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use regrowth_datasets::atomic_write;

use super::export_tokenizer::tokenizer_metadata;
use super::names::{Names, ROPE_FREQS};
use crate::PolicyError;
use crate::candle::checkpoint::config::{ModelConfig, RopeScaling};
use crate::candle::checkpoint::weights_file::Checkpoint;
use crate::text::Files;

/// Metadata by key.
pub(super) type Fields = BTreeMap<String, Value>;

/// Type of the matrices in a GGUF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GgufType {
    /// Half precision.
    F16,
    /// 8 bits per weight, and one scale per 32 weights.
    Q8_0,
}

impl GgufType {
    /// Returns the type, and its number in `general.file_type`.
    fn stored(self) -> (GgmlDType, u32) {
        match self {
            Self::F16 => (GgmlDType::F16, 1),
            Self::Q8_0 => (GgmlDType::Q8_0, 7),
        }
    }
}

/// Writes a checkpoint, with its adapter merged, as a GGUF file. The file is replaced atomically. Each weight
/// is freed once it is converted.
///
/// # Errors
/// If llama.cpp does not support the architecture, the RoPE scaling, the sliding window or the tokenizer,
/// or if the file cannot be written.
pub fn write_gguf(path: &Path, checkpoint: Checkpoint, kind: GgufType) -> Result<(), PolicyError> {
    let mut fields = config_fields(&checkpoint.config)
        .map_err(|detail| checkpoint.source.error("config.json", detail))?;
    fields.extend(tokenizer_metadata(&checkpoint)?);
    let (dtype, number) = kind.stored();
    fields.insert("general.file_type".into(), Value::U32(number));
    fields.insert("general.quantization_version".into(), Value::U32(2));
    let tensors =
        stored_tensors(checkpoint, dtype).map_err(|e| PolicyError::Model(e.to_string()))?;
    let fields: Vec<(&str, &Value)> = fields.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let written =
        atomic_write(path, |out| write(out, &fields, &tensors).map_err(std::io::Error::other));
    written.map_err(|e| PolicyError::File { path: path.to_owned(), detail: e.to_string() })
}

/// Returns the metadata about shapes and switches.
fn config_fields(config: &ModelConfig) -> Result<Fields, String> {
    let family = match config.architecture.as_str() {
        "LlamaForCausalLM" | "MistralForCausalLM" => "llama",
        "Qwen2ForCausalLM" => "qwen2",
        "Qwen3ForCausalLM" => "qwen3",
        other => return Err(format!("`{other}` is not exported; expected Llama, Qwen2 or Qwen3")),
    };
    if (0..config.layers).any(|layer| config.window(layer).is_some_and(|w| w < config.context)) {
        return Err("`sliding_window` is below the context, which is not exported".into());
    }
    let number = |n: usize| Value::U32(u32::try_from(n).unwrap_or(u32::MAX));
    let own = [
        ("block_count", number(config.layers)),
        ("context_length", number(config.context)),
        ("embedding_length", number(config.hidden_size)),
        ("feed_forward_length", number(config.intermediate_size)),
        ("vocab_size", number(config.vocab_size)),
        ("attention.head_count", number(config.heads)),
        ("attention.head_count_kv", number(config.kv_heads)),
        ("attention.key_length", number(config.head_dim)),
        ("attention.value_length", number(config.head_dim)),
        ("attention.layer_norm_rms_epsilon", Value::F32(config.rms_norm_eps)),
        ("rope.dimension_count", number(config.head_dim)),
        ("rope.freq_base", Value::F32(config.rope_theta as f32)),
    ];
    let mut fields: Fields = own.map(|(key, value)| (format!("{family}.{key}"), value)).into();
    fields.insert("general.architecture".into(), Value::String(family.into()));
    match &config.rope_scaling {
        RopeScaling::None => {}
        // The tensor `rope_freqs.weight` holds the factors.
        RopeScaling::Llama3 { .. } if family == "llama" => {}
        RopeScaling::Linear { factor } => {
            let kind = Value::String("linear".into());
            fields.insert(format!("{family}.rope.scaling.type"), kind);
            fields.insert(format!("{family}.rope.scaling.factor"), Value::F32(*factor as f32));
        }
        other => return Err(format!("`rope_scaling`: {other:?} is not exported")),
    }
    Ok(fields)
}

/// Converts the weights to the dtypes, names and row order of the GGUF file.
fn stored_tensors(
    checkpoint: Checkpoint,
    dtype: GgmlDType,
) -> candle_core::Result<Vec<(String, QTensor)>> {
    let Checkpoint { config, mut tensors, .. } = checkpoint;
    let names = Names::of(&config);
    let mut stored = Vec::new();
    while let Some((name, tensor)) = tensors.pop_first() {
        let tensor = names.in_order_of_file(&name, tensor)?;
        let dims = tensor.dims();
        let kept = match dims {
            [_, columns] if columns % dtype.block_size() == 0 => dtype,
            [_, _] => GgmlDType::F16,
            _ => GgmlDType::F32,
        };
        stored.push((names.stored(&name), QTensor::quantize(&tensor, kept)?));
    }
    if let RopeScaling::Llama3 { .. } = config.rope_scaling {
        let plain = ModelConfig { rope_scaling: RopeScaling::None, ..config.clone() };
        let pairs = plain.inverse_frequencies().into_iter().zip(config.inverse_frequencies());
        let factors: Vec<f32> = pairs.map(|(plain, stretched)| plain / stretched).collect();
        let factors = Tensor::new(factors, &Device::Cpu)?;
        stored.push((ROPE_FREQS.into(), QTensor::quantize(&factors, GgmlDType::F32)?));
    }
    Ok(stored)
}
