//! A search in parts. Together the parts give the same rows as a search by one process, whichever process
//! searched them and however often it was killed. Parts that do not belong to one search are refused.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::RngExt;
use regrowth_datasets::keyed_rng;
use serde_json::Value;

use crate::common::{assert_code, mcts, read};

const ROWS: [&str; 3] = ["trees.jsonl", "pairs.jsonl", "skipped.jsonl"];

/// A folder with 20 problems, every fourth of which gets no tree, and a script that solves the others.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let script = r#"{"entries": [{"question": "known", "candidates": [
            {"text": "The answer is 3.\n", "end": true, "correct": 0.5},
            {"text": "The answer is 4.\n", "end": true, "correct": 0.25}]}]}"#;
        std::fs::write(folder.path().join("script.json"), script).expect("written");
        let row = |i: usize| {
            let word = if i.is_multiple_of(4) { "unheard of" } else { "known" };
            format!("{{\"id\": \"p{i}\", \"question\": \"{word} {i}\", \"answer\": \"3\"}}\n")
        };
        let rows: String = (0..20).map(row).collect();
        std::fs::write(folder.path().join("problems.jsonl"), rows).expect("written");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a search in the folder `out`. Returns its stderr.
    fn search(&self, out: &str, more: &str, code: i32) -> String {
        let policy = if more.contains("--policy") { "" } else { "--policy scripted:script.json" };
        let problems = if more.contains("--problems") { "" } else { "--problems problems.jsonl" };
        self.run(&format!("search {policy} {problems} --min-margin 0.1 {more} --out {out}"), code)
    }

    fn merge(&self, out: &str, code: i32) -> String {
        self.run(&format!("merge --out {out}"), code)
    }

    fn run(&self, arguments: &str, code: i32) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcts"));
        command.args(arguments.split_whitespace()).current_dir(self.folder.path());
        assert_code(&command.output().expect("the binary runs"), code)
    }

    /// Runs the search in one process. Returns its folder.
    fn whole(&self) -> PathBuf {
        self.search("whole", "", 0);
        self.path("whole")
    }
}

/// Checks that the rows of two searches are byte-identical.
fn assert_same(one: &Path, other: &Path) {
    for file in ROWS {
        let [one, other] = [one, other].map(|folder| std::fs::read(folder.join(file)).ok());
        assert!(one == other, "{file}");
    }
}

/// All counts of a summary, without times.
fn counts(folder: &Path) -> Value {
    let mut summary: Value = serde_json::from_str(&read(folder.join("summary.json"))).unwrap();
    summary["seconds"] = Value::Null;
    summary
}

#[test]
fn parts_together_are_the_search_of_one_process() {
    let bench = Bench::new();
    let whole = bench.whole();
    assert_eq!(read(whole.join("skipped.jsonl")).lines().count(), 5);
    assert!(!read(whole.join("pairs.jsonl")).is_empty());
    for count in [1, 2, 3, 7] {
        let out = format!("of{count}");
        // In reverse order, one after the other.
        for index in (1..=count).rev() {
            bench.search(&out, &format!("--shard {index}/{count}"), 0);
        }
        bench.merge(&out, 0);
        assert_same(&whole, &bench.path(&out));
        assert_eq!(counts(&whole), counts(&bench.path(&out)), "{count} parts");
        let config = read(bench.path(&out).join("config.toml"));
        assert_eq!(config.replace(&out, "whole"), read(whole.join("config.toml")));
    }
    // Merging again gives the same result, and a complete part is not searched again.
    bench.merge("of3", 0);
    assert_same(&whole, &bench.path("of3"));
    let said = bench.search("of3", "--shard 2/3", 0);
    assert!(!said.contains("loading"), "{said}");
    // With more parts than problems, some parts are empty.
    for index in 1..=4 {
        bench.search("few", &format!("--limit 3 --shard {index}/4"), i32::from(index == 2) * 4);
    }
}

