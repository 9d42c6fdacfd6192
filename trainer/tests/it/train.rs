//! Training through the public interface: its results, and options that must not change them.

use crate::common;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use crate::common::{ok, regrowth, stderr, workshop};
use candle_core::{DType, Device, Tensor};
use regrowth_datasets::{
    JointPair, PreferencePair, Problem, Split, StepLabel, read_jsonl, tasks::problems_from_spec,
};
use regrowth_mcts::audit::RankedPair;
use regrowth_mcts::labels::{StepLabelConfig, extract_step_labels};
use regrowth_mcts::pairs::JointPairs;
use regrowth_mcts::{PairConfig, RunOptions, Search, SearchConfig, TreeRecord, extract_pairs};
use regrowth_policy::candle::{
    CandlePolicy, Checkpoint, PackedLayout, SaveOptions, Source, Transformer, save_checkpoint,
};
use regrowth_policy::{Judge, LoadOptions, OptionOrder, Request, Response, Score, call};
use regrowth_trainer::TrainError;
use regrowth_trainer::train::loss::PreferenceLoss;
use regrowth_trainer::train::{
    DpoConfig, DpoSummary, DpoTrainer, JudgeConfig, JudgeLabels, LoraConfig, Model,
    OptimizerConfig, OptimizerKind, PreferenceData, Reference, Scope, Session, StepProgress,
};
use regrowth_verifiers::ProblemVerifier;

/// A folder with the tiny checkpoint in `tiny`.
fn tiny() -> (tempfile::TempDir, Source) {
    let dir = workshop();
    let source = Source::folder(&dir.path().join("tiny")).unwrap();
    (dir, source)
}

/// Trees of a small search with the tiny checkpoint.
fn trees(source: &Source) -> Vec<TreeRecord> {
    let checkpoint = Checkpoint::read(source.clone()).unwrap();
    let policy = CandlePolicy::new(&checkpoint, &LoadOptions::default()).unwrap();
    let problems: Vec<Problem> =
        problems_from_spec("arithmetic", Split::Train, 0).unwrap().take(12).collect();
    // Steps are so short that solutions have several steps, and trees several pairs.
    let config = SearchConfig {
        simulations: 4,
        max_depth: 4,
        max_step_tokens: 3,
        max_solution_tokens: 18,
        ..SearchConfig::default()
    };
    let mut found = Vec::new();
    let options = RunOptions::default();
    Search::new(&policy, &ProblemVerifier, &config)
        .options(&options)
        .run(&problems, |tree| {
            found.push(tree);
        })
        .unwrap();
    found
}

/// The pairs of these trees.
fn pairs(source: &Source) -> Vec<PreferencePair> {
    // Also from unsolved trees: the tiny model solves almost nothing.
    let rules = PairConfig { solved_only: false, ..PairConfig::default() };
    let found: Vec<_> =
        trees(source).iter().flat_map(|tree| extract_pairs(tree, &rules).pairs).collect();
    assert!(found.len() > 8, "{} pairs", found.len());
    found
}

