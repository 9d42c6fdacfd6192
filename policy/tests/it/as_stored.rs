//! Weights that stay in 16 bits: half the memory, and bit-identical results to the same weights in f32.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use regrowth_datasets::keyed_rng;
use regrowth_policy::candle::{
    Adapter, AdapterConfig, CandlePolicy, Checkpoint, LowRank, SaveOptions, SavedWeights, Source,
    save_checkpoint,
};
use regrowth_policy::{Dtype, LoadOptions, Policy, Request, Response, Score, call};
use serde_json::json;

use crate::common;

/// A checkpoint with an untied head, whose folder has its weights as `dtype`.
fn stored(dir: &Path, dtype: DType) -> Source {
    use rand::RngExt;
    let weights = |name: &str, n: usize| {
        let mut rng = keyed_rng(3, &[name.as_bytes()]);
        (0..n).map(|_| rng.random_range(-0.4f32..0.4)).collect()
    };
    let untied = |raw: &mut serde_json::Map<_, _>| {
        raw.insert("tie_word_embeddings".into(), json!(false));
    };
    let made = common::checkpoint(dir, untied, &weights);
    let folder = dir.join("stored");
    let options = SaveOptions { dtype: Some(dtype), ..SaveOptions::default() };
    save_checkpoint(&folder, &made.config, &made.tensors, &made.source, options).unwrap();
    Source::folder(&folder).unwrap()
}

/// Returns the identity of a policy and the bits of its log-probabilities.
fn answers(checkpoint: Checkpoint, dtype: Dtype) -> (String, Vec<u32>) {
    let options = LoadOptions { threads: 2, dtype, ..LoadOptions::default() };
    let policy = CandlePolicy::taking(checkpoint, &options).unwrap();
    let ids: Vec<u32> = (0..60).map(|i| 1 + (i * 7) % 50).collect();
    let score = Score { prefix: ids[..2].into(), continuation: ids[2..].into() };
    let Response::Scores(scores) = call(&policy, Request::Score(score)).unwrap() else { panic!() };
    (policy.identity().to_owned(), scores.logps.iter().map(|p| p.to_bits()).collect())
}

/// Checks that weights read in f32 and weights read as stored give the same answers, computed in f32 and in
/// bf16.
fn same_answers(source: &Source) {
    for dtype in [Dtype::F32, Dtype::Bf16] {
        let wide = Checkpoint::read(source.clone()).unwrap();
        let narrow = Checkpoint::read_as_stored(source.clone()).unwrap();
        assert_eq!(answers(wide, dtype), answers(narrow, dtype), "{dtype}");
    }
}

fn held(checkpoint: &Checkpoint, name: &str) -> DType {
    checkpoint.tensors[name].dtype()
}

fn bytes(checkpoint: &Checkpoint) -> u64 {
    let held = checkpoint.tensors.values().map(|t| t.elem_count() * t.dtype().size_in_bytes());
    held.sum::<usize>() as u64
}

const Q: &str = "model.layers.0.self_attn.q_proj.weight";
const DOWN: &str = "model.layers.0.mlp.down_proj.weight";

#[test]
fn matrices_stay_in_16_bits_and_answer_with_the_same_bits() {
    for dtype in [DType::BF16, DType::F16] {
        let dir = tempfile::tempdir().unwrap();
        let source = stored(dir.path(), dtype);
        let read = Checkpoint::read_as_stored(source.clone()).unwrap();
        assert_eq!(held(&read, Q), dtype);
        assert_eq!(held(&read, "model.embed_tokens.weight"), dtype);
        assert_eq!(held(&read, "model.norm.weight"), DType::F32);
        same_answers(&source);
    }
}

/// An adapter that updates one projection.
fn adapter() -> Adapter {
    let half = |rows, columns, value| {
        Tensor::from_vec(vec![value; rows * columns], (rows, columns), &Device::Cpu).unwrap()
    };
    let update = LowRank { a: half(2, 32, 0.1f32), b: half(32, 2, 0.1), scale: 2.0, dropout: 0.0 };
    let module = Q.trim_end_matches(".weight").to_owned();
    let config =
        AdapterConfig::lora("../stored".into(), 2, 4.0, 0.0, &["layers.0.self_attn.q_proj".into()]);
    Adapter { config, updates: [(module, update)].into() }
}

#[test]
fn an_adapter_widens_the_weights_that_it_changes_alone() {
    let dir = tempfile::tempdir().unwrap();
    let base = stored(dir.path(), DType::BF16);
    let folder = dir.path().join("adapter");
    adapter().save(&folder, &base, DType::F32).unwrap();
    let source = Source::folder(&folder).unwrap();
    let read = Checkpoint::read_as_stored(source.clone()).unwrap();
    assert_eq!((held(&read, Q), held(&read, DOWN)), (DType::F32, DType::BF16));
    let plan = CandlePolicy::plan(&source, &LoadOptions::default()).unwrap();
    assert_eq!(plan.weights, bytes(&read));
    same_answers(&source);
}

/// Content of the weight files of a folder.
fn weight_files(folder: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "safetensors"));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn an_adapter_is_merged_as_a_checkpoint_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let base = Checkpoint::read_as_stored(stored(dir.path(), DType::BF16)).unwrap();
    let (mut adapter, mut merged) = (adapter(), base.tensors.clone());
    adapter.merge_into(&mut merged).unwrap();
    for dtype in [DType::F32, DType::BF16] {
        // Several files, none of which has all weights.
        let options = SaveOptions { dtype: Some(dtype), max_shard_bytes: 10_000 };
        let [first, last] = ["merged", "on_the_way"].map(|name| dir.path().join(name));
        save_checkpoint(&first, &base.config, &merged, &base.source, options).unwrap();
        let weights = SavedWeights { tensors: &base.tensors, adapter: Some(&adapter) };
        save_checkpoint(&last, &base.config, weights, &base.source, options).unwrap();
        assert!(weight_files(&first).len() > 2);
        assert!(weight_files(&first) == weight_files(&last), "{dtype:?}");
    }

    let update = adapter.updates.pop_first().unwrap().1;
    adapter.updates.insert("model.layers.9.self_attn.q_proj".into(), update);
    let weights = SavedWeights { tensors: &base.tensors, adapter: Some(&adapter) };
    let folder = dir.path().join("refused");
    let refused =
        save_checkpoint(&folder, &base.config, weights, &base.source, SaveOptions::default());
    assert!(refused.unwrap_err().to_string().contains("model.layers.9.self_attn.q_proj.weight"));
    assert!(!folder.exists());
}

#[test]
fn the_plan_counts_the_bytes_that_are_held() {
    let dir = tempfile::tempdir().unwrap();
    let plan = |dtype| {
        let folder = tempfile::tempdir_in(&dir).unwrap();
        let source = stored(folder.path(), dtype);
        let plan = CandlePolicy::plan(&source, &LoadOptions::default()).unwrap();
        let read = Checkpoint::read_as_stored(source).unwrap();
        assert_eq!(plan.weights, bytes(&read));
        plan.weights
    };
    let (wide, narrow) = (plan(DType::F32), plan(DType::BF16));
    assert!(narrow * 2 > wide && narrow * 2 < wide + wide / 50, "{narrow} of {wide}");
}
