//! Runs that are killed, torn and damaged end with the bytes of the run that was left alone.

#![cfg(unix)]

mod common;
#[path = "common/runs.rs"]
mod runs;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{command, ok, regrowth, stderr, workshop};
use runs::{assert_same, contents};

const ARGS: [&str; 5] = ["iterate", "--config", "tiny.toml", "--run", "run"];

/// Kills of one run (a bound for the test's time; a script does many more).
const KILLS: u32 = 12;

/// Starts the run and kills it after `delay`; true if it ended by itself before that.
fn run_for(dir: &Path, delay: Duration) -> bool {
    let mut child = command(dir, &ARGS)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let end = Instant::now() + delay;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().expect("a child") {
            assert!(status.success());
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("a child");
    false
}

#[test]
fn killed_at_any_moment_a_run_ends_with_the_same_bytes() {
    let whole = workshop();
    let started = Instant::now();
    ok(regrowth(whole.path(), &ARGS));
    let time = started.elapsed();
    let killed = workshop();
    for kill in 0..KILLS {
        // Delays spread over the time that a whole run takes, in an order that mixes long and short.
        let part = f64::from((kill * 5) % KILLS + 1) / f64::from(KILLS);
        if run_for(killed.path(), time.mul_f64(0.6 * part)) {
            break;
        }
    }
    ok(regrowth(killed.path(), &ARGS));
    assert_same(&contents(&whole.path().join("run")), &contents(&killed.path().join("run")));
}

#[test]
fn damaged_files_are_named_and_made_again() {
    let dir = workshop();
    ok(regrowth(dir.path(), &ARGS));
    let run = dir.path().join("run");
    let whole = contents(&run);
    for name in [
        "round-0001/pairs.jsonl",
        "round-0001/trees.jsonl",
        "round-0001/search.json",
        "round-0001/train.json",
        "round-0001/checkpoint/model.safetensors",
        "round-0002/validation.jsonl",
        "round-0002/eval.jsonl",
    ] {
        let path = run.join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x80;
        std::fs::write(&path, bytes).unwrap();
        // As if the run had been cut off before its end.
        std::fs::remove_file(run.join("report.json")).unwrap();
        let output = regrowth(dir.path(), &ARGS);
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(stderr(&output).contains(&file), "{name}: {}", stderr(&output));
        ok(output);
        assert_same(&whole, &contents(&run));
    }
}

#[test]
fn sigterm_stops_with_a_word_and_the_same_command_goes_on() {
    let dir = workshop();
    let child = command(dir.path(), &ARGS).stderr(Stdio::piped()).spawn().unwrap();
    let run = dir.path().join("run/round-0000");
    let limit = Instant::now() + Duration::from_secs(20);
    while !run.exists() && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(2));
    }
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(stderr(&output).contains("goes on"), "{}", stderr(&output));
    ok(regrowth(dir.path(), &ARGS));
    let whole = workshop();
    ok(regrowth(whole.path(), &ARGS));
    assert_same(&contents(&whole.path().join("run")), &contents(&dir.path().join("run")));
}