fn go_on(_: &StepProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn sgd() -> OptimizerConfig {
    let kind = OptimizerKind::Sgd;
    OptimizerConfig { kind, weight_decay: 0.0, max_grad_norm: 0.0, ..OptimizerConfig::default() }
}

fn config() -> DpoConfig {
    DpoConfig {
        epochs: 2,
        batch_pairs: 8,
        learning_rate: 0.05,
        optimizer: sgd(),
        ..DpoConfig::default()
    }
}

/// Trains from the checkpoint; returns the summary and the model.
fn train(
    source: &Source,
    pairs: &[PreferencePair],
    config: &DpoConfig,
    threads: usize,
) -> (DpoSummary, Model) {
    let model = Model::load(source.clone(), config.lora.as_ref(), 1).unwrap();
    let reference = Reference::RoundStart;
    let summary = DpoTrainer {
        model: &model,
        reference: &reference,
        config,
        session: Session::new(threads, None),
    }
    .train(pairs.into(), &mut go_on)
    .unwrap();
    (summary, model)
}

fn largest_difference(a: &BTreeMap<String, Tensor>, b: &BTreeMap<String, Tensor>) -> f32 {
    assert!(a.keys().eq(b.keys()));
    a.iter()
        .map(|(name, x)| {
            let gap = (x - &b[name]).unwrap().abs().unwrap().flatten_all().unwrap();
            gap.max(0).unwrap().to_scalar::<f32>().unwrap()
        })
        .fold(0.0, f32::max)
}

/// How far training moved the weights, so that comparisons of two runs are meaningful.
fn moved(model: &Model, source: &Source) -> f32 {
    let start = Checkpoint::read(source.clone()).unwrap();
    largest_difference(&model.weights().unwrap(), &start.tensors)
}

#[test]
fn all_and_held_out_pairs_are_ranked_by_the_trained_policy() {
    let (_dir, source) = tiny();
    let pairs = pairs(&source);
    let (trained, held_out) = pairs.split_at(pairs.len() / 2);
    let ranked = |learning_rate: f64, epochs| {
        let config = DpoConfig { ranking: true, learning_rate, epochs, ..config() };
        let out = tempfile::tempdir().unwrap();
        let model = Model::load(source.clone(), None, 1).unwrap();
        let reference = Reference::RoundStart;
        let session = Session::new(1, Some(out.path()));
        let data = PreferenceData { held_out, ..trained.into() };
        let metrics = DpoTrainer { model: &model, reference: &reference, config: &config, session }
            .train(data, &mut go_on)
            .unwrap()
            .metrics;
        let rows: Vec<RankedPair> = read_jsonl(&out.path().join("ranking.jsonl")).unwrap();
        assert_eq!(rows.len(), trained.len());
        let gained = rows.iter().map(|r| (r.after[0] - r.after[1]) - (r.before[0] - r.before[1]));
        (metrics, gained.sum::<f64>() / rows.len() as f64)
    };
    let (still, gained) = ranked(0.0, 1);
    assert!(gained.abs() < 1e-3, "{gained}");
    for part in ["train", "held_out"] {
        let value = |name: &str| still[&format!("{part}/{name}")];
        assert_eq!(value("ranking_accuracy"), value("ranking_accuracy_reference"), "{part}");
        let gap = value("ranking_accuracy_idealised") - value("ranking_accuracy");
        assert_eq!(value("alignment_gap"), gap, "{part}");
    }
    let (moved, gained) = ranked(0.05, 4);
    assert!(gained > 0.01, "{gained}");
    assert_eq!(moved["train/ranking_accuracy_reference"], still["train/ranking_accuracy"]);
    let (plain, _) = train(&source, trained, &config(), 1);
    assert!(!plain.metrics.contains_key("train/ranking_accuracy"));
}

#[test]
fn robust_dpo_is_refused_without_verified_outcomes() {
    let (_dir, source) = tiny();
    let mut pairs = pairs(&source);
    pairs.iter_mut().for_each(|pair| pair.oracle = false);
    let config = DpoConfig { loss: PreferenceLoss::Robust { flip: None }, ..config() };
    let model = Model::load(source.clone(), None, 1).unwrap();
    let (reference, session) = (Reference::RoundStart, Session::new(1, None));
    let error = DpoTrainer { model: &model, reference: &reference, config: &config, session }
        .train(pairs.as_slice().into(), &mut go_on)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("robust:flip=0.1"), "{error}");
}

#[test]
fn sharing_recomputing_and_cutting_batches_do_not_change_what_is_learnt() {
    let (_dir, source) = tiny();
    let pairs = pairs(&source);
    let (plain_summary, plain) = train(&source, &pairs, &config(), 2);
    assert!(moved(&plain, &source) > 1e-3, "{}", moved(&plain, &source));
    let same = |name: &str, config: DpoConfig| {
        let (summary, model) = train(&source, &pairs, &config, 1);
        let gap = largest_difference(&plain.weights().unwrap(), &model.weights().unwrap());
        assert!(gap <= 1e-5, "{name}: weights differ by {gap}");
        let (a, b) = (plain_summary.metrics["logps/chosen"], summary.metrics["logps/chosen"]);
        assert!((a - b).abs() <= 1e-4, "{name}: {a} and {b}");
        summary
    };
    let naive = same("pair by pair", DpoConfig { share_prefixes: false, ..config() });
    assert!(naive.tokens > 2 * plain_summary.tokens, "{} {}", naive.tokens, plain_summary.tokens);
    same("recomputed", DpoConfig { gradient_checkpointing: true, ..config() });
    same("eight micro-batches for one", DpoConfig { micro_tokens: 1, ..config() });
    let (_, threads) = train(&source, &pairs, &config(), 8);
    assert_eq!(largest_difference(&plain.weights().unwrap(), &threads.weights().unwrap()), 0.0);
}

