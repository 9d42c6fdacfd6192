//! Protection of a results folder against mistaken commands, and against searches that find less than before.

use std::path::Path;

use crate::common::{assert_code, mcts, read};

const FILES: [&str; 4] = ["trees.jsonl", "pairs.jsonl", "config.toml", "summary.json"];

fn files(folder: &Path) -> Vec<String> {
    FILES.iter().map(|name| read(folder.join(name))).collect()
}

/// Runs a search in `out`, of five problems by default, including pairs of unsolved trees. Returns its
/// stderr.
fn search(arguments: &str, out: &Path, code: i32) -> String {
    let limit = if arguments.contains("--limit") { "" } else { "--limit 5" };
    let flags = format!("{limit} --solved-only false {arguments}");
    assert_code(&mcts(&format!("search {flags} --out {}", out.display())), code)
}

#[test]
fn another_search_does_not_replace_results_unless_it_is_told_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    search("--policy scripted", &out, 0);
    let before = files(&out);
    let said = search("--policy scripted --simulations 9 --seed 3", &out, 2);
    for words in ["search.simulations: 16 there, 9 here", "search.seed: 0 there, 3", "--force"] {
        assert!(said.contains(words), "{said}");
    }
    assert!(!said.contains("breadth") && files(&out) == before);
    // Settings that do not affect the trees do not make it another search.
    search("--policy scripted --threads 2 --max-pairs 1", &out, 0);
    assert!(files(&out)[0] == before[0] && files(&out)[1].len() < before[1].len());
    search("--policy scripted --simulations 9 --no-log --force", &out, 0);
    assert!(files(&out)[0] != before[0]);
    // Without settings, it is unknown which search the trees belong to.
    std::fs::remove_file(out.join("config.toml")).expect("removed");
    assert!(search("--policy scripted", &out, 2).contains("no config.toml"));
}

#[test]
fn a_search_that_finds_less_leaves_what_there_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let (out, script) = (folder.path().join("out"), folder.path().join("script.json"));
    let entry = r#"{"after": "", "candidates": [{"text": "The answer is 3.\n", "end": true}]}"#;
    std::fs::write(&script, format!("{{\"entries\": [{entry}]}}")).expect("written");
    let policy = format!("--policy scripted:{} --no-log", script.display());
    search(&policy, &out, 0);
    let before = files(&out);
    // The same search again, with a policy that has lost its answers.
    std::fs::write(&script, "{\"entries\": []}").expect("written");
    let again = format!("search --limit 5 {policy} --max-pairs 1 --out {}", out.display());
    let output = mcts(&again);
    assert!(assert_code(&output, 4).contains("keeps its earlier results"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("5 problems skipped") && !said.contains("skipped.jsonl"), "{said}");
    assert!(files(&out) == before && !out.join("skipped.jsonl").exists());
}

#[test]
fn a_search_out_of_time_leaves_what_there_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let same = "--policy scripted --limit 2000 --simulations 1 --breadth 1,1 --depth 1 --no-log";
    search(same, &out, 0);
    let before = files(&out);
    let said = search(&format!("{same} --max-seconds 0.000001 --max-pairs 1"), &out, 5);
    assert!(said.contains("keeps its earlier results") && files(&out) == before, "{said}");
}

/// A limit on the size of files ends the search in the middle of writing its log, as `kill -9` would.
#[cfg(unix)]
#[test]
fn settings_never_stand_beside_the_trees_of_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    search("--policy scripted --no-log", &out, 0);
    let other = format!("search --policy scripted --seed 3 --force --out {}", out.display());
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -c 0; ulimit -f 8; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_mcts")])
        .args(other.split_whitespace())
        .output()
        .expect("a shell");
    assert!(!output.status.success(), "{output:?}");
    assert!(read(out.join("config.toml")).contains("seed = 3"));
    assert!(["trees.jsonl", "pairs.jsonl", "summary.json"].iter().all(|f| !out.join(f).exists()));
}

#[test]
fn a_log_is_not_played_into_its_own_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    search("--policy scripted", &out, 0);
    let before = files(&out);
    for log in ["", "/steps.jsonl", "/../out/"] {
        let policy = format!("--policy replay:{}{log} --limit 1 --force", out.display());
        assert!(search(&policy, &out, 2).contains("choose another --out"), "{log}");
    }
    assert!(files(&out) == before);
}

#[test]
fn outputs_are_not_written_over_inputs_or_into_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    search("--policy scripted", folder.path(), 0);
    let (before, trees) = (files(folder.path()), path("trees.jsonl"));
    let refuse = |command: String, words: &str| {
        let said = assert_code(&mcts(&command), 2);
        assert!(said.contains(words), "{command}: {said}");
    };
    refuse(format!("pairs --trees {trees} --out {trees}"), "file of --trees");
    refuse(format!("pairs --trees {trees} --out {}", path("./trees.jsonl")), "file of --trees");
    let labels = |file: &str| {
        format!("pairs --trees {trees} --out {} --step-labels {file}", path("new.jsonl"))
    };
    refuse(labels(&trees), "file of --trees");
    refuse(labels(&path("new.jsonl")), "file of --out");
    refuse(format!("show --trees {trees} --html {trees}"), "file of --trees");
    for out in [path("no/p.jsonl"), path("no/such/p.jsonl")] {
        refuse(format!("pairs --trees {trees} --out {out}"), "there is no folder");
        refuse(format!("show --trees {trees} --html {out}"), "there is no folder");
    }
    refuse(format!("pairs --trees {trees} --out {}", folder.path().display()), "got a folder");
    refuse(format!("search --policy scripted --out {trees}"), "--out");
    assert!(files(folder.path()) == before && !folder.path().join("new.jsonl").exists());
}
