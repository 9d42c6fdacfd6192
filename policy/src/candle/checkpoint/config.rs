//! `config.json` of the Llama family, as published by transformers 4 and 5.
//!
//! It holds shapes and switches, not weights. Unsupported architectures are refused by name.

use std::path::Path;

use candle_core::DType;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::PolicyError;
use crate::candle::checkpoint::config_fields;
use crate::candle::checkpoint::family::{Family, architecture, family};
pub use crate::candle::checkpoint::rope_scaling::RopeScaling;
use crate::candle::checkpoint::rope_scaling::{self, Rope};
use crate::candle::kernels::RopeTable;

/// Shapes and switches of a decoder. D hidden size, L layers, H heads, K key/value heads, V vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Name in `architectures`, of the family's causal language model.
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
    /// Size of a head; even.
    pub head_dim: usize,
    /// Epsilon of RMSNorm, added under the root.
    pub rms_norm_eps: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Scaling of the rotary frequencies.
    pub rope_scaling: RopeScaling,
    /// Longest context in tokens.
    pub context: usize,
    /// Maximum number of tokens that a token attends to, including itself, in layers with a sliding window.
    pub sliding_window: Option<usize>,
    /// Whether each layer has the sliding window; the other layers attend to all earlier tokens.
    pub windowed: Vec<bool>,
    /// Bias on the q, k and v projections (Qwen2).
    pub qkv_bias: bool,
    /// Bias on the attention's output projection (Llama's `attention_bias`).
    pub output_bias: bool,
    /// RMSNorm on each head of q and k (Qwen3).
    pub qk_norm: bool,
    /// Whether the output projection is the embedding.
    pub tied: bool,
    /// Whether the head scores sequences or tokens (`...ForSequenceClassification`,
    /// `...ForTokenClassification`). Such a head is not part of the decoder, which then counts as tied.
    pub scores: bool,
    /// Content of the file, kept so that a copy of the checkpoint loses no field.
    pub raw: Map<String, Value>,
}

#[derive(Deserialize)]
struct File {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    #[serde(default, deserialize_with = "given")]
    num_key_value_heads: Given<usize>,
    #[serde(default, deserialize_with = "given")]
    head_dim: Given<usize>,
    rms_norm_eps: Option<f64>,
    max_position_embeddings: Option<usize>,
    #[serde(default, deserialize_with = "given")]
    sliding_window: Given<usize>,
    use_sliding_window: Option<bool>,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
    attention_bias: Option<bool>,
    tie_word_embeddings: Option<bool>,
    hidden_act: Option<String>,
}

/// A field that may be absent (`None`), null or set.
type Given<T> = Option<Option<T>>;

fn given<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(
    field: D,
) -> Result<Given<T>, D::Error> {
    Option::deserialize(field).map(Some)
}

/// Maximum hidden and intermediate size. This bound and the bounds in [`ModelConfig::check`] are far above
/// published models; below them no size in bytes overflows.
const MOST_WIDE: usize = 1 << 20;
/// Maximum number of layers.
const MOST_LAYERS: usize = 1 << 12;

impl ModelConfig {
    /// Reads `config.json` in `dir`.
    ///
    /// # Errors
    /// If the file is missing or malformed, or its architecture is not supported.
    pub fn read(dir: &Path) -> Result<Self, PolicyError> {
        let path = dir.join("config.json");
        let text = std::fs::read_to_string(&path)
            .map_err(|e| PolicyError::File { path: path.clone(), detail: e.to_string() })?;
        Self::parse(&text).map_err(|detail| PolicyError::File { path, detail })
    }

    /// Parses the `config.json` of a language model. The error names the field and what was expected.
    ///
    /// # Errors
    /// If a field is missing or of the wrong type, the shapes do not fit together, or the head scores (a
    /// reward model).
    pub fn parse(text: &str) -> Result<Self, String> {
        let config = Self::parse_any(text)?;
        match architecture(&config.raw).filter(|_| config.scores) {
            None => Ok(config),
            Some(name) => Err(format!(
                "architecture `{name}` scores solutions and predicts no tokens; it can only judge (--judge-policy)"
            )),
        }
    }

    /// Like [`Self::parse`], but also accepts reward models.
    pub(crate) fn parse_any(text: &str) -> Result<Self, String> {
        let raw: Map<String, Value> =
            serde_json::from_str(text).map_err(|e| format!("not a JSON object: {e}"))?;
        // Other families have other fields, so the family is checked first.
        let family = family(&raw)?;
        config_fields::check(&raw)?;
        let file: File =
            serde_json::from_value(Value::Object(raw.clone())).map_err(|e| e.to_string())?;
        if let Some(act) = file.hidden_act.as_deref().filter(|a| !["silu", "swish"].contains(a)) {
            return Err(format!("`hidden_act` is `{act}`; expected `silu`"));
        }
        let config = Self::of(family, &file, raw)?;
        config.check()?;
        Ok(config)
    }

