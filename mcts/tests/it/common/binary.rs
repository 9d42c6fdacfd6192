//! Runs the binary.

use std::path::Path;
use std::process::{Command, Output};

use regrowth_mcts::{TreeRecord, read_trees};

/// Runs the binary with arguments separated by white space.
pub fn mcts(arguments: &str) -> Output {
    mcts_args(&arguments.split_whitespace().collect::<Vec<_>>())
}

/// Runs the binary with these arguments.
pub fn mcts_args(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcts"));
    command.args(arguments).output().expect("the binary runs")
}

pub fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).expect("a file")
}

pub fn assert_code(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    stderr
}

/// The trees of the search in this folder.
pub fn trees(folder: &Path) -> Vec<TreeRecord> {
    read_trees(&folder.join("trees.jsonl"))
        .expect("opens")
        .map(|tree| tree.expect("a tree"))
        .collect()
}
