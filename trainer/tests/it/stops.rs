//! Interrupted runs keep every finished model call: a server counts the requests.

use crate::common;
use crate::dialects;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::runs::{assert_same, contents};
use crate::common::{command, ok, regrowth, stderr, workshop};
use crate::mock::{Answer, Asked, Mock};
use serde_json::{Value, json};

/// Longest wait: far beyond what a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(300);

/// Number of calls that the program has in flight.
const IN_FLIGHT: usize = 4;

/// A slow server, whose model writes a few steps and an answer.
fn server() -> Mock {
    let script = |prompt: &str, seed: u64| match prompt.matches('\n').count() % 3 {
        0 => format!("The answer is {}.\u{3}", seed % 7),
        _ => format!("{} and {}\nmore", seed % 100, prompt.len()),
    };
    let answer = dialects::vllm(Arc::new(script));
    Mock::start(move |asked: &Asked| {
        if asked.path == "/v1/completions" {
            std::thread::sleep(Duration::from_millis(4));
        }
        answer(asked)
    })
}

fn asked(server: &Mock) -> usize {
    server.asked("/v1/completions").len()
}

fn args<'a>(url: &'a str, run: &'a str) -> Vec<&'a str> {
    let fixed = "--problems builtin:arithmetic --rounds 1 --problems-per-round 12 --depth 4 \
                 --validation-problems 24 --test-problems 24 --simulations 6 --breadth 3,2 \
                 --server-in-flight 4 --threads 2";
    let mut args = vec!["iterate", "--policy", url, "--run", run];
    args.extend(fixed.split_whitespace());
    args
}

fn start(dir: &Path, args: &[&str]) -> Child {
    let mut command = command(dir, args);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary")
}

