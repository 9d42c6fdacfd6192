//! `config.json` of the Llama family, as published by both generations of `transformers`.
//!
//! It knows shapes and switches, not weights. Unsupported architectures are refused by name.

use std::path::Path;

use candle_core::DType;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::PolicyError;
use crate::candle::checkpoint::config_fields;
pub use crate::candle::checkpoint::rope_scaling::RopeScaling;
use crate::candle::checkpoint::rope_scaling::{self, Rope};
use crate::candle::kernels::RopeTable;

/// A family that this engine runs, with what transformers takes for fields that a file lacks.
struct Family {
    architecture: &'static str,
    model_type: &'static str,
    /// `num_key_value_heads` if it is not the number of heads.
    kv_heads: Option<usize>,
    /// `head_dim` if it is not the hidden width by the number of heads.
    head_dim: Option<usize>,
    max_position_embeddings: usize,
}

/// What stands in a family's architecture in place of `ForCausalLM` where the head scores.
const SCORING: [&str; 2] = ["ForSequenceClassification", "ForTokenClassification"];

impl Family {
    /// Whether an architecture is one of the family's.
    fn has(&self, architecture: &str) -> bool {
        let stem = self.architecture.trim_end_matches("ForCausalLM");
        let head = architecture.strip_prefix(stem);
        head.is_some_and(|head| head == "ForCausalLM" || SCORING.contains(&head))
    }
}

/// The name in `architectures`.
fn architecture(raw: &Map<String, Value>) -> Option<&str> {
    raw.get("architectures")?.get(0)?.as_str()
}

const FAMILIES: [Family; 4] = [
    Family {
        architecture: "LlamaForCausalLM",
        model_type: "llama",
        kv_heads: None,
        head_dim: None,
        max_position_embeddings: 2048,
    },
    Family {
        architecture: "MistralForCausalLM",
        model_type: "mistral",
        kv_heads: Some(8),
        head_dim: None,
        max_position_embeddings: 131_072,
    },
    Family {
        architecture: "Qwen2ForCausalLM",
        model_type: "qwen2",
        kv_heads: Some(32),
        head_dim: None,
        max_position_embeddings: 32_768,
    },
    Family {
        architecture: "Qwen3ForCausalLM",
        model_type: "qwen3",
        kv_heads: Some(32),
        head_dim: Some(128),
        max_position_embeddings: 32_768,
    },
];

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
    /// Whether the head scores sequences or tokens (`...ForSequenceClassification`,
    /// `...ForTokenClassification`): it is no part of the decoder, which counts as tied.
    pub scores: bool,
    /// The file's content, kept so that a copy of the checkpoint loses no field.
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

    /// Parses the text of the `config.json` of a language model; the error says which field and what was expected.
    ///
    /// # Errors
    /// When a field is missing, of the wrong kind, or the shapes do not fit together; when the head scores.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config = Self::parse_any(text)?;
        match architecture(&config.raw).filter(|_| config.scores) {
            None => Ok(config),
            Some(name) => Err(format!(
                "architecture `{name}` scores solutions and predicts no tokens; it can only judge (--judge-policy)"
            )),
        }
    }

    /// As [`Self::parse`], of a language or a reward model.
    pub(crate) fn parse_any(text: &str) -> Result<Self, String> {
        let raw: Map<String, Value> =
            serde_json::from_str(text).map_err(|e| format!("not a JSON object: {e}"))?;
        // Other families have other fields: the name is looked at first.
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

    /// What the fields of a family's file say.
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

    /// What a user should know of the file: fields of which nothing is known, and those that others
    /// make void.
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

    /// Makes the model of these layers of itself, in `raw` as well.
    pub(crate) fn replicate(&mut self, order: &[usize]) {
        self.layers = order.len();
        self.windowed = order.iter().map(|layer| self.windowed[*layer]).collect();
        self.raw.insert("num_hidden_layers".into(), order.len().into());
        if let Some(Value::Array(types)) = self.raw.get_mut("layer_types") {
            *types = order.iter().filter_map(|layer| types.get(*layer).cloned()).collect();
        }
    }

    /// Gives the model another number of tokens, in `raw` as well.
    pub(crate) fn resize(&mut self, vocabulary: usize) {
        self.vocab_size = vocabulary;
        self.raw.insert("vocab_size".into(), vocabulary.into());
    }

    /// Gives the model a head of its own, in `raw` as well.
    pub(crate) fn untie(&mut self) {
        self.tied = false;
        self.raw.insert("tie_word_embeddings".into(), false.into());
    }

    /// Tokens that a row attends to at most in this layer, itself included.
    #[must_use]
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.sliding_window.filter(|_| self.windowed.get(layer) == Some(&true))
    }

    /// Rotary frequency of each pair of a head, `head_dim / 2` values.
    #[must_use]
    pub fn inverse_frequencies(&self) -> Vec<f32> {
        self.rope_scaling.frequencies(self.rope_theta, self.head_dim)
    }

    /// Cosines and sines of every position of the context.
    pub(crate) fn rope_table(&self) -> RopeTable {
        RopeTable::new(&self.inverse_frequencies(), self.context).scaled(self.rope_scaling.scale())
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

/// The family by `model_type` and `architectures`, which must agree; one of them is enough.
fn family(raw: &Map<String, Value>) -> Result<&'static Family, String> {
    let list = |name: fn(&Family) -> &'static str| FAMILIES.each_ref().map(name).join(", ");
    let kind = raw.get("model_type").and_then(Value::as_str);
    let family = match (architecture(raw), kind) {
        (Some(name), _) => FAMILIES.iter().find(|family| family.has(name)).ok_or_else(|| {
            let known = list(|family| family.architecture);
            format!("architecture `{name}` is not supported; supported are {known}")
        })?,
        (None, Some(kind)) => {
            FAMILIES.iter().find(|family| family.model_type == kind).ok_or_else(|| {
                let known = list(|family| family.model_type);
                format!("`model_type` is `{kind}`, which is not supported; supported are {known}")
            })?
        }
        (None, None) => {
            return Err("field `architectures` is missing; expected a list with one name".into());
        }
    };
    match kind.filter(|kind| *kind != family.model_type) {
        None => Ok(family),
        Some(kind) => Err(format!(
            "`model_type` is `{kind}`; expected `{}` beside architecture `{}`",
            family.model_type, family.architecture
        )),
    }
}

