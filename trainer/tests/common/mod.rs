//! What the behaviour tests share: the binary, a tiny checkpoint, small settings, and a reader of
//! run folders that leaves out what may differ between equal runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use regrowth_policy::candle::Source;
use regrowth_trainer::seedling::write_init;
use regrowth_trainer::train::Model;
use serde_json::{Value, json};

/// The program with these arguments, in this folder.
pub fn regrowth(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().expect("the binary runs")
}

pub fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_regrowth"));
    command.current_dir(dir).args(args);
    command
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
pub fn ok(output: Output) -> String {
    assert!(output.status.success(), "{:?}: {}", output.status, stderr(&output));
    stdout(&output)
}

/// Writes a checkpoint of some thousand parameters with the built-in tasks' tokenizer: it knows
/// nothing, but everything can be done with it, fast.
pub fn tiny_checkpoint(dir: &Path) -> PathBuf {
    let init = dir.join("init");
    write_init(&init).expect("init");
    let path = init.join("config.json");
    let text = std::fs::read_to_string(&path).expect("config");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    for (key, value) in [
        ("hidden_size", 16),
        ("intermediate_size", 24),
        ("num_hidden_layers", 1),
        ("num_attention_heads", 2),
        ("num_key_value_heads", 2),
        ("head_dim", 8),
    ] {
        config[key] = json!(value);
    }
    std::fs::write(&path, config.to_string()).expect("config");
    let out = dir.join("tiny");
    let model = Model::fresh(Source::folder(&init).expect("folder"), 7).expect("model");
    model.save(&out).expect("checkpoint");
    out
}

/// Settings under which a run with the tiny checkpoint takes about a second.
pub const TINY: &str = "
policy = \"tiny\"
rounds = 2
problems_per_round = 5
validation_problems = 6
eval_problems = 8
min_pairs = 1
gate = \"off\"
[search]
simulations = 3
breadth = [3, 2]
max_depth = 3
max_step_tokens = 5
max_solution_tokens = 14
[dpo]
learning_rate = 1e-3
batch_pairs = 4
[sft]
learning_rate = 1e-3
";

/// A folder with the tiny checkpoint and its settings in `tiny.toml`.
pub fn workshop() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("folder");
    tiny_checkpoint(dir.path());
    std::fs::write(dir.path().join("tiny.toml"), TINY).expect("settings");
    dir
}

/// All files of a run by relative path, without locks, measured costs and seconds.
pub fn contents(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    collect(run, run, &mut files);
    files
}

fn collect(root: &Path, dir: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            collect(root, &path, files);
            continue;
        }
        let name = path.strip_prefix(root).expect("inside").to_string_lossy().into_owned();
        if name.ends_with(".lock") || name.ends_with("cost.json") || name.ends_with(".html") {
            continue;
        }
        let mut bytes = std::fs::read(&path).expect("file");
        if name.ends_with("report.json") {
            let mut value: Value = serde_json::from_slice(&bytes).expect("JSON");
            without_seconds(&mut value);
            bytes = value.to_string().into_bytes();
        }
        files.insert(name, bytes);
    }
}

fn without_seconds(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("seconds");
            map.values_mut().for_each(without_seconds);
        }
        Value::Array(items) => items.iter_mut().for_each(without_seconds),
        _ => {}
    }
}

/// Fails naming the first file in which two runs differ.
#[track_caller]
pub fn assert_same(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) {
    let names = |m: &BTreeMap<String, Vec<u8>>| m.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(a), names(b));
    for (name, bytes) in a {
        assert!(*bytes == b[name], "{name} differs");
    }
}
