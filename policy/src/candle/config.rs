//! `config.json` of the Llama family, as published by both generations of `transformers`.
//!
//! It knows shapes and switches, not weights. Unsupported architectures are refused by name.

use std::path::Path;

use candle_core::DType;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::PolicyError;

/// Architectures this engine runs, as `config.json` names them.
const SUPPORTED: [&str; 4] =
    ["LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"];

/// Shapes and switches of one decoder. D hidden width, L layers, H heads, K key/value heads,
/// V vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Name in `architectures`.
    pub architecture: String,
    /// V.
    pub vocab_size: usize,
    /// D.
    pub hidden_size: usize,
    /// Width of the gated feed-forward layer.
    pub intermediate_size: usize,
    /// L.
    pub layers: usize,
    /// H.
    pub heads: usize,
    /// K; divides H.
    pub kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// Added under the root in RMSNorm.
    pub rms_norm_eps: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How rotary frequencies are stretched.
    pub rope_scaling: RopeScaling,
    /// Longest context in tokens.
    pub context: usize,
    /// Tokens that a row attends to at most, itself included, in the layers that have a window.
    pub sliding_window: Option<usize>,
    /// Whether each layer has that window; the others see everything.
    pub windowed: Vec<bool>,
    /// Bias on the q, k and v projections (Qwen2).
    pub qkv_bias: bool,
    /// Bias on the attention's output projection (Llama's `attention_bias`).
    pub output_bias: bool,
    /// RMSNorm on each head of q and k (Qwen3).
    pub qk_norm: bool,
    /// Whether the output projection is the embedding.
    pub tied: bool,
    /// The file's content, kept so that a copy of the checkpoint loses no field.
    pub raw: Map<String, Value>,
}

/// How rotary frequencies are stretched for longer contexts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// Unchanged.
    None,
    /// Positions divided by the factor.
    Linear {
        /// At least 1.
        factor: f64,
    },
    /// Llama 3.1: low frequencies divided, high ones kept, a ramp between.
    Llama3 {
        /// Divides the low frequencies.
        factor: f64,
        /// Wavelengths above `original / low` are divided.
        low_freq_factor: f64,
        /// Wavelengths below `original / high` are kept.
        high_freq_factor: f64,
        /// Context before the stretch.
        original: f64,
    },
}

#[derive(Deserialize)]
struct File {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: Option<f64>,
    rope_theta: Option<Value>,
    rope_scaling: Option<Value>,
    rope_parameters: Option<Value>,
    max_position_embeddings: Option<usize>,
    sliding_window: Option<usize>,
    use_sliding_window: Option<bool>,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    tie_word_embeddings: Option<bool>,
    hidden_act: Option<String>,
}

/// Widest layer. This bound and those in [`ModelConfig::check`] are far above published models; below
/// them no size in bytes overflows.
const MOST_WIDE: usize = 1 << 20;
/// Most layers.
const MOST_LAYERS: usize = 1 << 12;

impl ModelConfig {
    /// Reads `config.json` in `dir`.
    ///
    /// # Errors
    /// When the file is missing, malformed or names an architecture that is not supported.
    pub fn read(dir: &Path) -> Result<Self, PolicyError> {
        let path = dir.join("config.json");
        let text = std::fs::read_to_string(&path)
            .map_err(|e| PolicyError::File { path: path.clone(), detail: e.to_string() })?;
        Self::parse(&text).map_err(|detail| PolicyError::File { path, detail })
    }

    /// Parses the text of a `config.json`; the error says which field and what was expected.
    ///
    /// # Errors
    /// When a field is missing, of the wrong kind, or the shapes do not fit together.
    pub fn parse(text: &str) -> Result<Self, String> {
        let raw: Map<String, Value> =
            serde_json::from_str(text).map_err(|e| format!("not a JSON object: {e}"))?;
        // Other families have other fields: the name is looked at first.
        let architecture = architecture(&raw)?;
        let file: File =
            serde_json::from_value(Value::Object(raw.clone())).map_err(|e| e.to_string())?;
        if let Some(act) = file.hidden_act.as_deref().filter(|a| *a != "silu") {
            return Err(format!("`hidden_act` is `{act}`; expected `silu`"));
        }
        if file.mlp_bias == Some(true) {
            return Err("`mlp_bias` is true; expected false: feed-forward layers have no biases \
                        here"
                .into());
        }
        let (rope_theta, rope_scaling) = rope(&file)?;
        let llama_bias = file.attention_bias.unwrap_or(false);
        let windowed = file.use_sliding_window.unwrap_or(architecture == "MistralForCausalLM");
        let config = Self {
            vocab_size: file.vocab_size,
            hidden_size: file.hidden_size,
            intermediate_size: file.intermediate_size,
            layers: file.num_hidden_layers,
            heads: file.num_attention_heads,
            kv_heads: file.num_key_value_heads.unwrap_or(file.num_attention_heads),
            head_dim: file.head_dim.unwrap_or(file.hidden_size / file.num_attention_heads.max(1)),
            rms_norm_eps: file.rms_norm_eps.unwrap_or(1e-6) as f32,
            rope_theta,
            rope_scaling,
            context: file.max_position_embeddings.unwrap_or(2048),
            sliding_window: file.sliding_window.filter(|_| windowed),
            windowed: windowed_layers(&file)?,
            qkv_bias: llama_bias || architecture == "Qwen2ForCausalLM",
            output_bias: llama_bias && architecture != "Qwen2ForCausalLM",
            qk_norm: architecture == "Qwen3ForCausalLM",
            tied: file.tie_word_embeddings.unwrap_or(false),
            architecture,
            raw,
        };
        config.check()?;
        Ok(config)
    }

