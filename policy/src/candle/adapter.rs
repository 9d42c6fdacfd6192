//! LoRA adapters in PEFT's layout: read, checked, merged into weights, and written.
//!
//! An update of a projection W `[out, in]` is `scale B A` with A `[r, in]` and B `[out, r]` (Hu et
//! al. 2021, arXiv:2106.09685, section 4.1). It knows names and shapes, not how adapters are trained.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Result as TensorResult, Tensor};
use regrowth_datasets::stream_key;
use serde::{Deserialize, Deserializer, Serialize};

use super::alpha_pattern::{AlphaPattern, Alphas, is_alpha};
use super::checkpoint::write_tensors;
use super::config::ModelConfig;
use super::ops;
use super::source::Source;
use super::staged::replace_folder;
use super::tensor_file::TensorFile;
use crate::PolicyError;
use crate::text::Files;

/// The file that makes a folder an adapter.
pub(crate) const ADAPTER_CONFIG: &str = "adapter_config.json";
const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";

/// What PEFT puts before the names of a causal language model's modules.
const PEFT_PREFIX: &str = "base_model.model.";

/// The low-rank update of one projection, in its differentiable form.
#[derive(Debug, Clone)]
pub struct LowRank {
    /// A, `[r, in]`.
    pub a: Tensor,
    /// B, `[out, r]`.
    pub b: Tensor,
    /// `alpha / r`, or `alpha / sqrt(r)` for rsLoRA.
    pub scale: f64,
    /// Share of inputs that are dropped in training, in [0, 1).
    pub dropout: f64,
}

impl LowRank {
    /// `scale B A x` for rows x `[T, in]`; with a key, inputs are dropped by a mask that the key and
    /// the projection's name decide.
    pub(crate) fn forward(&self, x: &Tensor, key: Option<u64>, name: &str) -> TensorResult<Tensor> {
        let down = match key.filter(|_| self.dropout > 0.0) {
            Some(key) => {
                let mask = mask(x.elem_count(), self.dropout, stream_key(key, &[name.as_bytes()]));
                ops::linear(&(x * Tensor::from_vec(mask, x.shape(), x.device())?)?, &self.a)?
            }
            None => ops::linear(x, &self.a)?,
        };
        ops::linear(&down, &self.b)? * self.scale
    }

    /// The update as one matrix, `[out, in]`.
    fn matrix(&self) -> TensorResult<Tensor> {
        self.b.matmul(&self.a)? * self.scale
    }
}

/// Inverted dropout: 0 with probability `p`, else `1 / (1 - p)`.
fn mask(n: usize, p: f64, key: u64) -> Vec<f32> {
    use rand::RngExt;
    let mut rng = regrowth_datasets::keyed_rng(key, &[b"dropout"]);
    let keep = (1.0 / (1.0 - p)) as f32;
    (0..n).map(|_| if rng.random::<f64>() < p { 0.0 } else { keep }).collect()
}

/// `adapter_config.json`, with the fields that change what an adapter means. Null in an optional
/// field is its absence, as PEFT has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterConfig {
    /// Always `LORA`.
    pub peft_type: String,
    /// Always `CAUSAL_LM`.
    #[serde(default)]
    pub task_type: Option<String>,
    /// Folder or name of the model that it belongs to.
    pub base_model_name_or_path: Option<String>,
    /// Rank.
    pub r: usize,
    /// Numerator of the scale.
    pub lora_alpha: f64,
    /// Share of dropped inputs in training.
    #[serde(default, deserialize_with = "nullable")]
    pub lora_dropout: f64,
    /// Last parts of the names of the updated projections; a list, or a pattern that is not read.
    #[serde(default)]
    pub target_modules: serde_json::Value,
    /// Which biases were trained; only `none` is supported.
    #[serde(default = "none", deserialize_with = "bias")]
    pub bias: String,
    /// Whether the scale is `alpha / sqrt(r)`.
    #[serde(default, deserialize_with = "nullable")]
    pub use_rslora: bool,
    /// Weight-decomposed updates; not supported.
    #[serde(default, deserialize_with = "nullable")]
    pub use_dora: bool,
    /// Weights stored transposed; not supported.
    #[serde(default, deserialize_with = "nullable")]
    pub fan_in_fan_out: bool,
    /// Alphas of modules that have one of their own.
    #[serde(default, deserialize_with = "nullable")]
    pub alpha_pattern: AlphaPattern,
    /// Whether the adapter is not trained any more.
    #[serde(default, deserialize_with = "nullable")]
    pub inference_mode: bool,
}

fn none() -> String {
    "none".into()
}

/// A field's value, or its default where null stands.
fn nullable<'de, D: Deserializer<'de>, T>(field: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(field)?.unwrap_or_default())
}

fn bias<'de, D: Deserializer<'de>>(field: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(field)?.unwrap_or_else(none))
}

