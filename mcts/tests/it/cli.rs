//! Tests of the binary: files, flags, exit codes.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{assert_code, mcts, read};
use regrowth_datasets::{read_joint_pairs, read_step_labels};

#[test]
fn a_search_writes_its_files_and_they_do_not_depend_on_how_it_is_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |name: &str, how: &str| {
        let out = folder.path().join(name);
        let command = format!(
            "search --policy scripted --problems builtin:choice --limit 12 --seed 5 {how} --out {}",
            out.display()
        );
        assert_code(&mcts(&command), 0);
        (read(out.join("trees.jsonl")), read(out.join("pairs.jsonl")), out)
    };
    let first = run("a", "");
    assert_eq!(first.0.lines().count(), 12);
    assert!(!first.1.is_empty());
    for (name, how) in
        [("b", "--threads 8"), ("c", "--threads 2 --max-batch 8 --trees-in-flight 3 --no-log")]
    {
        let again = run(name, how);
        assert!(again.0 == first.0 && again.1 == first.1, "{how}");
    }
    let summary: serde_json::Value =
        serde_json::from_str(&read(first.2.join("summary.json"))).expect("JSON");
    assert_eq!(summary["trees"], 12);
    assert_eq!(summary["pairs"].as_u64(), Some(first.1.lines().count() as u64));
    for key in ["prefilled", "sampling_rows", "sampled", "unique_in_trees"] {
        assert!(summary["tokens"][key].as_u64().is_some_and(|n| n > 0), "{key}");
    }
    assert_eq!(summary["tokens"]["decoded"], summary["tokens"]["sampling_rows"]);
    // The written settings reproduce the search.
    let config = first.2.join("config.toml");
    let out = folder.path().join("d");
    let command = format!("search --config {} --out {}", config.display(), out.display());
    assert_code(&mcts(&command), 0);
    assert!(read(out.join("trees.jsonl")) == first.0);
}

/// Results of a search with the scripted policy.
struct Searched {
    simulations: u64,
    nodes: u64,
    calls: u64,
    out: PathBuf,
}

impl Searched {
    /// Searches six problems with these flags, in a folder of this name.
    fn new(folder: &Path, name: &str, flags: &str) -> Self {
        let out = folder.join(name);
        let command = format!("search --policy scripted --limit 6 {flags} --out {}", out.display());
        assert_code(&mcts(&command), 0);
        let summary: serde_json::Value =
            serde_json::from_str(&read(out.join("summary.json"))).expect("JSON");
        let count = |key: &str| summary[key].as_u64().expect("a number");
        let [simulations, nodes, calls] = ["simulations", "nodes", "model_calls"].map(count);
        Self { simulations, nodes, calls, out }
    }

    fn file(&self, name: &str) -> String {
        read(self.out.join(name))
    }
}

#[test]
fn strategies_have_flags() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |name: &str, flags: &str| Searched::new(folder.path(), name, flags);
    let plain = run("plain", "");
    assert!(plain.simulations >= 6 * 16);
    let greedy = run("greedy", "--strategy greedy");
    assert_eq!((greedy.simulations, greedy.nodes, greedy.calls), (0, 12, 6));
    let best = run("best", "--strategy best-of@3");
    assert!(best.simulations == 0 && best.nodes <= 24 && best.calls > 6);
    let beam = run("beam", "--strategy beam@2");
    assert!(beam.simulations == 0 && beam.calls > best.calls);
    let uct = run("uct", "--selection uct");
    assert!(uct.file("trees.jsonl") != plain.file("trees.jsonl"));
    for wrong in ["--strategy best", "--selection best"] {
        assert_names_the_flag(wrong);
    }
}

#[test]
fn stopping_rules_have_flags() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |name: &str, flags: &str| Searched::new(folder.path(), name, flags);
    let plain = run("plain", "");
    let few = run("few", "--simulations 64 --stop simulations@5 --stop decided");
    assert!(few.simulations < plain.simulations, "{} simulations", few.simulations);
    assert!(run("nodes", "--stop nodes@8").nodes < plain.nodes);
    assert!(run("tokens", "--stop tokens@60").nodes < plain.nodes);
    // The scripted policy's first word ends with a space (byte 32).
    for stop in ["--stop-string =", "--stop-id 32"] {
        let trees = run(&stop.replace([' ', '='], "-"), stop).file("trees.jsonl");
        assert!(trees.contains("\"finish\":\"stop\""), "{stop}");
    }
    for wrong in ["--stop nodes", "--stop nodes@x"] {
        assert_names_the_flag(wrong);
    }
}