    /// A small Llama configuration from its shapes, for models trained from nothing.
    #[must_use]
    pub fn llama(vocab: usize, hidden: usize, inner: usize, layers: usize, heads: usize) -> Self {
        let raw = json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
            "vocab_size": vocab, "hidden_size": hidden, "intermediate_size": inner,
            "num_hidden_layers": layers, "num_attention_heads": heads,
            "num_key_value_heads": heads, "head_dim": hidden / heads.max(1),
            "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 1024,
            "tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false,
            "initializer_range": 0.02, "torch_dtype": "float32", "use_cache": true,
        });
        Self::parse(&raw.to_string()).expect("the fields above are complete")
    }

    fn check(&self) -> Result<(), String> {
        for (field, value, most) in [
            ("vocab_size", self.vocab_size, 1 << 24),
            ("hidden_size", self.hidden_size, MOST_WIDE),
            ("intermediate_size", self.intermediate_size, MOST_WIDE),
            ("num_hidden_layers", self.layers, MOST_LAYERS),
            ("num_attention_heads", self.heads, 1 << 12),
            ("head_dim", self.head_dim, 1 << 12),
            ("max_position_embeddings", self.context, 1 << 26),
        ] {
            if value > most {
                return Err(format!("`{field}` is {value}; expected at most {most}"));
            }
        }
        let expect = |ok: bool, what: &str| if ok { Ok(()) } else { Err(what.to_owned()) };
        expect(self.vocab_size > 0, "`vocab_size` is 0; expected at least 1")?;
        expect(self.hidden_size > 0 && self.layers > 0, "`hidden_size` or layers is 0")?;
        expect(self.heads > 0 && self.kv_heads > 0, "number of heads is 0")?;
        expect(
            self.heads.is_multiple_of(self.kv_heads),
            "`num_key_value_heads` does not divide `num_attention_heads`",
        )?;
        expect(
            self.head_dim > 0 && self.head_dim.is_multiple_of(2),
            "`head_dim` is not a positive even number",
        )?;
        expect(self.sliding_window != Some(0), "`sliding_window` is 0; expected at least 1")
    }

    /// Tokens that a row attends to at most in this layer, itself included.
    #[must_use]
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.sliding_window.filter(|_| self.windowed.get(layer) == Some(&true))
    }

    /// Rotary frequency of each pair of a head, `head_dim / 2` values.
    #[must_use]
    pub fn inverse_frequencies(&self) -> Vec<f32> {
        (0..self.head_dim / 2)
            .map(|i| {
                let exponent = 2.0 * i as f64 / self.head_dim as f64;
                self.rope_scaling.apply(self.rope_theta.powf(exponent).recip()) as f32
            })
            .collect()
    }

    /// Type of the weights in the file, by `dtype` (transformers 5) or `torch_dtype`; f32 if neither
    /// is there or known.
    #[must_use]
    pub fn dtype(&self) -> DType {
        let name = ["dtype", "torch_dtype"].iter().find_map(|key| self.raw.get(*key)?.as_str());
        match name {
            Some("bfloat16") => DType::BF16,
            Some("float16") => DType::F16,
            _ => DType::F32,
        }
    }

    /// The content of `config.json` for weights of another type.
    pub(crate) fn raw_with_dtype(&self, dtype: DType) -> Map<String, Value> {
        let name = match dtype {
            DType::BF16 => "bfloat16",
            DType::F16 => "float16",
            _ => "float32",
        };
        let mut raw = self.raw.clone();
        for (key, value) in &mut raw {
            if key == "dtype" || key == "torch_dtype" {
                *value = name.into();
            }
        }
        raw
    }

    /// Number of parameters.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.tensor_shapes().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// Name and shape of every tensor of a checkpoint, in a fixed order.
    #[must_use]
    pub fn tensor_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let (d, f) = (self.hidden_size, self.intermediate_size);
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let mut shapes = vec![("model.embed_tokens.weight".to_owned(), vec![self.vocab_size, d])];
        for layer in 0..self.layers {
            let mut add = |name: &str, shape: &[usize]| {
                shapes.push((format!("model.layers.{layer}.{name}"), shape.to_vec()));
            };
            add("input_layernorm.weight", &[d]);
            for (name, out) in [("q_proj", q), ("k_proj", kv), ("v_proj", kv)] {
                add(&format!("self_attn.{name}.weight"), &[out, d]);
                if self.qkv_bias {
                    add(&format!("self_attn.{name}.bias"), &[out]);
                }
            }
            add("self_attn.o_proj.weight", &[d, q]);
            if self.output_bias {
                add("self_attn.o_proj.bias", &[d]);
            }
            if self.qk_norm {
                add("self_attn.q_norm.weight", &[self.head_dim]);
                add("self_attn.k_norm.weight", &[self.head_dim]);
            }
            add("post_attention_layernorm.weight", &[d]);
            add("mlp.gate_proj.weight", &[f, d]);
            add("mlp.up_proj.weight", &[f, d]);
            add("mlp.down_proj.weight", &[d, f]);
        }
        shapes.push(("model.norm.weight".to_owned(), vec![d]));
        if !self.tied {
            shapes.push(("lm_head.weight".to_owned(), vec![self.vocab_size, d]));
        }
        shapes
    }
}

