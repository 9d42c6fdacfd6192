//! How a folder with ambiguous files is read: tied heads, tensor names without their prefix, unused
//! tensors, Git LFS pointers.

use crate::common;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use regrowth_policy::candle::{
    Checkpoint, SaveOptions, Source, identity, save_checkpoint, write_tensors,
};
use regrowth_policy::{LoadOptions, load};
use serde_json::{Value, json};
use tempfile::TempDir;

const WEIGHTS: &str = "model.safetensors";
const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

fn small(name: &str, n: usize) -> Vec<f32> {
    let shift = name.len() as f32;
    (0..n).map(|i| ((i as f32 + shift) * 0.7).sin() * 0.1).collect()
}

/// A complete checkpoint with tied embeddings, its folder and its tensors.
fn tied() -> (TempDir, PathBuf, BTreeMap<String, Tensor>) {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = common::checkpoint(dir.path(), |_| {}, &small);
    assert!(checkpoint.config.tied && !checkpoint.tensors.contains_key(HEAD));
    let folder = dir.path().join("checkpoint");
    (dir, folder, checkpoint.tensors)
}

fn read(folder: &Path) -> Checkpoint {
    Checkpoint::read(Source::folder(folder).unwrap()).unwrap()
}

fn refused(folder: &Path) -> String {
    let spec = folder.display().to_string();
    load(&spec, &LoadOptions::default()).err().expect("is refused").to_string()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn of_a_tied_embedding_and_another_head_in_the_file_the_head_counts() {
    let (dir, folder, mut tensors) = tied();
    let before = identity(&read(&folder)).unwrap();
    let own = (&tensors[EMBEDDING] * 1.5).unwrap();
    tensors.insert(HEAD.into(), own.clone());
    write_tensors(&folder.join(WEIGHTS), tensors).unwrap();
    let found = read(&folder);
    assert!(!found.config.tied);
    assert_eq!(values(&found.tensors[HEAD]), values(&own));
    assert!(found.warnings[0].contains("`lm_head.weight`"), "{:?}", found.warnings);
    assert_ne!(identity(&found).unwrap(), before);
    let policy = load(&folder.display().to_string(), &LoadOptions::default()).unwrap();
    assert_eq!(policy.notes(), found.warnings);
    // The configuration of a copy is unambiguous.
    let copy = dir.path().join("copy");
    let Checkpoint { source, config, tensors, .. } = &found;
    save_checkpoint(&copy, config, tensors, source, SaveOptions::default()).unwrap();
    let again = read(&copy);
    assert!(again.warnings.is_empty(), "{:?}", again.warnings);
    assert_eq!(values(&again.tensors[HEAD]), values(&own));
}

#[test]
fn of_a_tied_embedding_and_the_same_head_one_is_kept() {
    let (_dir, folder, mut tensors) = tied();
    tensors.insert(HEAD.into(), tensors[EMBEDDING].copy().unwrap());
    write_tensors(&folder.join(WEIGHTS), tensors.clone()).unwrap();
    let both = read(&folder);
    assert!(both.config.tied && both.warnings.is_empty());
    assert!(!both.tensors.contains_key(HEAD));
    let embedding = tensors.remove(EMBEDDING).unwrap();
    write_tensors(&folder.join(WEIGHTS), tensors).unwrap();
    let head_alone = read(&folder);
    assert!(head_alone.config.tied && !head_alone.tensors.contains_key(HEAD));
    assert_eq!(values(&head_alone.tensors[EMBEDDING]), values(&embedding));
}

#[test]
fn tensors_without_the_prefix_are_the_model_s_and_those_without_a_place_are_named() {
    let (_dir, folder, tensors) = tied();
    let bare = |name: &String| name.strip_prefix("model.").unwrap_or(name).to_owned();
    let mut renamed: BTreeMap<String, Tensor> =
        tensors.iter().map(|(name, tensor)| (bare(name), tensor.clone())).collect();
    let one = Tensor::new(&[1f32], &Device::Cpu).unwrap();
    renamed.insert("layers.0.self_attn.rotary_emb.inv_freq".into(), one.clone());
    write_tensors(&folder.join(WEIGHTS), renamed.clone()).unwrap();
    let found = read(&folder);
    assert_eq!(found.tensors.keys().collect::<Vec<_>>(), tensors.keys().collect::<Vec<_>>());
    assert!(found.warnings.is_empty(), "{:?}", found.warnings);
    renamed.insert("layers.0.self_attn.q_norm.weight".into(), one);
    write_tensors(&folder.join(WEIGHTS), renamed).unwrap();
    let warnings = read(&folder).warnings;
    assert!(warnings[0].contains("`layers.0.self_attn.q_norm.weight`"), "{warnings:?}");
}

#[test]
fn a_field_of_which_nothing_is_known_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let change = |raw: &mut serde_json::Map<String, Value>| {
        raw.insert("attention_in_mirrors".into(), json!(2));
    };
    let found = common::checkpoint(dir.path(), change, &small);
    assert!(found.warnings[0].contains("`attention_in_mirrors`"), "{:?}", found.warnings);
}

#[test]
fn a_pointer_of_git_lfs_is_called_that() {
    let (_dir, folder, _) = tied();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1234567\n";
    for name in ["config.json", "tokenizer.json", WEIGHTS] {
        let whole = std::fs::read(folder.join(name)).unwrap();
        std::fs::write(folder.join(name), pointer).unwrap();
        let error = refused(&folder);
        assert!(error.contains(name) && error.contains("Git LFS pointer"), "{error}");
        std::fs::write(folder.join(name), whole).unwrap();
    }
    let adapter = folder.with_file_name("adapter");
    std::fs::create_dir(&adapter).unwrap();
    let config = json!({ "peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["q_proj"],
                         "base_model_name_or_path": "../checkpoint" });
    std::fs::write(adapter.join("adapter_config.json"), config.to_string()).unwrap();
    for name in ["adapter_model.bin", "adapter_model.safetensors"] {
        std::fs::write(adapter.join(name), pointer).unwrap();
        let error = refused(&adapter);
        assert!(error.contains(name) && error.contains("Git LFS pointer"), "{error}");
    }
}
