//! Helpers of the behaviour tests: the binary, a tiny checkpoint and small settings.

pub mod runs;

use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Output};

use regrowth_datasets::tasks::CorpusConfig;
use regrowth_datasets::{Demonstrations, Notices, Turn, read_demonstrations};
use regrowth_policy::PromptOptions;
use regrowth_policy::candle::{PromptForm, SaveOptions, Source, Tokenizer};
use regrowth_trainer::bundled::{write_corpus, write_init};
use regrowth_trainer::train::{Model, Session, SftConfig, SftTrainer, tokenise_demonstrations};
use serde_json::{Value, json};

/// Runs the program with these arguments in this folder.
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

/// Writes a checkpoint of a few thousand parameters with the built-in tasks' tokenizer. It has been trained
/// on just enough rows to state some answers and to give the judge's labels some probability, so that its
/// trees have pairs.
fn tiny_checkpoint(dir: &Path) {
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
    let model = Model::fresh(Source::folder(&init).expect("folder"), 7).expect("model");
    write_corpus(&dir.join("rows.jsonl"), &CorpusConfig::default(), 300).expect("rows");
    let mut notices = Notices::default();
    let path = dir.join("rows.jsonl");
    let mut rows = read_demonstrations(&path, &mut notices).expect("rows");
    let tokenizer = Tokenizer::read(&model.origin, &model.config).expect("tokenizer");
    let form = PromptForm::read(&model.origin, &tokenizer, &PromptOptions::default());
    keep_last_lines(&mut rows);
    let with = (&tokenizer, &form.expect("form"));
    let examples = tokenise_demonstrations(&path, &rows, with, model.config.context, &mut notices);
    let examples = examples.expect("examples");
    let config =
        SftConfig { learning_rate: 2e-2, epochs: 2, batch_tokens: 512, ..SftConfig::default() };
    SftTrainer { model: &model, config: &config, session: Session::new(1, None) }
        .train(&examples, &[], &mut |_| ControlFlow::Continue(()))
        .expect("trained");
    model.save(&dir.join("tiny"), SaveOptions::default()).expect("checkpoint");
}

/// Keeps only the last line of each completion.
fn keep_last_lines(rows: &mut Demonstrations) {
    let Demonstrations::Rows(rows) = rows else { panic!("the corpus is rows") };
    for (_, row) in rows {
        let Turn::Text(text) = &row.completion else { continue };
        let end = if text.ends_with('\n') { "\n" } else { "" };
        let last = text.lines().last().unwrap_or_default().to_owned();
        row.completion = Turn::Text(last + end);
    }
}

/// Settings with which a run of the tiny checkpoint takes about a second.
pub const TINY: &str = "
preset = \"default\"
policy = \"tiny\"
rounds = 2
problems_per_round = 5
validation_problems = 6
test_problems = 8
min_pairs = 1
gate = \"off\"
[search]
simulations = 3
breadth = [3, 2]
max_depth = 3
max_step_tokens = 5
max_solution_tokens = 14
[pairs]
solved_only = false
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
