//! Problems without a tree, in the output and in the files.

use crate::common::{assert_code, mcts, read};

#[test]
fn every_skipped_problem_is_named_with_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    // The script has answers for every third problem only.
    let script = r#"{"entries": [{"question": "known", "candidates": [
        {"text": "The answer is 3.\n", "end": true, "correct": 0.5},
        {"text": "The answer is 4.\n", "end": true, "correct": 0.5}]}]}"#;
    std::fs::write(path("script.json"), script).expect("written");
    let row = |i: usize| {
        let word = if i.is_multiple_of(3) { "known" } else { "unheard of" };
        format!("{{\"id\": \"p{i}\", \"question\": \"{word} {i}\", \"answer\": \"3\"}}\n")
    };
    std::fs::write(path("problems.jsonl"), (0..60).map(row).collect::<String>()).expect("written");
    let search = |policy: &str| {
        let (problems, out) = (path("problems.jsonl"), path("out"));
        let (problems, out) = (problems.display(), out.display());
        let output = mcts(&format!(
            "search --policy {policy} --problems {problems} --no-log --threads 2 --force --out {out}"
        ));
        assert_code(&output, 0);
        String::from_utf8(output.stdout).expect("text")
    };
    let said = search(&format!("scripted:{}", path("script.json").display()));
    assert!(said.contains("40 problems skipped: request_failed"), "{said}");
    assert!(said.contains("skipped.jsonl"), "{said}");
    let skipped = path("out/skipped.jsonl");
    let rows: Vec<serde_json::Value> =
        read(&skipped).lines().map(|row| serde_json::from_str(row).expect("JSON")).collect();
    let ids: Vec<_> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
    let wanted: Vec<_> = (0..60).filter(|i| i % 3 != 0).map(|i| format!("p{i}")).collect();
    assert_eq!(ids, wanted);
    assert!(rows.iter().all(|row| row["reason"] == "request_failed"), "{rows:?}");
    let detail = rows[0]["detail"].as_str().expect("a detail");
    assert!(detail.contains("the script has no entry"), "{detail}");
    assert_eq!(read(path("out/trees.jsonl")).lines().count(), 20);

    // A search that skips nothing writes no `skipped.jsonl`, and removes the file of the earlier search.
    assert!(!search("scripted").contains("skipped"));
    assert!(!skipped.exists());
}
