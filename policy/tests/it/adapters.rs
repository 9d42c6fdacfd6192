//! Adapters of every supported kind give the same results as in PEFT.
//!
//! The golden file is made by `benches/peers/adapters.py`, which computes the same weights from the same
//! integer hash.

use crate::common::golden;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use regrowth_policy::candle::{Checkpoint, SaveOptions, Source, save_checkpoint, write_tensors};
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
struct Golden {
    name: String,
    /// Configuration of the base.
    config: Map<String, Value>,
    adapter: Map<String, Value>,
    tensors: BTreeMap<String, Vec<usize>>,
    lengths: Vec<usize>,
    logprobs: Vec<Vec<f32>>,
}

fn goldens() -> Vec<Golden> {
    serde_json::from_str(include_str!("../golden/adapters.json")).expect("golden file")
}

/// Values of an adapter's tensor, as in the script.
fn values(golden: &Golden, name: &str, n: usize) -> Vec<f32> {
    let tied = golden.config["tie_word_embeddings"] == json!(true);
    let kept = tied && golden.adapter.get("ensure_weight_tying") == Some(&json!(true));
    let embedding = "base_model.model.model.embed_tokens";
    if tied && name.contains(".token_adapter.") {
        return drawn(&name.replace(".lm_head.", ".model.embed_tokens."), n);
    }
    // Copies of tensors of the base.
    if name.ends_with("embed_tokens.base_layer.weight")
        || name.ends_with("lm_head.base_layer.weight")
    {
        let own =
            if tied || name.contains("embed_tokens") { "model.embed_tokens" } else { "lm_head" };
        return golden::weights(&format!("{own}.weight"), n);
    }
    let other = match name.strip_prefix("base_model.model.lm_head.").filter(|_| kept) {
        Some("weight") => return drawn(&format!("{embedding}.weight"), n),
        Some("lora_A.weight") => "lora_embedding_B",
        Some("lora_B.weight") => "lora_embedding_A",
        _ => return drawn(name, n),
    };
    let other = format!("{embedding}.{other}");
    let shape = &golden.tensors[&other];
    let stored = drawn(&other, n);
    let (height, width) = (shape[0], shape[1]);
    (0..n).map(|i| stored[i % height * width + i / height]).collect()
}

fn drawn(name: &str, n: usize) -> Vec<f32> {
    let near_one = name.contains("norm") || name.contains("magnitude");
    let scale = |v: f64| if near_one { 1.0 + 0.25 * v } else { 0.375 * v };
    golden::hashed(name, n).map(|v| scale(v) as f32).collect()
}

/// Writes base and adapter of a golden row. Returns the adapter's folder.
fn written(dir: &Path, golden: &Golden) -> PathBuf {
    golden::checkpoint(dir, &golden.config);
    let folder = dir.join("adapter");
    std::fs::create_dir(&folder).unwrap();
    write_config(&folder, golden, |_| {});
    let tensors = golden.tensors.iter().map(|(name, shape)| {
        let values = values(golden, name, shape.iter().product());
        (name.clone(), Tensor::from_vec(values, shape.as_slice(), &Device::Cpu).unwrap())
    });
    let tensors: BTreeMap<String, Tensor> = tensors.collect();
    write_tensors(&folder.join("adapter_model.safetensors"), tensors).unwrap();
    folder
}

fn write_config(folder: &Path, golden: &Golden, change: impl FnOnce(&mut Map<String, Value>)) {
    let mut config = golden.adapter.clone();
    config.insert("base_model_name_or_path".into(), json!("../checkpoint"));
    change(&mut config);
    let text = Value::Object(config).to_string();
    std::fs::write(folder.join("adapter_config.json"), text).unwrap();
}

fn read(folder: &Path) -> Result<Checkpoint, String> {
    let source = Source::folder(folder).map_err(|e| e.to_string())?;
    Checkpoint::read(source).map_err(|e| e.to_string())
}

fn golden_of(name: &str) -> Golden {
    goldens().into_iter().find(|golden| golden.name == name).expect("a golden of that name")
}

#[test]
fn log_probabilities_equal_those_of_peft() {
    let goldens = goldens();
    assert_eq!(goldens.len(), 38);
    for golden in goldens {
        let dir = tempfile::tempdir().unwrap();
        let folder = written(dir.path(), &golden);
        let adapted = read(&folder).unwrap_or_else(|e| panic!("{}: {e}", golden.name));
        golden::check_both(&golden.name, &adapted, &golden.lengths, &golden.logprobs);
    }
}

#[test]
fn a_merged_adapter_is_saved_as_a_whole_checkpoint_of_its_own_shape() {
    for name in ["tied: head", "repeated layers", "PiSSA, DoRA"] {
        let golden = golden_of(name);
        let dir = tempfile::tempdir().unwrap();
        let adapted = read(&written(dir.path(), &golden)).unwrap();
        let saved = dir.path().join("saved");
        let Checkpoint { source, config, tensors, .. } = &adapted;
        save_checkpoint(&saved, config, tensors, source, SaveOptions::default()).unwrap();
        let again = read(&saved).unwrap();
        golden::check_both(name, &again, &golden.lengths, &golden.logprobs);
    }
}

/// Writes the golden adapter of this name with a changed configuration, and reads it.
fn changed(name: &str, change: impl FnOnce(&mut Map<String, Value>)) -> Result<Checkpoint, String> {
    let golden = golden_of(name);
    let dir = tempfile::tempdir().unwrap();
    let folder = written(dir.path(), &golden);
    write_config(&folder, &golden, change);
    read(&folder)
}