#[test]
fn updates_of_an_adapter_are_exact_when_merged_saved_and_recomputed() {
    let (dir, source) = tiny();
    let pairs = pairs(&source);
    let lora = LoraConfig { dropout: 0.1, ..LoraConfig::of_rank(3) };
    let config = DpoConfig { lora: Some(lora), learning_rate: 1.0, ..config() };
    let (_, model) = train(&source, &pairs, &config, 2);
    assert!(moved(&model, &source) > 1e-3);
    // With recomputed activations, the same dropout masks are drawn again.
    let again = DpoConfig { gradient_checkpointing: true, ..config };
    let (_, recomputed) = train(&source, &pairs, &again, 1);
    let gap = largest_difference(&model.weights().unwrap(), &recomputed.weights().unwrap());
    assert!(gap <= 1e-4, "{gap}");

    // Compares the forward pass with separate updates and with merged updates.
    let ids = &pairs[0].prompt_ids;
    let logps = |transformer: &Transformer| -> Vec<f32> {
        let mut layout = PackedLayout::default();
        layout.push(None, ids.len());
        let hidden = transformer.hidden(ids, &Arc::new(layout)).unwrap();
        let rows = hidden.narrow(0, 0, ids.len() - 1).unwrap();
        transformer.log_probs(&rows, &ids[1..]).unwrap().to_vec1().unwrap()
    };
    let beside = logps(&model.transformer().unwrap());
    let merged = Transformer::new(&model.config, &model.weights().unwrap()).unwrap();
    for (a, b) in beside.iter().zip(logps(&merged)) {
        assert!((a - b).abs() <= 1e-5, "{a} {b}");
    }

    let (merged, adapter) = (dir.path().join("merged"), dir.path().join("adapter"));
    model.save(&merged, SaveOptions::default()).unwrap();
    model.save_adapter(&adapter, DType::F32).unwrap();
    let read = |dir: &Path| Checkpoint::read(Source::folder(dir).unwrap()).unwrap().tensors;
    assert_eq!(largest_difference(&read(&merged), &read(&adapter)), 0.0);
    let half = dir.path().join("half");
    model.save_adapter(&half, DType::BF16).unwrap();
    let bytes =
        |dir: &Path| std::fs::metadata(dir.join("adapter_model.safetensors")).unwrap().len();
    assert!(bytes(&half) < bytes(&adapter));
    assert!(largest_difference(&read(&half), &read(&adapter)) < 1e-2);
    let config = std::fs::read_to_string(adapter.join("adapter_config.json")).unwrap();
    for field in ["\"peft_type\": \"LORA\"", "\"r\": 3", "\"task_type\": \"CAUSAL_LM\""] {
        assert!(config.contains(field), "{config}");
    }
}

#[test]
fn frozen_weights_of_16_bits_train_the_same_updates() {
    let (dir, source) = tiny();
    let stored = |name: &str, from: &Source, dtype| {
        let Checkpoint { config, tensors, source, .. } = Checkpoint::read(from.clone()).unwrap();
        let folder = dir.path().join(name);
        let options = SaveOptions { dtype: Some(dtype), ..SaveOptions::default() };
        save_checkpoint(&folder, &config, &tensors, &source, options).unwrap();
        Source::folder(&folder).unwrap()
    };
    let narrow = stored("narrow", &source, DType::BF16);
    let wide = stored("wide", &narrow, DType::F32);
    let pairs = pairs(&wide);
    let lora = LoraConfig { dropout: 0.1, ..LoraConfig::of_rank(3) };
    let config = DpoConfig { lora: Some(lora), learning_rate: 1.0, ..config() };
    let trained = [&narrow, &wide].map(|source| {
        let (summary, model) = train(source, &pairs, &config, 2);
        let merged = dir.path().join("merged");
        let options = SaveOptions { dtype: Some(DType::F32), ..SaveOptions::default() };
        model.save(&merged, options).unwrap();
        let weights = std::fs::read(merged.join("model.safetensors")).unwrap();
        let held = model.variables.frozen().values().filter(|t| t.dtype() == DType::BF16).count();
        (held, summary.metrics, weights)
    });
    let [(halves, of_narrow, narrow), (none, of_wide, wide)] = trained;
    assert!(halves > 0 && none == 0);
    assert!(of_narrow == of_wide && narrow == wide);
}

#[test]
fn reference_values_that_another_policy_sampled_are_refused() {
    let (_dir, source) = tiny();
    let mut pairs = pairs(&source);
    for pair in &mut pairs {
        pair.chosen_logps.iter_mut().for_each(|l| *l -= 1.0);
    }
    let model = Model::load(source, None, 0).unwrap();
    let reference = Reference::RoundStart;
    let error = DpoTrainer {
        model: &model,
        reference: &reference,
        config: &config(),
        session: Session::new(1, None),
    }
    .train(pairs.as_slice().into(), &mut go_on);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("another policy"), "{error}");
}

#[test]
fn computed_reference_values_are_kept_and_equal_the_recorded_ones() {
    let (dir, source) = tiny();
    let pairs = pairs(&source);
    let (_, recorded) = train(&source, &pairs, &config(), 1);
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let run = || {
        let model = Model::load(source.clone(), None, 0).unwrap();
        let other = Model::load(source.clone(), None, 0).unwrap();
        let reference = Reference::Model(&other);
        let summary = DpoTrainer {
            model: &model,
            reference: &reference,
            config: &config(),
            session: Session::new(1, Some(&out)),
        }
        .train(pairs.as_slice().into(), &mut go_on);
        (summary.unwrap(), model)
    };
    let (summary, model) = run();
    let gap = largest_difference(&recorded.weights().unwrap(), &model.weights().unwrap());
    assert!(gap <= 1e-5 && summary.reference_tokens > 0, "{gap}");
    let kept = out.join("reference.json");
    let before = std::fs::metadata(&kept).unwrap().modified().unwrap();
    let (again, second) = run();
    assert_eq!(std::fs::metadata(&kept).unwrap().modified().unwrap(), before);
    assert_eq!(again.reference_tokens, summary.reference_tokens);
    assert_eq!(largest_difference(&second.weights().unwrap(), &model.weights().unwrap()), 0.0);
}

