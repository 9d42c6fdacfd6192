//! Commands of `regrowth` with a verifier command, or with another policy as judge.

use std::path::Path;

use regrowth_mcts::read_trees;
use serde_json::Value;

use crate::common::runs::{assert_same, contents};
use crate::common::{TINY, ok, regrowth, stderr, workshop};

/// Judges a solution by the length of its request. While the file `broken` exists, it returns wrong ids after
/// 20 requests.
const CHECK: &str = r#"n=0
while IFS= read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}; n=$((n + 1))
  solution=${line#*\"solution\":}
  case $((${#solution} % 3)) in 0) c=true ;; 1) c=false ;; *) c=null ;; esac
  [ -e broken ] && [ $n -gt 20 ] && id=777
  printf '{"id":%s,"correct":%s,"trace":"seen"}\n' "$id" $c
done
"#;

fn bench() -> tempfile::TempDir {
    let dir = workshop();
    std::fs::write(dir.path().join("check.sh"), CHECK).unwrap();
    std::fs::write(dir.path().join("tiny.toml"), TINY).unwrap();
    dir
}

fn iterate(dir: &Path, run: &str) -> std::process::Output {
    let checked = ["--verifier-command", "sh check.sh", "--judge-policy", "tiny"];
    let run = ["iterate", "--config", "tiny.toml", "--run", run];
    regrowth(dir, &[run.as_slice(), &checked].concat())
}

#[test]
fn rounds_go_on_where_a_verifier_broke_with_the_same_bytes() {
    let dir = bench();
    ok(iterate(dir.path(), "whole"));
    std::fs::write(dir.path().join("broken"), "").unwrap();
    let output = iterate(dir.path(), "broken-off");
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("answered id 777"), "{}", stderr(&output));
    std::fs::remove_file(dir.path().join("broken")).unwrap();
    ok(iterate(dir.path(), "broken-off"));
    let files = |run: &str| {
        let mut files = contents(&dir.path().join(run));
        // Threads append verdicts in the order in which they arrive, so the file differs between runs.
        files.remove("verdicts.jsonl").expect("findings are kept");
        files
    };
    assert_same(&files("whole"), &files("broken-off"));
    for tree in read_trees(&dir.path().join("whole/round-0001/trees.jsonl")).unwrap() {
        let tree = tree.unwrap();
        assert_eq!(tree.verifier.as_deref(), Some("sh check.sh"));
        assert!(tree.judge.is_some());
        let ends = tree.nodes.iter().filter(|node| node.terminal);
        assert!(ends.map(|node| node.checked()).all(|found| found.is_some()));
    }
}

#[test]
fn rows_and_evaluations_are_checked_by_the_command() {
    let dir = bench();
    let dir = dir.path();
    let rows = "{\"id\": \"a\", \"gold\": \"7\", \"pred\": \"1\", \"question\": \"?\"}\n\
                {\"gold\": \"7\", \"pred\": \"12\"}\n{\"gold\": \"7\", \"pred\": \"123\"}\n";
    std::fs::write(dir.join("rows.jsonl"), rows).unwrap();
    let verify = |output: &str, command: &str| {
        let verify =
            ["verify", "--input", "rows.jsonl", "--output", output, "--verifier-timeout", "5"];
        regrowth(dir, &[verify.as_slice(), &["--verifier-command", command]].concat())
    };
    let text = ok(verify("out.jsonl", "sh check.sh"));
    assert!(text.contains("1 equal, 1 different, 1 undecided"), "{text}");
    let text = std::fs::read_to_string(dir.join("out.jsonl")).unwrap();
    let row: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&row["id"], &row["rule"], &row["trace"]),
        (&"a".into(), &"command".into(), &"seen".into())
    );
    let output = verify("none.jsonl", "sleep 0.2");
    assert_eq!((output.status.code(), dir.join("none.jsonl").exists()), (Some(4), false));
    let evaluate = ["evaluate", "--policy", "scripted", "--limit", "20", "--json"];
    let checked = ["--strategy", "best-of@2", "--judge-policy", "scripted"];
    let checked = [evaluate.as_slice(), &checked, &["--verifier-command", "sh check.sh"]].concat();
    let result: Value = serde_json::from_str(&ok(regrowth(dir, &checked))).unwrap();
    assert_eq!(result["judge"]["calls"], 40);
    assert!(result["eval"]["correct"].as_u64().is_some_and(|right| right > 0), "{result}");
    let plain: Value = serde_json::from_str(&ok(regrowth(dir, &evaluate))).unwrap();
    assert_ne!(plain["eval"]["correct"], result["eval"]["correct"]);
}
