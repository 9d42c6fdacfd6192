//! A small random checkpoint with a character tokenizer, in a temporary folder.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use rand::RngExt;
use regrowth_datasets::keyed_rng;
use regrowth_policy::candle::{Checkpoint, ModelConfig, SaveOptions, Source, save_checkpoint};
use serde_json::{Map, Value, json};

/// Characters of the tokenizer, in byte-level form; ids from 1. Id 0 is the end of text.
const CHARACTERS: &str = "ĠĊ0123456789+-*/=().,:?#ABCDEFabcdefghijklmnopqrstuvwxyzIW";

/// Writes tokenizer files and random weights for a configuration made by `change` from a small
/// Llama one, and reads it back.
pub fn checkpoint(dir: &Path, change: impl FnOnce(&mut Map<String, Value>)) -> Checkpoint {
    let vocabulary = CHARACTERS.chars().count() + 1;
    let mut raw = ModelConfig::llama(vocabulary, 32, 48, 2, 4).raw;
    raw.insert("eos_token_id".into(), json!(0));
    change(&mut raw);
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
    save_checkpoint(&folder, &config, &weights(&config), &origin, SaveOptions::default()).unwrap();
    Checkpoint::read(Source::folder(&folder).unwrap(), &Device::Cpu).unwrap()
}

/// Seeded weights, large enough that probabilities are far from uniform.
fn weights(config: &ModelConfig) -> BTreeMap<String, Tensor> {
    config
        .tensor_shapes()
        .into_iter()
        .map(|(name, shape)| {
            let mut rng = keyed_rng(1, &[name.as_bytes()]);
            let n = shape.iter().product();
            let norm = name.contains("norm");
            let draw = |_| if norm { 1.0 } else { rng.random_range(-0.35f32..0.35) };
            let data: Vec<f32> = (0..n).map(draw).collect();
            (name, Tensor::from_vec(data, shape, &Device::Cpu).unwrap())
        })
        .collect()
}