#[test]
fn a_time_budget_is_marked() {
    let folder = tempfile::tempdir().expect("a folder");
    // Include the pairs of unsolved trees: a search that is cut short solves few problems.
    let run = |name: &str, flags: &str| {
        Searched::new(folder.path(), name, &format!("--solved-only false {flags}"))
    };
    let [plain, beam] = [run("plain", ""), run("beam", "--strategy beam@2")];
    // A time limit that is never reached still marks the results as timed.
    let timed_beam = run("timed-beam", "--strategy beam@2 --stop millis@600000");
    assert_eq!(timed_beam.nodes, beam.nodes);
    assert!(timed_beam.file("summary.json").contains("\"timed\": true"));
    // More simulations than any machine makes in a millisecond.
    let timed = run("timed", "--simulations 100000 --stop millis@1");
    assert!(timed.simulations < 6 * 100_000);
    for file in ["trees.jsonl", "pairs.jsonl"] {
        let [timed, plain] = [&timed, &plain].map(|run| run.file(file));
        assert!(timed.lines().all(|row| row.contains("\"timed\":true")), "{file}");
        assert!(!timed.is_empty() && !plain.contains("timed"), "{file}");
    }
    assert!(timed.file("summary.json").contains("\"timed\": true"));
    assert!(plain.file("summary.json").contains("\"timed\": false"));
}

