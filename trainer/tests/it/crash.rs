//! Runs that are killed, stopped or corrupted end with the same bytes as an undisturbed run.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::common::runs::{assert_same, contents};
use crate::common::{TINY, command, ok, regrowth, stderr, workshop};
use rand::RngExt;
use regrowth_datasets::keyed_rng;

const ARGS: [&str; 5] = ["iterate", "--config", "crash.toml", "--run", "run"];

/// Phases of a run with two rounds, in order.
const PHASES: [&str; 15] = [
    "start",
    "validate 0",
    "search 1",
    "train 1",
    "validate 1",
    "kl 1",
    "search 2",
    "train 2",
    "validate 2",
    "kl 2",
    "test 0",
    "test 1",
    "test 2",
    "report",
    "finished",
];

/// Returns the current phase of a run: the first one whose file does not exist yet.
fn phase(run: &Path) -> &'static str {
    let left = |name: &'static str| {
        let (word, number) = name.split_once(' ').unwrap_or((name, "0"));
        let round = run.join(format!("round-000{number}"));
        let file = match word {
            "start" => run.join("run.json"),
            "validate" => round.join("validation.jsonl"),
            "search" => round.join("search.json"),
            "train" => round.join("train.json"),
            "kl" => round.join("kl_samples.jsonl"),
            "test" => round.join("test.jsonl"),
            _ => run.join("report.json"),
        };
        !file.exists()
    };
    PHASES.into_iter().find(|name| left(name)).unwrap_or("finished")
}

/// A folder with settings under which a run saves its training state after every step and replays pairs.
fn bench() -> tempfile::TempDir {
    let dir = workshop();
    let settings = TINY.replace("[dpo]", "[dpo]\nsave_seconds = 0\nepochs = 2");
    let settings = format!("replay = 0.3\nkl_problems = 4\n{settings}");
    std::fs::write(dir.path().join("crash.toml"), settings).unwrap();
    dir
}

fn start(dir: &Path) -> Child {
    command(dir, &ARGS).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary")
}

/// Longest wait: far beyond what a busy machine needs, so only a hanging process reaches it.
const PATIENCE: Duration = Duration::from_secs(300);

/// Attempts to stop a run in one phase: on a busy machine a run may pass the phase unnoticed.
const ATTEMPTS: u32 = 40;

/// Waits until the run is in the phase `wanted` or later, then for `delay`. Returns false if the run ended
/// first.
fn wait_for(child: &mut Child, run: &Path, wanted: &str, delay: Duration) -> bool {
    let place = |name: &str| PHASES.iter().position(|p| *p == name);
    let limit = Instant::now() + PATIENCE;
    while place(phase(run)) < place(wanted) {
        assert!(Instant::now() < limit, "stuck in {}", phase(run));
        if child.try_wait().expect("a child").is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    std::thread::sleep(delay);
    child.try_wait().expect("a child").is_none()
}

#[test]
fn killed_at_any_moment_a_run_ends_with_the_same_bytes() {
    // A script runs the test with a larger number.
    let kills = std::env::var("REGROWTH_KILLS").map_or(30, |n| n.parse().expect("a number"));
    let seed = std::env::var("REGROWTH_KILL_SEED").map_or(0, |n| n.parse().expect("a number"));
    let dir = bench();
    let run = dir.path().join("run");
    let started = Instant::now();
    ok(regrowth(dir.path(), &ARGS));
    let longest = started.elapsed() / PHASES.len() as u32;
    let whole = contents(&run);
    std::fs::rename(&run, dir.path().join("whole")).unwrap();
    let mut rng = keyed_rng(seed, &[b"kills"]);
    let mut hit = BTreeSet::new();
    let missing = |hit: &BTreeSet<String>| {
        ["validate", "search", "train", "test"].into_iter().find(|&phase| !hit.contains(phase))
    };
    let (mut killed, mut runs) = (0, 0);
    while killed < kills || missing(&hit).is_some() {
        assert!(runs < kills + ATTEMPTS, "never killed in {:?}: {hit:?}", missing(&hit));
        for wanted in &PHASES[..PHASES.len() - 1] {
            let mut child = start(dir.path());
            if wait_for(&mut child, &run, wanted, longest.mul_f64(rng.random())) {
                child.kill().expect("SIGKILL");
                killed += 1;
                hit.insert(phase(&run).split(' ').next().unwrap_or_default().to_owned());
            }
            child.wait().expect("a child");
        }
        ok(regrowth(dir.path(), &ARGS));
        assert_same(&whole, &contents(&run));
        std::fs::remove_dir_all(&run).unwrap();
        runs += 1;
    }
    eprintln!("{runs} runs, killed {killed} times, each with the bytes of the whole run: {hit:?}");
}

/// Sends a signal.
fn signal(name: &str, child: &Child) {
    let id = child.id().to_string();
    let kill = std::process::Command::new("kill").args([name, &id]).status();
    assert!(kill.expect("kill").success());
}

/// Starts a run and suspends it (SIGSTOP) in the phase `wanted`, so that the test has enough time. If the run
/// passed the phase, starts again.
fn stopped_in(dir: &Path, run: &Path, wanted: &str) -> Child {
    for _ in 0..ATTEMPTS {
        let mut child =
            command(dir, &ARGS).stderr(Stdio::piped()).spawn().expect("the binary runs");
        if wait_for(&mut child, run, wanted, Duration::ZERO) {
            wait_until_it_listens(child.id());
            signal("-STOP", &child);
            if phase(run) == wanted && child.try_wait().expect("a child").is_none() {
                return child;
            }
        }
        child.kill().expect("SIGKILL");
        child.wait().expect("a child");
        std::fs::remove_dir_all(run).expect("a run");
    }
    panic!("never caught in {wanted}");
}

#[test]
fn of_two_resumes_one_is_refused_and_a_dead_one_binds_nobody() {
    let dir = bench();
    let run = dir.path().join("run");
    let mut first = stopped_in(dir.path(), &run, "search 1");
    let refused = regrowth(dir.path(), &ARGS);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("another process writes into this folder"));
    first.kill().expect("SIGKILL");
    first.wait().expect("a child");
    ok(regrowth(dir.path(), &ARGS));
}

/// Waits until a process has a SIGINT handler: a resumed run may reach its phase before it installs one.
fn wait_until_it_listens(id: u32) {
    const SIGINT: u64 = 1 << 1;
    let caught = || {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        Some(u64::from_str_radix(mask.trim(), 16).ok()? & SIGINT != 0)
    };
    let started = Instant::now();
    // If the system does not report signal handlers, wait a moment.
    while caught() == Some(false) && started.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
    if caught().is_none() {
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_signal_stops_any_phase_with_a_word_and_the_same_command_goes_on() {
    let whole = bench();
    ok(regrowth(whole.path(), &ARGS));
    let dir = bench();
    let run = dir.path().join("run");
    for (wanted, name) in
        [("validate 0", "-TERM"), ("search 1", "-INT"), ("train 1", "-TERM"), ("search 2", "-TERM")]
    {
        let child = stopped_in(dir.path(), &run, wanted);
        signal(name, &child);
        signal("-CONT", &child);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(5), "{wanted}: {}", stderr(&output));
        assert!(stderr(&output).contains("resume with:"), "{}", stderr(&output));
    }
    ok(regrowth(dir.path(), &ARGS));
    assert_same(&contents(&whole.path().join("run")), &contents(&run));
}