#[test]
fn a_step_that_is_not_finite_stops_and_leaves_its_pairs() {
    let (dir, source) = tiny();
    let pairs = pairs(&source);
    let config = DpoConfig { learning_rate: 1e30, ..config() };
    let model = Model::load(source, None, 0).unwrap();
    let out = Some(dir.path());
    let error = DpoTrainer {
        model: &model,
        reference: &Reference::RoundStart,
        config: &config,
        session: Session::new(1, out),
    }
    .train(pairs.as_slice().into(), &mut go_on);
    let Err(TrainError::Diverged { batch: Some(batch), step, .. }) = error else {
        panic!("{error:?}")
    };
    let kept = regrowth_datasets::read_pairs(&batch).unwrap();
    assert!(step > 1 && !kept.is_empty() && kept.len() <= pairs.len());
}

#[test]
fn a_weight_that_takes_no_part_is_an_error_at_the_first_step() {
    let (_dir, source) = tiny();
    let pairs = pairs(&source);
    let mut checkpoint = Checkpoint::read(source).unwrap();
    let unused = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
    checkpoint.tensors.insert("model.unused.weight".into(), unused);
    let model = Model::from_checkpoint(checkpoint.clone()).unwrap();
    for gradient_checkpointing in [false, true] {
        let config = DpoConfig { gradient_checkpointing, ..config() };
        let reference = Reference::RoundStart;
        let error = DpoTrainer {
            model: &model,
            reference: &reference,
            config: &config,
            session: Session::new(1, None),
        }
        .train(pairs.as_slice().into(), &mut go_on);
        let Err(TrainError::MissingGradient(name)) = error else { panic!("{error:?}") };
        assert_eq!(name, "model.unused.weight");
    }
}

#[test]
fn whole_completions_score_the_shared_beginning_too() {
    let (_dir, source) = tiny();
    let pairs = pairs(&source);
    let whole = DpoConfig { scope: Scope::Completion, ..config() };
    let (difference, a) = train(&source, &pairs, &config(), 1);
    let (completion, b) = train(&source, &pairs, &whole, 1);
    // A common beginning cancels in the difference of sums, so the loss is the same.
    assert!(largest_difference(&a.weights().unwrap(), &b.weights().unwrap()) <= 1e-5);
    assert!(completion.metrics["logps/chosen"] < difference.metrics["logps/chosen"]);
}

/// Joint pairs of the tiny model's trees; the outcomes are replaced, so that all solutions of every second
/// tree are right, and all others wrong.
fn joint_pairs(source: &Source) -> Vec<JointPair> {
    let mut found = JointPairs::default();
    for (n, mut tree) in trees(source).into_iter().enumerate() {
        let outcome = if n % 2 == 0 { 1.0 } else { -1.0 };
        tree.nodes.iter_mut().filter(|node| node.terminal).for_each(|node| node.outcome = outcome);
        found.add(&tree);
    }
    let (pairs, counts) = found.pairs(100);
    assert!(counts.pairs > 4, "{counts:?}");
    pairs
}

#[test]
fn joint_pairs_train_beside_pairs_and_alone() {
    let (_dir, source) = tiny();
    let (pairs, joint) = (pairs(&source), joint_pairs(&source));
    let train = |data: PreferenceData, config: &DpoConfig, other: Option<&Model>, threads| {
        let model = Model::load(source.clone(), None, 1).unwrap();
        let reference = other.map_or(Reference::RoundStart, Reference::Model);
        let session = Session::new(threads, None);
        let trainer = DpoTrainer { model: &model, reference: &reference, config, session };
        (trainer.train(data, &mut go_on).unwrap(), model.weights().unwrap())
    };
    let both = PreferenceData { joint_pairs: &joint, ..pairs.as_slice().into() };
    let (summary, plain) = train(both, &config(), None, 2);
    assert_eq!((summary.pairs, summary.joint_pairs), (pairs.len(), joint.len()));
    assert!(summary.metrics.contains_key("joint/loss"));
    let (_, without) = train(pairs.as_slice().into(), &config(), None, 2);
    assert!(largest_difference(&plain, &without) > 1e-4, "joint pairs move the weights");
    let other = Model::load(source.clone(), None, 0).unwrap();
    for (name, config, other, most) in [
        ("pair by pair", DpoConfig { share_prefixes: false, ..config() }, None, 1e-5),
        ("micro-batches", DpoConfig { micro_tokens: 1, ..config() }, None, 1e-5),
        ("computed reference", config(), Some(&other), 1e-5),
        ("threads", config(), None, 0.0),
    ] {
        let (_, weights) = train(both, &config, other, 8);
        let gap = largest_difference(&plain, &weights);
        assert!(gap <= most, "{name}: weights differ by {gap}");
    }
    let alone = PreferenceData { joint_pairs: &joint, ..[].as_slice().into() };
    let longer = DpoConfig { epochs: 20, ..config() };
    let (summary, _) = train(alone, &longer, None, 1);
    assert_eq!((summary.pairs, summary.joint_pairs), (0, joint.len()));
    assert!(summary.metrics["joint/margins"] > 0.01, "{:?}", summary.metrics);
}

