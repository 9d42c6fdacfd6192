//! `mcts audit` on files of this program, on files of other programs, and on the folder of a search.

use std::path::Path;

use crate::common::{assert_code, mcts, read};
use serde_json::Value;

fn audit(arguments: &str) -> Value {
    let output = mcts(&format!("audit --json {arguments}"));
    assert_code(&output, 0);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn searched(task: &str, out: &Path) {
    let command = format!(
        "search --policy scripted --problems builtin:{task} --limit 12 --seed 5 --out {}",
        out.display()
    );
    assert_code(&mcts(&command), 0);
}

#[test]
fn the_folder_of_a_search_tells_what_lies_below_its_pairs() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("search");
    searched("arithmetic", &out);
    let pairs = out.join("pairs.jsonl");
    let of_file = audit(&format!("--pairs {}", pairs.display()));
    let of_folder = audit(&format!("--pairs {}", out.display()));
    assert_eq!(of_file["pairs"].as_u64(), Some(read(&pairs).lines().count() as u64));
    assert_eq!(of_file["factors"], of_folder["factors"]);
    let classes = |audit: &Value| -> Vec<String> {
        let counts = audit["evidence"].as_array().expect("classes");
        counts.iter().map(|c| c["class"].as_str().expect("a name").to_owned()).collect()
    };
    assert!(classes(&of_file).contains(&"unfinished".to_owned()), "{:?}", classes(&of_file));
    assert!(!classes(&of_folder).contains(&"unfinished".to_owned()), "{:?}", classes(&of_folder));
    let text = String::from_utf8(mcts(&format!("audit --pairs {}", out.display())).stdout);
    assert!(text.expect("text").contains("What preferences rest on"));
}

#[test]
fn test_problems_among_the_pairs_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("search");
    searched("choice", &out);
    // Use the searched problems as test problems that leaked.
    let test = folder.path().join("test.jsonl");
    let trees = read(out.join("trees.jsonl"));
    let problems: Vec<String> = trees
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a tree")["problem"].to_string())
        .collect();
    std::fs::write(&test, problems.join("\n")).expect("written");
    let found = audit(&format!("--pairs {} --test {}", out.display(), test.display()));
    let found = &found["contamination"];
    assert_eq!(found["test_problems"].as_u64(), Some(12));
    assert!(
        found["exact"].as_u64() > Some(0) && found["pairs_exact"].as_u64() > Some(0),
        "{found}"
    );
}

#[test]
fn rows_of_other_programs_are_audited_by_their_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trl.jsonl");
    let rows = "{\"prompt\":\"q\",\"chosen\":\"perhaps 3\",\"rejected\":\"3\"}\n\
                {\"prompt\":\"q\",\"chosen\":\"3\",\"rejected\":\"perhaps 3\"}\n\
                {\"prompt\":\"p\",\"chosen\":\"perhaps, perhaps\",\"rejected\":\"4\"}\n";
    std::fs::write(&file, rows).expect("written");
    let found = audit(&format!("--pairs {} --factor hedges=perhaps|maybe", file.display()));
    let hedges = found["factors"].as_array().expect("factors").last().expect("one").clone();
    assert_eq!((hedges["name"].as_str(), hedges["agree"].as_u64()), (Some("hedges"), Some(2)));
    assert_eq!(found["length_bias"]["unit"], "characters");
    assert_eq!(found["repeats"]["swapped"], 1);
    assert_eq!(found["evidence"][0]["class"], "not_verified");
    let wrong = mcts(&format!("audit --pairs {} --factor x=(", file.display()));
    assert_code(&wrong, 2);
}
