//! The trees of a run in `mcts show` and `mcts pairs`; signals; and closed pipes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{assert_code, mcts, read};

fn search(out: &Path, more: &str) -> String {
    let command = "search --policy scripted --problems builtin:arithmetic --simulations 8";
    assert_code(&mcts(&format!("{command} {more} --out {}", out.display())), 0)
}

/// Writes the folder of a run with two rounds and its own rules for pairs. Returns the number of pairs.
fn run(folder: &Path) -> usize {
    let mut pairs = 0;
    for (round, seed) in [("round-0001", 1), ("round-0002", 2)] {
        let out = folder.join(round);
        search(&out, &format!("--limit 6 --seed {seed} --max-pairs 2"));
        pairs += read(out.join("pairs.jsonl")).lines().count();
        // The rounds of a run have no settings files.
        let rules: toml::Table = toml::from_str(&read(out.join("config.toml"))).unwrap();
        let run = serde_json::json!({ "version": 1, "config": { "pairs": rules["pairs"] } });
        std::fs::write(folder.join("run.json"), run.to_string()).unwrap();
        std::fs::remove_file(out.join("config.toml")).unwrap();
    }
    pairs
}

#[test]
fn a_run_is_shown_and_cut_by_its_own_rules() {
    let folder = tempfile::tempdir().unwrap();
    let pairs = run(folder.path());
    let out = folder.path().join("pairs.jsonl");
    let cut = |trees: &Path| {
        let said = mcts(&format!("pairs --trees {} --out {}", trees.display(), out.display()));
        let said = assert_code(&said, 0);
        assert!(said.contains("run.json"), "{said}");
        read(&out)
    };
    let all = cut(folder.path());
    assert_eq!(all.lines().count(), pairs);
    let first = folder.path().join("round-0001");
    let one = cut(&first);
    assert!(one == read(first.join("pairs.jsonl")) && all.starts_with(&one));
    assert!(cut(&first.join("trees.jsonl")) == one);
    // The tree of a later round is found through the folder of the run.
    let tree = read(folder.path().join("round-0002/trees.jsonl"));
    let tree: serde_json::Value = serde_json::from_str(tree.lines().next().unwrap()).unwrap();
    let id = tree["problem"]["id"].as_str().unwrap();
    let show = format!("show --trees {} --problem {id}", folder.path().display());
    assert_code(&mcts(&show), 0);
    // A path without trees gives another message than one with trees.
    let none = tempfile::tempdir().unwrap();
    let show = |path: &Path| assert_code(&mcts(&format!("show --trees {}", path.display())), 3);
    assert!(show(none.path()).contains("holds no trees.jsonl"));
    assert!(show(&none.path().join("absent")).contains("no such file"));
    std::fs::write(none.path().join("trees.jsonl.part"), "").unwrap();
    assert!(show(none.path()).contains("is not finished"));
}

#[test]
fn text_shows_the_latest_round_and_a_page_shows_all() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path());
    let [first, second] = ["round-0001", "round-0002"].map(|name| folder.path().join(name));
    let text = |trees: &Path| {
        let shown = mcts(&format!("show --trees {}", trees.display()));
        assert_code(&shown, 0);
        String::from_utf8(shown.stdout).unwrap()
    };
    assert!(text(folder.path()) == text(&second) && text(&first) != text(&second));
    let file = folder.path().join("trees.html");
    let page = |trees: &Path, more: &str| {
        let show = format!("show --trees {} --html {} {more}", trees.display(), file.display());
        assert_code(&mcts(&show), 0);
        read(&file)
    };
    let (one, two) = ("\"name\":\"round-0001\",\"total\":6", "\"name\":\"round-0002\",\"total\":6");
    let all = page(folder.path(), "");
    assert!(all.contains(one) && all.contains(two));
    // Other trees of the same problems are shown beside the first ones.
    let against = format!("--against {} --limit 2", second.display());
    let both = page(&first, &against);
    assert!(both.contains(one) && both.contains("\"name\":\"round-0002 of "));
    assert!(both.len() < all.len() && !page(&first, "").contains("round-0002"));
    assert_code(&mcts(&format!("show --trees {} --against x", first.display())), 2);
}

fn spawn(arguments: &str) -> std::process::Child {
    Command::new(env!("CARGO_BIN_EXE_mcts"))
        .args(arguments.split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_reader_that_goes_away_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let out = out.display();
    let search = format!("search --policy scripted --limit 20 --out {out}");
    for command in [
        search.as_str(),
        &format!("show --trees {out}"),
        &format!("pairs --trees {out} --out {out}/p"),
    ] {
        let mut child = spawn(command);
        drop((child.stdout.take(), child.stderr.take()));
        assert_eq!(child.wait().unwrap().code(), Some(0), "{command}");
    }
    assert!(folder.path().join("out/summary.json").exists());
}

#[test]
fn a_signal_stops_a_search_with_one_message_and_the_same_command_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let whole = folder.path().join("whole");
    // Long enough to be still running when the signal arrives, even on a busy machine.
    let limit = "--limit 300 --simulations 32 --threads 1";
    let mut child = spawn(&format!("search --policy scripted {limit} --out {}", out.display()));
    let started = Instant::now();
    while out.join("steps.jsonl").metadata().map_or(0, |log| log.len()) < 100_000 {
        assert!(started.elapsed() < Duration::from_secs(300));
        std::thread::sleep(Duration::from_millis(2));
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let _ = child.try_wait();
    let output = child.wait_with_output().unwrap();
    let said = assert_code(&output, 5);
    let last: Vec<&str> = said.lines().rev().take(2).collect();
    assert!(
        last[1].contains("every finished model call is in steps.jsonl; resume with:"),
        "{said}"
    );
    assert!(last[0].trim_start().contains("mcts search"), "{said}");
    assert!(out.join("progress.json").exists());
    let again = |out: &Path| {
        assert_code(&mcts(&format!("search --policy scripted {limit} --out {}", out.display())), 0);
        read(out.join("trees.jsonl"))
    };
    assert!(again(&out) == again(&whole));
    assert!(!out.join("progress.json").exists());
}
