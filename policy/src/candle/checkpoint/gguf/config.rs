//! Rebuilds `config.json` from the metadata of a GGUF file.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::header::Entry;
use super::metadata::Metadata;
use super::names::{EMBEDDING, OUTPUT, ROPE_FREQS};
use crate::candle::checkpoint::config::ModelConfig;

/// Supported architectures: `general.architecture`, and the class in transformers.
const ARCHITECTURES: [(&str, &str); 3] =
    [("llama", "LlamaForCausalLM"), ("qwen2", "Qwen2ForCausalLM"), ("qwen3", "Qwen3ForCausalLM")];

/// Builds the configuration that the metadata describe.
pub(super) fn build(
    metadata: &Metadata,
    tensors: &BTreeMap<String, Entry>,
    rope_factors: Option<&[f32]>,
) -> Result<Value, String> {
    let family = Metadata::need("general.architecture", metadata.text("general.architecture"))?;
    let Some((_, class)) = ARCHITECTURES.iter().find(|(name, _)| *name == family) else {
        let known = ARCHITECTURES.map(|(name, _)| name).join(", ");
        return Err(format!(
            "architecture `{family}` is not supported; supported are {known}. A server of llama.cpp \
             can run the file: --policy http://host:port/v1#model"
        ));
    };
    let keys = Keys { family, metadata };
    keys.refuse_unsupported()?;
    let heads = keys.need("attention.head_count")?;
    let kv_heads = keys.uniform("attention.head_count_kv")?.unwrap_or(heads);
    let hidden = keys.need("embedding_length")?;
    let head_dim = keys.head_dim(hidden, heads)?;
    let context = keys.need("context_length")?;
    let window = keys.number("attention.sliding_window")?.filter(|n| *n > 0 && *n < context);
    let class = match (family, window) {
        ("llama", Some(_)) => "MistralForCausalLM",
        _ => class,
    };
    let embedding = tensors.get(EMBEDDING).ok_or(format!("tensor `{EMBEDDING}` is missing"))?;
    let vocabulary = embedding.shape().first().copied().unwrap_or(0);
    let mut config = json!({
        "architectures": [class],
        "model_type": class.trim_end_matches("ForCausalLM").to_lowercase(),
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": keys.need("feed_forward_length")?,
        "num_hidden_layers": keys.need("block_count")?,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": keys.fraction("attention.layer_norm_rms_epsilon")?.unwrap_or(1e-5),
        "rope_theta": keys.fraction("rope.freq_base")?.unwrap_or(10_000.0),
        "max_position_embeddings": context,
        "attention_bias": family == "llama" && tensors.contains_key("blk.0.attn_q.bias"),
        "tie_word_embeddings": !tensors.contains_key(OUTPUT),
        "torch_dtype": "float32",
    });
    if let Some(config) = config.as_object_mut() {
        keys.add_optional(config, window)?;
        if let Some(factors) = rope_factors {
            let scaling = llama3(config, factors)?;
            config.extend(scaling.map(|scaling| ("rope_scaling".to_owned(), scaling)));
        }
    }
    Ok(config)
}

/// Metadata keys of one architecture.
struct Keys<'a> {
    family: &'a str,
    metadata: &'a Metadata,
}