#[test]
fn gpo_moves_each_side_towards_its_target_and_needs_advantages() {
    let (dir, source) = tiny();
    let mut pairs = pairs(&source);
    let gpo = PreferenceLoss::Gpo { temperature: 1.0 };
    // The loss of the first step, at a log-ratio of 0, is the mean of the squared targets.
    let one = DpoConfig { loss: gpo, epochs: 1, batch_pairs: 1000, ..config() };
    let out = dir.path().join("one");
    std::fs::create_dir(&out).unwrap();
    let model = Model::load(source.clone(), None, 1).unwrap();
    DpoTrainer {
        model: &model,
        reference: &Reference::RoundStart,
        config: &one,
        session: Session::new(1, Some(&out)),
    }
    .train(pairs.as_slice().into(), &mut go_on)
    .unwrap();
    let rows: Vec<serde_json::Value> = read_jsonl(&out.join("metrics.jsonl")).unwrap();
    let target = |of: fn(&PreferencePair) -> Option<f64>, pair| of(pair).unwrap() / one.beta;
    let squares = pairs.iter().map(|pair| {
        let sides = [target(|p| p.advantage_chosen, pair), target(|p| p.advantage_rejected, pair)];
        sides.map(|side| side * side).iter().sum::<f64>() / 2.0
    });
    let expected = squares.sum::<f64>() / pairs.len() as f64;
    let found = rows[0]["loss"].as_f64().unwrap();
    assert!((found - expected).abs() < 1e-4 * expected, "{found} {expected}");

    let path = dir.path().join("pairs.jsonl");
    let gpo = ["--loss", "gpo:temperature=1", "--epochs", "1", "--no-tensorboard"];
    let args = ["train", "--policy", "tiny", "--pairs", "pairs.jsonl", "--out", "out"];
    let args = [args.as_slice(), &gpo].concat();
    regrowth_datasets::write_pairs(&path, &pairs).unwrap();
    ok(regrowth(dir.path(), &args));
    pairs[3].advantage_rejected = None;
    regrowth_datasets::write_pairs(&path, &pairs).unwrap();
    let output = regrowth(dir.path(), &args);
    let said = stderr(&output);
    assert!(!output.status.success() && said.contains("example 3"), "{said}");
    assert!(said.contains("advantage_rejected") && said.contains("mcts pairs"), "{said}");
}

#[test]
fn joint_pairs_have_a_flag_of_their_own_and_are_no_pairs() {
    let (dir, source) = tiny();
    let (mut joint, pairs) = (joint_pairs(&source), pairs(&source));
    let file = |name: &str| dir.path().join(name);
    regrowth_datasets::write_pairs(&file("pairs.jsonl"), &pairs).unwrap();
    regrowth_datasets::write_jsonl(&file("joint.jsonl"), &joint).unwrap();
    let train = |pairs: &str, joint: &str| {
        let files = ["train", "--policy", "tiny", "--pairs", pairs, "--joint-pairs", joint];
        regrowth(dir.path(), &[files.as_slice(), &["--out", "out", "--epochs", "1"]].concat())
    };
    let text = ok(train("pairs.jsonl", "joint.jsonl"));
    assert!(text.contains(&format!("{} joint pairs", joint.len())), "{text}");
    let said = stderr(&train("joint.jsonl", "joint.jsonl"));
    assert!(said.contains("--joint-pairs"), "{said}");
    joint[0].right.completion_ids.iter_mut().for_each(|id| *id = *id % 100 + 100);
    regrowth_datasets::write_jsonl(&file("joint.jsonl"), &joint).unwrap();
    let said = stderr(&train("pairs.jsonl", "joint.jsonl"));
    assert!(said.contains("another tokenizer"), "{said}");
}

