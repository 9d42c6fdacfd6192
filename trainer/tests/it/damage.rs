//! Bytes corrupted on disk are detected, reported and computed again.

use std::path::Path;

use crate::common::runs::{assert_same, contents};
use crate::common::{TINY, ok, regrowth, stderr, workshop};
use regrowth_mcts::console::Work;
use regrowth_policy::LoadOptions;
use regrowth_trainer::TrainError;
use regrowth_trainer::rounds::{Control, Observer, RoundReport, RunConfig, RunRequest, iterate};
use regrowth_trainer::train::StepProgress;

const ARGS: [&str; 5] = ["iterate", "--config", "tiny.toml", "--run", "run"];

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn flipped_bytes_are_named_and_made_again() {
    let dir = workshop();
    ok(regrowth(dir.path(), &ARGS));
    let run = dir.path().join("run");
    let whole = contents(&run);
    for name in [
        "round-0001/pairs.jsonl",
        "round-0001/trees.jsonl",
        "round-0001/search.json",
        "round-0001/train.json",
        "round-0001/metrics.jsonl",
        "round-0001/checkpoint/model.safetensors",
        "round-0001/checkpoint/config.json",
        "round-0002/validation.jsonl",
        "round-0002/kl_samples.jsonl",
        "round-0002/test.jsonl",
        "round-0002/test.jsonl.sums",
        "test.jsonl",
        "report.json",
    ] {
        for finished in [true, false] {
            flip(&run.join(name));
            if !finished {
                // As if the run had been interrupted before its end.
                std::fs::remove_file(run.join("report.json")).unwrap();
            }
            let output = regrowth(dir.path(), &ARGS);
            let text = stderr(&output);
            // The corrupted file, or for checksums the file that they belong to.
            let file = name.strip_suffix(".sums").unwrap_or(name);
            // Files derived from intact files are rewritten without a message.
            let derived = !finished && !name.contains('/');
            assert!(text.contains(file) || derived, "{name}: {text}");
            ok(output);
            assert_same(&whole, &contents(&run));
        }
    }
}

#[test]
fn lost_files_are_made_again() {
    let dir = workshop();
    ok(regrowth(dir.path(), &ARGS));
    let run = dir.path().join("run");
    let whole = contents(&run);
    for name in ["round-0001/pairs.jsonl", "round-0001/checkpoint/config.json", "test.jsonl"] {
        std::fs::remove_file(run.join(name)).unwrap();
        let output = regrowth(dir.path(), &ARGS);
        assert!(stderr(&output).contains(name), "{name}: {}", stderr(&output));
        ok(output);
        assert_same(&whole, &contents(&run));
    }
}

#[test]
fn a_damaged_exam_is_not_compared() {
    let dir = workshop();
    ok(regrowth(dir.path(), &ARGS));
    let path = dir.path().join("run/test.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"best\":false", "\"best\":true", 1)).unwrap();
    let output = regrowth(dir.path(), &["compare", "run"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("test.jsonl does not match"), "{}", stderr(&output));
}

#[test]
fn a_changed_run_file_is_refused_by_name() {
    let dir = workshop();
    ok(regrowth(dir.path(), &ARGS));
    let path = dir.path().join("run/run.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    let output = regrowth(dir.path(), &ARGS);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("run.json"), "{}", stderr(&output));
}

/// Cancels its run after an optimizer step.
struct StopAfter(usize, Control);

impl Observer for StopAfter {
    fn holds(&mut self, _run: &Path) {}
    fn begin(&mut self, _round: u32, _phase: &'static str, _total: usize, _work: Work) {}
    fn skip(&mut self, _done: usize) {}
    fn advance(&mut self, _work: u64, _message: String) {}
    fn step(&mut self, progress: &StepProgress) {
        if progress.step == self.0 {
            self.1.cancel();
        }
    }
    fn end(&mut self) {}
    fn log(&mut self, _text: &str) {}
    fn round(&mut self, _report: &RoundReport) {}
}

#[test]
fn a_stopped_training_goes_on_behind_its_step_and_a_damaged_state_is_named() {
    let dir = workshop();
    let settings = TINY.replace("[dpo]", "[dpo]\nepochs = 3");
    std::fs::write(dir.path().join("tiny.toml"), &settings).unwrap();
    ok(regrowth(dir.path(), &ARGS));
    let whole = contents(&dir.path().join("run"));
    let started = std::fs::read(dir.path().join("run/run.json")).unwrap();
    let started: serde_json::Value = serde_json::from_slice(&started).unwrap();
    for damage in [false, true] {
        std::fs::remove_dir_all(dir.path().join("run")).unwrap();
        let mut config: RunConfig = serde_json::from_value(started["config"].clone()).unwrap();
        config.policy = dir.path().join("tiny").to_string_lossy().into_owned();
        let run = dir.path().join("run");
        let request = RunRequest {
            dir: run.clone(),
            config,
            load: LoadOptions::default(),
            threads: 1,
            serve_command: None,
            fork: None,
        };
        let control = Control::default();
        let result = iterate(&request, &control, &mut StopAfter(2, control.clone()));
        assert!(matches!(result, Err(TrainError::Interrupted)), "{result:?}");
        let state = run.join("round-0001/state-00000002");
        assert!(state.is_dir() && !run.join("round-0001/train.json").exists());
        if damage {
            flip(&state.join("weights.safetensors"));
        }
        // The binary gives the policy a shorter name.
        let path = run.join("run.json");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace(&request.config.policy, "tiny")).unwrap();
        let output = regrowth(dir.path(), &ARGS);
        let named =
            stderr(&output).contains("state-00000002") && stderr(&output).contains("damaged");
        assert_eq!(named, damage, "{}", stderr(&output));
        ok(output);
        assert_same(&whole, &contents(&run));
    }
}
