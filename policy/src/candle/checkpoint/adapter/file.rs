//! Reads the tensors of an adapter's file by module: from `adapter_model.safetensors`, or the older
//! `adapter_model.bin`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use candle_core::pickle::PthTensors;
use candle_core::{DType, Tensor};

use crate::PolicyError;
use crate::candle::checkpoint::held::Held;
use crate::candle::checkpoint::names::ADAPTER_WEIGHTS;
use crate::candle::checkpoint::source::Source;
use crate::candle::checkpoint::tensor_file::TensorFile;
use crate::text::Files;
use crate::text::files::{LFS_DETAIL, LFS_POINTER};

/// Weights of an adapter as a PyTorch pickle.
const PICKLED: &str = "adapter_model.bin";

/// Prefix that PEFT adds to the module names of a causal language model.
pub(crate) const PEFT_PREFIX: &str = "base_model.model.";

/// The role of a tensor in its module. [`ENDS`] maps suffixes of tensor names to roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// A of an update, `[r, in]`.
    A,
    /// B of an update, `[out, r]`.
    B,
    /// Bias of B, `[out]`.
    BiasOfB,
    /// A of an embedding's update, `[r, V]`.
    EmbeddingA,
    /// B of an embedding's update, `[D, r]`.
    EmbeddingB,
    /// Magnitudes of DoRA, one per output.
    Magnitude,
    /// Trained rows of an embedding.
    Tokens,
    /// The full weight of the module.
    Weight,
    /// The full bias of the module.
    Bias,
}

/// Suffixes of tensor names. The first match is used, so a suffix comes before the shorter suffixes that it
/// ends with.
const ENDS: [(&str, Part); 13] = [
    (".lora_A.weight", Part::A),
    (".lora_B.weight", Part::B),
    (".lora_B.bias", Part::BiasOfB),
    (".lora_embedding_A", Part::EmbeddingA),
    (".lora_embedding_B", Part::EmbeddingB),
    (".lora_magnitude_vector", Part::Magnitude),
    (".lora_magnitude_vector.weight", Part::Magnitude),
    (".token_adapter.trainable_tokens_delta", Part::Tokens),
    (".token_adapter.base_layer.weight", Part::Weight),
    (".base_layer.weight", Part::Weight),
    (".base_layer.bias", Part::Bias),
    (".weight", Part::Weight),
    (".bias", Part::Bias),
];

/// Returns the module and the part of a tensor, by its name; `None` if PEFT saves no such tensor.
fn part_of(name: &str) -> Option<(&str, Part)> {
    let name = name.strip_prefix(PEFT_PREFIX)?;
    let (module, part) =
        ENDS.iter().find_map(|(end, part)| Some((name.strip_suffix(end)?, *part)))?;
    (!module.contains(".lora_") && !module.contains(".modules_to_save")).then_some((module, part))
}

/// Whether a tensor repeats another tensor of the file or of the base. PEFT writes such copies beside an
/// embedding or head that is saved in full, and ignores them when it loads.
fn is_copy(name: &str, all: &[String]) -> bool {
    let copied = |mark: &str| {
        let (module, part) = name.split_once(mark)?;
        let whole = format!("{module}.{part}");
        all.contains(&whole).then_some(())
    };
    [".original_module.", ".modules_to_save."].iter().any(|mark| copied(mark).is_some())
}

/// Tensors in f32, by module and part.
pub(crate) type Parts = BTreeMap<String, BTreeMap<Part, Tensor>>;

/// Reads the tensors of an adapter. Returns the name of its file and the tensors.
///
/// # Errors
/// If there is no file, it is corrupted, or a tensor is of an unknown kind.
pub(crate) fn read_parts(source: &Source) -> Result<(&'static str, Parts), PolicyError> {
    if !source.has(ADAPTER_WEIGHTS)? && source.has(PICKLED)? {
        return Ok((PICKLED, pickled(source)?));
    }
    let mut file = TensorFile::open(source, ADAPTER_WEIGHTS)?;
    let mut parts = Parts::new();
    let names = file.names();
    for name in names.iter().filter(|name| !is_copy(name, &names)) {
        let (module, part) =
            part_of(name).ok_or_else(|| file.error(name, "is of no kind that PEFT saves"))?;
        let tensor = file.read(name, Held::F32)?;
        parts.entry(module.to_owned()).or_default().insert(part, tensor);
    }
    Ok((ADAPTER_WEIGHTS, parts))
}