    /// Builds the configuration from the fields of a family's file.
    fn of(family: &Family, file: &File, raw: Map<String, Value>) -> Result<Self, String> {
        let heads = file.num_attention_heads;
        let absent = family.head_dim.filter(|_| file.head_dim.is_none());
        let head_dim = file.head_dim.flatten().or(absent);
        let head_dim = head_dim.unwrap_or(file.hidden_size / heads.max(1));
        let absent = family.kv_heads.filter(|_| file.num_key_value_heads.is_none());
        let kv_heads = file.num_key_value_heads.flatten().or(absent);
        let context = file.max_position_embeddings.unwrap_or(family.max_position_embeddings);
        let rope = Rope::read(&raw, head_dim, context)?;
        let is = |name: &str| family.model_type == name;
        let bias = file.attention_bias.unwrap_or(false);
        if bias && is("mistral") {
            return Err("`attention_bias` is true; expected false: the family has none".into());
        }
        let slides = match family.model_type {
            "mistral" => true,
            "llama" => false,
            _ => file.use_sliding_window.unwrap_or(false),
        };
        let scores = architecture(&raw).is_some_and(|name| name != family.architecture);
        Ok(Self {
            architecture: family.architecture.to_owned(),
            vocab_size: file.vocab_size,
            hidden_size: file.hidden_size,
            intermediate_size: file.intermediate_size,
            layers: file.num_hidden_layers,
            heads,
            kv_heads: kv_heads.unwrap_or(heads),
            head_dim,
            rms_norm_eps: file.rms_norm_eps.unwrap_or(1e-6) as f32,
            rope_theta: rope.theta,
            rope_scaling: rope.scaling,
            context: rope.context,
            sliding_window: file.sliding_window.unwrap_or(Some(4096)).filter(|_| slides),
            windowed: windowed_layers(family, file)?,
            qkv_bias: bias || is("qwen2"),
            output_bias: bias && !is("qwen2"),
            qk_norm: is("qwen3"),
            tied: scores || file.tie_word_embeddings.unwrap_or(false),
            scores,
            raw,
        })
    }

    /// Returns warnings about the file: unknown fields, and `rope_parameters` that `rope_scaling`
    /// overrides.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let unknown = config_fields::unknown(&self.raw);
        let unknown = (!unknown.is_empty()).then(|| {
            format!(
                "config.json: nothing is known of `{}`; the model is computed without",
                unknown.join("`, `")
            )
        });
        unknown.into_iter().chain(rope_scaling::warning(&self.raw)).collect()
    }

    /// Builds a small Llama configuration from shapes, for models trained from scratch.
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

    /// Replaces the layers by the layers with these indices (an index may repeat), in `raw` as well.
    pub(crate) fn replicate(&mut self, order: &[usize]) {
        self.layers = order.len();
        self.windowed = order.iter().map(|layer| self.windowed[*layer]).collect();
        self.raw.insert("num_hidden_layers".into(), order.len().into());
        if let Some(Value::Array(types)) = self.raw.get_mut("layer_types") {
            *types = order.iter().filter_map(|layer| types.get(*layer).cloned()).collect();
        }
    }

    /// Changes the vocabulary size, in `raw` as well.
    pub(crate) fn resize(&mut self, vocabulary: usize) {
        self.vocab_size = vocabulary;
        self.raw.insert("vocab_size".into(), vocabulary.into());
    }

    /// Unties the output head from the embedding, in `raw` as well.
    pub(crate) fn untie(&mut self) {
        self.tied = false;
        self.raw.insert("tie_word_embeddings".into(), false.into());
    }

    /// Returns the maximum number of tokens that a token attends to in this layer, including itself; `None`
    /// if the layer has no window.
    #[must_use]
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.sliding_window.filter(|_| self.windowed.get(layer) == Some(&true))
    }

    /// Returns the rotary frequency of each pair of a head, `head_dim / 2` values.
    #[must_use]
    pub fn inverse_frequencies(&self) -> Vec<f32> {
        self.rope_scaling.frequencies(self.rope_theta, self.head_dim)
    }

    /// Returns cosines and sines of all positions of the context.
    pub(crate) fn rope_table(&self) -> RopeTable {
        RopeTable::new(&self.inverse_frequencies(), self.context).scaled(self.rope_scaling.scale())
    }

    /// Returns the dtype of the weights according to `dtype` (transformers 5) or `torch_dtype`: bf16 or f16;
    /// f32 for any other value or if neither is set.
    #[must_use]
    pub fn dtype(&self) -> DType {
        let name = ["dtype", "torch_dtype"].iter().find_map(|key| self.raw.get(*key)?.as_str());
        match name {
            Some("bfloat16") => DType::BF16,
            Some("float16") => DType::F16,
            _ => DType::F32,
        }
    }

    /// Returns the content of `config.json` for weights of this dtype.
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

    /// Returns the name and shape of every tensor of a checkpoint, in a fixed order.
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

/// Returns for each layer whether it has the window: by `layer_types` (transformers 5), or else for all
/// layers from `max_window_layers` on.
fn windowed_layers(family: &Family, file: &File) -> Result<Vec<bool>, String> {
    let layers = file.num_hidden_layers.min(MOST_LAYERS);
    let Some(types) = file.layer_types.as_ref().filter(|_| family.model_type != "mistral") else {
        let first = match family.model_type {
            "mistral" => 0,
            _ => file.max_window_layers.unwrap_or(28),
        };
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

#[cfg(test)]
mod tests;
