//! `mcts pairs`: cut pairs (and labels of steps) again from written trees, with other rules and no
//! model.

use std::path::PathBuf;

use clap::Args;
use regrowth_mcts::{StepLabelConfig, cut_trees, extract_pairs, extract_step_labels};

use super::failure::Failure;
use super::rules::RuleFlags;
use super::say;
use super::summary::PairCounts;

/// Arguments of `mcts pairs`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Trees of a search
    #[arg(long, value_name = "FILE")]
    trees: PathBuf,
    /// Where the pairs go
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where labels of steps go, made from the outcomes below them: what a judge of steps, or a
    /// process reward model, learns from
    #[arg(long, value_name = "FILE")]
    step_labels: Option<PathBuf>,
    /// Print the counts as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rules: RuleFlags,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.rules.rules(&arguments.trees)?;
    let mut counts = PairCounts::default();
    let mut trees = 0u64;
    cut_trees(&arguments.trees, &arguments.out, |tree| {
        let extracted = extract_pairs(tree, &config);
        trees += 1;
        counts.add(&extracted);
        extracted.pairs
    })?;
    let mut labels = 0u64;
    if let Some(path) = &arguments.step_labels {
        cut_trees(&arguments.trees, path, |tree| {
            let rows = extract_step_labels(tree, &StepLabelConfig::default());
            labels += rows.len() as u64;
            rows
        })?;
    }
    let PairCounts { pairs, dropped, .. } = counts;
    if arguments.json {
        return say(&serde_json::json!({
            "trees": trees, "pairs": pairs, "pairs_dropped": dropped, "step_labels": labels,
        })
        .to_string());
    }
    let mut text = format!("{pairs} pairs from {trees} trees");
    if arguments.step_labels.is_some() {
        text.push_str(&format!("\n{labels} steps labelled"));
    }
    for (reason, count) in dropped {
        text.push_str(&format!("\n{count} dropped: {}", reason.name()));
    }
    say(&text)
}
