//! Converts names and row order of tensors between transformers and llama.cpp.

use candle_core::{Result, Tensor};

use crate::candle::checkpoint::config::ModelConfig;

/// Tensors of a layer: the name in transformers and the name in a GGUF file.
const PARTS: [(&str, &str); 11] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];
/// Tensors outside of the layers.
const WHOLE: [(&str, &str); 3] = [
    ("model.embed_tokens.weight", "token_embd.weight"),
    ("model.norm.weight", "output_norm.weight"),
    ("lm_head.weight", "output.weight"),
];
/// Factors on the rotary frequencies; they are read into the configuration ([`super::config`]).
pub(super) const ROPE_FREQS: &str = "rope_freqs.weight";
/// Name of the embedding in a GGUF file.
pub(super) const EMBEDDING: &str = WHOLE[0].1;
/// Name of a separate output head in a GGUF file.
pub(super) const OUTPUT: &str = WHOLE[2].1;

/// Names and row order of the tensors of one model.
pub(super) struct Names<'a> {
    config: &'a ModelConfig,
    stored: Vec<String>,
}

impl<'a> Names<'a> {
    pub(super) fn of(config: &'a ModelConfig) -> Self {
        let mut stored: Vec<String> =
            config.tensor_shapes().iter().map(|(name, _)| stored(name)).collect();
        stored.push(ROPE_FREQS.into());
        stored.sort_unstable();
        Self { config, stored }
    }

    /// Whether a model of this configuration has a tensor of this name in a GGUF file.
    pub(super) fn known(&self, name: &str) -> bool {
        self.stored.binary_search_by(|known| known.as_str().cmp(name)).is_ok()
    }

    /// Returns the name in a GGUF file of the tensor that transformers calls `name`.
    pub(super) fn stored(&self, name: &str) -> String {
        stored(name)
    }

    /// Puts the rows of a tensor of a GGUF file into the order of transformers.
    ///
    /// For the llama architecture, llama.cpp interleaves the two halves of every head of q and k, because
    /// its RoPE rotates adjacent dimensions: row `2 i + half` of a head in the file is row `half * D/2 + i`
    /// here (`half` is 0 or 1, D the head size).
    pub(super) fn in_order(&self, name: &str, tensor: Tensor) -> Result<Tensor> {
        self.reordered(name, tensor, [self.config.head_dim / 2, 2])
    }

    /// Puts the rows of a tensor into the order of a GGUF file: the inverse of [`Self::in_order`].
    pub(super) fn in_order_of_file(&self, name: &str, tensor: Tensor) -> Result<Tensor> {
        self.reordered(name, tensor, [2, self.config.head_dim / 2])
    }

    /// Views the rows of each head of q and k as a table of this shape and transposes it.
    fn reordered(&self, name: &str, tensor: Tensor, [rows, columns]: [usize; 2]) -> Result<Tensor> {
        let heads = match name.rsplit('.').nth(1) {
            Some("q_proj") => self.config.heads,
            Some("k_proj") => self.config.kv_heads,
            _ => return Ok(tensor),
        };
        if self.config.architecture.starts_with("Qwen") {
            return Ok(tensor);
        }
        let shape = tensor.shape().clone();
        let inputs = shape.elem_count() / (heads * rows * columns);
        let table = tensor.reshape((heads, rows, columns, inputs))?;
        table.transpose(1, 2)?.contiguous()?.reshape(shape)
    }
}

/// Returns a tensor's name in a GGUF file: for `model.layers.0.self_attn.q_proj.weight`, for example,
/// `blk.0.attn_q.weight`.
fn stored(name: &str) -> String {
    if let Some((_, stored)) = WHOLE.iter().find(|(known, _)| *known == name) {
        return (*stored).into();
    }
    let in_layer = || {
        let (layer, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
        let (part, kind) = rest.rsplit_once('.')?;
        let (_, stored) = PARTS.iter().find(|(known, _)| *known == part)?;
        Some(format!("blk.{layer}.{stored}.{kind}"))
    };
    in_layer().unwrap_or_else(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tensor_of_a_model_has_a_name_in_a_file() {
        let mut config = ModelConfig::llama(8, 8, 8, 2, 2);
        (config.qkv_bias, config.output_bias, config.qk_norm, config.tied) =
            (true, true, true, false);
        for (name, _) in config.tensor_shapes() {
            assert_ne!(stored(&name), name);
        }
        assert_eq!(stored("model.layers.11.self_attn.k_proj.bias"), "blk.11.attn_k.bias");
    }
}