impl AdapterConfig {
    /// The configuration of a plain LoRA adapter.
    #[must_use]
    pub fn lora(base: String, r: usize, alpha: f64, dropout: f64, targets: &[String]) -> Self {
        Self {
            peft_type: "LORA".into(),
            task_type: Some("CAUSAL_LM".into()),
            base_model_name_or_path: Some(base),
            r,
            lora_alpha: alpha,
            lora_dropout: dropout,
            target_modules: targets.into(),
            bias: none(),
            use_rslora: false,
            use_dora: false,
            fan_in_fan_out: false,
            alpha_pattern: AlphaPattern::default(),
            inference_mode: true,
        }
    }

    /// Parses the text of an `adapter_config.json`.
    ///
    /// # Errors
    /// A sentence with the field that is missing or that asks for more than plain LoRA.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let lacking = |field: &str, expected: &str| Err(format!("`{field}`: expected {expected}"));
        if config.peft_type != "LORA" {
            return lacking("peft_type", "LORA");
        }
        if config.bias != "none" {
            return lacking("bias", "none");
        }
        if config.use_dora || config.fan_in_fan_out {
            return lacking("use_dora, fan_in_fan_out", "false");
        }
        if config.r == 0 || !is_alpha(config.lora_alpha) {
            return lacking("r, lora_alpha", "numbers above 0");
        }
        config.alphas()?;
        Ok(config)
    }

    /// Alphas by module.
    fn alphas(&self) -> Result<Alphas, String> {
        self.alpha_pattern.alphas(self.lora_alpha)
    }

    /// What B A is multiplied with for a module of rank `r` and this alpha.
    fn scale(&self, r: usize, alpha: f64) -> f64 {
        let r = r as f64;
        alpha / if self.use_rslora { r.sqrt() } else { r }
    }
}

/// An adapter: its configuration and the update of each projection, by the projection's name.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// Its configuration.
    pub config: AdapterConfig,
    /// Updates, such as that of `model.layers.0.self_attn.q_proj`.
    pub updates: BTreeMap<String, LowRank>,
}

impl Adapter {
    /// Reads the adapter in `source` and checks it against the model it belongs to.
    ///
    /// # Errors
    /// When a file is missing or malformed, or a tensor does not fit the model.
    pub fn read(source: &Source, model: &ModelConfig) -> Result<Self, PolicyError> {
        let config = AdapterConfig::parse(&source.text(ADAPTER_CONFIG)?)
            .map_err(|detail| source.error(ADAPTER_CONFIG, detail))?;
        let fail = |detail: String| source.error(ADAPTER_WEIGHTS, detail);
        let mut file = TensorFile::open(source, ADAPTER_WEIGHTS)?;
        let mut halves: BTreeMap<String, [Option<Tensor>; 2]> = BTreeMap::new();
        for name in file.names() {
            let (module, half) = module_of(&name).ok_or_else(|| {
                file.error(&name, "expected lora_A and lora_B of projections only")
            })?;
            let tensor = file.read(&name, &Device::Cpu)?;
            halves.entry(module.to_owned()).or_default()[half] = Some(tensor);
        }
        let alphas = config.alphas().map_err(|detail| source.error(ADAPTER_CONFIG, detail))?;
        let shapes: BTreeMap<String, Vec<usize>> = model.tensor_shapes().into_iter().collect();
        let mut updates = BTreeMap::new();
        for (module, halves) in halves {
            let fail = |detail: String| fail(format!("`{module}`: {detail}"));
            let (a, b) = fitting(halves, shapes.get(&format!("{module}.weight"))).map_err(fail)?;
            let scale = config.scale(a.dims()[0], alphas.of(&module));
            let update = LowRank { a, b, scale, dropout: config.lora_dropout };
            updates.insert(module, update);
        }
        if updates.is_empty() {
            return Err(fail("holds no update; expected lora_A and lora_B tensors".into()));
        }
        Ok(Self { config, updates })
    }

    /// Adds every update to its weight.
    ///
    /// # Errors
    /// When a weight is missing.
    pub fn merge_into(&self, tensors: &mut BTreeMap<String, Tensor>) -> TensorResult<()> {
        for (module, update) in &self.updates {
            let name = format!("{module}.weight");
            let Some(weight) = tensors.get_mut(&name) else {
                candle_core::bail!("no tensor `{name}` to merge an adapter into");
            };
            *weight = (&*weight + update.matrix()?)?;
        }
        Ok(())
    }

