//! Searches that are cut off and resumed, and searches that are replayed.

use crate::common::{assert_code, mcts, read};

#[test]
fn a_search_judged_by_follow_ups_is_replayed_without_a_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = |name: &str| folder.path().join(name);
    let (first, again) = (out("first"), out("again"));
    let search =
        format!("search --policy scripted --judge follow-ups --limit 3 --out {}", first.display());
    assert_code(&mcts(&search), 0);
    let replay = format!("search --policy replay:{} --out {}", first.display(), again.display());
    assert_code(&mcts(&replay), 0);
    assert!(read(first.join("trees.jsonl")) == read(again.join("trees.jsonl")));
}

#[test]
fn a_killed_search_is_continued_and_ends_with_the_same_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let command = |name: &str| {
        format!(
            "search --policy scripted --problems builtin:arithmetic --limit 30 --out {}",
            folder.path().join(name).display()
        )
    };
    assert_code(&mcts(&command("whole")), 0);
    let whole = folder.path().join("whole");
    let log = read(whole.join("steps.jsonl"));

    // The state after kill -9: a log that ends in the middle of a line, and no finished file.
    let cut = folder.path().join("cut");
    std::fs::create_dir(&cut).expect("a folder");
    std::fs::write(cut.join("steps.jsonl"), &log.as_bytes()[..log.len() / 3]).expect("written");
    let output = mcts(&command("cut"));
    assert!(assert_code(&output, 0).contains("recorded answers"));
    for file in ["trees.jsonl", "pairs.jsonl"] {
        assert!(read(cut.join(file)) == read(whole.join(file)), "{file}");
    }
    // No call was made twice: the two logs contain the same rows.
    let rows = |text: &str| {
        let mut rows: Vec<_> = text.lines().map(str::to_owned).collect();
        rows.sort();
        rows
    };
    assert!(rows(&read(cut.join("steps.jsonl"))) == rows(&log));

    let replay = format!(
        "search --policy replay:{} --problems builtin:arithmetic --limit 30 --out {}",
        whole.join("steps.jsonl").display(),
        folder.path().join("replay").display()
    );
    assert_code(&mcts(&replay), 0);
    assert!(read(folder.path().join("replay/trees.jsonl")) == read(whole.join("trees.jsonl")));
}

#[test]
fn a_replayed_folder_brings_its_settings() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let search = |flags: &str, name: &str, code: i32| {
        let output = mcts(&format!("search {flags} --out {}", path(name).display()));
        assert_code(&output, code)
    };
    let first = "--policy scripted --problems builtin:choice --limit 5 --seed 3 --simulations 9 \
                 --breadth 3,2 --max-pairs 2 --threads 2";
    search(first, "first", 0);
    let log = path("first").display().to_string();
    let said = search(&format!("--policy replay:{log}"), "again", 0);
    assert!(said.contains("first/config.toml"), "{said}");
    for file in ["trees.jsonl", "pairs.jsonl"] {
        assert!(read(path("again").join(file)) == read(path("first").join(file)), "{file}");
    }
    // The replay writes into its own folder, and its settings give the log that it replays.
    let written = read(path("again/config.toml"));
    assert!(written.contains("policy = \"replay:") && written.contains("/again"), "{written}");
    assert!(!written.contains("threads"), "{written}");
    // Flags override the recorded settings. Settings that affect no request may differ; requests with other
    // settings are not in the log.
    search(&format!("--policy replay:{log} --limit 2 --max-pairs 1"), "fewer", 0);
    assert_eq!(read(path("fewer/trees.jsonl")).lines().count(), 2);
    assert!(read(path("fewer/pairs.jsonl")).lines().count() <= 2);
    search(&format!("--policy replay:{log} --seed 4"), "other", 4);
    // A preset replaces the recorded settings.
    let said = search(&format!("--policy replay:{log} --preset default"), "preset", 4);
    assert!(!said.contains("settings in"), "{said}");
}

/// The system ends a process that writes beyond its file size limit, in the middle of a write and without a
/// message, as `kill -9` does. The limit is a size and not a time, so it takes effect on every machine.
#[cfg(unix)]
#[test]
fn a_search_killed_at_any_size_of_its_log_ends_with_the_same_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = |name: &str| {
        let out = folder.path().join(name);
        let command = "search --policy scripted --problems builtin:arithmetic --limit 60 --seed 3";
        format!("{command} --simulations 64 --threads 2 --out {}", out.display())
    };
    assert_code(&mcts(&arguments("whole")), 0);
    let log = folder.path().join("whole/steps.jsonl").metadata().expect("a log").len();
    for eighth in 1..8 {
        // In blocks of 512 or 1,024 bytes, depending on the shell; less than the size of the log in both
        // cases.
        let limit = log * eighth / 8 / 1024;
        let output = std::process::Command::new("sh")
            .args(["-c", "ulimit -c 0; ulimit -f $0; exec \"$@\"", &limit.to_string()])
            .arg(env!("CARGO_BIN_EXE_mcts"))
            .args(arguments("killed").split_whitespace())
            .output()
            .expect("a shell");
        assert!(!output.status.success(), "{eighth}/8: {output:?}");
    }
    assert_code(&mcts(&arguments("killed")), 0);
    for file in ["trees.jsonl", "pairs.jsonl", "config.toml"] {
        let [whole, killed] = ["whole", "killed"].map(|name| folder.path().join(name).join(file));
        // The settings contain the path of their own folder.
        assert!(read(whole).replace("whole", "killed") == read(killed), "{file}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path().join("killed")).expect("a folder").collect();
    // trees, pairs, summary, config, log and the lock file: no partial file is left.
    assert_eq!(left.len(), 6, "{left:?}");
}

#[test]
fn a_folder_is_held_by_one_search_and_a_summary_is_of_the_last_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let search = |more: &str| {
        let out = out.display();
        mcts(&format!("search --problems builtin:arithmetic --limit 2 {more} --out {out}"))
    };
    assert_code(&search("--policy scripted"), 0);
    let lock = std::fs::File::create(out.join(".lock")).expect("a lock");
    lock.lock().expect("held");
    assert_code(&search("--policy scripted"), 3);
    drop(lock);
    let script = folder.path().join("script.json");
    std::fs::write(&script, "{\"entries\":[]}").expect("written");
    // The log contains another policy's answers: nothing of the first search is changed.
    let before = read(out.join("config.toml"));
    assert_code(&search(&format!("--policy scripted:{} --seed 9 --force", script.display())), 4);
    assert!(read(out.join("config.toml")) == before && out.join("summary.json").exists());
    // Without a log the search runs, but no problem gets a tree.
    let fruitless = format!("--policy scripted:{} --no-log --force", script.display());
    assert_code(&search(&fruitless), 4);
    assert!(read(out.join("trees.jsonl")).is_empty());
}