#[test]
fn what_are_not_all_parts_of_one_search_is_refused_by_name() {
    let bench = Bench::new();
    let refused = |words: &[&str]| {
        let said = bench.merge("out", 3);
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        assert!(!bench.path("out/trees.jsonl").exists(), "{said}");
    };
    bench.merge("nowhere", 3);
    std::fs::create_dir(bench.path("out")).expect("a folder");
    refused(&["holds no part of a search"]);
    bench.search("out", "--shard 1/3", 0);
    refused(&["2 of 3 parts are missing", "--shard 2/3, 3/3"]);
    bench.search("out", "--shard 3/3", 0);

    // An incomplete part, as left by a killed process.
    let part = bench.path("out/shard-00002-of-00003");
    std::fs::create_dir_all(part.join("attempt-0001")).expect("a folder");
    refused(&["shard-00002-of-00003: this part is not complete", "--shard 2/3"]);
    std::fs::remove_dir_all(&part).expect("removed");

    // Parts of another division, another search, other problems, another policy.
    for (more, words) in [
        ("--shard 2/4", "another division"),
        ("--shard 2/3 --seed 5", "search.seed: 0 there, 5 here"),
        ("--shard 2/3 --max-pairs 1", "[pairs]"),
        ("--shard 0/3", "counted from 1"),
        ("--shard 2/3 --force", "--force"),
    ] {
        let said = bench.search("out", more, 2);
        assert!(said.contains(words), "{more}: {said}");
    }
    foreign(&bench, &part, &refused);

    // A part that is present twice, under another name.
    bench.search("out", "--shard 2/3", 0);
    let copy = bench.path("out/shard-00001-of-00003.copy");
    copy_folder(&bench.path("out/shard-00001-of-00003/attempt-0001"), &copy.join("attempt-0001"));
    refused(&["shard 1/3 is there twice", "shard-00001-of-00003.copy"]);
    std::fs::remove_dir_all(copy).expect("removed");

    // A file truncated by an interrupted copy.
    let trees = part.join("attempt-0001/trees.jsonl");
    let text = read(&trees);
    std::fs::write(&trees, &text[..text.len() / 2]).expect("written");
    refused(&["attempt-0001/trees.jsonl: was changed or cut off after shard 2/3"]);
    std::fs::write(&trees, text).expect("written");
    bench.merge("out", 0);
    assert_same(&bench.whole(), &bench.path("out"));
}

/// Parts of other searches, made in another folder and copied to `part`.
fn foreign(bench: &Bench, part: &Path, refused: &dyn Fn(&[&str])) {
    let take = |more: &str| {
        bench.search("other", &format!("{more} --shard 2/3"), 0);
        let from = bench.path("other/shard-00002-of-00003/attempt-0001");
        copy_folder(&from, &part.join("attempt-0001"));
        std::fs::remove_dir_all(bench.path("other")).expect("removed");
    };
    let undo = || std::fs::remove_dir_all(part).expect("removed");
    take("--seed 5");
    assert!(bench.merge("out", 2).contains("search.seed: 5 there, 0 here"));
    undo();
    for (file, from, to, words) in [
        ("problems.jsonl", "known 1\"", "known 111\"", "their files differ"),
        ("script.json", "is 4", "is 5", "policy: scripted"),
    ] {
        let text = read(bench.path(file));
        std::fs::write(bench.path(file), text.replace(from, to)).expect("written");
        take("");
        std::fs::write(bench.path(file), text).expect("written");
        refused(&["shard-00002-of-00003", "is of another search", words]);
        undo();
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

/// A search that runs long enough to be killed.
fn long(out: &Path, more: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcts"));
    command
        .args("search --policy scripted --problems builtin:arithmetic --limit 40".split(' '))
        .args(["--simulations", "48", "--out"])
        .arg(out)
        .args(more.split_whitespace())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn rows_of_log(attempt: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(attempt.join("steps.jsonl")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    whole.lines().map(str::to_owned).collect()
}

/// Waits for the end of a process. Returns its exit code.
fn end(mut child: Child) -> Option<i32> {
    child.wait().expect("a child").code()
}

#[cfg(target_os = "linux")]
#[test]
fn a_part_whose_process_is_killed_is_taken_over_with_its_model_calls() {
    // A script may set a larger number of kills.
    let kills = std::env::var("REGROWTH_KILLS").map_or(6, |n| n.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let whole = folder.path().join("whole");
    let began = Instant::now();
    assert_eq!(end(long(&whole, "").spawn().expect("runs")), Some(0));
    let longest = began.elapsed();
    let mut rng = keyed_rng(0, &[b"shards"]);
    let mut taken_over = 0;
    for kill in 0..kills {
        let out = folder.path().join(format!("out{kill}"));
        let mut first = long(&out, "--shard 1/2").spawn().expect("runs");
        std::thread::sleep(longest.mul_f64(rng.random_range(0.05..0.6)));
        // The second process waits while the first one is running.
        let second = long(&out, "--shard 1/2").spawn().expect("runs");
        std::thread::sleep(Duration::from_millis(50));
        first.kill().expect("SIGKILL");
        first.wait().expect("a child");
        let part = out.join("shard-00001-of-00002");
        let had = rows_of_log(&part.join("attempt-0001"));
        assert_eq!(end(second), Some(0), "{kill}");
        let done = part.join("attempt-0002");
        if done.is_dir() {
            taken_over += 1;
            let has = rows_of_log(&done);
            assert!(has.starts_with(&had), "{kill}: a finished call was lost");
            let distinct: std::collections::BTreeSet<_> = has.iter().collect();
            assert_eq!(distinct.len(), has.len(), "{kill}: a call was made twice");
        }
        assert_eq!(end(long(&out, "--shard 2/2").spawn().expect("runs")), Some(0));
        assert_code(&mcts(&format!("merge --out {}", out.display())), 0);
        assert_same(&whole, &out);
    }
    assert!(taken_over > 0, "every process was faster than its kill");
    eprintln!("{taken_over} of {kills} parts were taken over");
}
