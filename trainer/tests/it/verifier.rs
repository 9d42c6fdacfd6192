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

/// Calls all solutions of a problem right or all wrong, by the length of its question.
const ALL_OR_NONE: &str = r#"while IFS= read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  question=${line#*\"question\":\"}; question=${question%%\"*}
  case $((${#question} % 2)) in 0) c=true ;; *) c=false ;; esac
  printf '{"id":%s,"correct":%s}\n' "$id" $c
done
"#;

#[test]
fn trees_without_contrast_teach_by_joint_pairs() {
    let dir = bench();
    let dir = dir.path();
    std::fs::write(dir.join("check.sh"), ALL_OR_NONE).unwrap();
    let checked = ["--verifier-command", "sh check.sh", "--problems-per-round", "16"];
    let iterate = |run: &str, more: &[&str]| {
        let args = ["iterate", "--config", "tiny.toml", "--rounds", "1", "--run", run];
        regrowth(dir, &[args.as_slice(), &checked, more].concat())
    };
    ok(iterate("none", &[]));
    let joint = ["--set", "pairs.joint=3"];
    ok(iterate("joint", &[&joint[..], &["--threads", "1"]].concat()));
    ok(iterate("again", &[&joint[..], &["--threads", "4", "--max-batch", "1"]].concat()));
    let files = |run: &str| {
        let mut files = contents(&dir.join(run));
        files.remove("verdicts.jsonl");
        files
    };
    assert_same(&files("joint"), &files("again"));
    let round = dir.join("joint/round-0001");
    let rows = regrowth_datasets::read_joint_pairs(&round.join("joint_pairs.jsonl")).unwrap();
    assert_eq!(rows.len(), 3);
    let report = |run: &str| -> Value {
        let text = std::fs::read_to_string(dir.join(run).join("round-0001/report.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let (with, without) = (report("joint"), report("none"));
    let counts = &with["statistics"]["joint"];
    assert_eq!(counts["pairs"], 3);
    let trees = counts["all_right"].as_u64().unwrap() + counts["all_wrong"].as_u64().unwrap();
    assert_eq!(trees, 16, "{counts}");
    let steps = std::fs::read_to_string(round.join("metrics.jsonl")).unwrap();
    assert!(steps.contains("joint/loss"), "{steps}");
    assert!(without["statistics"].get("joint").is_none());
    assert!(!dir.join("none/round-0001/joint_pairs.jsonl").exists());
    assert_eq!(with["pairs"], without["pairs"]);
    assert_ne!(with["policy"], without["policy"], "another training");

    let external = iterate("external", &[&joint[..], &["--trainer-command", "true"]].concat());
    assert!(stderr(&external).contains("`pairs.joint`"), "{}", stderr(&external));
}
