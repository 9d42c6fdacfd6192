//! Adds the presets' values to the help of flags that mirror a setting.

use clap::Command;
use regrowth_mcts::Preset;
use regrowth_mcts::frontend::{hide_group, with_defaults};
use toml::{Table, Value};

use crate::rounds::RunConfig;

/// Flags of `iterate` and `check` by id, with the settings that they mirror.
const RUN: &[(&str, &str)] = &[
    ("variant", "variant"),
    ("seed", "seed"),
    ("rounds", "rounds"),
    ("problems_per_round", "problems_per_round"),
    ("validation_problems", "validation_problems"),
    ("test_problems", "test_problems"),
    ("gate", "gate"),
    ("replay", "replay"),
    ("patience", "patience"),
    ("min_pairs", "min_pairs"),
    ("simulations", "search.simulations"),
    ("first_root_factor", "search.first_root_factor"),
    ("breadth", "search.breadth"),
    ("depth", "search.max_depth"),
    ("boundary", "search.boundary"),
    ("c_puct", "search.c_puct"),
    ("temperature", "search.sampling.temperature"),
    ("learning_rate", "dpo.learning_rate"),
    ("lora", "dpo.lora.rank"),
    ("loss", "dpo.loss.name"),
    ("beta", "dpo.beta"),
    ("nll", "dpo.nll"),
    ("judge", "search.value.judge"),
    ("judge_weight", "dpo.judge.weight"),
    ("judge_labels", "dpo.judge.labels"),
    ("epochs", "dpo.epochs"),
];

/// The same for `evaluate`.
const EVALUATE: &[(&str, &str)] = &[
    ("temperature", "search.sampling.temperature"),
    ("max_tokens", "search.max_solution_tokens"),
    ("judge", "search.value.judge"),
];

/// The same for `train` and `sft`, without the name of their table.
const TRAINING: &[(&str, &str)] = &[
    ("loss", "loss.name"),
    ("beta", "beta"),
    ("nll", "nll"),
    ("batch_pairs", "batch_pairs"),
    ("batch_tokens", "batch_tokens"),
    ("learning_rate", "learning_rate"),
    ("schedule", "schedule"),
    ("warmup", "warmup"),
    ("epochs", "epochs"),
    ("micro_tokens", "micro_tokens"),
    ("optimizer", "optimizer.kind"),
    ("weight_decay", "optimizer.weight_decay"),
    ("max_grad_norm", "optimizer.max_grad_norm"),
    ("lora", "lora.rank"),
    ("lora_dropout", "lora.dropout"),
    ("seed", "seed"),
    ("save_seconds", "save_seconds"),
];

/// Returns the command line with the defaults in its help.
pub(super) fn said(command: Command) -> Command {
    let presets = [("builtin", Preset::Builtin), ("chat", Preset::Chat), ("", Preset::Default)];
    // Presets always serialise to tables; a test writes every preset.
    let table = |preset| Table::try_from(RunConfig::of(preset)).unwrap_or_default();
    let runs = presets.map(|(name, preset)| (name, table(preset)));
    let part = |part: &'static str| {
        runs.clone().map(|(name, mut table)| match table.remove(part) {
            Some(Value::Table(part)) => (name, part),
            _ => (name, Table::new()),
        })
    };
    let (dpo, sft) = (part("dpo"), part("sft"));
    command
        .mut_subcommand("iterate", |c| with_defaults(without_shared(c), RUN, &runs))
        .mut_subcommand("check", |c| with_defaults(hide_group(c, "Training"), RUN, &runs))
        .mut_subcommand("evaluate", |c| with_defaults(c, EVALUATE, &runs))
        .mut_subcommand("train", |c| with_defaults(c, TRAINING, &dpo))
        .mut_subcommand("sft", |c| with_defaults(c, TRAINING, &sft))
}

/// Shows flags shared with other commands only in `--help-all`: their defaults are right for most runs, and
/// the short help then fits on one screen.
fn without_shared(command: Command) -> Command {
    ["threads", "preset"].into_iter().fold(command, |c, id| c.mut_arg(id, |arg| arg.hide(true)))
}
