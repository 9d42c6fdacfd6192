//! Settings as their users meet them: files, flags over them, and what is refused.

#[path = "common/binary.rs"]
mod binary;

use std::path::Path;

use binary::{assert_code, mcts, read};

/// A search in `folder` that ends well; what it said.
fn search(arguments: &str, folder: &Path) -> String {
    assert_code(&mcts(&format!("search {arguments} --out {}", folder.display())), 0)
}

fn write(path: &Path, text: &str) -> String {
    std::fs::write(path, text).expect("written");
    path.display().to_string()
}

#[test]
fn a_file_sets_all_that_flags_set_and_flags_win() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let config = write(
        &folder.path().join("config.toml"),
        &format!(
            "policy = \"scripted\"\nlimit = 3\n[run]\nout = \"{}\"\ntrees_in_flight = 2\n\
             no_log = true\nmax_seconds = 600\njson = true\n[engine]\nthreads = 2\nmax_batch = 8\n\
             cache = 32\ndevice = \"cpu\"\ndtype = \"f32\"\nserver_timeout = 7\n",
            out.display()
        ),
    );
    let output = mcts(&format!("search --config {config}"));
    assert_code(&output, 0);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(said["trees"], 3);
    assert!(!out.join("steps.jsonl").exists());
    let written = read(out.join("config.toml"));
    for line in read(&config).lines().filter(|line| !line.contains("max_seconds")) {
        assert!(written.contains(line), "{line} in {written}");
    }
    assert!(written.contains("max_seconds = 600.0"), "{written}");

    // The written file gives the same run again, without a flag, and flags win over it.
    let trees = read(out.join("trees.jsonl"));
    let written = out.join("config.toml").display().to_string();
    assert_code(&mcts(&format!("search --config {written}")), 0);
    assert!(read(out.join("trees.jsonl")) == trees);
    let other = folder.path().join("other");
    search(&format!("--config {written} --no-log false --json false --threads 1"), &other);
    assert!(read(other.join("trees.jsonl")) == trees && other.join("steps.jsonl").exists());
    let text = read(other.join("config.toml"));
    assert!(text.contains("threads = 1") && text.contains("no_log = false"), "{text}");
    assert!(text.contains("max_batch = 8") && text.contains("trees_in_flight = 2"), "{text}");
}

#[test]
fn a_file_without_the_newer_tables_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write(
        &folder.path().join("old.toml"),
        "policy = \"scripted\"\nproblems = \"builtin:choice\"\nlimit = 2\n[search]\nseed = 4\n\
         [pairs]\nmin_margin = 0.25\n",
    );
    let out = folder.path().join("out");
    search(&format!("--config {config}"), &out);
    assert!(read(out.join("config.toml")).contains("min_margin = 0.25"));
    assert_eq!(read(out.join("trees.jsonl")).lines().count(), 2);
}

#[test]
fn what_can_do_nothing_is_refused_with_what_was_expected() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let refuse = |arguments: &str, code: i32, words: &str| {
        let command = format!("search --policy scripted {arguments} --out {}", out.display());
        let said = assert_code(&mcts(&command), code);
        assert!(said.contains(words), "{arguments}: {said}");
    };
    let counts = "--limit --trees-in-flight --threads --max-batch --cache --server-in-flight \
                  --server-timeout --server-attempts --server-context";
    for flag in counts.split_whitespace() {
        refuse(&format!("{flag} 0"), 2, "at least 1");
    }
    for rule in ["simulations", "nodes", "tokens", "millis"] {
        refuse(&format!("--stop {rule}@0"), 2, "at least 1");
    }
    for seconds in ["-1", "0", "NaN", "inf"] {
        refuse(&format!("--max-seconds {seconds}"), 2, "a number above 0");
    }
    refuse("--problems x.jsonl --format csv", 2, "gsm8k");
    refuse("--format csv", 2, "no format");
    refuse("--problems builtin:choice --format gsm8k", 2, "no format");
    let files = [
        ("limit = 0", "limit"),
        ("[run]\ntrees_in_flight = 0", "trees_in_flight"),
        ("[engine]\nserver_attempts = 0", "server_attempts"),
        ("[engine]\ndevice = \"gpu\"", "cuda:N"),
        ("[run]\nthreads = 2", "threads"),
    ];
    for (text, word) in files {
        let config = write(&folder.path().join("wrong.toml"), text);
        refuse(&format!("--config {config}"), 3, word);
    }
    assert!(!out.exists(), "nothing was begun");
}
