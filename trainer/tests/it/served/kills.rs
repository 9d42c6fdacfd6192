//! A run, its server and its trainer command, each killed at seeded moments: the run must end with the same
//! bytes as an undisturbed one.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::RngExt;
use regrowth_datasets::keyed_rng;

use super::{args, files};
use crate::common::runs::assert_same;
use crate::common::{command, ok, regrowth, workshop};

/// The trainer: slow enough to be killed; its process group is in a file while it runs.
const TRAINER: &str = "echo $$ > trainer.pid; sleep 1; \
                       cp other/round-0001/checkpoint/adapter_* \"$REGROWTH_OUT\"; rm trainer.pid";

/// A folder with a checkpoint and an adapter, and a server of the checkpoint in a separate process.
struct Loop {
    dir: tempfile::TempDir,
    address: String,
    server: Child,
}

impl Loop {
    fn new() -> Self {
        let dir = workshop();
        let mut made = vec!["iterate", "--config", "tiny.toml", "--run", "other", "--rounds", "1"];
        made.extend(["--learning-rate", "1e-2", "--lora", "2"]);
        ok(regrowth(dir.path(), &made));
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let server = start_server(dir.path(), &address);
        Self { dir, address, server }
    }

    fn run_folder(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    fn policy(&self) -> String {
        format!("http://{}/v1#tiny", self.address)
    }

    fn run_to_its_end(&self) {
        let policy = self.policy();
        ok(regrowth(self.dir.path(), &args(&policy, &["--trainer-command", TRAINER])));
    }

    fn start(&self) -> Child {
        self.start_with(TRAINER)
    }

    fn start_with(&self, trainer: &str) -> Child {
        let policy = self.policy();
        let args = args(&policy, &["--trainer-command", trainer]);
        let mut command = command(self.dir.path(), &args);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary")
    }

    fn restart_server(&mut self) {
        self.server.kill().expect("SIGKILL");
        self.server.wait().expect("a child");
        self.server = start_server(self.dir.path(), &self.address);
    }

    /// Kills the trainer command if it is running; returns whether it was.
    fn kill_trainer(&self) -> bool {
        let Ok(group) = std::fs::read_to_string(self.dir.path().join("trainer.pid")) else {
            return false;
        };
        let kill = format!("kill -KILL -{} 2> /dev/null", group.trim());
        let _ = std::fs::remove_file(self.dir.path().join("trainer.pid"));
        !group.trim().is_empty()
            && Command::new("sh").args(["-c", &kill]).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn start_server(dir: &Path, address: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "served::serve_as_a_program", "--nocapture"])
        .env("REGROWTH_CHECKPOINT", dir.join("tiny"))
        .env("REGROWTH_MODEL", "tiny")
        .env("SERVED_AT", address)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the test program")
}

/// Number of kills of each process.
#[derive(Debug, Default)]
struct Killed {
    run: u32,
    server: u32,
    trainer: u32,
}

/// Starts the run and, at a seeded moment, kills the run, the server or the trainer. Afterwards the run has
/// ended.
fn one_kill(bench: &mut Loop, longest: Duration, rng: &mut impl RngExt, killed: &mut Killed) {
    let mut run = bench.start();
    std::thread::sleep(longest.mul_f64(rng.random_range(0.02..0.7)));
    match rng.random_range(0..3) {
        0 => killed.run += 1,
        1 => {
            bench.restart_server();
            killed.server += 1;
            std::thread::sleep(longest.mul_f64(rng.random_range(0.0..0.3)));
        }
        _ => {
            let limit = Instant::now() + longest;
            let mut hit = bench.kill_trainer();
            while !hit && Instant::now() < limit && run.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(5));
                hit = bench.kill_trainer();
            }
            killed.trainer += u32::from(hit);
            // The run ends by itself, with an error.
            let _ = if hit { run.wait().map(drop) } else { Ok(()) };
        }
    }
    let _ = run.kill();
    run.wait().expect("a child");
}

fn kills(count: u32, seed: u64) {
    let mut bench = Loop::new();
    let began = Instant::now();
    bench.run_to_its_end();
    let longest = began.elapsed();
    let whole = files(&bench.run_folder());
    std::fs::rename(bench.run_folder(), bench.dir.path().join("whole")).unwrap();
    let mut rng = keyed_rng(seed, &[b"served kills"]);
    let mut killed = Killed::default();
    for kill in 0..count {
        one_kill(&mut bench, longest, &mut rng, &mut killed);
        if kill % 5 == 4 || kill + 1 == count {
            bench.run_to_its_end();
            assert_same(&whole, &files(&bench.run_folder()));
            std::fs::remove_dir_all(bench.run_folder()).unwrap();
        }
    }
    eprintln!("{killed:?}: each run ended with the bytes of the one that was left alone");
}

#[cfg(target_os = "linux")]
#[test]
fn the_trainer_of_a_killed_run_is_ended_by_the_next_process_on_the_run() {
    let bench = Loop::new();
    let trainer = format!("mkdir hang 2> /dev/null && echo $$ > hung && sleep 900; {TRAINER}");
    let mut run = bench.start_with(&trainer);
    let hung = bench.dir.path().join("hung");
    let group = loop {
        assert!(run.try_wait().unwrap().is_none(), "the run ended before its trainer");
        match std::fs::read_to_string(&hung) {
            Ok(group) if !group.is_empty() => break group,
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    run.kill().unwrap();
    run.wait().unwrap();
    let process = Path::new("/proc").join(group.trim());
    assert!(process.exists(), "the trainer outlives a killed run");
    assert!(bench.start_with(&trainer).wait().unwrap().success());
    assert!(!process.exists());
    assert!(!bench.run_folder().join("trainer.json").exists());
}

#[test]
fn killed_at_a_few_moments_a_served_run_ends_with_the_same_bytes() {
    kills(4, 1);
}

#[test]
#[ignore = "needs minutes: 30 kills (benches/scripts/kills.sh)"]
fn killed_at_thirty_moments_a_served_run_ends_with_the_same_bytes() {
    let seed = std::env::var("REGROWTH_KILL_SEED").map_or(0, |n| n.parse().expect("a number"));
    kills(30, seed);
}
