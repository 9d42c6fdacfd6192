//! Tokens per second of truncated sampling over a vocabulary of 152,000 tokens, the size of Qwen2's. The
//! model is so narrow that its output head and the draws dominate the time.

use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::RngExt;
use regrowth_datasets::keyed_rng;
use regrowth_policy::candle::ModelConfig;
use regrowth_policy::{
    Boundary, LoadOptions, Policy, Propose, Request, Response, Sampling, StopAt, call, load,
};
use serde_json::{Value, json};

/// Ids of the vocabulary.
const VOCABULARY: usize = 152_000;
/// Candidates of a request, and tokens of each.
const CANDIDATES: u64 = 8;
const TOKENS: usize = 16;

/// Writes a checkpoint with one layer and seeded weights. The largest weights make some tokens likely.
fn checkpoint(folder: &Path) {
    let config = ModelConfig::llama(VOCABULARY, 16, 16, 1, 2);
    let vocabulary = json!({ "a": 0, "b": 1 });
    let tokenizer = json!({
        "version": "1.0", "added_tokens": [],
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "a" },
    });
    let mut rng = keyed_rng(1, &[b"sampling"]);
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape) in config.tensor_shapes() {
        let from = data.len();
        for _ in 0..shape.iter().product() {
            let weight = if name.contains("norm") { 1.0 } else { rng.random_range(-1.5f32..1.5) };
            data.extend(weight.to_le_bytes());
        }
        let place = json!({ "dtype": "F32", "shape": shape, "data_offsets": [from, data.len()] });
        header.insert(name, place);
    }
    let header = Value::Object(header).to_string().into_bytes();
    let weights = [&(header.len() as u64).to_le_bytes(), &header[..], &data].concat();
    std::fs::create_dir_all(folder).expect("a folder");
    let write = |name, bytes: &[u8]| std::fs::write(folder.join(name), bytes).expect("a file");
    write("config.json", Value::Object(config.raw).to_string().as_bytes());
    write("tokenizer.json", tokenizer.to_string().as_bytes());
    write("model.safetensors", &weights);
}

/// Samples all tokens of one request.
fn draw(policy: &dyn Policy, sampling: Sampling) {
    let request = Request::Propose(Propose {
        prefix: [0, 1].into(),
        keys: (0..CANDIDATES).collect(),
        sampling,
        greedy_first: false,
        boundary: Boundary::End,
        stop_at: StopAt::default(),
        max_tokens: TOKENS,
    });
    match call(policy, request) {
        Ok(Response::Candidates(_)) => {}
        other => panic!("expected candidates, got {other:?}"),
    }
}

fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("regrowth-sampling-{}", std::process::id()))
}

fn benches(c: &mut Criterion) {
    let folder = folder();
    checkpoint(&folder);
    let options = LoadOptions { threads: 1, ..LoadOptions::default() };
    let policy = load(&folder.display().to_string(), &options).expect("the policy loads");
    std::fs::remove_dir_all(&folder).expect("the folder is gone");
    let mut group = c.benchmark_group("sampling, vocabulary of 152,000");
    group.sample_size(10).throughput(Throughput::Elements(CANDIDATES * TOKENS as u64));
    let all = Sampling::default();
    for (name, sampling) in [
        ("everything", all),
        ("top-k 50", Sampling { top_k: 50, ..all }),
        ("top-p 0.95", Sampling { top_p: 0.95, ..all }),
        ("min-p 0.05", Sampling { min_p: 0.05, ..all }),
    ] {
        group.bench_function(name, |b| b.iter(|| draw(policy.as_ref(), sampling)));
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
