//! Token costs of a search, counted by the engine: no token of a tree is computed twice, and for a judgement
//! only its question is computed.

use std::path::Path;
use std::process::Command;

use regrowth_mcts::read_trees;
use serde_json::Value;

const TASKS: [&str; 3] = ["arithmetic", "choice", "countdown"];

/// Searches eight problems into `out`. Returns the counts of `summary.json`, and stderr.
fn searched(task: &str, how: &[&str], out: &Path) -> (Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_mcts"))
        .args(["search", "--policy", "builtin", "--limit", "8", "--no-log"])
        .args(["--problems", &format!("builtin:{task}")])
        .args(how)
        .arg("--out")
        .arg(out)
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let text = std::fs::read_to_string(out.join("summary.json")).expect("a summary");
    (serde_json::from_str::<Value>(&text).expect("JSON")["tokens"].take(), said)
}

fn search(task: &str, how: &[&str], out: &Path) -> Value {
    searched(task, how, out).0
}

fn count(tokens: &Value, name: &str) -> u64 {
    tokens[name].as_u64().expect("a count")
}

/// Number of judgements requested for the trees in `out`.
fn judgements(out: &Path) -> u64 {
    let trees = read_trees(&out.join("trees.jsonl")).expect("trees");
    trees.map(|tree| tree.expect("a tree").judge_calls).sum()
}

#[test]
fn the_default_search_computes_the_tokens_of_its_trees_once() {
    let folder = tempfile::tempdir().expect("a folder");
    for task in TASKS {
        // With three threads, there are several shards, each with its own cache.
        for threads in ["1", "3"] {
            let out = folder.path().join(format!("{task}-{threads}"));
            let tokens = search(task, &["--threads", threads], &out);
            let computed = count(&tokens, "prefilled") + count(&tokens, "sampling_rows");
            let ratio = computed as f64 / count(&tokens, "unique_in_trees") as f64;
            assert!((0.9..=1.02).contains(&ratio), "{task}, {threads} threads: {tokens}");
            assert_eq!(tokens["computed_per_unique"].as_f64(), Some(ratio));
            assert!(count(&tokens, "sampled") > count(&tokens, "sampling_rows"));
        }
    }
}

#[test]
fn a_judgement_computes_its_question_alone_unless_it_restates_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = regrowth_policy::LoadOptions::default();
    let policy = regrowth_policy::load("builtin", &options).expect("the bundled model");
    let question = policy.encode("A right B wrong:").expect("ids").len() as u64;
    for task in TASKS {
        let out = folder.path().join(task);
        let extended = search(task, &[], &out);
        // A step that ends in EOS has no line break yet, so the question begins with one.
        let judged = count(&extended, "judged");
        let all = judgements(&out);
        assert!((all * question..=all * (question + 1)).contains(&judged), "{task}: {extended}");
        assert_eq!(count(&extended, "restated"), 0);
        let out = folder.path().join(format!("{task}-restated"));
        let restated = search(task, &["--judge", "restated"], &out);
        assert_eq!(count(&restated, "judged"), 0);
        let each = count(&restated, "restated") as f64 / judgements(&out) as f64;
        assert!(each > 2.0 * question as f64, "{task}: {each} tokens for each judgement");
    }
}

#[test]
fn a_cache_too_small_for_a_tree_changes_nothing_and_is_said_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (roomy, small) = (folder.path().join("roomy"), folder.path().join("small"));
    let (tokens, said) = searched("arithmetic", &["--threads", "2"], &roomy);
    assert_eq!(count(&tokens, "recomputed"), 0);
    assert!(!said.contains("too few"), "{said}");
    let (tokens, said) = searched("arithmetic", &["--threads", "2", "--cache", "2"], &small);
    assert!(count(&tokens, "recomputed") > 0, "{tokens}");
    assert_eq!(said.matches("too few").count(), 1, "{said}");
    assert!(said.contains("tokens per shard") && said.contains("--cache"), "{said}");
    let trees = |out: &Path| std::fs::read(out.join("trees.jsonl")).expect("trees");
    assert!(trees(&roomy) == trees(&small));
}
