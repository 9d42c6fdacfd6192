//! Tests of `mcts rejudge`.

use crate::common::{assert_code, mcts, read};
use serde_json::Value;

#[test]
fn pairs_are_judged_again_and_written_with_the_ratings() {
    let folder = tempfile::tempdir().expect("a folder");
    let search = folder.path().join("search");
    let command = format!(
        "search --policy scripted --problems builtin:choice --limit 12 --seed 5 --out {}",
        search.display()
    );
    assert_code(&mcts(&command), 0);
    let pairs = search.join("pairs.jsonl");
    let out = folder.path().join("rejudged.jsonl");
    let rejudge = |more: &str| -> Value {
        let files = format!("--pairs {} --out {}", pairs.display(), out.display());
        let output = mcts(&format!("rejudge --policy scripted --json {files} {more}"));
        assert_code(&output, 0);
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let rows = |path| -> Vec<Value> {
        let text: String = read(path);
        text.lines().map(|line| serde_json::from_str(line).expect("a pair")).collect()
    };
    let before = rows(&pairs);
    let report = rejudge("");
    assert_eq!(report["asked"].as_u64(), Some(before.len() as u64));
    let after = rows(&out);
    assert_eq!(after.len(), before.len());
    for (before, after) in before.iter().zip(&after) {
        assert!(after["self_evaluation_chosen"].is_number());
        assert_eq!(
            (&before["chosen_ids"], &before["margin"]),
            (&after["chosen_ids"], &after["margin"])
        );
    }
    let agreement = &report["agreement"];
    let disagrees =
        agreement["pairs"].as_u64().expect("n") - agreement["agree"].as_u64().expect("n");
    assert!(disagrees > 0, "{report}");
    rejudge("--drop-disagreeing");
    assert_eq!(rows(&out).len() as u64, before.len() as u64 - disagrees);
    assert_eq!(rejudge("--budget 0")["asked"], 0);
    assert_eq!(rows(&out), before);
    let over = format!("rejudge --policy scripted --pairs {0} --out {0}", pairs.display());
    assert_code(&mcts(&over), 2);
}

#[test]
fn grades_are_set_as_for_a_search_and_nothing_else_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let search = folder.path().join("search");
    let command = "search --policy scripted --problems builtin:choice --limit 4 --seed 5 --out";
    assert_code(&mcts(&format!("{command} {}", search.display())), 0);
    let (pairs, out) = (search.join("pairs.jsonl"), folder.path().join("graded.jsonl"));
    let files = format!("--pairs {} --out {}", pairs.display(), out.display());
    let rejudge = |more: &str| mcts(&format!("rejudge --policy scripted --json {files} {more}"));
    assert_code(&rejudge("--judge graded"), 0);
    let graded = read(&out);
    assert_code(&rejudge("--judge graded --set search.value.grades.values=[1,0.5,0.5,0.5,0]"), 0);
    assert_ne!(read(&out), graded);
    for (more, said) in [
        ("--judge restated", "expected question, graded or follow-ups"),
        ("--set search.simulations=3", "search.value.grades"),
        ("--judge graded --set search.value.grades.values=[1,2,3,4,5]", "value.grades.values"),
        ("--judge graded --set search.value.grades.labels=[]", "value.grades.labels"),
    ] {
        let output = rejudge(more);
        assert_code(&output, 2);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(said), "{more}: {text}");
    }
}