impl Keys<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.family)
    }

    fn number(&self, name: &str) -> Result<Option<u64>, String> {
        self.metadata.number(&self.key(name))
    }

    fn uniform(&self, name: &str) -> Result<Option<u64>, String> {
        self.metadata.uniform(&self.key(name))
    }

    fn fraction(&self, name: &str) -> Result<Option<f64>, String> {
        self.metadata.fraction(&self.key(name))
    }

    fn need(&self, name: &str) -> Result<u64, String> {
        Metadata::need(&self.key(name), self.uniform(name))
    }

    /// Refuses features that the engine would compute incorrectly.
    fn refuse_unsupported(&self) -> Result<(), String> {
        if self.number("expert_count")?.unwrap_or(0) > 0 {
            let key = self.key("expert_count");
            return Err(format!("`{key}` is above 0; mixtures of experts are not supported"));
        }
        let (keys, values) =
            (self.uniform("attention.key_length")?, self.uniform("attention.value_length")?);
        if keys != values && values.is_some() {
            let key = self.key("attention.value_length");
            return Err(format!("`{key}` differs from `key_length`, which is not supported"));
        }
        Ok(())
    }

    /// Returns the size of a head; all of it must be rotated.
    fn head_dim(&self, hidden: u64, heads: u64) -> Result<u64, String> {
        let width = self.uniform("attention.key_length")?;
        let width = width.unwrap_or(hidden / heads.max(1));
        match self.number("rope.dimension_count")? {
            Some(rotated) if rotated != width => Err(format!(
                "`{}` is {rotated} of {width}; rotating a part of a head is not supported",
                self.key("rope.dimension_count")
            )),
            _ => Ok(width),
        }
    }

    /// Adds fields that only some models have.
    fn add_optional(
        &self,
        config: &mut Map<String, Value>,
        window: Option<u64>,
    ) -> Result<(), String> {
        if let Some(window) = window {
            config.insert("sliding_window".into(), window.into());
            config.insert("use_sliding_window".into(), true.into());
        }
        if let Some(scaling) = self.rope_scaling()? {
            config.insert("rope_scaling".into(), scaling);
        }
        for (field, key) in [
            ("bos_token_id", "tokenizer.ggml.bos_token_id"),
            ("eos_token_id", "tokenizer.ggml.eos_token_id"),
            ("pad_token_id", "tokenizer.ggml.padding_token_id"),
        ] {
            config.extend(self.metadata.number(key)?.map(|id| (field.to_owned(), id.into())));
        }
        Ok(())
    }

    /// Returns the scaling of the rotary frequencies in the format of transformers.
    fn rope_scaling(&self) -> Result<Option<Value>, String> {
        let kind = self.metadata.text(&self.key("rope.scaling.type"))?;
        let factor = self.fraction("rope.scaling.factor")?;
        let mut scaling = match kind {
            None | Some("none") => return Ok(None),
            Some(kind) => json!({ "rope_type": kind, "factor": factor }),
        };
        if let Some(tokens) = self.number("rope.scaling.original_context_length")? {
            scaling["original_max_position_embeddings"] = tokens.into();
        }
        for (field, key) in [
            ("attention_factor", "rope.scaling.attn_factor"),
            ("beta_fast", "rope.scaling.yarn_beta_fast"),
            ("beta_slow", "rope.scaling.yarn_beta_slow"),
        ] {
            if let Some(value) = self.fraction(key)? {
                scaling[field] = value.into();
            }
        }
        Ok(Some(scaling))
    }
}

/// Original context, `low_freq_factor` and `high_freq_factor` of every model with Llama 3.1's RoPE scaling.
/// GGUF files store only the resulting factors.
const LLAMA3: (u64, f64, f64) = (8192, 1.0, 4.0);
/// Largest relative difference between a factor and the formula; factors are stored as f32.
const ROUNDING: f32 = 1e-3;

/// Returns the Llama 3.1 scaling that divides the rotary frequencies by these factors; `None` if all
/// factors are 1.
fn llama3(config: &Map<String, Value>, factors: &[f32]) -> Result<Option<Value>, String> {
    let factor = factors.iter().copied().fold(1.0, f32::max);
    if factors.iter().all(|f| *f == 1.0) {
        return Ok(None);
    }
    let (original, low, high) = LLAMA3;
    let scaling = json!({
        "rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
        "original_max_position_embeddings": original,
    });
    let frequencies = |scaling: Value| {
        let mut config = config.clone();
        config.insert("rope_scaling".into(), scaling);
        let config = ModelConfig::parse(&Value::Object(config).to_string())?;
        Ok::<_, String>(config.inverse_frequencies())
    };
    let plain = frequencies(Value::Null)?;
    let expected = frequencies(scaling.clone())?;
    let close = |((plain, scaled), factor): ((&f32, &f32), &f32)| {
        (plain / scaled - factor).abs() <= ROUNDING * factor.abs()
    };
    let same = factors.len() == plain.len() && plain.iter().zip(&expected).zip(factors).all(close);
    if same {
        return Ok(Some(scaling));
    }
    Err(format!(
        "tensor `{ROPE_FREQS}` stretches the rotary frequencies in another way than Llama 3.1, which \
         is not supported"
    ))
}
