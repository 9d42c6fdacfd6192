//! Searches in which another policy judges the steps.

use std::path::Path;

use crate::common::{assert_code, mcts, read, trees};

fn search(out: &Path, more: &str) -> std::process::Output {
    mcts(&format!("search --policy scripted --limit 4 --out {} {more}", out.display()))
}

#[test]
fn a_judge_that_is_the_policy_itself_gives_the_same_trees_at_a_cost_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let [own, other] = ["own", "other"].map(|name| folder.path().join(name));
    for judge in
        ["", "--judge restated", "--judge direction", "--judge graded", "--judge follow-ups"]
    {
        assert_code(&search(&own, &format!("--force {judge}")), 0);
        assert_code(&search(&other, &format!("--force --judge-policy scripted {judge}")), 0);
        let (own, mut judged) = (trees(&own), trees(&other));
        for tree in &mut judged {
            assert_eq!(tree.judge.take().as_deref(), Some(tree.policy.as_str()));
        }
        assert_eq!(judged, own, "{judge}");
    }
    let summary: serde_json::Value =
        serde_json::from_str(&read(other.join("summary.json"))).unwrap();
    let calls: u64 = trees(&other).iter().map(|tree| tree.judge_calls).sum();
    assert_eq!(summary["judge"]["calls"], calls);
    assert!(summary["judge"]["tokens"].as_u64().is_some_and(|tokens| tokens > calls), "{summary}");
    assert_eq!(summary["tokens"]["judged"], 0);
}

#[test]
fn a_search_with_another_judge_is_another_search_and_resumes_without_asking_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    assert_code(&search(&out, "--judge-policy scripted"), 0);
    let rows = |name: &str| read(out.join(name)).lines().count();
    let (tree, judgements) = (read(out.join("trees.jsonl")), rows("judgements.jsonl"));
    assert!(judgements > 10);
    assert_code(&search(&out, "--judge-policy scripted"), 0);
    assert!(read(out.join("trees.jsonl")) == tree && rows("judgements.jsonl") == judgements);
    let said = assert_code(&search(&out, ""), 2);
    assert!(said.contains("search.value.judge_policy: \"scripted\" there, not set here"), "{said}");
    let said = assert_code(
        &search(&folder.path().join("x"), "--judge-policy scripted --judge answers"),
        2,
    );
    assert!(said.contains("value.judge_policy"), "{said}");
    let said = assert_code(&search(&folder.path().join("x"), "--judge-policy no-such-folder"), 2);
    assert!(said.contains("no-such-folder"), "{said}");
}

#[test]
fn grades_and_follow_ups_of_a_user_are_part_of_the_search() {
    let folder = tempfile::tempdir().expect("a folder");
    let [out, other] = ["out", "other"].map(|name| folder.path().join(name));
    let own = "--judge graded --set search.value.grades.labels=[\"1\",\"2\"] \
               --set search.value.grades.question=Grade: --set search.value.grades.values=[0.5,1]";
    assert_code(&search(&out, own), 0);
    let graded = trees(&out);
    let rated = graded.iter().flat_map(|tree| &tree.nodes).filter_map(|node| node.self_evaluation);
    let rated: Vec<f64> = rated.collect();
    assert!(rated.len() > 10 && rated.iter().all(|c| (0.5..=1.0).contains(c)), "{rated:?}");
    let (rows, calls) = (read(out.join("trees.jsonl")), read(out.join("steps.jsonl")));
    assert_code(&search(&out, own), 0);
    assert!(read(out.join("trees.jsonl")) == rows && read(out.join("steps.jsonl")) == calls);
    // Other grade values make it another search.
    let said = assert_code(&search(&out, "--judge graded"), 2);
    assert!(said.contains("search.value.grades.values"), "{said}");
    let follow_ups = "--judge follow-ups --set search.value.follow_ups.approving=[\"Ja.\"]";
    assert_code(&search(&other, follow_ups), 0);
    let said = assert_code(&search(&other, "--judge follow-ups"), 2);
    assert!(said.contains("search.value.follow_ups"), "{said}");
    for (more, named) in [
        ("--judge graded --set search.value.order=both", "value.order"),
        ("--judge graded --set search.value.grades.values=[1,nan,0,0,0]", "value.grades.values"),
        ("--set search.value.grades.labels=[\"A\",\"A\"]", "value.grades.labels"),
        ("--set search.value.follow_ups.approving=[]", "value.follow_ups"),
        // Tokens of the scripted policy are bytes, so 1 and 10 begin with the same token.
        (
            "--judge graded --set search.value.grades.question=Grade: \
             --set search.value.grades.labels=[\"1\",\"10\"] \
             --set search.value.grades.values=[0,1]",
            "value.grades.labels",
        ),
    ] {
        let said = assert_code(&search(&folder.path().join("x"), more), 2);
        assert!(said.contains(named), "{more}: {said}");
    }
}
