//! Rounds whose search uses a server: trained adapters are loaded there, checked and used, also if the server
//! or this program is restarted in between.

mod kills;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use regrowth_datasets::read_pairs;
use regrowth_policy::{Boundary, Policy, Propose, Sampling, StopAt};
use regrowth_trainer::rounds::{ProblemSets, RunConfig};
use serde_json::Value;

use self::server::{Engine, continuation, engine, logps};
use crate::common::runs::{assert_same, contents};
use crate::common::{command, ok, regrowth, stderr, workshop};
use crate::mock::Mock;

/// A folder with a checkpoint, and a server of the checkpoint.
struct Bench {
    dir: tempfile::TempDir,
    engine: Arc<Engine>,
    mock: Mock,
}

impl Bench {
    fn new() -> Self {
        let dir = workshop();
        let (engine, mock) = Engine::serve(&dir.path().join("tiny"), "127.0.0.1:0");
        Self { dir, engine, mock }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn policy(&self) -> String {
        format!("{}/v1#tiny", self.mock.address)
    }
}

/// Arguments of a run of two rounds with updates large enough to be noticed.
fn args<'a>(policy: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["iterate", "--config", "tiny.toml", "--run", "run", "--policy", policy];
    args.extend(["--weights", "tiny", "--learning-rate", "1e-2"]);
    args.extend(more);
    args
}

const LORA: [&str; 2] = ["--lora", "2"];

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Returns the files of a run that do not depend on the server's process.
fn files(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = contents(run);
    files.retain(|name, _| name != "server.log");
    files
}

#[test]
fn a_check_tries_what_the_server_gives() {
    let bench = Bench::new();
    let policy = bench.policy();
    let mut args = vec!["check", "--policy", &policy, "--tokenizer", "tiny"];
    args.extend(["--problems", "builtin:arithmetic"]);
    let text = ok(regrowth(bench.path(), &args));
    assert!(text.contains("--- server: vllm with tiny, context 256"), "{text}");
    args.push("--json");
    let found: Value = serde_json::from_str(&ok(regrowth(bench.path(), &args))).unwrap();
    let server = &found["server"];
    let yes =
        ["token_ids", "repeats_greedy", "repeats_samples", "exact_log_probs", "loads_adapters"];
    assert!(yes.iter().all(|field| server[field] == true), "{server}");
    assert!(server["score_difference"].as_f64() < Some(1e-4), "{server}");
    assert_eq!((&server["context"], &server["listed_tokens"]), (&256.into(), &20.into()));
}

/// Asserts that the stored greedy answers of a round's policy equal those of the engine in this process with
/// the same checkpoint.
fn assert_answers_are_those_of(run: &Path, round: &str, policy: &dyn Policy) {
    let config: RunConfig =
        serde_json::from_value(json(&run.join("run.json"))["config"].clone()).unwrap();
    let problems = ProblemSets::read(&config).unwrap().validation;
    let rows = std::fs::read_to_string(run.join(round).join("validation.jsonl")).unwrap();
    assert_eq!(rows.lines().count(), problems.len());
    for (row, problem) in rows.lines().zip(&problems) {
        let row: Value = serde_json::from_str(row).unwrap();
        let answer = continuation(
            policy,
            Propose {
                prefix: policy.prompt(problem).unwrap().ids,
                keys: vec![0],
                sampling: Sampling::greedy(),
                greedy_first: true,
                boundary: Boundary::End,
                stop_at: StopAt::default(),
                max_tokens: config.search.max_solution_tokens,
            },
        );
        assert_eq!(row["text"], answer.step.text, "{}", problem.id);
    }
}

#[test]
fn a_served_policy_is_trained_and_the_next_round_searches_with_its_adapter() {
    let bench = Bench::new();
    let policy = bench.policy();
    ok(regrowth(bench.path(), &args(&policy, &LORA)));
    let run = bench.path().join("run");
    let report = json(&run.join("report.json"));
    let identities: Vec<&str> =
        (0..3).map(|round| report["rounds"][round]["policy"].as_str().unwrap()).collect();
    let distinct: BTreeSet<&str> = identities.iter().copied().collect();
    assert_eq!(distinct.len(), 3, "{identities:?}");
    assert!(identities.iter().all(|identity| identity.starts_with("vllm:tiny@")), "{identities:?}");
    let loaded = bench.engine.loaded.lock().unwrap().clone();
    assert!(loaded.len() >= 2 && loaded.iter().all(|name| name.starts_with("regrowth-")));
    assert_eq!(bench.engine.names().len(), 1, "an adapter that is not needed is unloaded");
    // The server's answers equal those of the engine in this process with the same adapter.
    let first = engine(&run.join("round-0001/checkpoint"));
    let base = engine(&bench.path().join("tiny"));
    let pairs = read_pairs(&run.join("round-0002/pairs.jsonl")).unwrap();
    assert!(!pairs.is_empty() && pairs.iter().all(|pair| pair.policy == identities[1]));
    for pair in &pairs {
        let own = logps(&*first, &pair.prompt_ids, &pair.chosen_ids);
        let other = logps(&*base, &pair.prompt_ids, &pair.chosen_ids);
        let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| (x - y).abs()).sum::<f32>();
        assert!(apart(&own, &pair.chosen_logps) < 1e-4 * own.len() as f32);
        assert!(apart(&own, &other) > 1e-3, "the adapter changes nothing");
    }
    let second = engine(&run.join("round-0002/checkpoint"));
    assert_answers_are_those_of(&run, "round-0002", &*second);
    assert!(run.join("best").exists() == (report["best_round"] != 0));
    assert_eq!(bench.engine.faults.beside_scores.load(Ordering::SeqCst), 0);
}