#[test]
fn flags_that_a_strategy_does_not_know_are_refused_or_named() {
    for flags in [
        "--strategy beam@2 --stop decided",
        "--strategy beam@2 --stop simulations@3",
        "--strategy best-of@3 --stop nodes@4",
        "--strategy greedy --stop millis@4",
        "--commit value --stop decided",
    ] {
        let said = assert_code(&mcts(&format!("search --policy scripted {flags} --out none")), 2);
        assert!(said.contains("`stop`: expected"), "{flags}: {said}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("idle");
    let idle = "--strategy beam@2 --simulations 3 --selection uct --limit 1";
    let said = mcts(&format!("search --policy scripted {idle} --out {}", out.display()));
    let said = assert_code(&said, 0);
    assert!(said.contains("--simulations does nothing") && said.contains("--selection does"));
    assert!(!said.contains("--commit"), "{said}");
}

/// Checks that a flag with an invalid value is refused, and that the message contains the flag.
fn assert_names_the_flag(wrong: &str) {
    let stderr = assert_code(&mcts(&format!("search {wrong} --out none")), 2);
    assert!(stderr.contains(wrong.split_whitespace().next().expect("a flag")), "{stderr}");
}

#[test]
fn the_bundled_model_has_settings_of_its_own() {
    // Nothing is searched: an empty problem file is refused after the settings are known.
    let folder = tempfile::tempdir().expect("a folder");
    let run = |name: &str, flags: &str| {
        let out = folder.path().join(name);
        let command = format!("search --policy scripted --limit 1 {flags} --out {}", out.display());
        assert_code(&mcts(&command), 0);
        read(out.join("config.toml"))
    };
    let (plain, tuned) = (run("plain", ""), run("tuned", "--preset builtin"));
    assert!(plain.contains("c_puct = 1.0") && plain.contains("min_margin = 0.0"));
    assert!(tuned.contains("c_puct = 4.0") && tuned.contains("min_margin = 0.6"));
    assert!(tuned.contains("max_depth = 10"));
}

#[test]
fn pairs_are_cut_again_and_trees_are_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().display();
    let search = format!("search --policy scripted --limit 5 --solved-only false --out {out}");
    assert_code(&mcts(&search), 0);
    let again = mcts(&format!("pairs --trees {out}/trees.jsonl --out {out}/again.jsonl"));
    assert_code(&again, 0);
    assert!(read(folder.path().join("again.jsonl")) == read(folder.path().join("pairs.jsonl")));
    let labelled = mcts(&format!(
        "pairs --trees {out}/trees.jsonl --out {out}/again.jsonl --step-labels {out}/labels.jsonl"
    ));
    assert_code(&labelled, 0);
    let labels = read_step_labels(&folder.path().join("labels.jsonl")).expect("labels");
    assert!(String::from_utf8_lossy(&labelled.stdout).contains(&format!("{} steps", labels.len())));
    assert!(labels.iter().any(|label| !label.label));
    let none = mcts(&format!(
        "pairs --trees {out}/trees.jsonl --out {out}/none.jsonl --min-margin 99 --json"
    ));
    assert_code(&none, 0);
    let counts: serde_json::Value = serde_json::from_slice(&none.stdout).expect("JSON");
    assert_eq!((&counts["pairs"], &counts["trees"]), (&0.into(), &5.into()));
    assert!(counts["pairs_dropped"]["small_margin"].as_u64() > Some(0));
    assert!(counts["joint"].is_null());

    let shown = mcts(&format!("show --trees {out}/trees.jsonl"));
    assert_code(&shown, 0);
    let text = String::from_utf8(shown.stdout).expect("text");
    for mark in ["*", "+ ", "- ", " Q ", " N ", " p ", " C ", " O "] {
        assert!(text.contains(mark), "{mark:?} in {text}");
    }
    let full = mcts(&format!("show --trees {out}/trees.jsonl --full"));
    assert_code(&full, 0);
    assert!(!String::from_utf8_lossy(&full.stdout).contains("..."));
    let page = folder.path().join("tree.html");
    let html = mcts(&format!("show --trees {out}/trees.jsonl --html {}", page.display()));
    assert_code(&html, 0);
    let written = read(&page);
    assert!(written.contains("\"total\":5,") && written.contains("\"chosen\":"));
    let one = mcts(&format!("show --trees {out} --limit 1 --html {}", page.display()));
    assert_code(&one, 0);
    assert!(read(&page).contains("\"total\":5,") && read(&page).len() < written.len());
    let missing = mcts(&format!("show --trees {out}/trees.jsonl --problem nobody"));
    assert!(assert_code(&missing, 3).contains("nobody"));
}

#[test]
fn mistakes_have_codes_and_say_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let bad = folder.path().join("bad.jsonl");
    let config = folder.path().join("config.toml");
    std::fs::write(&bad, "{\"question\": \n").expect("written");
    std::fs::write(&config, "[search]\nsimulatoins = 3\n").expect("written");
    let empty = folder.path().join("empty.jsonl");
    std::fs::write(&empty, "").expect("written");
    let cases = [
        (format!("--policy nonsense --out {}", out.display()), 2, "nonsense"),
        (format!("--policy scripted --threads 0 --out {}", out.display()), 2, "at least 1"),
        (format!("--policy builtin --device gpu --out {}", out.display()), 2, "cuda:N"),
        (format!("--policy builtin --dtype f64 --out {}", out.display()), 2, "bf16"),
        (format!("--policy scripted --simulations 0 --out {}", out.display()), 2, "simulations"),
        ("--policy scripted".to_owned(), 2, "--out DIR"),
        (format!("--policy scripted --breadth 5 --out {}", out.display()), 2, "B1,B2"),
        (format!("--policy scripted --problems builtin:x --out {}", out.display()), 2, "x"),
        (format!("--policy scripted --problems /no/file --out {}", out.display()), 3, "/no/file"),
        (
            format!("--policy scripted --problems {} --out {}", bad.display(), out.display()),
            3,
            "bad",
        ),
        (
            format!("--policy scripted --problems {} --out {}", empty.display(), out.display()),
            3,
            "empty.jsonl",
        ),
        (format!("--config {} --out {}", config.display(), out.display()), 3, "simulatoins"),
        (format!("--policy replay:/no/log --out {}", out.display()), 4, "/no/log"),
    ];
    for (arguments, code, word) in cases {
        let stderr = assert_code(&mcts(&format!("search {arguments}")), code);
        assert!(stderr.contains(word), "{arguments}: {stderr}");
    }
    let trees = mcts(&format!("show --trees {}", bad.display()));
    assert!(assert_code(&trees, 3).contains("bad.jsonl:1"));
}