#[test]
fn checkpoints_are_cut_into_shards_and_keep_their_type() {
    let (dir, source) = tiny();
    let model = Model::load(source, None, 0).unwrap();
    let folder = dir.path().join("sharded");
    let options = SaveOptions { dtype: Some(DType::BF16), max_shard_bytes: 6_000 };
    model.save(&folder, options).unwrap();
    let index = std::fs::read_to_string(folder.join("model.safetensors.index.json")).unwrap();
    assert!(index.contains("model-00002-of-") && index.contains("total_size"), "{index}");
    assert!(!folder.join("model.safetensors").exists());
    let read = Checkpoint::read(Source::folder(&folder).unwrap()).unwrap();
    assert_eq!(read.config.dtype(), DType::BF16);
    let gap = largest_difference(&read.tensors, &model.weights().unwrap());
    assert!(gap > 0.0 && gap < 0.01, "{gap}");
    // By default the dtype of the folder is kept.
    let again = dir.path().join("again");
    let model = Model::load(Source::folder(&folder).unwrap(), None, 0).unwrap();
    model.save(&again, SaveOptions::default()).unwrap();
    let read = Checkpoint::read(Source::folder(&again).unwrap()).unwrap();
    assert_eq!(read.config.dtype(), DType::BF16);
}

#[test]
fn an_adapter_folder_is_a_policy() {
    let (dir, source) = tiny();
    let pairs = pairs(&source);
    let lora = LoraConfig::of_rank(2);
    let config = DpoConfig { lora: Some(lora), learning_rate: 1.0, ..config() };
    let (_, model) = train(&source, &pairs, &config, 1);
    let adapter = dir.path().join("adapter");
    model.save_adapter(&adapter, DType::F32).unwrap();
    let spec = adapter.to_str().unwrap();
    let score = |spec: &str| {
        let policy = regrowth_policy::load(spec, &LoadOptions::default()).unwrap();
        let (prefix, continuation) = (pairs[0].prompt_ids.as_slice(), &pairs[0].chosen_ids[..]);
        let score = Score { prefix: prefix.into(), continuation: continuation.into() };
        match call(&*policy, Request::Score(score)).unwrap() {
            Response::Scores(scores) => scores.logps.iter().sum::<f32>(),
            other => panic!("{other:?}"),
        }
    };
    let base = dir.path().join("tiny");
    assert!((score(spec) - score(base.to_str().unwrap())).abs() > 1e-3);
    std::fs::remove_dir_all(base).unwrap();
    let error = regrowth_policy::load(spec, &LoadOptions::default()).err().unwrap().to_string();
    assert!(error.contains("adapter_config.json") && error.contains("base"), "{error}");
}

/// Text rows in three layouts, with the same preference in each.
const TEXTS: [(&str, &str); 2] = [
    ("standard.jsonl", r#"{"prompt": "1 + 1", "chosen": " = 2", "rejected": " = 3", "extra": 1}"#),
    (
        "steps.jsonl",
        r#"{"prompt": "1 + 1", "initial_reason_steps": " = 2", "chosen": "1", "rejected": "2"}"#,
    ),
];

#[test]
fn rows_of_other_programs_are_trained_on() {
    let dir = workshop();
    for (file, row) in TEXTS {
        std::fs::write(dir.path().join(file), format!("{row}\n")).unwrap();
        let args = ["train", "--policy", "tiny", "--pairs", file, "--out", "out", "--loss", "ipo"];
        let text = ok(regrowth(dir.path(), &args));
        assert!(text.contains("1 steps on 1 pairs"), "{text}");
        for written in ["metrics.jsonl", "train.json", "tensorboard", "checkpoint/config.json"] {
            assert!(dir.path().join("out").join(written).exists(), "{written}");
        }
        std::fs::remove_dir_all(dir.path().join("out")).unwrap();
    }
    // The tiny checkpoint has no chat template.
    let row = r#"{"prompt": [{"role": "user", "content": "1 + 1"}],
        "chosen": [{"role": "assistant", "content": "2"}],
        "rejected": [{"role": "assistant", "content": "3"}]}"#;
    std::fs::write(dir.path().join("chat.jsonl"), row.replace('\n', " ")).unwrap();
    let args = ["train", "--policy", "tiny", "--pairs", "chat.jsonl", "--out", "out"];
    let output = regrowth(dir.path(), &args);
    assert_eq!(output.status.code(), Some(3));
    let error = stderr(&output);
    assert!(error.contains("chat.jsonl:1") && error.contains("no chat template"), "{error}");
    let template = "{% for m in messages %}{{ m.content }}\n{% endfor %}";
    std::fs::write(dir.path().join("tiny/chat_template.jinja"), template).unwrap();
    ok(regrowth(dir.path(), &args));
}

