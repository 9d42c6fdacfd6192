//! Checkpoints that cannot be used are refused; the error names the file, the tensor and what is wrong.

use std::path::{Path, PathBuf};

use crate::common::checkpoint;
use candle_core::{DType, Device, Tensor};
use regrowth_datasets::{AnswerKind, Problem};
use regrowth_policy::candle::{
    Adapter, AdapterConfig, CandlePolicy, Checkpoint, LowRank, SaveOptions, Source, Tokenizer,
    save_checkpoint,
};
use regrowth_policy::{
    Boundary, LoadOptions, Policy, Propose, Request, Response, Sampling, Score, StopAt, call, load,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const WEIGHTS: &str = "model.safetensors";

/// Small values that differ by position.
fn small(_: &str, n: usize) -> Vec<f32> {
    (0..n).map(|i| (i % 17) as f32 * 0.01 - 0.08).collect()
}

/// A complete checkpoint; its folder is `checkpoint`.
fn whole() -> (TempDir, PathBuf, Checkpoint) {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(dir.path(), |_| {}, &small);
    let folder = dir.path().join("checkpoint");
    (dir, folder, checkpoint)
}

fn refused(folder: &Path) -> String {
    let spec = folder.display().to_string();
    load(&spec, &LoadOptions::default()).err().expect("is refused").to_string()
}

/// Writes the checkpoint again, in files of at most `bytes`.
fn shard(folder: &Path, checkpoint: &Checkpoint, bytes: usize) {
    let origin = Source::folder(folder).unwrap();
    let options = SaveOptions { max_shard_bytes: bytes, ..SaveOptions::default() };
    save_checkpoint(folder, &checkpoint.config, &checkpoint.tensors, &origin, options).unwrap();
}

/// Applies `change` to the header of a safetensors file.
fn edit_header(path: &Path, change: impl FnOnce(&mut Value)) {
    let bytes = std::fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    change(&mut header);
    let header = header.to_string().into_bytes();
    let parts = [&(header.len() as u64).to_le_bytes(), &header[..], &bytes[8 + length..]];
    std::fs::write(path, parts.concat()).unwrap();
}

#[test]
fn a_file_that_is_cut_off_names_the_tensor_that_is_not_whole() {
    let (_dir, folder, _) = whole();
    let bytes = std::fs::read(folder.join(WEIGHTS)).unwrap();
    std::fs::write(folder.join(WEIGHTS), &bytes[..bytes.len() - 1]).unwrap();
    let error = refused(&folder);
    assert!(error.contains(WEIGHTS) && error.contains("cut off: tensor `model."), "{error}");
    for length in [0, 5, 8, 100] {
        std::fs::write(folder.join(WEIGHTS), &bytes[..length]).unwrap();
        let error = refused(&folder);
        assert!(error.contains(WEIGHTS) && error.contains("not a whole"), "{length}: {error}");
    }
}

#[test]
fn a_flipped_header_is_refused() {
    let (_dir, folder, _) = whole();
    let bytes = std::fs::read(folder.join(WEIGHTS)).unwrap();
    for at in [0, 3, 7, 8, 9, 20] {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x40;
        std::fs::write(folder.join(WEIGHTS), flipped).unwrap();
        assert!(refused(&folder).contains(WEIGHTS), "byte {at}");
    }
}

#[test]
fn a_missing_shard_names_a_tensor_that_it_holds() {
    let (_dir, folder, checkpoint) = whole();
    shard(&folder, &checkpoint, 8000);
    let shards = std::fs::read_dir(&folder).unwrap().flatten();
    let shards = shards.filter(|f| f.file_name().to_string_lossy().starts_with("model-"));
    let lost = shards.map(|f| f.path()).max().unwrap();
    std::fs::remove_file(&lost).unwrap();
    let error = refused(&folder);
    let name = lost.file_name().unwrap().to_string_lossy();
    assert!(error.contains(&*name) && error.contains("tensor `"), "{error}");
}

#[test]
fn an_index_that_makes_no_sense_is_refused() {
    let (_dir, folder, _) = whole();
    std::fs::remove_file(folder.join(WEIGHTS)).unwrap();
    for (index, expected) in [
        ("{", "not valid JSON"),
        ("{}", "`weight_map` is missing"),
        (r#"{"weight_map": {"lm_head.weight": 3}}"#, "tensor `lm_head.weight`: expected the name"),
        (r#"{"weight_map": {"a": "../secret"}}"#, "outside the checkpoint"),
    ] {
        std::fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
        let error = refused(&folder);
        assert!(error.contains("model.safetensors.index.json"), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn wrong_types_and_shapes_name_the_tensor() {
    const NORM: &str = "model.norm.weight";
    let (_dir, folder, _) = whole();
    let bytes = std::fs::read(folder.join(WEIGHTS)).unwrap();
    edit_header(&folder.join(WEIGHTS), |header| header[NORM]["dtype"] = json!("I32"));
    let error = refused(&folder);
    assert!(error.contains(NORM) && error.contains("type I32, expected F32"), "{error}");
    std::fs::write(folder.join(WEIGHTS), &bytes).unwrap();
    edit_header(&folder.join(WEIGHTS), |header| header[NORM]["shape"] = json!([4, 8]));
    let error = refused(&folder);
    assert!(error.contains(NORM) && error.contains("shape [4, 8], expected [32]"), "{error}");
    std::fs::write(folder.join(WEIGHTS), &bytes).unwrap();
    edit_header(&folder.join(WEIGHTS), |header| {
        let entry = header.as_object_mut().unwrap().remove(NORM).unwrap();
        header["model.other.weight"] = entry;
    });
    let error = refused(&folder);
    assert!(error.contains(NORM) && error.contains("is missing"), "{error}");
}

#[test]
fn weights_that_are_no_numbers_name_the_tensor() {
    for bad in [f32::NAN, f32::INFINITY] {
        let (_dir, folder, mut checkpoint) = whole();
        let name = "model.layers.1.mlp.up_proj.weight";
        let shape = checkpoint.tensors[name].dims().to_vec();
        let mut values = small(name, shape.iter().product());
        values[7] = bad;
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        checkpoint.tensors.insert(name.into(), tensor);
        shard(&folder, &checkpoint, usize::MAX);
        let error = refused(&folder);
        assert!(error.contains(name) && error.contains("not finite"), "{error}");
    }
}

#[test]
fn one_file_of_weights_goes_before_an_index_of_several() {
    let (_dir, folder, _) = whole();
    let index =
        json!({ "weight_map": { "model.norm.weight": "model-00001-of-00002.safetensors" } });
    std::fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
    assert!(load(&folder.display().to_string(), &LoadOptions::default()).is_ok());
    std::fs::remove_file(folder.join(WEIGHTS)).unwrap();
    assert!(refused(&folder).contains("model-00001-of-00002.safetensors"));
}

#[test]
fn a_damaged_adapter_names_its_file_and_the_tensor() {
    const UPDATED: &str = "model.layers.0.self_attn.q_proj";
    const FILE: &str = "adapter_model.safetensors";
    let (dir, folder, _) = whole();
    let target = dir.path().join("adapter");
    let write = |a: f32| {
        let config =
            AdapterConfig::lora(folder.display().to_string(), 2, 4.0, 0.0, &["q_proj".into()]);
        let half = |rows, columns, value| {
            Tensor::from_vec(vec![value; rows * columns], (rows, columns), &Device::Cpu).unwrap()
        };
        let update = LowRank { a: half(2, 32, a), b: half(32, 2, 0.1), scale: 2.0, dropout: 0.0 };
        let adapter = Adapter { config, updates: [(UPDATED.to_owned(), update)].into() };
        let origin = Source::folder(&folder).unwrap();
        adapter.save(&target, &origin, DType::F32).unwrap();
    };
    let refused_for = |expected: &str| {
        let error = refused(&target);
        for part in [FILE, UPDATED, expected] {
            assert!(error.contains(part), "{error}");
        }
    };
    let tensor = format!("base_model.model.{UPDATED}.lora_A.weight");
    write(0.1);
    assert!(load(&target.display().to_string(), &LoadOptions::default()).is_ok());
    let bytes = std::fs::read(target.join(FILE)).unwrap();
    std::fs::write(target.join(FILE), &bytes[..bytes.len() - 1]).unwrap();
    refused_for("cut off");
    std::fs::write(target.join(FILE), &bytes).unwrap();
    edit_header(&target.join(FILE), |header| header[&tensor]["dtype"] = json!("I32"));
    refused_for("type I32");
    std::fs::write(target.join(FILE), &bytes).unwrap();
    edit_header(&target.join(FILE), |header| header[&tensor]["shape"] = json!([4, 16]));
    refused_for("do not fit");
    write(f32::NAN);
    refused_for("not finite");
}

#[test]
fn a_model_too_large_to_fit_or_to_be_true_is_refused_before_its_weights_are_read() {
    let (_dir, folder, _) = whole();
    let path = folder.join("config.json");
    let original: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let refused_with = |change: &[(&str, u64)]| {
        let mut config = original.clone();
        change.iter().for_each(|(field, value)| config[*field] = json!(value));
        std::fs::write(&path, config.to_string()).unwrap();
        refused(&folder)
    };
    for field in [
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "head_dim",
        "max_position_embeddings",
    ] {
        let error = refused_with(&[(field, 1 << 60)]);
        assert!(error.contains("config.json") && error.contains(&format!("`{field}`")), "{error}");
    }
    // 100 layers of 77 GB each.
    let wide = 1 << 16;
    let error = refused_with(&[
        ("hidden_size", wide),
        ("intermediate_size", wide),
        ("num_hidden_layers", 100),
        ("head_dim", 128),
        ("num_attention_heads", 512),
        ("num_key_value_heads", 512),
    ]);
    if cfg!(target_os = "linux") {
        assert!(error.contains("does not fit") && error.contains("MiB are free"), "{error}");
    }
}

#[test]
fn half_precision_weights_are_read_and_computed_in_f32() {
    let (_dir, folder, checkpoint) = whole();
    for dtype in [DType::BF16, DType::F16] {
        let origin = Source::folder(&folder).unwrap();
        let options = SaveOptions { dtype: Some(dtype), ..SaveOptions::default() };
        let (config, tensors) = (&checkpoint.config, &checkpoint.tensors);
        save_checkpoint(&folder, config, tensors, &origin, options).unwrap();
        let read = Checkpoint::read(Source::folder(&folder).unwrap()).unwrap();
        for (name, tensor) in &read.tensors {
            assert_eq!(tensor.dtype(), DType::F32, "{name}");
            let rounded = tensors[name].to_dtype(dtype).unwrap().to_dtype(DType::F32).unwrap();
            let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>();
            assert_eq!(values(tensor).unwrap(), values(&rounded).unwrap(), "{name}");
        }
        assert!(load(&folder.display().to_string(), &LoadOptions::default()).is_ok());
    }
}

#[test]
fn a_tokenizer_larger_than_the_embedding_is_refused() {
    let (_dir, folder, _) = whole();
    let path = folder.join("tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    tokenizer["model"]["vocab"]["X"] = json!(999);
    std::fs::write(&path, tokenizer.to_string()).unwrap();
    let error = refused(&folder);
    assert!(error.contains("tokenizer.json") && error.contains("token id 999"), "{error}");
    std::fs::write(&path, "{").unwrap();
    assert!(refused(&folder).contains("tokenizer.json"));
    std::fs::remove_file(&path).unwrap();
    assert!(refused(&folder).contains("tokenizer.json"));
}

#[test]
fn prompts_that_are_empty_or_too_long_are_refused_alone() {
    let (_dir, folder, checkpoint) = whole();
    let policy = CandlePolicy::new(&checkpoint, &LoadOptions::default()).unwrap();
    let propose = |prefix: Vec<u32>| {
        call(
            &policy,
            Request::Propose(Propose {
                prefix: prefix.into(),
                keys: vec![1],
                sampling: Sampling::default(),
                greedy_first: false,
                boundary: Boundary::Newline,
                stop_at: StopAt::default(),
                max_tokens: 4,
            }),
        )
    };
    assert!(propose(vec![]).unwrap_err().to_string().contains("prefix is empty"));
    let context = policy.limits().context;
    let error = propose(vec![1; context]).unwrap_err().to_string();
    assert!(error.contains(&format!("the context is {context}")), "{error}");
    assert!(propose(vec![u32::MAX]).unwrap_err().to_string().contains("outside the vocabulary"));
    let empty = Score { prefix: vec![1].into(), continuation: vec![].into() };
    assert!(call(&policy, Request::Score(empty)).is_err());
    let long = Problem {
        id: "long".into(),
        source: "test".into(),
        question: "1 ".repeat(context),
        choices: vec![],
        answer: "1".into(),
        kind: AnswerKind::Number,
        solution: None,
        level: None,
    };
    let error = policy.prompt(&long).unwrap_err().to_string();
    assert!(error.contains("`long`") && error.contains("context"), "{error}");
    let form = json!({"version": 1, "prompt": "{{ question }}", "judge": "?"});
    std::fs::write(folder.join("regrowth.json"), form.to_string()).unwrap();
    let bare = CandlePolicy::new(&checkpoint, &LoadOptions::default()).unwrap();
    let nothing = Problem { id: "nothing".into(), question: String::new(), ..long };
    let error = bare.prompt(&nothing).unwrap_err().to_string();
    assert!(error.contains("`nothing` is empty"), "{error}");
    // The engine still works.
    assert!(matches!(propose(vec![1, 2, 3]), Ok(Response::Candidates(_))));
    let source = Source::folder(&folder).unwrap();
    assert!(Tokenizer::read(&source, &checkpoint.config).is_ok());
}
