//! GGUF files of small checkpoints, written like llama.cpp's converter does.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use candle_core::quantized::gguf_file::{Value, write};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use regrowth_policy::candle::{Checkpoint, Files, ModelConfig};

/// Metadata by key.
pub type Metadata = BTreeMap<String, Value>;

/// Metadata of a checkpoint with a byte-level tokenizer of this kind.
pub fn metadata(checkpoint: &Checkpoint, family: &str, pre: &str) -> Metadata {
    let config = &checkpoint.config;
    let number = |n: usize| Value::U32(n as u32);
    let own = [
        ("block_count", number(config.layers)),
        ("context_length", number(config.context)),
        ("embedding_length", number(config.hidden_size)),
        ("feed_forward_length", number(config.intermediate_size)),
        ("attention.head_count", number(config.heads)),
        ("attention.head_count_kv", number(config.kv_heads)),
        ("attention.key_length", number(config.head_dim)),
        ("attention.layer_norm_rms_epsilon", Value::F32(config.rms_norm_eps)),
        ("rope.freq_base", Value::F32(config.rope_theta as f32)),
    ];
    let mut all: Metadata = own.map(|(key, value)| (format!("{family}.{key}"), value)).into();
    let text = |text: &str| Value::String(text.into());
    let (tokens, kinds) = vocabulary(checkpoint);
    for (key, value) in [
        ("general.architecture", text(family)),
        ("tokenizer.ggml.model", text("gpt2")),
        ("tokenizer.ggml.pre", text(pre)),
        ("tokenizer.ggml.tokens", Value::Array(tokens.iter().map(|t| text(t)).collect())),
        ("tokenizer.ggml.token_type", Value::Array(kinds.into_iter().map(Value::I32).collect())),
        ("tokenizer.ggml.merges", Value::Array(vec![])),
        ("tokenizer.ggml.eos_token_id", Value::U32(0)),
    ] {
        all.insert(key.into(), value);
    }
    all
}

/// Tokens by id, and their types: 1 is normal, 3 is control.
fn vocabulary(checkpoint: &Checkpoint) -> (Vec<String>, Vec<i32>) {
    let bytes = checkpoint.source.required("tokenizer.json").unwrap();
    let file: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let mut tokens = vec![String::new(); checkpoint.config.vocab_size];
    let mut kinds = vec![1; tokens.len()];
    for (token, id) in file["model"]["vocab"].as_object().unwrap() {
        tokens[id.as_u64().unwrap() as usize] = token.clone();
    }
    for added in file["added_tokens"].as_array().unwrap() {
        let id = added["id"].as_u64().unwrap() as usize;
        tokens[id] = added["content"].as_str().unwrap().into();
        kinds[id] = 3;
    }
    (tokens, kinds)
}

/// Writes a file with these metadata and the weights of a checkpoint in this type; norms and biases stay
/// f32. The rows of q and k are interleaved if the architecture is `llama`.
pub fn save(path: &Path, checkpoint: &Checkpoint, metadata: &Metadata, dtype: GgmlDType) {
    let llama = matches!(&metadata["general.architecture"], Value::String(name) if name == "llama");
    let tensors: Vec<(String, QTensor)> = checkpoint
        .tensors
        .iter()
        .map(|(name, tensor)| {
            let tensor =
                if llama { interleaved(name, tensor, &checkpoint.config) } else { tensor.clone() };
            let fits = tensor.dims().len() == 2 && tensor.dims()[1] % dtype.block_size() == 0;
            let dtype = if fits { dtype } else { GgmlDType::F32 };
            (stored(name), QTensor::quantize(&tensor, dtype).unwrap())
        })
        .collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(k, v)| (k.as_str(), v)).collect();
    write(&mut File::create(path).unwrap(), &metadata, &tensors).unwrap();
}

fn stored(name: &str) -> String {
    [
        ("model.layers.", "blk."),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
    ]
    .iter()
    .fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}

/// Moves row `half D/2 + i` of a head to row `2 i + half`.
fn interleaved(name: &str, tensor: &Tensor, config: &ModelConfig) -> Tensor {
    if !name.contains("q_proj") && !name.contains("k_proj") {
        return tensor.clone();
    }
    let d = config.head_dim;
    let rows = tensor.dims()[0];
    let from: Vec<u32> = (0..rows)
        .map(|place| {
            let (head, place) = (place / d, place % d);
            (head * d + place % 2 * (d / 2) + place / 2) as u32
        })
        .collect();
    tensor.index_select(&Tensor::new(from, &Device::Cpu).unwrap(), 0).unwrap()
}
