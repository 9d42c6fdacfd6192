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
    for judge in ["", "--judge restated", "--judge direction", "--judge follow-ups"] {
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
