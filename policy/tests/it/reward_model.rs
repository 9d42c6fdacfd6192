//! Reward models give the same scores as in Hugging Face transformers, and judge for another policy.
//!
//! The golden file is made by `benches/peers/reward_models.py`.

use std::path::{Path, PathBuf};

use crate::common::golden;
use candle_core::{Device, Tensor};
use regrowth_policy::candle::{Checkpoint, RewardModel, Source};
use regrowth_policy::{
    Boundary, Judge, LoadOptions, OptionOrder, PolicyError, Propose, Request, Response, Sampling,
    StopAt, call, load,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
struct Golden {
    name: String,
    config: Map<String, Value>,
    lengths: Vec<usize>,
    scores: Vec<f64>,
}

/// Writes a reward model: the decoder of a language model with these shapes, and a head with or without
/// bias. Returns its folder.
fn reward_model(dir: &Path, config: &Map<String, Value>, bias: bool) -> PathBuf {
    let mut language = config.clone();
    let name = config["architectures"][0].as_str().unwrap();
    let stem = name.split("For").next().unwrap();
    language.insert("architectures".into(), json!([format!("{stem}ForCausalLM")]));
    language.insert("tie_word_embeddings".into(), json!(true));
    golden::checkpoint(dir, &language);
    let folder = dir.join("checkpoint");
    std::fs::write(folder.join("config.json"), serde_json::to_vec(config).unwrap()).unwrap();
    let labels = config["id2label"].as_object().unwrap().len();
    let width = config["hidden_size"].as_u64().unwrap() as usize;
    let mut heads = vec![("score.weight", vec![labels, width])];
    heads.extend(bias.then(|| ("score.bias", vec![labels])));
    let weights = folder.join("model.safetensors");
    let mut tensors = candle_core::safetensors::load(&weights, &Device::Cpu).unwrap();
    for (name, shape) in heads {
        let values = golden::weights(name, shape.iter().product());
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        tensors.insert(name.to_owned(), tensor);
    }
    candle_core::safetensors::save(&tensors, weights).unwrap();
    folder
}

fn goldens() -> Vec<Golden> {
    serde_json::from_str(include_str!("../golden/reward_models.json")).expect("golden file")
}

fn judge(prefix: &[u32], step: &[u32]) -> Request {
    let (prefix, step, order) = (prefix.into(), step.into(), OptionOrder::default());
    Request::Judge(Judge { prefix, step, hint: None, order, restated: None, grades: None })
}

#[test]
fn scores_equal_those_of_transformers() {
    let goldens = goldens();
    assert_eq!(goldens.len(), 4);
    for Golden { name, config, lengths, scores } in goldens {
        let dir = tempfile::tempdir().unwrap();
        let folder = reward_model(dir.path(), &config, name.contains("bias"));
        let policy = load(folder.to_str().unwrap(), &LoadOptions::default()).unwrap();
        for (length, expected) in lengths.into_iter().zip(scores) {
            let mut row = golden::sequence(length);
            row[length - 1] = 7;
            let Response::Judgement(found) = call(&*policy, judge(&row[..2], &row[2..])).unwrap()
            else {
                panic!("{name}: no judgement")
            };
            let correct = found.correct.unwrap();
            assert!((correct - expected).abs() < 1e-4, "{name}, {length}: {correct} {expected}");
        }
    }
}

#[test]
fn a_reward_model_judges_and_does_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let golden = goldens().swap_remove(0);
    let folder = reward_model(dir.path(), &golden.config, false);
    let spec = folder.to_str().unwrap();
    let policy = load(spec, &LoadOptions::default()).unwrap();
    assert!(policy.identity().contains("+score@"), "{}", policy.identity());
    let propose = Propose {
        prefix: [1, 2].into(),
        keys: vec![1],
        sampling: Sampling::default(),
        greedy_first: false,
        boundary: Boundary::Newline,
        stop_at: StopAt::default(),
        max_tokens: 4,
    };
    let error = call(&*policy, Request::Propose(propose)).unwrap_err().to_string();
    assert!(error.contains("--judge-policy"), "{error}");
    // Reading it as a language model gives the same advice.
    let read = Checkpoint::read(Source::folder(&folder).unwrap());
    let read = read.unwrap_err().to_string();
    assert!(read.contains("LlamaForSequenceClassification") && read.contains("judge"), "{read}");
    // Another head has another identity.
    let weights = folder.join("model.safetensors");
    let mut tensors = candle_core::safetensors::load(&weights, &Device::Cpu).unwrap();
    let turned = tensors["score.weight"].neg().unwrap();
    tensors.insert("score.weight".to_owned(), turned);
    candle_core::safetensors::save(&tensors, &weights).unwrap();
    assert_ne!(load(spec, &LoadOptions::default()).unwrap().identity(), policy.identity());
}

#[test]
fn heads_that_are_not_known_are_refused_with_what_was_expected() {
    let dir = tempfile::tempdir().unwrap();
    let golden = goldens().swap_remove(0);
    let folder = reward_model(dir.path(), &golden.config, false);
    let weights = folder.join("model.safetensors");
    let whole = candle_core::safetensors::load(&weights, &Device::Cpu).unwrap();
    let zeros =
        |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    let refused = |name: &str, tensor: Option<Tensor>| -> String {
        let mut tensors = whole.clone();
        match tensor {
            Some(tensor) => tensors.insert(name.to_owned(), tensor),
            None => tensors.remove(name),
        };
        candle_core::safetensors::save(&tensors, &weights).unwrap();
        let source = Source::folder(&folder).unwrap();
        let loaded: Result<RewardModel, PolicyError> =
            RewardModel::load(source, &LoadOptions::default());
        loaded.err().unwrap().to_string()
    };
    let said = refused("score.weight", None);
    assert!(said.contains("`score.weight`") && said.contains("missing"), "{said}");
    let said = refused("score.weight", Some(zeros(&[3, 32])));
    assert!(said.contains("[3, 32], expected [1 or 2, 32]"), "{said}");
    let said = refused("score.bias", Some(zeros(&[2])));
    assert!(said.contains("[2], expected [1]"), "{said}");
    let said = refused("score.2.weight", Some(zeros(&[1, 32])));
    assert!(said.contains("`score.2.weight`"), "{said}");
}
