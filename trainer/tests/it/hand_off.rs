//! Rounds with an external trainer: its inputs, its allowed outputs, how it is stopped, and TRL as the
//! trainer.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{command, ok, regrowth, stderr, workshop};
use serde_json::Value;

fn args<'a>(run: &'a str, trainer: &'a str) -> Vec<&'a str> {
    vec!["iterate", "--config", "tiny.toml", "--run", run, "--trainer-command", trainer]
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_trainer_is_told_where_everything_is() {
    let dir = workshop();
    let trainer = "test -s \"$REGROWTH_PAIRS\" && test -n \"$REGROWTH_SEED\" && \
                   echo \"$REGROWTH_ROUND\" >> told && echo \"$REGROWTH_POLICY\" >> paths && \
                   echo \"$REGROWTH_REFERENCE\" >> paths && cp tiny/* \"$REGROWTH_OUT\"";
    let mut args = args("run", trainer);
    args.extend(["--variant", "initial-reference"]);
    ok(regrowth(dir.path(), &args));
    assert_eq!(std::fs::read_to_string(dir.path().join("told")).unwrap(), "1\n2\n");
    let paths = std::fs::read_to_string(dir.path().join("paths")).unwrap();
    assert!(paths.lines().all(|p| Path::new(p).is_absolute()), "{paths}");
    let ends: Vec<&str> = paths.lines().filter_map(|p| p.rsplit('/').next()).collect();
    assert_eq!(ends, ["tiny", "tiny", "checkpoint", "tiny"]);
}

#[test]
fn tokenizer_and_prompt_form_need_not_be_written_again() {
    let dir = workshop();
    let trainer = "cp \"$REGROWTH_POLICY\"/model.safetensors \"$REGROWTH_POLICY\"/config.json \
                   \"$REGROWTH_OUT\"";
    ok(regrowth(dir.path(), &args("run", trainer)));
    let names = |folder: &str| -> Vec<_> {
        let entries = std::fs::read_dir(dir.path().join(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("run/round-0002/checkpoint"), names("tiny"));
    // Same weights, tokenizer and prompt form give the same policy identity.
    let report = json(&dir.path().join("run/report.json"));
    assert_eq!(report["rounds"][2]["policy"], report["rounds"][0]["policy"]);
}

#[test]
fn a_policy_without_weights_is_named_and_what_it_taught_searches_next() {
    let dir = workshop();
    let trainer = "echo \"$REGROWTH_POLICY\" >> told; cp tiny/* \"$REGROWTH_OUT\"";
    let mut args = args("run", trainer);
    args.extend(["--policy", "scripted"]);
    ok(regrowth(dir.path(), &args));
    let told = std::fs::read_to_string(dir.path().join("told")).unwrap();
    assert!(told.starts_with("scripted\n") && told.ends_with("round-0001/checkpoint\n"), "{told}");
    let report = json(&dir.path().join("run/report.json"));
    assert_eq!(report["rounds"][1]["policy"], report["rounds"][2]["policy"]);
    assert_ne!(report["rounds"][0]["policy"], report["rounds"][1]["policy"]);
}

#[test]
fn a_trainer_that_fails_or_leaves_nothing_is_named_and_its_round_is_done_again() {
    let dir = workshop();
    for (trainer, part) in [("false", "ended with"), ("true", "no usable checkpoint")] {
        let output = regrowth(dir.path(), &args(part, trainer));
        assert_eq!(output.status.code(), Some(2));
        let text = stderr(&output);
        assert!(text.contains(&format!("`{trainer}`")) && text.contains(part), "{text}");
    }
    let trainer = "test -e here && cp tiny/* \"$REGROWTH_OUT\"";
    assert!(!regrowth(dir.path(), &args("run", trainer)).status.success());
    std::fs::write(dir.path().join("here"), "").unwrap();
    ok(regrowth(dir.path(), &args("run", trainer)));
}

#[test]
fn a_signal_ends_the_trainer_and_what_it_started() {
    let dir = workshop();
    // Wait times and limits are far beyond those of a busy machine: only a hanging process reaches them.
    let trainer = "sleep 900 & echo $! > started; wait";
    let child = command(dir.path(), &args("run", trainer)).stderr(Stdio::piped()).spawn().unwrap();
    let started = dir.path().join("started");
    let limit = Instant::now() + Duration::from_secs(300);
    let sleeper = loop {
        match std::fs::read_to_string(&started) {
            Ok(id) if id.ends_with('\n') => break id.trim().to_owned(),
            _ => assert!(Instant::now() < limit, "the trainer did not start"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let signal = |name: &str, id: &str| {
        let kill = Command::new("kill").args([name, id]).stderr(Stdio::null()).status();
        kill.unwrap().success()
    };
    assert!(signal("-TERM", &child.id().to_string()));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(stderr(&output).contains("resume with:"), "{}", stderr(&output));
    let gone = (0..6000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        !signal("-0", &sleeper)
    });
    assert!(gone, "what the trainer started is still there");
}

/// A virtual environment with the packages in `benches/peers/trl_requirements.txt`.
fn environment() -> PathBuf {
    let folder = std::env::var_os("REGROWTH_TRL_VENV");
    folder.expect("REGROWTH_TRL_VENV names a virtual environment with TRL").into()
}

#[test]
#[ignore = "needs a virtual environment with TRL: REGROWTH_TRL_VENV"]
fn trl_trains_a_round_through_accelerate_and_the_next_goes_on_from_it() {
    let environment = environment();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/peers/trl_trainer.py");
    for (run, more) in [("full", ""), ("adapter", "--lora 2")] {
        let dir = workshop();
        let trainer = format!(
            "{}/bin/accelerate launch --cpu --num_processes 1 {} --learning-rate 1e-2 {more}",
            environment.display(),
            script.display()
        );
        let output = regrowth(dir.path(), &args(run, &trainer));
        let text = stderr(&output);
        assert!(text.contains("sides checked") && text.contains("no false one"), "{text}");
        ok(output);
        let run = dir.path().join(run);
        let report = json(&run.join("report.json"));
        let policy = |round: usize| report["rounds"][round]["policy"].clone();
        assert_ne!(policy(1), policy(0));
        let pairs = std::fs::read_to_string(run.join("round-0002/pairs.jsonl")).unwrap();
        let second: Value = serde_json::from_str(pairs.lines().next().unwrap()).unwrap();
        assert_eq!(second["policy"], policy(1));
        assert_ne!(policy(2), policy(1));
        assert!(run.join("round-0001/checkpoint/model.safetensors").is_file());
        assert!(report["rounds"][1]["kl_to_base"]["per_token"].as_f64() > Some(0.0));
    }
}