#[test]
fn a_time_budget_keeps_what_is_finished() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let command = format!(
        "search --policy scripted --simulations 4096 --limit 20000 --max-seconds 0.3 --out {}",
        out.display()
    );
    assert_code(&mcts(&command), 5);
    let summary: serde_json::Value =
        serde_json::from_str(&read(out.join("summary.json"))).expect("JSON");
    assert_eq!(summary["cancelled"], true);
    let trees = read(out.join("trees.jsonl")).lines().count() as u64;
    assert_eq!(summary["trees"].as_u64(), Some(trees));
}

#[test]
fn the_countdown_example_finds_the_solution() {
    // Cargo builds a package's examples before it runs its tests.
    let binary = Path::new(env!("CARGO_BIN_EXE_mcts"));
    let example = binary.with_file_name("examples").join("countdown");
    let output = Command::new(example).output();
    let output =
        output.expect("the example; with `--test it`, run `cargo build --example countdown`");
    let text = assert_code(&output, 0) + &String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("found: 3 * 7 = 21.\nThe answer is 3 * 7 + 5.\n"), "{text}");
    assert!(text.contains("better \"3 * 7 = 21.\\n\" than \"7 - 3 = 4.\\n\""), "{text}");
    assert!(text.contains("better \"The answer is 3 * 7 + 5.\\n\" than"), "{text}");
}

#[test]
fn a_search_says_how_well_the_judge_foretells_outcomes() {
    let folder = tempfile::tempdir().expect("a folder");
    let found = |name: &str, how: &str| -> serde_json::Value {
        let out = folder.path().join(name);
        let command = format!(
            "search --policy scripted --problems builtin:choice --limit 20 {how} --out {}",
            out.display()
        );
        assert_code(&mcts(&command), 0);
        let text = read(out.join("summary.json"));
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON")["self_evaluation"].take()
    };
    let asked = found("asked", "");
    let n = asked["n"].as_u64().expect("solutions");
    let depths = asked["by_depth"].as_array().expect("a list");
    assert_eq!(depths.iter().filter_map(|d| d["n"].as_u64()).sum::<u64>(), n);
    for key in ["auc", "ece", "unknown", "right"] {
        assert!(asked[key].as_f64().is_some_and(|v| (0.0..=1.0).contains(&v)), "{key}: {asked}");
    }
    // Without the oracle, the verifier checks the texts afterwards, so AUC is known as well.
    assert!(found("blind", "--oracle false")["auc"].is_f64());
    let other = found("follow-ups", "--judge follow-ups");
    assert!(other["n"].is_u64() && other["mean"] != asked["mean"], "{other}");
    let own = found("likely", "--judge likelihood");
    assert!(own["n"].is_u64() && own["mean"] != asked["mean"], "{own}");
    let answers = found("answers", "--judge answers");
    assert!(answers["n"].is_u64() && answers["mean"] != own["mean"], "{answers}");
    assert!(found("silent", "--self-evaluation false").is_null());
}

#[cfg(feature = "http")]
#[test]
fn servers_that_do_not_answer_are_a_failure_of_the_policy() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let search = |policy: &str| {
        mcts(&format!("search {policy} --server-attempts 1 --out {}", out.display()))
    };
    let said = assert_code(&search("--policy http://127.0.0.1:1/v1#model"), 4);
    assert!(said.contains("127.0.0.1:1") && said.contains("check host and port"), "{said}");
    let said = assert_code(&search("--policy http://127.0.0.1:1/v1 --policy scripted"), 2);
    assert!(said.contains("only servers"), "{said}");
    assert!(!out.exists());
}

#[cfg(feature = "http")]
#[test]
fn the_key_for_servers_comes_from_the_environment() {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
        let head: Vec<String> =
            lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        let answer = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno";
        stream.write_all(answer).expect("an answer");
        head.join("\n").to_lowercase()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_mcts"))
        .env("REGROWTH_API_KEY", "secret")
        .args(["search", "--policy", &format!("http://{address}/v1"), "--out"])
        .arg(folder.path().join("out"))
        .output()
        .expect("the binary runs");
    let said = assert_code(&output, 4);
    assert!(said.contains("REGROWTH_API_KEY") && !said.contains("secret"), "{said}");
    assert!(server.join().expect("a request").contains("authorization: bearer secret"));
}

