//! The planned memory of a checkpoint, from its configuration alone.

use regrowth_policy::candle::{CandlePolicy, Source};
use regrowth_policy::{ComputeDevice, Dtype, LoadOptions};
use serde_json::json;

#[test]
fn attention_on_a_gpu_reaches_no_further_than_its_cache() {
    let dir = tempfile::tempdir().unwrap();
    // The shapes of Llama 3.1 with 8 billion parameters.
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "vocab_size": 128_256, "hidden_size": 4096,
        "intermediate_size": 14_336, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "max_position_embeddings": 131_072,
    });
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), "{}").unwrap();
    let source = Source::folder(dir.path()).unwrap();
    let peak = |cache_bytes| {
        let (device, dtype) = (ComputeDevice::Cuda(0), Dtype::Bf16);
        let cache_bytes = Some(cache_bytes);
        let options = LoadOptions { device, dtype, cache_bytes, ..LoadOptions::default() };
        CandlePolicy::plan(&source, &options).unwrap().device.unwrap().peak()
    };
    assert!(peak(1 << 30) < 20 << 30, "{}", peak(1 << 30));
    assert!(peak(1 << 34) > 40 << 30, "the whole context: {}", peak(1 << 34));
}
