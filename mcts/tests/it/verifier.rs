//! Searches with a verifier command that checks solutions or steps.

use std::path::Path;

use crate::common::{assert_code, mcts_args, read, trees};

/// A verifier that decides by the length of the solution's JSON form, modulo 3: 0 is right, 1 is wrong, 2 is
/// undecided. The score is always 0.25, and the trace gives the length. It appends the id of each request to
/// the file `asked`.
const PARITY: &str = r#"while IFS= read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}; echo "$id" >> ASKED
  solution=${line#*\"solution\":}
  case $((${#solution} % 3)) in 0) c=true ;; 1) c=false ;; *) c=null ;; esac
  printf '{"id":%s,"correct":%s,"score":0.25,"trace":"%s characters"}\n' "$id" $c "${#solution}"
done"#;

fn parity(asked: &Path) -> String {
    PARITY.replace("ASKED", &asked.display().to_string())
}

fn search(out: &Path, command: &str, more: &[&str]) -> std::process::Output {
    let out = out.display().to_string();
    let mut arguments = vec!["search", "--policy", "scripted", "--limit", "4", "--out", &out];
    arguments.extend(["--verifier-command", command]);
    arguments.extend(more);
    mcts_args(&arguments)
}

#[test]
fn outcomes_are_the_commands_and_its_words_are_in_the_tree() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let command = parity(&folder.path().join("asked"));
    assert_code(&search(&out, &command, &[]), 0);
    let trees = trees(&out);
    let mut seen = [0; 3];
    for tree in &trees {
        assert_eq!(tree.verifier.as_deref(), Some(command.as_str()));
        for node in &tree.nodes {
            let Some(found) = node.checked() else {
                assert!(!node.terminal);
                continue;
            };
            let (outcome, kind) = match found.correct {
                Some(true) => (1.0, 0),
                Some(false) => (-1.0, 1),
                None => (0.0, 2),
            };
            seen[kind] += 1;
            assert_eq!(node.outcome, outcome);
            assert!(found.trace.ends_with("characters"));
            // The score is C: R = O + 0.25, and the parent's R is subtracted; the parent is not a finished
            // solution.
            let parent = &tree.nodes[node.parent.expect("no root") as usize];
            let above = parent.self_evaluation.unwrap_or(0.0);
            assert!((node.reward - (outcome + 0.25 - above)).abs() < 1e-9, "{}", node.reward);
        }
        let last = &tree.nodes[*tree.committed.last().expect("a solution") as usize];
        assert_eq!(tree.correct, last.checked().expect("checked").correct == Some(true));
    }
    assert!(seen.iter().all(|&count| count > 0), "{seen:?}");
    let summary = read(out.join("summary.json"));
    assert!(summary.contains(&format!("\"verifier_null\": {}", seen[2])), "{summary}");
    let shown = mcts_args(&["show", "--trees", &out.display().to_string()]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(text.contains("verifier: right 0.25 (") && text.contains("characters)"), "{text}");
    let page = folder.path().join("trees.html");
    let (from, to) = (out.display().to_string(), page.display().to_string());
    assert_code(&mcts_args(&["show", "--trees", &from, "--html", &to]), 0);
    assert!(read(page).contains("right 0.25 ("));
}

#[test]
fn the_same_search_gives_the_same_bytes_and_asks_nothing_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let [one, two, asked] = ["one", "two", "asked"].map(|name| folder.path().join(name));
    let command = parity(&asked);
    assert_code(&search(&one, &command, &["--threads", "1"]), 0);
    let count = || read(&asked).lines().count();
    let first = count();
    assert_code(&search(&one, &command, &["--threads", "1"]), 0);
    assert_eq!(count(), first, "a second run asks again");
    let tree = read(one.join("trees.jsonl"));
    assert_code(&search(&two, &command, &["--threads", "2"]), 0);
    for file in ["trees.jsonl", "pairs.jsonl"] {
        assert!(read(two.join(file)) == read(one.join(file)), "{file}");
    }
    // The state after a kill: logs that end in the middle of a line, and no finished file.
    for log in ["steps.jsonl", "verdicts.jsonl"] {
        let text = read(one.join(log));
        std::fs::write(two.join(log), &text.as_bytes()[..text.len() / 2]).expect("written");
    }
    for file in ["trees.jsonl", "pairs.jsonl", "summary.json"] {
        std::fs::remove_file(two.join(file)).expect("removed");
    }
    assert_code(&search(&two, &command, &[]), 0);
    assert!(read(two.join("trees.jsonl")) == tree);
}

#[test]
fn steps_are_scored_without_the_reference_where_it_is_out_of_sight() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let command = r#"while IFS= read -r line; do
      id=${line#*\"id\":}; id=${id%%,*}
      case "$line" in
        *'"about":"solution"'*) say='"correct":true' ;;
        *'"reference"'*) say='"score":1' ;;
        *) say='"correct":false' ;;
      esac
      printf '{"id":%s,%s}\n' "$id" "$say"
    done"#;
    let steps = ["--set", "search.verifier.steps=true"];
    assert_code(&search(&out, command, &[steps.as_slice(), &["--oracle", "false"]].concat()), 0);
    for tree in trees(&out) {
        for node in &tree.nodes[1..] {
            // Every step is judged wrong: C is 0 everywhere, and so is every value.
            assert_eq!((node.findings[0].correct, node.q, node.reward), (Some(false), 0.0, 0.0));
        }
        assert!(tree.correct, "the finished solution is put to it with the reference");
    }
    assert_code(&search(&folder.path().join("seen"), command, &steps), 0);
    for tree in trees(&folder.path().join("seen")) {
        let steps = tree.nodes[1..].iter().filter(|node| !node.terminal);
        assert!(steps.map(|node| node.findings[0].score).all(|score| score == Some(1.0)));
    }
}

