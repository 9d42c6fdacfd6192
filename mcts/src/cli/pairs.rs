//! `mcts pairs`: cut pairs again from written trees, with other rules and no model.

use std::path::PathBuf;

use clap::Args;
use regrowth_datasets::{JsonlWriter, atomic_write};
use regrowth_mcts::{PairConfig, extract_pairs, read_trees};

use super::failure::Failure;
use super::say;
use super::settings::PairFlags;
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
    /// Print the counts as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rules: PairFlags,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut config = PairConfig::default();
    arguments.rules.apply(&mut config);
    config.check()?;
    let mut counts = PairCounts::default();
    let mut trees = 0u64;
    let mut failure = None;
    let written = atomic_write(&arguments.out, |file| {
        let mut pairs = JsonlWriter::new(file);
        for tree in read_trees(&arguments.trees).map_err(|e| stash(e, &mut failure))? {
            let tree = tree.map_err(|e| stash(e, &mut failure))?;
            let extracted = extract_pairs(&tree, &config);
            trees += 1;
            counts.add(&extracted);
            extracted.pairs.iter().try_for_each(|pair| pairs.write(pair))?;
        }
        Ok(())
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    written?;
    let PairCounts { pairs, dropped, .. } = counts;
    if arguments.json {
        return say(&serde_json::json!({
            "trees": trees, "pairs": pairs, "pairs_dropped": dropped,
        })
        .to_string());
    }
    let mut text = format!("{pairs} pairs from {trees} trees");
    for (reason, count) in dropped {
        text.push_str(&format!("\n{count} dropped: {}", reason.name()));
    }
    say(&text)
}

/// Keeps the error that has a place in the file; the writer needs only to know that there is one.
fn stash(error: impl Into<Failure>, place: &mut Option<Failure>) -> std::io::Error {
    *place = Some(error.into());
    std::io::Error::other("bad tree")
}