impl RopeScaling {
    /// The stretched form of one inverse frequency.
    fn apply(self, frequency: f64) -> f64 {
        match self {
            Self::None => frequency,
            Self::Linear { factor } => frequency / factor,
            // Llama 3.1's ramp between kept and divided frequencies, by wavelength.
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original } => {
                let wavelength = 2.0 * std::f64::consts::PI / frequency;
                if wavelength > original / low_freq_factor {
                    frequency / factor
                } else if wavelength < original / high_freq_factor {
                    frequency
                } else {
                    let smooth = (original / wavelength - low_freq_factor)
                        / (high_freq_factor - low_freq_factor);
                    (1.0 - smooth) * frequency / factor + smooth * frequency
                }
            }
        }
    }
}

/// The one name in `architectures`, if this engine runs it.
fn architecture(raw: &Map<String, Value>) -> Result<String, String> {
    let name = raw.get("architectures").and_then(|names| names.get(0)).and_then(Value::as_str);
    let name =
        name.ok_or("field `architectures` is missing; expected a list with one name")?.to_owned();
    if SUPPORTED.contains(&name.as_str()) {
        return Ok(name);
    }
    let known = SUPPORTED.join(", ");
    Err(format!("architecture `{name}` is not supported; supported are {known}"))
}

/// Which layers have the window, by `layer_types` (transformers 5) or from `max_window_layers` on.
fn windowed_layers(file: &File) -> Result<Vec<bool>, String> {
    let layers = file.num_hidden_layers.min(MOST_LAYERS);
    let Some(types) = &file.layer_types else {
        let first = file.max_window_layers.unwrap_or(0);
        return Ok((0..layers).map(|layer| layer >= first).collect());
    };
    if types.len() != file.num_hidden_layers {
        let (n, expected) = (types.len(), file.num_hidden_layers);
        return Err(format!("`layer_types` has {n} entries; expected {expected}, one a layer"));
    }
    let windowed = |kind: &String| match kind.as_str() {
        "full_attention" => Ok(false),
        "sliding_attention" => Ok(true),
        other => Err(format!(
            "`layer_types` holds `{other}`; supported are full_attention and sliding_attention"
        )),
    };
    types.iter().map(windowed).collect()
}