/// Which layers have the window, by `layer_types` (transformers 5) or from `max_window_layers` on.
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
mod tests {
    use super::*;

    const LLAMA: &str = r#"{"architectures":["LlamaForCausalLM"],"vocab_size":10,"hidden_size":8,
        "intermediate_size":16,"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":2,
        "rope_theta":500.0"#;

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
        assert!(new.warnings().is_empty());
        let both = ModelConfig::parse(&format!(
            "{LLAMA},\"rope_parameters\":{{\"rope_type\":\"default\",\"rope_theta\":7.0}},\
             \"rope_scaling\":{{\"type\":\"linear\",\"factor\":2.0}}}}"
        ))
        .unwrap();
        assert_eq!(both.rope_scaling, RopeScaling::Linear { factor: 2.0 });
        assert_eq!(both.rope_theta, 500.0);
        assert!(both.warnings()[0].contains("`rope_theta` of 500"), "{:?}", both.warnings());
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
            (r#""rope_scaling":{"type":"dynamic"}"#, "factor"),
            (r#""rope_scaling":{"type":"longrope","short_factor":[1]}"#, "short_factor"),
            (r#""rope_scaling":{"type":"mrope"}"#, "mrope"),
            (r#""partial_rotary_factor":0.5"#, "partial_rotary_factor"),
            (r#""attn_logit_softcapping":30.0"#, "attn_logit_softcapping"),
            (r#""quantization_config":{"bits":4}"#, "quantization_config"),
            (r#""model_type":"granite""#, "model_type"),
            (r#""hidden_act":"gelu""#, "hidden_act"),
        ] {
            let error = ModelConfig::parse(&format!("{LLAMA},{more}}}")).unwrap_err();
            assert!(error.contains(named), "{more}: {error}");
        }
    }

    #[test]
    fn what_a_file_lacks_is_what_transformers_takes() {
        let family = |name: &str| {
            let text = format!("{LLAMA}}}").replace("\"num_key_value_heads\":2,", "");
            let text = text.replace("\"num_attention_heads\":2", "\"num_attention_heads\":64");
            ModelConfig::parse(
                &text.replace("\"hidden_size\":8", "\"hidden_size\":256").replace("Llama", name),
            )
            .unwrap()
        };
        let found = ["Llama", "Mistral", "Qwen2", "Qwen3"].map(|name| {
            let config = family(name);
            (config.kv_heads, config.head_dim, config.context, config.sliding_window)
        });
        assert_eq!(found[0], (64, 4, 2048, None));
        assert_eq!(found[1], (8, 4, 131_072, Some(4096)));
        assert_eq!(found[2], (32, 4, 32_768, None));
        assert_eq!(found[3], (32, 128, 32_768, None));
    }

    #[test]
    fn the_type_of_a_model_is_enough() {
        let text = format!("{LLAMA},\"model_type\":\"qwen2\"}}");
        let unnamed = text.replace("\"architectures\":[\"LlamaForCausalLM\"],", "");
        assert_eq!(ModelConfig::parse(&unnamed).unwrap().architecture, "Qwen2ForCausalLM");
        assert!(ModelConfig::parse(&text).unwrap_err().contains("expected `llama`"));
    }

    #[test]
    fn stretched_contexts_end_where_rotations_would_change() {
        let context = |scaling: &str| {
            let text =
                format!("{LLAMA},\"max_position_embeddings\":100,\"rope_scaling\":{scaling}}}");
            ModelConfig::parse(&text).unwrap().context
        };
        let short = r#""short_factor":[1,1],"long_factor":[2,2]"#;
        for (scaling, expected) in [
            (r#"{"type":"dynamic","factor":4}"#.to_owned(), 100),
            (r#"{"type":"yarn","factor":4,"original_max_position_embeddings":50}"#.into(), 200),
            (format!(r#"{{"type":"longrope",{short},"original_max_position_embeddings":40}}"#), 40),
        ] {
            assert_eq!(context(&scaling), expected, "{scaling}");
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