#[test]
fn rationales_are_learnt_where_rows_have_them_and_refused_where_none_has() {
    let dir = workshop();
    let rows = [("with", r#", "rationale": "1 + 1 is 2""#), ("without", r#", "rationale": """#)]
        .map(|(name, column)| {
            let row = |prompt: &str, more: &str| {
                format!(r#"{{"prompt": "{prompt}", "chosen": " = 2", "rejected": " = 3"{more}}}"#)
            };
            (name, format!("{}\n{}\n", row("1 + 1", column), row("2 + 0", "")))
        });
    let train = |file: &str, weight: &str| {
        let _ = std::fs::remove_dir_all(dir.path().join("out"));
        let args = ["train", "--policy", "tiny", "--pairs", file, "--out", "out", "--set", weight];
        regrowth(dir.path(), &args)
    };
    for (name, text) in rows {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let text = ok(train("with", "dpo.rationale=0.5"));
    assert!(text.contains("2 pairs (1 with a rationale"), "{text}");
    assert!(!ok(train("with", "dpo.rationale=0")).contains("rationale"));
    let output = train("without", "dpo.rationale=0.5");
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("without") && error.contains("column `rationale`"), "{error}");
}

#[test]
fn bad_pairs_are_named_and_nothing_is_written() {
    let dir = workshop();
    let long =
        format!(r#"{{"prompt": "{}", "chosen": " 1", "rejected": " 2"}}"#, "1 ".repeat(2000));
    for (row, says) in [
        (r#"{"prompt": "a", "better": "b", "worse": "c"}"#, "`chosen`"),
        (r#"{"prompt": "a", "chosen": "b", "rejected": "b"}"#, "the same"),
        (r#"{"prompt": "a", "chosen": "b""#, "cut"),
        (long.as_str(), "context"),
    ] {
        std::fs::write(dir.path().join("rows.jsonl"), row).unwrap();
        let args = ["train", "--policy", "tiny", "--pairs", "rows.jsonl", "--out", "out"];
        let output = regrowth(dir.path(), &args);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert!(stderr(&output).contains(says), "{says}: {}", stderr(&output));
        assert!(!dir.path().join("out/checkpoint").exists());
    }
}

#[test]
fn pairs_of_another_tokenizer_are_refused() {
    let (dir, source) = tiny();
    let mut pairs = pairs(&source);
    let path = dir.path().join("pairs.jsonl");
    let args = ["train", "--policy", "tiny", "--pairs", "pairs.jsonl", "--out", "out"];
    regrowth_datasets::write_pairs(&path, &pairs).unwrap();
    ok(regrowth(dir.path(), &args));
    for pair in &mut pairs {
        pair.chosen_ids.iter_mut().for_each(|id| *id = *id % 100 + 100);
    }
    regrowth_datasets::write_pairs(&path, &pairs).unwrap();
    let output = regrowth(dir.path(), &args);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("another tokenizer"), "{}", stderr(&output));
}

#[test]
fn a_killed_training_ends_with_the_same_bytes() {
    let dir = workshop();
    let rows: String = (0..60)
        .map(|i| {
            let (a, b) = (i % 7, i % 5);
            format!("{{\"prompt\": \"{a} + {b}\", \"chosen\": \" = {}\", ", a + b)
                + &format!("\"rejected\": \" = {}\"}}\n", a + b + 1)
        })
        .collect();
    std::fs::write(dir.path().join("rows.jsonl"), rows).unwrap();
    let args = |out| {
        ["train", "--policy", "tiny", "--pairs", "rows.jsonl", "--out", out, "--epochs", "4"]
            .map(str::to_owned)
            .into_iter()
            .chain(["--batch-pairs", "4", "--save-seconds", "0", "--lora", "2"].map(str::to_owned))
            .chain(["--lora-dropout", "0.2", "--learning-rate", "0.01"].map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let run = |out| {
        let args = args(out);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let started = std::time::Instant::now();
        ok(regrowth(dir.path(), &args));
        started.elapsed()
    };
    let whole = run("whole");
    for kill in 1..6u32 {
        let args = args("killed");
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut command = common::command(dir.path(), &args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole * kill / 6);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    run("killed");
    for file in
        ["checkpoint/model.safetensors", "adapter/adapter_model.safetensors", "metrics.jsonl"]
    {
        let bytes = |out: &str| std::fs::read(dir.path().join(out).join(file)).unwrap();
        assert!(bytes("whole") == bytes("killed"), "{file} differs");
    }
}

#[test]
fn supervised_training_stops_early_and_keeps_the_best_weights() {
    let dir = workshop();
    let row = |a: u32, b: u32| {
        format!("{{\"prompt\": \"{a} + {b}\", \"completion\": \" = {}\"}}\n", a + b)
    };
    let train: String = (0..6).map(|i| row(i, 1)).collect();
    std::fs::write(dir.path().join("train.jsonl"), train).unwrap();
    std::fs::write(dir.path().join("held.jsonl"), row(2, 2) + &row(3, 3)).unwrap();
    std::fs::write(dir.path().join("sft.toml"), "validate_every = 2\npatience = 3\n").unwrap();
    let args = [
        "sft",
        "--policy",
        "tiny",
        "--data",
        "train.jsonl",
        "--validation",
        "held.jsonl",
        "--out",
        "out",
        "--config",
        "sft.toml",
        "--epochs",
        "200",
        "--learning-rate",
        "0.02",
        "--schedule",
        "constant",
        "--json",
        "--lora",
        "0",
        "--batch-tokens",
        "30",
    ];
    let result: serde_json::Value = serde_json::from_str(&ok(regrowth(dir.path(), &args))).unwrap();
    let (steps, best) = (result["sft"]["steps"].as_u64().unwrap(), &result["sft"]["best"]);
    let step = best["step"].as_u64().unwrap();
    assert!(steps < 400 && steps == step + 6, "{result}");
    let metrics = std::fs::read_to_string(dir.path().join("out/metrics.jsonl")).unwrap();
    let seen: Vec<f64> = metrics
        .lines()
        .filter_map(|l| {
            serde_json::from_str::<serde_json::Value>(l).unwrap()["validation/nll"].as_f64()
        })
        .collect();
    assert_eq!(seen.iter().copied().fold(f64::MAX, f64::min), best["nll"].as_f64().unwrap());
    // The saved weights are those with the best loss, not the last ones.
    let score = ["score", "--policy", "out/checkpoint", "--input", "held.jsonl"];
    let (mut total, mut tokens) = (0.0, 0);
    for line in ok(regrowth(dir.path(), &score)).lines() {
        let scored: serde_json::Value = serde_json::from_str(line).unwrap();
        total -= scored["sum"].as_f64().unwrap();
        tokens += scored["tokens"].as_array().unwrap().len();
    }
    // EOS is a target in training, but not among the scored tokens.
    let bound = best["nll"].as_f64().unwrap() * (tokens + 2) as f64;
    assert!(total <= bound + 1e-3, "{total} {bound}");
}

/// Mean cross entropy of the engine's own judgements (both orders averaged) with the training targets.
fn misjudged(source: &Source, labels: &[StepLabel]) -> f64 {
    let checkpoint = Checkpoint::read(source.clone()).unwrap();
    let policy = CandlePolicy::new(&checkpoint, &LoadOptions::default()).unwrap();
    let one = |row: &StepLabel| {
        let request = Request::Judge(Judge {
            prefix: row.prompt_ids.clone().into(),
            step: row.completion_ids.clone().into(),
            hint: None,
            order: OptionOrder::Both,
            restated: None,
            grades: None,
        });
        let said = match call(&policy, request).unwrap() {
            Response::Judgement(judgement) => judgement.correct.unwrap_or(0.5),
            other => panic!("{other:?}"),
        };
        let target = f64::from(u8::from(row.label));
        -(target * said.max(1e-9).ln() + (1.0 - target) * (1.0 - said).max(1e-9).ln())
    };
    labels.iter().map(one).sum::<f64>() / labels.len() as f64
}

#[test]
fn the_judge_learns_what_its_steps_came_to_beside_the_pairs() {
    let (dir, source) = tiny();
    let trees = trees(&source);
    let pairs = pairs(&source);
    let mut labels: Vec<_> =
        trees.iter().flat_map(|t| extract_step_labels(t, &StepLabelConfig::default())).collect();
    assert!(labels.len() > 20, "{}", labels.len());
    // All that the tiny model can learn is to answer "wrong" in both orders of the options.
    for row in &mut labels {
        (row.label, row.right) = (false, 0);
    }
    let data = PreferenceData { step_labels: &labels, ..pairs.as_slice().into() };
    let train = |weight: f64, micro_tokens: usize, threads: usize| {
        let judge = JudgeConfig { weight, labels: JudgeLabels::Reached };
        let config = DpoConfig {
            judge,
            micro_tokens,
            epochs: 40,
            learning_rate: 1e-2,
            optimizer: OptimizerConfig::default(),
            ..config()
        };
        let model = Model::load(source.clone(), None, 1).unwrap();
        let reference = Reference::RoundStart;
        let summary = DpoTrainer {
            model: &model,
            reference: &reference,
            config: &config,
            session: Session::new(threads, None),
        }
        .train(data, &mut go_on)
        .unwrap();
        let out = dir.path().join(format!("judge-{weight}-{micro_tokens}-{threads}"));
        model.save(&out, SaveOptions::default()).unwrap();
        (summary, model, Source::folder(&out).unwrap())
    };
    let (without, _, alone) = train(0.0, 4096, 1);
    let (with, taught, together) = train(4.0, 4096, 1);
    assert_eq!((without.step_labels, with.step_labels), (0, labels.len()));
    assert_eq!((with.pairs, with.steps), (without.pairs, without.steps));
    let (before, after) = (misjudged(&alone, &labels), misjudged(&together, &labels));
    assert!(after < 0.5 * before, "{before} {after}");
    // The split into micro-batches and the number of threads do not change the result.
    let (_, cut, _) = train(4.0, 1, 1);
    let gap = largest_difference(&taught.weights().unwrap(), &cut.weights().unwrap());
    assert!(gap <= 1e-4, "{gap}");
    let (_, threads, _) = train(4.0, 4096, 4);
    let gap = largest_difference(&taught.weights().unwrap(), &threads.weights().unwrap());
    assert_eq!(gap, 0.0);
}