/// Base and scaling, from `rope_theta` + `rope_scaling` (transformers 4) or the nested
/// `rope_parameters` (transformers 5).
fn rope(file: &File) -> Result<(f64, RopeScaling), String> {
    let nested = file.rope_parameters.as_ref().filter(|v| !v.is_null());
    let settings = nested.or(file.rope_scaling.as_ref()).filter(|v| !v.is_null());
    let field = |name: &str| settings.and_then(|s| s.get(name)).filter(|v| !v.is_null());
    let need = |name: &str| positive(name, field(name).unwrap_or(&Value::Null));
    let theta = field("rope_theta").or(file.rope_theta.as_ref()).filter(|v| !v.is_null());
    let theta = theta.map_or(Ok(10_000.0), |value| positive("rope_theta", value))?;
    let kind = settings
        .and_then(|s| s.get("rope_type").or_else(|| s.get("type")))
        .and_then(Value::as_str)
        .unwrap_or("default");
    let scaling = match kind {
        "default" => RopeScaling::None,
        "linear" => RopeScaling::Linear { factor: need("factor")? },
        "llama3" => RopeScaling::Llama3 {
            factor: need("factor")?,
            low_freq_factor: need("low_freq_factor")?,
            high_freq_factor: need("high_freq_factor")?,
            original: need("original_max_position_embeddings")?,
        },
        other => {
            return Err(format!(
                "rope scaling `{other}` is not supported; supported are default, linear, llama3"
            ));
        }
    };
    Ok((theta, scaling))
}

fn positive(name: &str, value: &Value) -> Result<f64, String> {
    let number = value.as_f64().filter(|number| *number > 0.0 && number.is_finite());
    number.ok_or_else(|| format!("rope: `{name}` is {value}; expected a number above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLAMA: &str = r#"{"architectures":["LlamaForCausalLM"],"vocab_size":10,"hidden_size":8,
        "intermediate_size":16,"num_hidden_layers":2,"num_attention_heads":2,"rope_theta":500.0"#;

    #[test]
    fn both_generations_of_rope_settings_are_read() {
        let old = ModelConfig::parse(&format!(
            "{LLAMA},\"rope_scaling\":{{\"type\":\"linear\",\"factor\":2.0}}}}"
        ))
        .unwrap();
        assert_eq!(old.rope_scaling, RopeScaling::Linear { factor: 2.0 });
        assert_eq!(old.rope_theta, 500.0);
        let new = ModelConfig::parse(&format!(
            "{LLAMA},\"rope_parameters\":{{\"rope_type\":\"default\",\"rope_theta\":7.0}}}}"
        ))
        .unwrap();
        assert_eq!(new.rope_theta, 7.0);
        assert_eq!(new.rope_scaling, RopeScaling::None);
    }

    #[test]
    fn an_unsupported_architecture_is_named_with_the_supported_ones() {
        let error =
            ModelConfig::parse(&format!("{LLAMA}}}").replace("Llama", "Gemma")).unwrap_err();
        assert!(error.contains("GemmaForCausalLM") && error.contains("Qwen2ForCausalLM"));
    }

    #[test]
    fn an_unsupported_architecture_is_named_whatever_its_fields() {
        let error = ModelConfig::parse(r#"{"architectures":["GPT2LMHeadModel"],"n_embd":8}"#);
        assert!(error.unwrap_err().contains("GPT2LMHeadModel"));
    }

    #[test]
    fn layer_types_say_which_layers_have_the_window() {
        let types = |types: &str| {
            let more = "\"sliding_window\":4,\"use_sliding_window\":true,\"max_window_layers\":0";
            let text = format!("{LLAMA},{more},\"layer_types\":{types}}}");
            ModelConfig::parse(&text.replace("Llama", "Qwen2"))
        };
        let config = types(r#"["full_attention","sliding_attention"]"#).unwrap();
        assert_eq!((config.window(0), config.window(1)), (None, Some(4)));
        assert!(types(r#"["full_attention"]"#).unwrap_err().contains("expected 2"));
        let error = types(r#"["full_attention","linear_attention"]"#).unwrap_err();
        assert!(error.contains("linear_attention"), "{error}");
    }

    #[test]
    fn what_would_be_computed_wrongly_is_refused() {
        for (more, named) in [
            (r#""mlp_bias":true"#, "mlp_bias"),
            (r#""rope_parameters":{"rope_theta":"x"}"#, "rope_theta"),
            (r#""rope_parameters":{"rope_theta":0}"#, "rope_theta"),
            (r#""rope_scaling":{"type":"linear","factor":0}"#, "factor"),
            (r#""rope_scaling":{"type":"linear"}"#, "factor"),
        ] {
            let error = ModelConfig::parse(&format!("{LLAMA},{more}}}")).unwrap_err();
            assert!(error.contains(named), "{more}: {error}");
        }
    }

    #[test]
    fn null_sliding_window_means_none() {
        let text = format!("{LLAMA},\"sliding_window\":null}}").replace("Llama", "Mistral");
        assert_eq!(ModelConfig::parse(&text).unwrap().sliding_window, None);
    }

    #[test]
    fn shapes_count_the_parameters() {
        let config = ModelConfig::llama(10, 8, 16, 2, 2);
        let layer = 4 * 64 + 3 * 128 + 16;
        assert_eq!(config.parameter_count(), 80 + 2 * layer + 8);
    }
}
