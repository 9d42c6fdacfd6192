//! Trainings in several parts: one schedule and one optimizer over all parts, and adapters that are trained
//! further.

use std::ops::ControlFlow;
use std::path::Path;

use crate::common::workshop;
use candle_core::{DType, Tensor};
use regrowth_datasets::{PreferencePair, Problem, Split, tasks::problems_from_spec};
use regrowth_mcts::{PairConfig, RunOptions, Search, SearchConfig, extract_pairs};
use regrowth_policy::LoadOptions;
use regrowth_policy::candle::{CandlePolicy, Checkpoint, Source};
use regrowth_trainer::train::{
    DpoConfig, DpoTrainer, LoraConfig, Model, MultiRoundSchedule, Reference, Session, StepProgress,
};
use regrowth_verifiers::ProblemVerifier;

/// The pairs of six trees of a small search, grouped by tree.
fn trees(source: &Source) -> Vec<Vec<PreferencePair>> {
    let checkpoint = Checkpoint::read(source.clone()).unwrap();
    let policy = CandlePolicy::new(&checkpoint, &LoadOptions::default()).unwrap();
    let problems: Vec<Problem> =
        problems_from_spec("arithmetic", Split::Train, 0).unwrap().take(12).collect();
    let search = SearchConfig {
        simulations: 4,
        max_step_tokens: 3,
        max_solution_tokens: 18,
        ..SearchConfig::default()
    };
    let rules = PairConfig { solved_only: false, ..PairConfig::default() };
    let mut found = Vec::new();
    Search::new(&policy, &ProblemVerifier, &search)
        .options(&RunOptions::default())
        .run(&problems, |tree| {
            found.push(extract_pairs(&tree, &rules).pairs);
        })
        .unwrap();
    found.retain(|pairs| !pairs.is_empty());
    assert!(found.len() >= 6, "{} trees", found.len());
    found.truncate(6);
    found
}

fn config() -> DpoConfig {
    DpoConfig {
        batch_trees: Some(2),
        learning_rate: 1e-2,
        warmup: 0.34,
        shuffle: false,
        save_seconds: 0,
        ..DpoConfig::default()
    }
}

/// Trains in `dir` one part of a schedule of three steps; `stop` interrupts after a step.
fn part(
    (model, base): (&Model, &Model),
    trees: &[Vec<PreferencePair>],
    (dir, before): (&Path, Option<&Path>),
    stop: Option<usize>,
) -> Vec<f64> {
    std::fs::create_dir_all(dir).unwrap();
    let pairs: Vec<PreferencePair> = trees.concat();
    let across_rounds = Some(MultiRoundSchedule { steps: 3, before });
    let session = Session { threads: 1, dir: Some(dir), across_rounds };
    let mut on_step = |p: &StepProgress| {
        if stop == Some(p.step) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let (data, reference) = (pairs.as_slice().into(), Reference::Model(base));
    let done = DpoTrainer { model, reference: &reference, config: &config(), session }
        .train(data, &mut on_step);
    assert_eq!(done.is_err(), stop.is_some());
    rates(dir)
}

/// Returns the learning rates of the steps.
fn rates(dir: &Path) -> Vec<f64> {
    let text = std::fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    let row = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    text.lines().map(|line| row(line)["learning_rate"].as_f64().unwrap()).collect()
}

fn gap(a: &Model, b: &Model) -> f32 {
    let (a, b) = (a.weights().unwrap(), b.weights().unwrap());
    let gap = |x: &Tensor, y: &Tensor| {
        let gap = (x - y).unwrap().abs().unwrap().flatten_all().unwrap();
        gap.max(0).unwrap().to_scalar::<f32>().unwrap()
    };
    a.iter().map(|(name, x)| gap(x, &b[name])).fold(0.0, f32::max)
}

#[test]
fn parts_of_a_shared_schedule_learn_what_one_run_does() {
    let dir = workshop();
    let source = Source::folder(&dir.path().join("tiny")).unwrap();
    let trees = trees(&source);
    let load = || Model::load(source.clone(), None, 0).unwrap();
    let (base, one, parts) = (load(), load(), load());
    let at = |name: &str| dir.path().join(name);
    let whole = part((&one, &base), &trees, (&at("one"), None), None);
    let first = part((&parts, &base), &trees[..2], (&at("first"), None), None);
    let before = at("first");
    // A part that was interrupted resumes from its own state, not from that of the previous part.
    part((&parts, &base), &trees[2..], (&at("second"), Some(&before)), Some(1));
    let second = part((&parts, &base), &trees[2..], (&at("second"), Some(&before)), None);
    assert_eq!([first, second].concat(), whole);
    assert!(gap(&base, &one) > 1e-2, "{}", gap(&base, &one));
    assert_eq!(gap(&one, &parts), 0.0);
    // Without the previous part's optimizer, the last steps differ.
    let anew = load();
    part((&anew, &base), &trees[..2], (&at("a"), None), None);
    part((&anew, &base), &trees[2..], (&at("b"), None), None);
    assert!(gap(&one, &anew) > 1e-4, "{}", gap(&one, &anew));
    // A corrupted optimizer state is reported.
    let moments = before.join("optimizer/moments.safetensors");
    let mut bytes = std::fs::read(&moments).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&moments, bytes).unwrap();
    let session = Session {
        threads: 1,
        dir: None,
        across_rounds: Some(MultiRoundSchedule { steps: 3, before: Some(&before) }),
    };
    let (pairs, model) = (trees.concat(), load());
    let reference = Reference::Model(&base);
    let go_on = &mut |_: &StepProgress| ControlFlow::Continue(());
    let data = pairs.as_slice().into();
    let error = DpoTrainer { model: &model, reference: &reference, config: &config(), session }
        .train(data, go_on)
        .unwrap_err();
    assert!(error.to_string().contains("moments.safetensors"), "{error}");
}

#[test]
fn an_adapter_is_trained_further_on_its_base() {
    let dir = workshop();
    let source = Source::folder(&dir.path().join("tiny")).unwrap();
    let trees = trees(&source);
    let lora = LoraConfig::of_rank(2);
    let base = Model::load(source.clone(), None, 0).unwrap();
    let straight = Model::load_adapter(source.clone(), &lora, 7).unwrap();
    let at = |name: &str| dir.path().join(name);
    part((&straight, &base), &trees[..2], (&at("first"), None), None);
    straight.save_adapter(&at("adapter"), DType::F32).unwrap();
    let adapter = Source::folder(&at("adapter")).unwrap();
    let further = Model::load_adapter(adapter.clone(), &lora, 8).unwrap();
    assert_eq!(gap(&straight, &further), 0.0);
    let before = at("first");
    part((&straight, &base), &trees[2..], (&at("second"), Some(&before)), None);
    part((&further, &base), &trees[2..], (&at("further"), Some(&before)), None);
    assert_eq!(gap(&straight, &further), 0.0);
    // Still an adapter of the first base, of the same size.
    further.save_adapter(&at("second-adapter"), DType::F32).unwrap();
    let Source::Adapter { base, .. } = Source::folder(&at("second-adapter")).unwrap() else {
        panic!("an adapter")
    };
    assert_eq!(base.name(), source.name());
    for other in [LoraConfig::of_rank(3), LoraConfig { alpha: 1.0, ..lora.clone() }] {
        let error = Model::load_adapter(adapter.clone(), &other, 0).unwrap_err().to_string();
        assert!(error.contains("rank 2") && error.contains("scale 2"), "{error}");
    }
    let fewer = LoraConfig { targets: vec!["q_proj".into()], ..lora };
    assert!(Model::load_adapter(adapter, &fewer, 0).is_err());
}