/// Starts the run and kills it when `file` exists.
fn kill_at(bench: &Bench, args: &[&str], file: &str) {
    let mut child = command(bench.path(), args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary");
    let limit = Instant::now() + Duration::from_secs(300);
    while !bench.path().join("run").join(file).exists() {
        assert!(Instant::now() < limit, "never had {file}");
        assert!(child.try_wait().unwrap().is_none(), "ended before {file}");
        std::thread::sleep(Duration::from_micros(300));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn killed_and_restarted_on_either_side_a_run_ends_with_the_same_bytes() {
    let bench = Bench::new();
    let policy = bench.policy();
    let args = args(&policy, &LORA);
    ok(regrowth(bench.path(), &args));
    let run = bench.path().join("run");
    let whole = files(&run);
    std::fs::rename(&run, bench.path().join("whole")).unwrap();
    for file in [
        "round-0001/trees.jsonl.part",
        "round-0001/served.json",
        "round-0001/train.json",
        "round-0001/validation.jsonl.part",
        "round-0002/trees.jsonl.part",
        "round-0002/train.json",
    ] {
        kill_at(&bench, &args, file);
        // The server is restarted as well: it has no adapter any more.
        bench.engine.forget();
    }
    // Once more, in the middle of the remaining work.
    bench.engine.faults.forgets_after.store(5, Ordering::SeqCst);
    ok(regrowth(bench.path(), &args));
    assert_eq!(bench.engine.faults.forgets_after.load(Ordering::SeqCst), 0, "it was not restarted");
    assert_same(&whole, &files(&run));
    assert_eq!(bench.engine.names().len(), 1);
}

#[test]
fn an_adapter_that_is_not_loaded_ends_the_run_with_what_to_do_and_the_same_command_resumes() {
    let bench = Bench::new();
    bench.engine.faults.refuses.store(true, Ordering::SeqCst);
    let policy = bench.policy();
    let output = regrowth(bench.path(), &args(&policy, &LORA));
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let text = stderr(&output);
    for part in ["VLLM_ALLOW_RUNTIME_LORA_UPDATING", "--enable-lora", "round-0001/checkpoint"] {
        assert!(text.contains(part), "{text}");
    }
    bench.engine.faults.refuses.store(false, Ordering::SeqCst);
    ok(regrowth(bench.path(), &args(&policy, &LORA)));
}

#[test]
fn a_server_that_answers_with_other_weights_is_not_searched_with() {
    let bench = Bench::new();
    bench.engine.faults.ignores.store(true, Ordering::SeqCst);
    let policy = bench.policy();
    let output = regrowth(bench.path(), &args(&policy, &LORA));
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let text = stderr(&output);
    for part in ["does not answer with the weights of", "in this process", "the round started from"]
    {
        assert!(text.contains(part), "{text}");
    }
    let round = bench.path().join("run/round-0001");
    assert!(round.join("train.json").exists() && !round.join("validation.jsonl").exists());
    bench.engine.faults.ignores.store(false, Ordering::SeqCst);
    bench.engine.forget();
    ok(regrowth(bench.path(), &args(&policy, &LORA)));
}

#[test]
fn what_cannot_be_served_is_refused_before_anything_is_done() {
    let bench = Bench::new();
    let policy = bench.policy();
    let refused = |args: &[&str]| {
        let output = regrowth(bench.path(), args);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        stderr(&output)
    };
    let full = refused(&args(&policy, &[]));
    assert!(full.contains("--lora RANK") && full.contains("--serve-command"), "{full}");
    let own = refused(&args("tiny", &LORA));
    assert!(own.contains("which has its own"), "{own}");
    let mut alone = vec!["iterate", "--config", "tiny.toml", "--run", "run", "--policy", &policy];
    alone.extend(["--serve-command", "true"]);
    assert!(refused(&alone).contains("give both"));
    assert!(!bench.path().join("run").exists());
}

#[test]
fn adapters_of_an_external_trainer_are_served_as_one() {
    let bench = Bench::new();
    let policy = bench.policy();
    let mut made = vec!["iterate", "--config", "tiny.toml", "--run", "other", "--rounds", "1"];
    made.extend(["--learning-rate", "1e-2", "--lora", "2"]);
    ok(regrowth(bench.path(), &made));
    // Each round starts from full weights, and the result is an adapter of them.
    let trainer = "test -f \"$REGROWTH_POLICY/model.safetensors\" && \
                   echo \"$REGROWTH_POLICY\" >> told && \
                   cp other/round-0001/checkpoint/adapter_* \"$REGROWTH_OUT\"";
    ok(regrowth(bench.path(), &args(&policy, &["--trainer-command", trainer])));
    let told = std::fs::read_to_string(bench.path().join("told")).unwrap();
    let ends: Vec<&str> = told.lines().filter_map(|p| p.rsplit('/').next()).collect();
    assert_eq!(ends, ["tiny", "start"]);
    let run = bench.path().join("run");
    let rank =
        |round: &str| json(&run.join(round).join("checkpoint/adapter_config.json"))["r"].clone();
    assert_eq!((rank("round-0001"), rank("round-0002")), (2.into(), 4.into()));
    assert!(!run.join("round-0002/start").exists());
    let second = engine(&run.join("round-0002/checkpoint"));
    assert_answers_are_those_of(&run, "round-0002", &*second);
}

#[test]
fn an_adapter_is_served_and_trained_further_with_its_own_rank() {
    let bench = Bench::new();
    let mut made = vec!["iterate", "--config", "tiny.toml", "--run", "other", "--rounds", "1"];
    made.extend(["--learning-rate", "1e-2", "--lora", "2"]);
    ok(regrowth(bench.path(), &made));
    let adapter = bench.path().join("other/round-0001/checkpoint");
    // As `vllm serve --lora-modules start=...` does.
    bench.engine.load(&serde_json::json!({ "lora_name": "start", "lora_path": adapter }));
    let policy = format!("{}/v1#start", bench.mock.address);
    let mut args = args(&policy, &[]);
    let weights = args.iter_mut().find(|arg| **arg == "tiny").unwrap();
    *weights = "other/round-0001/checkpoint";
    ok(regrowth(bench.path(), &args));
    let run = bench.path().join("run");
    let config = json(&run.join("round-0002/checkpoint/adapter_config.json"));
    assert_eq!(config["r"], 2);
    let second = engine(&run.join("round-0002/checkpoint"));
    assert_answers_are_those_of(&run, "round-0002", &*second);
    let mut started = args.clone();
    started.extend(["--serve-command", "true"]);
    let output = regrowth(bench.path(), &started);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("--lora-modules"), "{}", stderr(&output));
}

/// A server as a separate program, which the run in the test below starts.
#[test]
#[ignore = "the program that a test starts with --serve-command"]
fn serve_as_a_program() {
    let variable = |name: &str| std::env::var(name).expect("set by the test below");
    let checkpoint = variable("REGROWTH_CHECKPOINT");
    assert_eq!(variable("REGROWTH_MODEL"), "tiny");
    let _running = Engine::serve(Path::new(&checkpoint), &variable("SERVED_AT"));
    println!("serving {checkpoint}");
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

#[test]
fn a_server_is_started_with_the_weights_of_each_round_and_ended() {
    let dir = workshop();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let program = std::env::current_exe().unwrap();
    let serve = format!(
        "SERVED_AT={address} exec {} --ignored --exact served::serve_as_a_program --nocapture",
        program.display()
    );
    let policy = format!("http://{address}/v1#tiny");
    let args = args(&policy, &["--serve-command", &serve, "--set", "kl_problems=0"]);
    ok(regrowth(dir.path(), &args));
    let run = dir.path().join("run");
    let printed = std::fs::read_to_string(run.join("server.log")).unwrap();
    let served: Vec<&str> = printed
        .lines()
        .filter_map(|line| line.split_once("serving ")?.1.rsplit("/run/").next())
        .collect();
    let first = served.iter().position(|path| *path == "round-0001/checkpoint");
    let second = served.iter().position(|path| *path == "round-0002/checkpoint");
    assert!(first.is_some() && first < second, "{printed}");
    let report = json(&run.join("report.json"));
    let identities: BTreeSet<String> =
        (0..3).map(|round| report["rounds"][round]["policy"].to_string()).collect();
    assert_eq!(identities.len(), 3, "{identities:?}");
    let last = engine(&run.join("round-0002/checkpoint"));
    assert_answers_are_those_of(&run, "round-0002", &*last);
    assert!(std::net::TcpStream::connect(&address).is_err(), "the server outlived the run");
    assert!(!run.join("server.json").exists());
}