/// Waits until the server has received this number of requests; returns false if the program ended first.
fn wait_for(server: &Mock, calls: usize, child: &mut Child) -> bool {
    let started = Instant::now();
    while asked(server) < calls {
        assert!(started.elapsed() < PATIENCE, "stuck");
        if child.try_wait().expect("a child").is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.try_wait().expect("a child").is_none()
}

#[test]
fn a_killed_run_makes_no_finished_call_again_and_ends_with_the_same_bytes() {
    let server = server();
    let url = format!("{}/v1", server.address);
    let dir = tempfile::tempdir().unwrap();
    ok(regrowth(dir.path(), &args(&url, "run")));
    let whole = asked(&server);
    let bytes = contents(&dir.path().join("run"));
    std::fs::rename(dir.path().join("run"), dir.path().join("whole")).unwrap();
    // Number of requests at every start, to detect the server's features.
    ok(regrowth(dir.path(), &args(&url, "whole")));
    let at_start = asked(&server) - whole;

    let (begun, mut kills) = (asked(&server), 0);
    for tenth in 1..10 {
        let mut child = start(dir.path(), &args(&url, "run"));
        let more = whole / 10 + at_start;
        if wait_for(&server, asked(&server) + more, &mut child) {
            // SIGKILL: the process cannot save anything.
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
        assert!(kills > 0, "tenth {tenth}");
    }
    ok(regrowth(dir.path(), &args(&url, "run")));
    assert_same(&bytes, &contents(&dir.path().join("run")));
    let total = asked(&server) - begun;
    // Each request in flight may be the last of its call's three, and its answer may not be in the log yet.
    let lost = kills * (at_start + IN_FLIGHT * 4) + at_start;
    assert!(kills >= 5, "{kills} kills");
    assert!(total <= whole + lost, "{total} requests for {whole}, at most {lost} in flight");
}

#[test]
fn a_stop_says_what_is_saved_and_how_to_go_on_and_status_knows_it() {
    let server = server();
    let url = format!("{}/v1", server.address);
    let dir = tempfile::tempdir().unwrap();
    let mut command = command(dir.path(), &args(&url, "run"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(wait_for(&server, 120, &mut child));
    let status = |json: bool| {
        let mut args = vec!["status", "run"];
        args.extend(json.then_some("--json"));
        ok(regrowth(dir.path(), &args))
    };
    let running: Value = serde_json::from_str(&status(true)).unwrap();
    assert_eq!(running["state"], "running", "{running}");
    assert_eq!(running["progress"]["pid"], child.id());
    assert!(status(false).contains("running since"), "{}", status(false));
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    let said = stderr(&output);
    let last: Vec<&str> = said.lines().rev().take(2).collect();
    assert!(last[1].starts_with("stopped: every finished model call"), "{said}");
    assert!(last[0].contains(" iterate --policy http"), "{said}");
    assert!(!said.contains("error:"), "{said}");
    let stopped: Value = serde_json::from_str(&status(true)).unwrap();
    assert_eq!(stopped["state"], "stopped");
    assert!(status(false).contains("resume with:"), "{}", status(false));
    ok(regrowth(dir.path(), &args(&url, "run")));
    let finished: Value = serde_json::from_str(&status(true)).unwrap();
    assert_eq!(
        (&finished["state"], &finished["rounds"]),
        (&json!("finished"), &json!({"done": 1, "total": 1}))
    );
    assert!(!dir.path().join("run/progress.json").exists());
}

#[test]
fn a_stopped_evaluation_goes_on_from_its_answers() {
    let server = server();
    let url = format!("{}/v1", server.address);
    let dir = tempfile::tempdir().unwrap();
    let evaluate = |out: &'static str| {
        let flags = ["--limit", "60", "--server-in-flight", "4", "--out", out];
        [&["evaluate", "--policy", &url], &flags[..]].concat()
    };
    ok(regrowth(dir.path(), &evaluate("whole")));
    let whole = asked(&server);
    let mut child = start(dir.path(), &evaluate("out"));
    assert!(wait_for(&server, whole + whole / 2, &mut child));
    child.kill().unwrap();
    child.wait().unwrap();
    let (before, output) = (asked(&server), regrowth(dir.path(), &evaluate("out")));
    assert!(stderr(&output).contains("finished model calls"), "{}", stderr(&output));
    ok(output);
    // A solution takes up to three requests. Those of calls in flight are lost, and each start sends requests
    // to detect the server's features.
    let (again, lost) = (asked(&server) - before, 3 * IN_FLIGHT + 10);
    assert!(again < whole - whole / 2 + lost, "{again} of {whole}");
    let left = std::fs::read_dir(dir.path().join("out")).unwrap().next().unwrap().unwrap().path();
    let names: Vec<_> = std::fs::read_dir(left).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "results and samples alone: {names:?}");
}

#[test]
fn a_signal_saves_the_optimizer_step_in_hand() {
    let dir = workshop();
    let rows: String = (0..400)
        .map(|i| format!("{{\"prompt\": \"{i} + {i} = \", \"completion\": \"{}\\n\"}}\n", 2 * i))
        .collect();
    std::fs::write(dir.path().join("rows.jsonl"), rows).unwrap();
    let train = [
        "sft",
        "--policy",
        "tiny",
        "--data",
        "rows.jsonl",
        "--epochs",
        "40",
        "--batch-tokens",
        "64",
    ];
    let out = |name: &'static str| train.into_iter().chain(["--out", name]).collect::<Vec<_>>();
    ok(regrowth(dir.path(), &out("whole")));
    let mut child = command(dir.path(), &out("cut"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let metrics = dir.path().join("cut/metrics.jsonl");
    let steps = || std::fs::read_to_string(&metrics).map_or(0, |text| text.lines().count());
    let started = Instant::now();
    while steps() < 3 {
        assert!(started.elapsed() < PATIENCE && child.try_wait().unwrap().is_none(), "{}", steps());
        std::thread::sleep(Duration::from_millis(1));
    }
    let kill = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(5), "{said}");
    let state = std::fs::read_dir(dir.path().join("cut")).unwrap().map(|e| e.unwrap().file_name());
    let state = state.map(|n| n.to_string_lossy().into_owned()).find(|n| n.starts_with("state-"));
    let step: usize = state.expect("a state")["state-".len()..].parse().unwrap();
    assert!(
        said.contains(&format!("stopped: the state after step {step} is saved in cut")),
        "{said}"
    );
    assert_eq!(steps(), step, "no step is lost");
    ok(regrowth(dir.path(), &out("cut")));
    let weights = |run: &str| {
        std::fs::read(dir.path().join(run).join("checkpoint/model.safetensors")).unwrap()
    };
    assert!(weights("whole") == weights("cut"));
}

#[test]
fn nothing_measured_is_no_figure() {
    let dir = tempfile::tempdir().unwrap();
    let answer = dialects::vllm(Arc::new(|_: &str, _| "The answer is 1.\u{3}".to_owned()));
    // A server that returns no log-probabilities.
    let server = Mock::start(move |asked: &Asked| match (asked.path.as_str(), answer(asked)) {
        ("/v1/completions", Answer::Json(mut reply)) => {
            reply["choices"][0]["logprobs"] = Value::Null;
            Answer::Json(reply)
        }
        (_, other) => other,
    });
    let url = format!("{}/v1", server.address);
    for more in [vec![], vec!["--samples", "2"], vec!["--strategy", "majority@3"], vec!["--json"]] {
        let mut args = vec!["evaluate", "--policy", &url, "--limit", "4", "--out", "out"];
        args.extend(more);
        let output = regrowth(dir.path(), &args);
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        assert!(output.stdout.is_empty(), "{}", common::stdout(&output));
        assert!(
            stderr(&output).contains("none of the 4 problems was answered"),
            "{}",
            stderr(&output)
        );
        let files = std::fs::read_dir(dir.path().join("out")).unwrap();
        let files = files.flat_map(|e| std::fs::read_dir(e.unwrap().path()).unwrap());
        assert_eq!(files.count(), 0, "no file looks like a result");
    }
    let output = regrowth(dir.path(), &args(&url, "run"));
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(!dir.path().join("run/report.json").exists());
    assert!(!dir.path().join("run/round-0000/validation.jsonl").exists());
}