#[test]
fn outcomes_stay_the_graders_where_the_command_scores_steps_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let [plain, scored] = ["plain", "scored"].map(|name| folder.path().join(name));
    let command = r#"while IFS= read -r line; do
      id=${line#*\"id\":}; id=${id%%,*}
      case "$line" in *'"about":"solution"'*) exit 1 ;; esac
      printf '{"id":%s,"score":0.75}\n' "$id"
    done"#;
    let steps = ["--set", "search.verifier.steps=true", "--set", "search.verifier.solutions=false"];
    assert_code(&search(&scored, command, &steps), 0);
    let search = format!("search --policy scripted --limit 4 --out {}", plain.display());
    assert_code(&crate::common::mcts(&search), 0);
    for tree in trees(&scored) {
        for node in &tree.nodes[1..] {
            assert_eq!(node.findings[0].score, Some(0.75));
            assert_eq!(node.outcome == 0.0, !node.terminal);
        }
    }
    let missing = mcts_args(&["search", "--out", "x", "--set", "search.verifier.solutions=false"]);
    assert!(assert_code(&missing, 2).contains("verifier.solutions"));
}

#[test]
fn a_broken_command_ends_the_search_with_code_4_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = search(&folder.path().join("missing"), "no-such-verifier", &[]);
    let said = assert_code(&missing, 4);
    assert!(said.contains("`no-such-verifier` ended at once"), "{said}");
    // Answers three requests, then returns wrong ids.
    let lies = r#"n=0; while IFS= read -r line; do
      id=${line#*\"id\":}; id=${id%%,*}; n=$((n + 1)); [ $n -gt 3 ] && [ ! -e FIXED ] && id=777
      printf '{"id":%s,"correct":true}\n' "$id"
    done"#;
    let fixed = folder.path().join("fixed");
    let command = lies.replace("FIXED", &fixed.display().to_string());
    let out = folder.path().join("out");
    let said = assert_code(&search(&out, &command, &[]), 4);
    assert!(said.contains("answered id 777, which was never asked"), "{said}");
    let kept = read(out.join("verdicts.jsonl")).lines().count();
    assert_eq!((kept, out.join("trees.jsonl").exists()), (3, false));
    // Once the verifier is fixed, the same command continues with the stored findings.
    std::fs::write(&fixed, "").expect("written");
    let said = assert_code(&search(&out, &command, &[]), 0);
    assert!(said.contains("recorded answers"), "{said}");
    assert_eq!(trees(&out).len(), 4);
}

#[test]
fn the_calculator_is_recorded_only_where_that_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let [plain, recorded] = ["plain", "recorded"].map(|name| folder.path().join(name));
    for (out, more) in [(&plain, ""), (&recorded, " --set search.verifier.calculator=true")] {
        let search = format!("search --policy scripted --limit 4 --out {}{more}", out.display());
        assert_code(&crate::common::mcts(&search), 0);
    }
    assert!(!read(plain.join("trees.jsonl")).contains("findings"));
    assert!(!read(plain.join("config.toml")).contains("verifier"));
    let (plain, recorded) = (trees(&plain), trees(&recorded));
    assert!(recorded.iter().any(|tree| tree.nodes.iter().any(|node| !node.findings.is_empty())));
    // Only the findings differ.
    let mut bare = recorded;
    bare.iter_mut().flat_map(|tree| &mut tree.nodes).for_each(|node| node.findings.clear());
    assert_eq!(bare, plain);
}