    /// Writes the folder `dir` as PEFT does, with the tokenizer files of `origin`. It appears whole
    /// or not at all.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, dir: &Path, origin: &Source) -> Result<(), PolicyError> {
        let config = serde_json::to_string_pretty(&self.config)
            .map_err(|e| PolicyError::Model(e.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (module, update) in &self.updates {
            for (half, tensor) in [("A", &update.a), ("B", &update.b)] {
                tensors.insert(format!("{PEFT_PREFIX}{module}.lora_{half}.weight"), tensor.clone());
            }
        }
        replace_folder(dir, origin, |staged| {
            std::fs::write(staged.join(ADAPTER_CONFIG), config + "\n")?;
            write_tensors(&staged.join(ADAPTER_WEIGHTS), tensors)
        })
    }
}

/// Module name and half (0: A, 1: B) of a tensor in an adapter file.
fn module_of(name: &str) -> Option<(&str, usize)> {
    let name = name.strip_prefix(PEFT_PREFIX)?;
    ["A", "B"].iter().enumerate().find_map(|(half, letter)| {
        let module = name.strip_suffix(".weight")?.strip_suffix(&format!(".lora_{letter}"))?;
        Some((module, half))
    })
}

/// A `[r, in]` and B `[out, r]` in f32, if they fit each other and the weight. The rank is that of
/// the tensors, so that `rank_pattern` need not be read.
fn fitting(
    halves: [Option<Tensor>; 2],
    weight: Option<&Vec<usize>>,
) -> Result<(Tensor, Tensor), String> {
    let [Some(a), Some(b)] = halves else { return Err("only one of lora_A and lora_B".into()) };
    let weight = weight.ok_or("the model has no such projection")?;
    let shape = |t: &Tensor| t.dims2().map_err(|e| e.to_string());
    let ((r, inputs), (outputs, columns)) = (shape(&a)?, shape(&b)?);
    if r != columns || weight.as_slice() != [outputs, inputs] {
        return Err(format!(
            "lora_A {:?} and lora_B {:?} do not fit a weight of {weight:?}",
            a.dims(),
            b.dims()
        ));
    }
    let as_f32 = |t: Tensor| t.to_dtype(DType::F32).map_err(|e| e.to_string());
    Ok((as_f32(a)?, as_f32(b)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_peft_are_taken_apart() {
        let name = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight";
        assert_eq!(module_of(name), Some(("model.layers.0.self_attn.q_proj", 1)));
        assert_eq!(module_of("base_model.model.lm_head.weight"), None);
    }

    #[test]
    fn more_than_plain_lora_is_refused_by_name() {
        let plain = AdapterConfig::lora("base".into(), 4, 8.0, 0.0, &["q_proj".into()]);
        let text = serde_json::to_string(&plain).unwrap();
        assert_eq!(AdapterConfig::parse(&text).unwrap(), plain);
        for (from, to, field) in [
            ("\"LORA\"", "\"IA3\"", "peft_type"),
            ("\"use_dora\":false", "\"use_dora\":true", "use_dora"),
            ("\"bias\":\"none\"", "\"bias\":\"all\"", "bias"),
            ("\"r\":4", "\"r\":0", "`r"),
        ] {
            let error = AdapterConfig::parse(&text.replace(from, to)).unwrap_err();
            assert!(error.contains(field), "{error}");
        }
    }

    #[test]
    fn null_in_an_optional_field_is_its_absence() {
        let mut plain = AdapterConfig::lora("base".into(), 4, 8.0, 0.0, &["q_proj".into()]);
        plain.inference_mode = false;
        let mut raw = serde_json::to_value(&plain).unwrap();
        for field in [
            "lora_dropout",
            "bias",
            "use_rslora",
            "use_dora",
            "fan_in_fan_out",
            "alpha_pattern",
            "rank_pattern",
            "inference_mode",
            "modules_to_save",
        ] {
            raw[field] = serde_json::Value::Null;
            assert_eq!(AdapterConfig::parse(&raw.to_string()), Ok(plain.clone()), "{field}");
        }
    }

    #[test]
    fn a_module_with_its_own_alpha_is_scaled_by_it() {
        let model = r#"{"architectures":["LlamaForCausalLM"],"vocab_size":8,"hidden_size":4,
            "intermediate_size":4,"num_hidden_layers":1,"num_attention_heads":1}"#;
        let model = ModelConfig::parse(model).unwrap();
        let mut config = AdapterConfig::lora("builtin".into(), 2, 8.0, 0.0, &[]);
        config.alpha_pattern = AlphaPattern(vec![("q_proj".into(), 3.0)]);
        let half = |shape: (usize, usize)| Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap();
        let update = |r| LowRank { a: half((r, 4)), b: half((4, r)), scale: 0.0, dropout: 0.0 };
        let name = |module: &str| format!("model.layers.0.self_attn.{module}");
        let updates = [(name("q_proj"), update(2)), (name("v_proj"), update(1))].into();
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("adapter");
        Adapter { config, updates }.save(&folder, &Source::Embedded).unwrap();
        let read = Adapter::read(&Source::Folder(folder), &model).unwrap();
        assert_eq!(read.updates[&name("q_proj")].scale, 1.5);
        assert_eq!(read.updates[&name("v_proj")].scale, 8.0);
    }

    #[test]
    fn dropped_inputs_follow_the_key_and_keep_the_mean() {
        let (one, again, other) =
            (mask(10_000, 0.3, 1), mask(10_000, 0.3, 1), mask(10_000, 0.3, 2));
        assert_eq!(one, again);
        assert_ne!(one, other);
        let mean: f32 = one.iter().sum::<f32>() / 10_000.0;
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
    }
}