#[test]
fn a_pickled_adapter_is_the_same_as_a_safe_one() {
    let golden = golden_of("plain");
    let dir = tempfile::tempdir().unwrap();
    let folder = written(dir.path(), &golden);
    let q = |raw: &mut Map<String, Value>| {
        raw.insert("target_modules".into(), json!(["layers.0.self_attn.q_proj"]));
    };
    write_config(&folder, &golden, q);
    let safe = read(&folder).unwrap();
    std::fs::remove_file(folder.join("adapter_model.safetensors")).unwrap();
    let pickled = folder.join("adapter_model.bin");
    std::fs::write(&pickled, include_bytes!("../golden/adapter_model.bin")).unwrap();
    let found = read(&folder).unwrap();
    let weight = |c: &Checkpoint| {
        let tensor = &c.tensors["model.layers.0.self_attn.q_proj.weight"];
        tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert_eq!(weight(&found), weight(&safe));
    let whole = std::fs::read(&pickled).unwrap();
    for damaged in [&whole[..200], b"PK\x03\x04", b"\x80\x02}q\x00.", b""] {
        std::fs::write(&pickled, damaged).unwrap();
        let error = read(&folder).unwrap_err();
        assert!(error.contains("adapter_model.bin"), "{error}");
    }
    for at in (0..whole.len()).step_by(37) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x55;
        std::fs::write(&pickled, flipped).unwrap();
        // Success or error does not matter: it must not panic.
        let _ = read(&folder);
    }
}

#[test]
fn what_does_not_fit_is_refused_by_the_field_or_the_module() {
    type Change = fn(&mut Map<String, Value>);
    let cases: [(&str, Change, &str); 6] = [
        ("plain", |raw| drop(raw.insert("r".into(), json!(8))), "`r` or `rank_pattern`"),
        ("plain", |raw| drop(raw.insert("target_modules".into(), json!([]))), "`target_modules`"),
        ("plain", |raw| drop(raw.insert("use_dora".into(), json!(true))), "lora_magnitude_vector"),
        (
            "trained tokens",
            |raw| drop(raw.insert("trainable_token_indices".into(), json!([1]))),
            "rows",
        ),
        (
            "repeated layers",
            |raw| drop(raw.insert("layer_replication".into(), json!([[0, 9]]))),
            "ranges",
        ),
        (
            "PiSSA",
            |raw| drop(raw.insert("init_lora_weights".into(), json!("pissa_niter_2"))),
            "pissa_niter",
        ),
    ];
    for (name, change, expected) in cases {
        let error = changed(name, change).unwrap_err();
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn updates_of_modules_that_are_no_target_do_not_count_and_are_named() {
    let base = changed("plain", |raw| {
        drop(raw.insert("target_modules".into(), json!(["k_proj", "v_proj"])))
    });
    let warnings = base.unwrap().warnings;
    assert!(warnings[0].contains("2 modules") && warnings[0].contains("q_proj"), "{warnings:?}");
}

#[test]
fn targets_without_an_update_stay_those_of_the_base_and_are_named() {
    let base = changed("plain", |raw| {
        drop(raw.insert("target_modules".into(), json!(["q_proj", "v_proj", "k_proj"])))
    });
    let warnings = base.unwrap().warnings;
    assert!(warnings[0].contains("2 modules") && warnings[0].contains("k_proj"), "{warnings:?}");
    assert!(changed("plain", |_| {}).unwrap().warnings.is_empty());
}

#[test]
fn an_adapter_beside_a_model_is_put_on_top_of_it() {
    let golden = golden_of("plain");
    let dir = tempfile::tempdir().unwrap();
    let folder = written(dir.path(), &golden);
    write_config(&folder, &golden, |raw| {
        drop(raw.insert("base_model_name_or_path".into(), json!("nobody/nothing")))
    });
    assert!(read(&folder).unwrap_err().contains("nobody/nothing"));
    for file in std::fs::read_dir(dir.path().join("checkpoint")).unwrap() {
        let path = file.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let adapted = read(&folder).unwrap();
    golden::check_both("beside", &adapted, &golden.lengths, &golden.logprobs);
}

#[test]
fn a_larger_vocabulary_that_is_saved_as_a_whole_is_the_model_s() {
    let golden = golden_of("modules_to_save: embedding and head");
    let dir = tempfile::tempdir().unwrap();
    let folder = written(dir.path(), &golden);
    let rows = |height: usize, name: &str| {
        let values = drawn(name, height * 32);
        Tensor::from_vec(values, (height, 32), &Device::Cpu).unwrap()
    };
    let write = |head: usize| {
        let names =
            ["model.embed_tokens", "lm_head"].map(|m| format!("base_model.model.{m}.weight"));
        let tensors =
            [(names[0].clone(), rows(100, &names[0])), (names[1].clone(), rows(head, &names[1]))];
        write_tensors(&folder.join("adapter_model.safetensors"), tensors).unwrap();
        read(&folder)
    };
    let resized = write(100).unwrap();
    assert_eq!(
        (resized.config.vocab_size, resized.config.raw["vocab_size"].clone()),
        (100, json!(100))
    );
    assert!(write(99).unwrap_err().contains("100 rows and a head of 99"));
}
