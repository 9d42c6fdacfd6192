//! Runs of many small rounds, and resuming them: one schedule and one optimizer over the run, validation in
//! some rounds, adapters as checkpoints.

use std::path::{Path, PathBuf};

use crate::common::runs::{assert_same, contents};
use crate::common::{TINY, ok, regrowth, stderr, workshop};
use regrowth_mcts::console::Work;
use regrowth_policy::LoadOptions;
use regrowth_trainer::rounds::{self, Control, Observer, RoundReport, RunConfig, RunRequest};
use regrowth_trainer::train::StepProgress;
use serde_json::Value;

/// Settings of a run of five rounds with one optimizer, validated in the second, fourth and last round.
fn settings(more: &str) -> String {
    let head = format!("carry_optimizer = true\nvalidate_every = 2\n{more}");
    let text = TINY.replace("rounds = 2", "rounds = 5");
    format!(
        "{head}{}",
        text.replace("[dpo]", "[dpo]\nbatch_trees = 64\naverage = \"trees\"\nwarmup = 0.4")
    )
}

fn iterate(dir: &Path, more: &[&str]) -> std::process::Output {
    let args = ["iterate", "--config", "updates.toml", "--run", "run"];
    regrowth(dir, &[&args, more].concat())
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn learning_rates(run: &Path) -> Vec<f64> {
    let rows = (1..=5).map(|round| {
        let path = run.join(format!("round-000{round}/metrics.jsonl"));
        let text = std::fs::read_to_string(path).unwrap();
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows.len(), 1, "one update per round");
        serde_json::from_str::<Value>(rows[0]).unwrap()["learning_rate"].as_f64().unwrap()
    });
    rows.collect()
}

#[test]
fn a_run_has_one_schedule_and_keeps_what_later_rounds_need() {
    let dir = workshop();
    std::fs::write(dir.path().join("updates.toml"), settings("")).unwrap();
    ok(iterate(dir.path(), &[]));
    let run = dir.path().join("run");
    // Two of five steps warm up to 1e-3, the other three follow a cosine decay.
    let cosine = |share: f64| 1e-3 * 0.5 * (1.0 + (std::f64::consts::PI * share).cos());
    let expected = [5e-4, 1e-3, 1e-3, cosine(1.0 / 3.0), cosine(2.0 / 3.0)];
    for (found, wanted) in learning_rates(&run).into_iter().zip(expected) {
        assert!((found - wanted).abs() < 1e-12, "{found} {wanted}");
    }
    let there = |what: &str| -> Vec<u32> {
        (1..=5).filter(|round| run.join(format!("round-000{round}/{what}")).exists()).collect()
    };
    assert_eq!(there("validation.jsonl"), [2, 4, 5]);
    assert_eq!(there("test.jsonl"), [2, 4, 5]);
    assert_eq!(there("checkpoint/model.safetensors"), [2, 4, 5]);
    assert_eq!(there("optimizer/moments.safetensors"), [4, 5]);
    let report = json(&run.join("report.json"));
    let rounds = report["rounds"].as_array().unwrap();
    let asked: Vec<bool> = rounds.iter().map(|round| round["test"].is_object()).collect();
    assert_eq!(asked, [true, false, true, false, true, true]);
    assert!([0, 2, 4, 5].contains(&report["best_round"].as_u64().unwrap()));
    // Pruned files do not count as corruption: the finished run is reported again.
    let before = contents(&run);
    assert!(ok(iterate(dir.path(), &[])).contains("is a finished run"));
    assert_same(&before, &contents(&run));
}

/// Stops a run when the training of round 5 begins.
struct StopAtFive<'a>(&'a Control);

impl Observer for StopAtFive<'_> {
    fn holds(&mut self, _run: &Path) {}
    fn begin(&mut self, round: u32, phase: &'static str, _total: usize, _work: Work) {
        if (round, phase) == (5, "train") {
            self.0.cancel();
        }
    }
    fn skip(&mut self, _done: usize) {}
    fn advance(&mut self, _work: u64, _message: String) {}
    fn step(&mut self, _progress: &StepProgress) {}
    fn end(&mut self) {}
    fn log(&mut self, _text: &str) {}
    fn round(&mut self, _report: &RoundReport) {}
}

/// A copy of the run in `name`, in the state of a stop during its last training.
fn stopped(dir: &Path, name: &str) -> PathBuf {
    // The settings of the complete run, including those of its preset.
    let report = json(&dir.join("run/report.json"));
    let config: RunConfig = serde_json::from_value(report["config"].clone()).unwrap();
    let run = dir.join(name);
    let load = LoadOptions::default();
    let request =
        RunRequest { dir: run.clone(), config, load, threads: 1, serve_command: None, fork: None };
    let control = Control::default();
    let stop = rounds::iterate(&request, &control, &mut StopAtFive(&control));
    assert!(stop.is_err() && !run.join("round-0005/report.json").exists());
    run
}

#[test]
fn a_run_goes_on_with_the_optimizer_that_the_round_before_left() {
    let dir = workshop();
    let tiny = dir.path().join("tiny");
    let text = settings("").replace("\"tiny\"", &format!("{tiny:?}"));
    std::fs::write(dir.path().join("updates.toml"), text).unwrap();
    ok(iterate(dir.path(), &[]));
    let whole = contents(&dir.path().join("run"));
    let again = |name: &str| {
        let args = ["iterate", "--config", "updates.toml", "--run", name];
        let output = regrowth(dir.path(), &args);
        let said = stderr(&output);
        ok(output);
        assert_same(&whole, &contents(&dir.path().join(name)));
        said
    };
    stopped(dir.path(), "stopped");
    again("stopped");
    // The optimizer state that the last round continues from is corrupted: it is computed again first.
    let run = stopped(dir.path(), "changed");
    let moments = run.join("round-0004/optimizer/moments.safetensors");
    let mut bytes = std::fs::read(&moments).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&moments, bytes).unwrap();
    let said = again("changed");
    assert!(said.contains("running phase `train` of round 4 again"), "{said}");
}

#[test]
fn an_adapter_is_trained_over_all_rounds_and_small_on_the_disk() {
    let dir = workshop();
    std::fs::write(dir.path().join("updates.toml"), settings("")).unwrap();
    ok(iterate(dir.path(), &["--lora", "2", "--learning-rate", "0.02"]));
    let run = dir.path().join("run");
    let base = dir.path().join("tiny").canonicalize().unwrap();
    for round in [2, 4, 5] {
        let folder = run.join(format!("round-000{round}/checkpoint"));
        assert!(!folder.join("model.safetensors").exists());
        let config = json(&folder.join("adapter_config.json"));
        assert_eq!(config["base_model_name_or_path"], base.to_str().unwrap());
        assert_eq!(config["r"], 2);
    }
    // Every round changes the policy further.
    let identity =
        |round: u32| json(&run.join(format!("round-000{round}/report.json")))["policy"].to_string();
    assert!(identity(2) != identity(4) && identity(4) != identity(5));
    let checkpoint = run.join("round-0005/checkpoint");
    let args = ["evaluate", "--policy", checkpoint.to_str().unwrap(), "--limit", "3"];
    ok(regrowth(dir.path(), &[&args[..], &["--out", "results"]].concat()));
}

#[test]
fn one_optimizer_asks_for_batches_of_trees() {
    let dir = workshop();
    let settings = settings("").replace("batch_trees = 64\n", "");
    std::fs::write(dir.path().join("updates.toml"), settings).unwrap();
    let output = iterate(dir.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("dpo.batch_trees"), "{}", stderr(&output));
}
