//! A small checkpoint with a character tokenizer, in a temporary folder.

pub mod gguf;
pub mod golden;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use regrowth_policy::candle::{Checkpoint, ModelConfig, SaveOptions, Source, save_checkpoint};
use serde_json::{Map, Value, json};

/// Characters of the tokenizer, in byte-level form; ids from 1. Id 0 is the end of text.
const CHARACTERS: &str = "ĠĊ0123456789+-*/=().,:?#ABCDEFabcdefghijklmnopqrstuvwxyzIW";

/// Writes tokenizer files, a configuration that `change` modifies from a small Llama one, and weights that
/// `weights` computes from a tensor's name and number of values. Reads everything back.
pub fn checkpoint(
    dir: &Path,
    change: impl FnOnce(&mut Map<String, Value>),
    weights: &dyn Fn(&str, usize) -> Vec<f32>,
) -> Checkpoint {
    let vocabulary = CHARACTERS.chars().count() + 1;
    let mut raw = ModelConfig::llama(vocabulary, 32, 48, 2, 4).raw;
    raw.insert("eos_token_id".into(), json!(0));
    change(&mut raw);
    if let Some(kind) = raw["architectures"][0].as_str().and_then(|n| n.strip_suffix("ForCausalLM"))
    {
        raw.insert("model_type".into(), json!(kind.to_lowercase()));
    }
    let config = ModelConfig::parse(&Value::Object(raw).to_string()).unwrap();
    let words: Map<String, Value> =
        CHARACTERS.chars().enumerate().map(|(i, c)| (c.to_string(), json!(i + 1))).collect();
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                       "use_regex": false});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [{"id": 0, "content": "<end>", "single_word": false, "lstrip": false,
                          "rstrip": false, "normalized": false, "special": true}],
        "pre_tokenizer": bytes, "post_processor": null, "decoder": bytes,
        "model": {"type": "BPE", "dropout": null, "unk_token": null,
                  "continuing_subword_prefix": null, "end_of_word_suffix": null,
                  "fuse_unk": false, "byte_fallback": false, "vocab": words, "merges": []},
    });
    let origin = dir.join("origin");
    std::fs::create_dir_all(&origin).unwrap();
    std::fs::write(origin.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let folder = dir.join("checkpoint");
    let origin = Source::folder(&origin).unwrap();
    let tensors: BTreeMap<String, Tensor> = config
        .tensor_shapes()
        .into_iter()
        .map(|(name, shape)| {
            let data = weights(&name, shape.iter().product());
            (name, Tensor::from_vec(data, shape, &Device::Cpu).unwrap())
        })
        .collect();
    save_checkpoint(&folder, &config, &tensors, &origin, SaveOptions::default()).unwrap();
    Checkpoint::read(Source::folder(&folder).unwrap()).unwrap()
}
