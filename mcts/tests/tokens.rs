//! What a search costs in tokens, counted by the engine itself: no token of a tree is computed twice.
#![cfg(feature = "candle")]

use std::process::Command;

use serde_json::Value;

#[test]
fn the_default_search_computes_the_tokens_of_its_trees_once() {
    let folder = tempfile::tempdir().expect("a folder");
    for task in ["arithmetic", "choice", "countdown"] {
        let out = folder.path().join(task);
        let output = Command::new(env!("CARGO_BIN_EXE_mcts"))
            .args(["search", "--policy", "builtin", "--limit", "8", "--no-log"])
            .args(["--problems", &format!("builtin:{task}")])
            .arg("--out")
            .arg(&out)
            .output()
            .expect("the binary runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = std::fs::read_to_string(out.join("summary.json")).expect("a summary");
        let summary: Value = serde_json::from_str(&text).expect("JSON");
        let tokens = |name: &str| summary["tokens"][name].as_f64().expect("a number");
        let computed = tokens("prefilled") + tokens("decoded");
        let ratio = computed / tokens("unique_in_trees");
        assert!(ratio > 0.3, "{task}: only {computed} tokens were counted");
        assert!(ratio <= 1.02, "{task}: {ratio:.3} tokens computed for each token of the trees");
    }
}
