//! GGUF files: each answers like the Hugging Face folder that it was made from. A corrupted or unsupported
//! file gives an error and nothing worse.

use std::path::{Path, PathBuf};

use crate::common::checkpoint;
use crate::common::gguf::{Metadata, metadata, save};
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Value;
use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use regrowth_policy::candle::{
    CandlePolicy, Checkpoint, Files, GgufType, RopeScaling, SaveOptions, Source, Tokenizer,
    identity, save_checkpoint, write_gguf,
};
use regrowth_policy::{LoadOptions, Policy, PolicyError, Request, Response, Score, call, load};
use serde_json::{Map, json};
use tempfile::TempDir;

/// Values that differ by tensor and position.
fn varied(name: &str, n: usize) -> Vec<f32> {
    let seed = name.bytes().fold(7_u32, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
    let value = |i: u32| seed.wrapping_add(i).wrapping_mul(2_654_435_761) >> 8;
    (0..n as u32).map(|i| value(i) as f32 / f32::from(u16::MAX) / 256.0 * 0.2 - 0.1).collect()
}

/// A checkpoint of this family, and a GGUF file made from it with f32 weights.
fn pair(family: &str) -> (TempDir, Checkpoint, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let change = |raw: &mut Map<String, serde_json::Value>| {
        raw.insert("num_key_value_heads".into(), json!(2));
        raw.insert("rope_theta".into(), json!(50_000.0));
        let (class, tied) = match family {
            "qwen2" => ("Qwen2ForCausalLM", false),
            "qwen3" => ("Qwen3ForCausalLM", true),
            _ => ("LlamaForCausalLM", false),
        };
        raw.insert("architectures".into(), json!([class]));
        raw.insert("tie_word_embeddings".into(), json!(tied));
        if family == "qwen3" {
            raw.insert("head_dim".into(), json!(16));
        }
    };
    let checkpoint = checkpoint(dir.path(), change, &varied);
    let path = dir.path().join("model.gguf");
    save(&path, &checkpoint, &metadata(&checkpoint, family, "smollm"), GgmlDType::F32);
    (dir, checkpoint, path)
}

fn read(path: &Path) -> Result<Checkpoint, PolicyError> {
    Checkpoint::read(Source::named(&path.display().to_string())?)
}

fn refused(path: &Path) -> String {
    let spec = path.display().to_string();
    let error = load(&spec, &LoadOptions::default()).err().expect("is refused").to_string();
    assert!(error.contains(&spec), "{error}");
    error
}

/// Writes the GGUF file again with one changed metadata key.
fn changed(path: &Path, checkpoint: &Checkpoint, key: &str, value: Option<Value>) {
    let mut all = metadata(checkpoint, "llama", "smollm");
    match value {
        Some(value) => drop(all.insert(key.into(), value)),
        None => drop(all.remove(key)),
    }
    save(path, checkpoint, &all, GgmlDType::F32);
}

fn scores(policy: &CandlePolicy, text: &str) -> Vec<f32> {
    let ids = policy.encode(text).unwrap();
    let request = Score { prefix: ids[..1].into(), continuation: ids[1..].into() };
    match call(policy, Request::Score(request)).unwrap() {
        Response::Scores(scores) => scores.logps,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_answers_as_the_folder_that_it_was_made_of() {
    for family in ["llama", "qwen2", "qwen3"] {
        let (_dir, folder, path) = pair(family);
        let file = read(&path).unwrap();
        assert_eq!(file.config.architecture, folder.config.architecture);
        assert_eq!(file.config.tensor_shapes(), folder.config.tensor_shapes(), "{family}");
        for (name, tensor) in &folder.tensors {
            let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(values(&file.tensors[name]), values(tensor), "{family}: {name}");
        }
        let options =
            LoadOptions { threads: 1, cache_bytes: Some(1 << 22), ..LoadOptions::default() };
        let [a, b] = [&file, &folder].map(|c| CandlePolicy::new(c, &options).unwrap());
        let text = "Start with 7. Add 5, then: 12 + 3 = 15";
        assert_eq!(a.encode(text).unwrap(), b.encode(text).unwrap());
        assert_eq!(scores(&a, text), scores(&b, text), "{family}");
        assert_eq!((a.eos(), a.limits().context), (b.eos(), b.limits().context));
    }
}

/// Replaces the pre-tokenizer in a folder's tokenizer.
fn cut_by(folder: &Path, pre_tokenizer: &serde_json::Value) {
    let file = folder.join("tokenizer.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut tokenizer: serde_json::Value = serde_json::from_str(&text).unwrap();
    tokenizer["pre_tokenizer"] = pre_tokenizer.clone();
    std::fs::write(&file, tokenizer.to_string()).unwrap();
}

#[test]
fn a_file_that_is_exported_answers_as_the_checkpoint() {
    for family in ["llama", "qwen2", "qwen3"] {
        let (dir, folder, path) = pair(family);
        let settings = json!({ "chat_template": "{{ messages }}", "eos_token": "<end>" });
        let origin = dir.path().join("plain");
        let options = SaveOptions::default();
        save_checkpoint(&origin, &folder.config, &folder.tensors, &folder.source, options).unwrap();
        std::fs::write(origin.join("tokenizer_config.json"), settings.to_string()).unwrap();
        cut_by(
            &origin,
            &json!({ "type": "Sequence", "pretokenizers": [
            { "type": "Digits", "individual_digits": true },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true },
        ] }),
        );
        for (kind, apart) in [(GgufType::F16, 1e-3), (GgufType::Q8_0, 5e-2)] {
            write_gguf(&path, read(&origin).unwrap(), kind).unwrap();
            let (file, folder) = (read(&path).unwrap(), read(&origin).unwrap());
            assert_eq!(file.config.tensor_shapes(), folder.config.tensor_shapes(), "{family}");
            assert_eq!(file.config.context, folder.config.context);
            let tokenizer = |c: &Checkpoint| Tokenizer::read(&c.source, &c.config).unwrap();
            let (a, b) = (tokenizer(&file), tokenizer(&folder));
            assert_eq!((a.eos_ids(), a.bos(), a.opening()), (b.eos_ids(), b.bos(), b.opening()));
            assert_eq!(a.chat_template(), Some("{{ messages }}"));
            let options =
                LoadOptions { threads: 1, cache_bytes: Some(1 << 22), ..LoadOptions::default() };
            let [a, b] = [&file, &folder].map(|c| CandlePolicy::new(c, &options).unwrap());
            let text = "Start with 7. Add 5, then: 12 + 3 = 15";
            assert_eq!(a.encode(text).unwrap(), b.encode(text).unwrap());
            let (x, y) = (scores(&a, text), scores(&b, text));
            let far = x.iter().zip(&y).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
            assert!(far > 0.0 && far < apart, "{family}, {kind:?}: {far}");
        }
    }
}

#[test]
fn what_llama_cpp_would_compute_otherwise_is_not_exported() {
    let (dir, folder, path) = pair("llama");
    let refused = |change: &dyn Fn(&mut Checkpoint)| {
        let mut changed = Checkpoint::read(folder.source.clone()).unwrap();
        change(&mut changed);
        write_gguf(&path, changed, GgufType::F16).unwrap_err().to_string()
    };
    let yarn = |c: &mut Checkpoint| {
        c.config.rope_scaling = RopeScaling::Yarn { factor: 2.0, ramp: (0.0, 1.0), scale: 1.0 };
    };
    assert!(refused(&yarn).contains("rope_scaling"));
    let window = |c: &mut Checkpoint| {
        c.config.sliding_window = Some(8);
        c.config.windowed = vec![true; c.config.layers];
    };
    assert!(refused(&window).contains("sliding_window"));
    cut_by(&dir.path().join("checkpoint"), &json!({ "type": "Whitespace" }));
    let error = refused(&|_| {});
    assert!(
        error.contains("tokenizer.json") && error.contains("expected that of Llama 3"),
        "{error}"
    );
}

#[test]
fn a_checkpoint_that_is_written_from_a_file_answers_as_the_file() {
    let (dir, origin, path) = pair("qwen2");
    let mut all = metadata(&origin, "qwen2", "qwen2");
    all.insert("tokenizer.chat_template".into(), Value::String("{{ messages }}".into()));
    all.insert("tokenizer.ggml.eot_token_id".into(), Value::U32(3));
    save(&path, &origin, &all, GgmlDType::Q8_0);
    let file = read(&path).unwrap();
    let out = dir.path().join("out");
    let options = SaveOptions::default();
    save_checkpoint(&out, &file.config, &file.tensors, &file.source, options).unwrap();
    let written = read(&out).unwrap();
    let tokenizer = |c: &Checkpoint| Tokenizer::read(&c.source, &c.config).unwrap();
    let (a, b) = (tokenizer(&file), tokenizer(&written));
    assert_eq!(a.eos_ids(), [0, 3]);
    assert_eq!((a.eos_ids(), a.chat_template()), (b.eos_ids(), b.chat_template()));
    assert_eq!(a.chat_template(), Some("{{ messages }}"));
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"]
    {
        assert!(out.join(name).is_file(), "{name}");
    }
    let values = |c: &Checkpoint| {
        let t = &c.tensors["model.layers.1.self_attn.k_proj.weight"];
        t.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert_eq!(values(&file), values(&written));
}

#[test]
fn a_file_of_16_bits_is_held_so_and_answers_as_in_f32() {
    for dtype in [GgmlDType::F16, GgmlDType::BF16] {
        let (_dir, folder, path) = pair("llama");
        save(&path, &folder, &metadata(&folder, "llama", "smollm"), dtype);
        let source = Source::named(&path.display().to_string()).unwrap();
        let held = Checkpoint::read_as_stored(source.clone()).unwrap();
        let narrow = held.tensors.values().filter(|t| t.dtype() != DType::F32).count();
        assert_eq!(narrow, 2 + 2 * 7, "embedding, head and the projections of two layers");
        let options =
            LoadOptions { threads: 1, cache_bytes: Some(1 << 22), ..LoadOptions::default() };
        let plan = CandlePolicy::plan(&source, &options).unwrap();
        let bytes = held.tensors.values().map(|t| t.elem_count() * t.dtype().size_in_bytes());
        assert_eq!(plan.weights, bytes.sum::<usize>() as u64);
        let [a, b] = [held, read(&path).unwrap()].map(|c| CandlePolicy::new(&c, &options).unwrap());
        let text = "Start with 7. Add 5, then: 12 + 3 = 15";
        assert_eq!(scores(&a, text), scores(&b, text));
        assert_eq!(a.identity(), b.identity());
    }
}

#[test]
fn the_identity_covers_the_content_of_the_file() {
    let (_dir, folder, path) = pair("llama");
    let mut seen = vec![identity(&read(&path).unwrap()).unwrap()];
    let base = metadata(&folder, "llama", "smollm");
    let with = |key: &str, value: Value| {
        let mut all = base.clone();
        all.insert(key.into(), value);
        all
    };
    let text = |text: &str| Value::String(text.into());
    for (all, dtype) in [
        (base.clone(), GgmlDType::Q4_0),
        (with("llama.rope.freq_base", Value::F32(9000.0)), GgmlDType::F32),
        (with("tokenizer.ggml.pre", text("gpt-2")), GgmlDType::F32),
        (with("tokenizer.chat_template", text("{{ 1 }}")), GgmlDType::F32),
        (with("tokenizer.ggml.eos_token_id", Value::U32(4)), GgmlDType::F32),
    ] {
        save(&path, &folder, &all, dtype);
        let name = identity(&read(&path).unwrap()).unwrap();
        assert!(!seen.contains(&name), "{seen:?}");
        seen.push(name);
    }
    save(&path, &folder, &base, GgmlDType::F32);
    assert_eq!(identity(&read(&path).unwrap()).unwrap(), seen[0]);
}

/// Compares with dequantised values and log-probabilities of transformers (`benches/peers/gguf_golden.py`).
#[test]
fn every_tensor_type_is_read_as_transformers_reads_it() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let file = read(&golden.join("types.gguf")).unwrap();
    let text = std::fs::read_to_string(golden.join("types.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file.tensors.len(), expected["tensors"].as_object().unwrap().len());
    for (name, tensor) in &file.tensors {
        let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
        let of = &expected["tensors"][name];
        let sum: f64 = values.iter().map(|v| f64::from(*v)).sum();
        assert!((sum - of["sum"].as_f64().unwrap()).abs() < 1e-4, "{name}: {sum}");
        let seen = values.iter().step_by((values.len() / 6).max(1));
        for (value, wanted) in seen.zip(of["values"].as_array().unwrap()) {
            assert!((f64::from(*value) - wanted.as_f64().unwrap()).abs() < 1e-6, "{name}");
        }
    }
    let options = LoadOptions { threads: 1, cache_bytes: Some(1 << 22), ..LoadOptions::default() };
    let policy = CandlePolicy::new(&file, &options).unwrap();
    let ids: Vec<u32> = serde_json::from_value(expected["ids"].clone()).unwrap();
    let wanted: Vec<f32> = serde_json::from_value(expected["logps"].clone()).unwrap();
    let request = Score { prefix: ids[..1].into(), continuation: ids[1..].into() };
    let Response::Scores(scores) = call(&policy, Request::Score(request)).unwrap() else {
        panic!("expected scores")
    };
    assert_eq!(scores.logps.len(), wanted.len());
    for (ours, theirs) in scores.logps.iter().zip(&wanted) {
        assert!((ours - theirs).abs() < 1e-4, "{ours} {theirs}");
    }
}

#[test]
fn what_is_unknown_is_refused_with_what_to_do() {
    let (_dir, folder, path) = pair("llama");
    let text = |text: &str| Some(Value::String(text.into()));
    for (key, value, expected) in [
        ("general.architecture", text("gemma3"), "architecture `gemma3` is not supported"),
        ("general.type", text("adapter"), "holds a `adapter`"),
        ("split.count", Some(Value::U16(3)), "one of 3 parts of a split model"),
        ("tokenizer.ggml.pre", text("hoax"), "is `hoax`; known are smollm"),
        ("tokenizer.ggml.pre", text("hoax"), "`tokenizer.json` (from its page on the Hub) beside"),
        ("tokenizer.ggml.pre", None, "`tokenizer.ggml.pre` is missing"),
        ("tokenizer.ggml.model", text("t5"), "is `t5`; known are gpt2 and llama"),
        ("tokenizer.ggml.eos_token_id", Some(Value::U32(999)), "is 999, but the file has 59"),
        ("llama.context_length", None, "`llama.context_length` is missing"),
        ("llama.context_length", text("x"), "is \"x\"; expected one whole number"),
        ("llama.attention.head_count", Some(Value::U32(0)), "number of heads is 0"),
        ("llama.embedding_length", Some(Value::U32(64)), "shape [59, 32], expected [59, 64]"),
        ("llama.block_count", Some(Value::U32(3)), "tensor `blk.2.attn_norm.weight`: is missing"),
        ("llama.block_count", Some(Value::U32(1)), "tensor `blk.1."),
        ("llama.block_count", Some(Value::U32(u32::MAX)), "expected at most"),
        ("llama.expert_count", Some(Value::U32(8)), "mixtures of experts"),
        ("llama.rope.dimension_count", Some(Value::U32(4)), "rotating a part of a head"),
        ("llama.rope.scaling.type", text("odd"), "rope scaling `odd` is not supported"),
    ] {
        changed(&path, &folder, key, value);
        let error = refused(&path);
        assert!(error.contains(expected), "{key}: {error}");
    }
}

#[test]
fn a_tokenizer_of_the_same_vocabulary_beside_the_file_is_taken() {
    let (dir, folder, path) = pair("llama");
    changed(&path, &folder, "tokenizer.ggml.pre", Some(Value::String("hoax".into())));
    let beside = dir.path().join("tokenizer.json");
    let own = folder.source.required("tokenizer.json").unwrap();
    std::fs::write(&beside, &own).unwrap();
    let file = read(&path).unwrap();
    assert_eq!(file.source.required("tokenizer.json").unwrap(), own);
    // The `tokenizer.json` of another model: an error if it is needed, ignored otherwise.
    let other = String::from_utf8(own.to_vec()).unwrap().replace("\"W\"", "\"w\u{e9}\"");
    std::fs::write(&beside, other).unwrap();
    assert!(refused(&path).contains("is another model's: its token"));
    changed(&path, &folder, "tokenizer.ggml.pre", Some(Value::String("smollm".into())));
    let taken = read(&path).unwrap().source.required("tokenizer.json").unwrap();
    assert!(!String::from_utf8_lossy(&taken).contains("w\u{e9}"));
}

#[test]
fn digits_stand_alone_and_text_is_composed_where_the_vocabulary_asks_for_it() {
    let (_dir, folder, path) = pair("llama");
    let tokenizer = |pre: &str, merges: &[&str]| {
        let merges = merges.iter().map(|m| Value::String((*m).into())).collect();
        let mut all = metadata(&folder, "llama", pre);
        all.insert("tokenizer.ggml.merges".into(), Value::Array(merges));
        // Replace other tokens by the tokens that the merges produce.
        let Some(Value::Array(tokens)) = all.get_mut("tokenizer.ggml.tokens") else { panic!() };
        for (token, id) in [("ĠĠ", 40), ("12", 41), ("Ã", 42), ("©", 43), ("Ã©", 44)] {
            tokens[id] = Value::String(token.into());
        }
        save(&path, &folder, &all, GgmlDType::F32);
        let file = read(&path).unwrap();
        Tokenizer::read(&file.source, &file.config).unwrap()
    };
    let merges = ["Ġ Ġ", "1 2", "Ã ©"];
    let ids = |pre: &str, text: &str| tokenizer(pre, &merges).encode(text).unwrap();
    let (space, one, two) = (1, 4, 5);
    assert_eq!(ids("smollm", "  12"), [40, one, two]);
    assert_eq!(ids("gpt-2", "  12"), [space, space, 41]);
    assert_eq!(ids("qwen2", "e\u{301}"), [44]);
}

#[test]
fn a_sentencepiece_vocabulary_merges_by_score_and_falls_back_to_bytes() {
    let (_dir, folder, path) = pair("llama");
    let mut all = metadata(&folder, "llama", "");
    let pieces = [
        "<unk>",
        "<s>",
        "</s>",
        "<0x0A>",
        "<0xE2>",
        "<0x82>",
        "<0xAC>",
        "\u{2581}",
        "a",
        "b",
        "c",
        "\u{2581}a",
        "bc",
        "ab",
        "<tool>",
    ];
    let kind = |id: usize| match id {
        0 => 2,
        1 | 2 => 3,
        3..=6 => 6,
        14 => 4,
        _ => 1,
    };
    let count = folder.config.vocab_size;
    let unused = |id: usize| format!("<unused {id}>");
    let token = |id: usize| pieces.get(id).map_or_else(|| unused(id), |p| (*p).to_owned());
    let list = |value: &dyn Fn(usize) -> Value| Value::Array((0..count).map(value).collect());
    for (key, value) in [
        ("model", Value::String("llama".into())),
        ("tokens", list(&|id| Value::String(token(id)))),
        ("token_type", list(&|id| Value::I32(if id < pieces.len() { kind(id) } else { 5 }))),
        ("scores", list(&|id| Value::F32(-(id as f32)))),
        ("bos_token_id", Value::U32(1)),
        ("eos_token_id", Value::U32(2)),
    ] {
        all.insert(format!("tokenizer.ggml.{key}"), value);
    }
    let tokenizer = |all: &Metadata| {
        save(&path, &folder, all, GgmlDType::F32);
        let file = read(&path).unwrap();
        Tokenizer::read(&file.source, &file.config).unwrap()
    };
    let plain = tokenizer(&all);
    // A space is added before the text; `bc` has a better score than `ab`.
    assert_eq!(plain.encode("abc\n\u{20ac}").unwrap(), [11, 12, 3, 4, 5, 6]);
    assert_eq!(plain.encode_framed("a").unwrap(), [1, 11]);
    assert_eq!(plain.encode("<tool>").unwrap(), [14]);
    assert_eq!(plain.encode("<s>").unwrap(), [1]);
    assert_eq!(plain.decode(&[11, 12, 3, 4, 5, 6]).unwrap(), "abc\n\u{20ac}");
    assert_eq!((plain.bos(), plain.eos_ids()), (Some(1), &[2][..]));
    all.insert("tokenizer.ggml.add_space_prefix".into(), Value::Bool(false));
    all.insert("tokenizer.ggml.add_bos_token".into(), Value::Bool(false));
    let bare = tokenizer(&all);
    assert_eq!(bare.encode_framed("abc").unwrap(), [8, 12]);
}

#[test]
fn rotary_factors_of_llama_3_are_recognised_and_others_refused() {
    let (dir, mut folder, path) = pair("llama");
    let mut raw = folder.config.raw.clone();
    let stretch = json!({"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192});
    raw.insert("rope_scaling".into(), stretch);
    let scaled = regrowth_policy::candle::ModelConfig::parse(&json!(raw).to_string()).unwrap();
    let (plain, stretched) = (folder.config.inverse_frequencies(), scaled.inverse_frequencies());
    let factors: Vec<f32> = plain.iter().zip(&stretched).map(|(p, s)| p / s).collect();
    assert!(factors.iter().any(|f| *f > 1.5), "{factors:?}");
    let all = metadata(&folder, "llama", "smollm");
    let mut with = |factors: Vec<f32>| {
        let tensor = Tensor::new(factors, &Device::Cpu).unwrap();
        folder.tensors.insert("rope_freqs.weight".into(), tensor);
        save(&path, &folder, &all, GgmlDType::F32);
    };
    with(factors);
    assert_eq!(read(&path).unwrap().config.inverse_frequencies(), stretched);
    with(vec![1.0; plain.len()]);
    assert_eq!(read(&path).unwrap().config.inverse_frequencies(), plain);
    with(vec![3.0; plain.len()]);
    assert!(refused(&path).contains("in another way than Llama 3.1"));
    drop(dir);
}

#[test]
fn names_that_are_no_checkpoint_say_what_to_do() {
    let (dir, _, path) = pair("llama");
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("folder")).unwrap();
    std::fs::rename(&path, at("folder/model.gguf")).unwrap();
    std::fs::write(at("pointer.gguf"), "version https://git-lfs.github.com/spec/v1\noid x\n")
        .unwrap();
    std::fs::write(at("empty.gguf"), "").unwrap();
    std::fs::write(at("other.gguf"), "ggjt and more").unwrap();
    std::fs::write(at("model.safetensors"), "").unwrap();
    std::fs::write(at("model.bin"), "").unwrap();
    for (name, expected) in [
        ("folder", "holds `model.gguf`: give that file"),
        ("pointer.gguf", "Git LFS pointer"),
        ("empty.gguf", "empty or cut off"),
        ("other.gguf", "not a GGUF file"),
        ("lost.gguf", "no such file"),
        ("model.safetensors", "give the folder"),
        ("model.bin", "pickled"),
        ("nothing", "a .gguf file or a checkpoint folder"),
    ] {
        let error = refused(&at(name));
        assert!(error.contains(expected), "{name}: {error}");
    }
    let error = load("Qwen/Qwen2.5-0.5B", &LoadOptions::default()).err().unwrap().to_string();
    assert!(error.contains("hf download Qwen/Qwen2.5-0.5B --local-dir DIR"), "{error}");
    // The file name does not matter: blobs in the storage of other programs have no extension.
    std::fs::rename(at("folder/model.gguf"), at("blob")).unwrap();
    assert!(read(&at("blob")).is_ok());
}

#[test]
fn a_file_that_is_cut_off_is_refused() {
    let (_dir, _, path) = pair("llama");
    let bytes = std::fs::read(&path).unwrap();
    let places = (0..bytes.len()).step_by(bytes.len() / 60).chain([4, 8, 20, bytes.len() - 40]);
    for length in places {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = refused(&path);
        assert!(error.contains("cut off"), "{length} of {}: {error}", bytes.len());
    }
}

/// Position of the first occurrence of `sought`.
fn place(bytes: &[u8], sought: &[u8]) -> usize {
    bytes.windows(sought.len()).position(|window| window == sought).unwrap()
}

#[test]
fn counts_and_offsets_without_sense_are_refused_before_anything_is_allocated() {
    let (_dir, folder, path) = pair("llama");
    changed(&path, &folder, "general.alignment", Some(Value::U32(32)));
    let bytes = std::fs::read(&path).unwrap();
    let tokens = place(&bytes, b"tokenizer.ggml.tokens") + 21 + 8;
    let tensor = place(&bytes, b"blk.0.attn_k.weight") + 19;
    let alignment = place(&bytes, b"general.alignment") + 17 + 4;
    let huge = u64::MAX.to_le_bytes();
    let large = (1_u64 << 40).to_le_bytes();
    for (what, at, value) in [
        ("tensors", 8, &huge[..]),
        ("tensors", 8, &large),
        ("metadata", 16, &huge),
        ("metadata", 16, &large),
        ("key", 24, &huge),
        ("tokens", tokens, &huge),
        ("tokens", tokens, &large),
        ("dimensions", tensor, &[255; 4]),
        ("columns", tensor + 4, &huge),
        ("columns", tensor + 4, &large),
        ("rows", tensor + 12, &huge),
        ("kind", tensor + 20, &[23, 0, 0, 0]),
        ("offset", tensor + 24, &huge),
        ("offset", tensor + 24, &large),
        ("alignment", alignment, &[0; 4]),
        ("alignment", alignment, &[255; 4]),
    ] {
        let mut bytes = bytes.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        std::fs::write(&path, bytes).unwrap();
        let error = refused(&path);
        if what == "kind" {
            assert!(error.contains("IQ4_XS") && error.contains("Q4_K_M"), "{error}");
        }
        if what == "alignment" && value == [0; 4] {
            assert!(error.contains("`general.alignment` is 0"), "{error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn bytes_that_were_changed_end_no_process(
        changes in prop::collection::vec((0.0f64..1.0, any::<u8>()), 1..4),
        head in any::<bool>(),
    ) {
        thread_local!(static FILE: (TempDir, PathBuf, Vec<u8>) = {
            let (dir, _, path) = pair("llama");
            let bytes = std::fs::read(&path).unwrap();
            (dir, path, bytes)
        });
        FILE.with(|(_, path, bytes)| {
            let mut bytes = bytes.clone();
            // Most of the file is weights; lengths and names are in its header.
            let reach = if head { 6000.min(bytes.len()) } else { bytes.len() };
            for (at, value) in &changes {
                bytes[(at * reach as f64) as usize] = *value;
            }
            std::fs::write(path, bytes).unwrap();
            let told = path.display().to_string();
            if let Err(error) = read(path).and_then(|c| Tokenizer::read(&c.source, &c.config)) {
                prop_assert!(error.to_string().contains(&told), "{error}");
            }
            Ok(())
        })?;
    }
}