/// Reads the tensors of a pickle. Only names, shapes and numbers are read from it, and no function that it
/// names is called. The library indexes with values from the file, so a panic is treated as an error of the
/// file.
fn pickled(source: &Source) -> Result<Parts, PolicyError> {
    let fail = |detail: String| source.error(PICKLED, detail);
    let path = source.path(PICKLED);
    let bytes = std::fs::metadata(&path).map_err(|e| fail(e.to_string()))?.len();
    let is_pointer = || std::fs::read(&path).is_ok_and(|file| file.starts_with(LFS_POINTER));
    if bytes < 1024 && is_pointer() {
        return Err(fail(LFS_DETAIL.into()));
    }
    let file = sound(|| PthTensors::new(&path, None));
    let file =
        file.map_err(|e| fail(format!("not a file that PyTorch 1.6 or later saved: {e}")))?;
    let mut parts = Parts::new();
    let names: Vec<String> = file.tensor_infos().keys().cloned().collect();
    for (name, info) in file.tensor_infos() {
        if is_copy(name, &names) {
            continue;
        }
        let named = |detail: String| fail(format!("tensor `{name}`: {detail}"));
        let (module, part) =
            part_of(name).ok_or_else(|| named("is of no kind that PEFT saves".into()))?;
        let numbers = info.layout.dims().iter().try_fold(1_u64, |n, d| n.checked_mul(*d as u64));
        if numbers.is_none_or(|numbers| numbers > bytes) {
            return Err(named(format!(
                "shape {:?}, but the file has {bytes} bytes",
                info.layout.dims()
            )));
        }
        let tensor = sound(|| file.get(name)).map_err(named)?;
        let tensor = tensor.ok_or_else(|| named("is missing".into()))?;
        let tensor = finite(&tensor).map_err(named)?;
        parts.entry(module.to_owned()).or_default().insert(part, tensor);
    }
    Ok(parts)
}

/// Calls the pickle library and turns its error or panic into an error message.
fn sound<T>(call: impl FnOnce() -> candle_core::Result<T>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| candle_core::bail!("its pickle makes no sense"))
        .map_err(|e| e.to_string())
}

/// Converts a float tensor to f32 and checks that all its values are finite.
fn finite(tensor: &Tensor) -> Result<Tensor, String> {
    if !tensor.dtype().is_float() {
        return Err(format!("type {:?}, expected floats", tensor.dtype()));
    }
    let tensor = tensor.to_dtype(DType::F32).and_then(|t| t.contiguous());
    let tensor = tensor.map_err(|e| e.to_string())?;
    let values = tensor.flatten_all().and_then(|t| t.to_vec1::<f32>());
    match values.map_err(|e| e.to_string())?.iter().all(|v| v.is_finite()) {
        true => Ok(tensor),
        false => Err("holds values that are not finite numbers".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_peft_are_taken_apart() {
        let q = "model.layers.0.self_attn.q_proj";
        for (name, expected) in [
            (format!("base_model.model.{q}.lora_B.weight"), Some((q, Part::B))),
            (format!("base_model.model.{q}.base_layer.bias"), Some((q, Part::Bias))),
            (format!("base_model.model.{q}.lora_magnitude_vector"), Some((q, Part::Magnitude))),
            ("base_model.model.lm_head.weight".into(), Some(("lm_head", Part::Weight))),
            (format!("base_model.model.{q}.lora_A.default.weight"), None),
            (format!("base_model.model.{q}.lora_diag"), None),
            (format!("{q}.lora_A.weight"), None),
        ] {
            assert_eq!(part_of(&name), expected, "{name}");
        }
    }
}