#[cfg(feature = "http")]
#[test]
fn servers_elsewhere_are_reached_through_the_proxy_of_the_environment() {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let proxy = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut first = String::new();
        BufReader::new(&stream).read_line(&mut first).expect("a request");
        let answer = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno";
        stream.write_all(answer).expect("an answer");
        first
    });
    let folder = tempfile::tempdir().expect("a folder");
    let search = |url: &str| {
        Command::new(env!("CARGO_BIN_EXE_mcts"))
            .env("HTTP_PROXY", format!("http://{address}"))
            .env_remove("NO_PROXY")
            .env_remove("no_proxy")
            .args(["search", "--server-attempts", "1", "--policy", url, "--out"])
            .arg(folder.path().join("out"))
            .output()
            .expect("the binary runs")
    };
    // Requests to this machine do not go through the proxy.
    let said = assert_code(&search("http://127.0.0.1:1/v1"), 4);
    assert!(said.contains("refused"), "{said}");
    assert_code(&search("http://model.example:8000/v1"), 4);
    let first = proxy.join().expect("a request");
    assert!(first.starts_with("GET http://model.example:8000/v1/models "), "{first}");
    // The proxy has ended.
    let said = assert_code(&search("http://model.example:8000/v1"), 4);
    assert!(said.contains("NO_PROXY"), "{said}");
}

#[test]
fn browsing_without_a_terminal_says_what_to_use_instead() {
    // In this test, stdout is a pipe.
    let said = assert_code(&mcts("show --trees nowhere --browse"), 2);
    assert!(said.contains("stdout is no terminal") && said.contains("--html FILE"), "{said}");
    assert_code(&mcts("show --trees nowhere --browse --html page.html"), 2);
}

#[test]
fn joint_pairs_are_written_where_they_are_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let search = |out: &str, flags: &str| {
        let out = path(out).display().to_string();
        let search = format!("search --policy scripted --limit 60 {flags} --out {out}");
        let output = mcts(&search);
        assert_code(&output, 0);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let text = search("plain", "");
    assert!(!text.contains("joint") && !path("plain/joint_pairs.jsonl").exists());
    let text = search("joint", "--set pairs.joint=5 --threads 1");
    assert!(text.contains("5 joint pairs; "), "{text}");
    search("threads", "--set pairs.joint=5 --threads 3");
    let rows = read(path("joint/joint_pairs.jsonl"));
    assert!(rows == read(path("threads/joint_pairs.jsonl")));
    assert!(read(path("joint/pairs.jsonl")) == read(path("plain/pairs.jsonl")));
    let found = read_joint_pairs(&path("joint/joint_pairs.jsonl")).expect("joint pairs");
    assert_eq!(found.len(), 5);
    let summary: serde_json::Value =
        serde_json::from_str(&read(path("joint/summary.json"))).expect("JSON");
    assert_eq!(summary["joint"]["pairs"], 5);
    for part in ["1/2", "2/2"] {
        search("parts", &format!("--set pairs.joint=5 --shard {part}"));
    }
    assert_code(&mcts(&format!("merge --out {}", path("parts").display())), 0);
    assert!(rows == read(path("parts/joint_pairs.jsonl")), "parts are paired as one search");

    let pairs = |flags: &str| {
        let trees = path("plain/trees.jsonl");
        let out = path("again.jsonl");
        mcts(&format!("pairs --trees {} --out {} {flags}", trees.display(), out.display()))
    };
    let again = path("again_joint.jsonl");
    let written = pairs(&format!("--set pairs.joint=5 --joint-pairs {}", again.display()));
    assert_code(&written, 0);
    assert!(read(&again) == rows, "the same as in the search");
    let said = assert_code(&pairs(&format!("--joint-pairs {}", again.display())), 2);
    assert!(said.contains("pairs.joint=100"), "{said}");
    let unwritten = pairs("--set pairs.joint=5");
    assert!(assert_code(&unwritten, 0).contains("--joint-pairs"));
    for command in ["audit", "rejudge --policy scripted --out x.jsonl"] {
        let refused = mcts(&format!("{command} --pairs {}", again.display()));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("--joint-pairs"), "{said}");
    }
}
