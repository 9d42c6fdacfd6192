//! `mcts merge`: merges the parts of a search into the files that a single process would write.

use std::io;
use std::path::PathBuf;

use clap::Args;
use regrowth_datasets::{DataError, JsonlReader};
use regrowth_verifiers::ProblemVerifier;

use super::failure::Failure;
use super::folder::{self, Folder};
use super::paths::unwritten;
use super::print_line;
use super::rows::{Rows, SKIPPED, SkippedRow, TREES};
use super::settings::Settings;
use super::shard::{Part, complete_parts};
use super::summary::{Finished, PairCounts, Summary};
use crate::fitted::FittedJudge;
use crate::probe::PROBE_FILE;
use crate::read_trees;

pub(super) const EXAMPLES: &str = "\
Examples:
  mcts merge --out search
  mcts merge --out search --force --json";

/// Arguments of `mcts merge`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input and output")]
pub(crate) struct Arguments {
    /// Folder of the search, which contains the parts; trees.jsonl, pairs.jsonl, skipped.jsonl, summary.json
    /// and config.toml are written there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace the results of another search in the folder
    #[arg(long)]
    force: bool,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { out, force, json } = arguments;
    let parts = complete_parts(out)?;
    let Some(first) = parts.first() else { return Ok(()) };
    let mut settings = first.settings.clone();
    settings.run.out = Some(out.clone());
    folder::check(out, &settings, *force)?;
    let mut folder = Folder::hold(out, &settings, *force)?;
    folder.begin()?;
    let counts = write(&folder, &settings, &parts)?;
    let mut finished = Finished::default();
    parts.iter().for_each(|part| finished.add_part(&part.record.finished));
    let likelihood = settings.search.value.likelihood;
    let fitted = counts.verified.found(&FittedJudge { likelihood, probe: None });
    if let Some(probe) = &fitted.probe {
        probe.write(&out.join(PROBE_FILE))?;
    }
    let summary = Summary::of(&finished, counts, fitted);
    let text = serde_json::to_string_pretty(&summary)
        .map_err(|e| Failure::internal(format!("summary: {e}")))?;
    folder.complete(&text)?;
    print_line(&if *json { text } else { summary.text(true) })
}

/// Writes the rows of the parts, in the order of the parts.
fn write(folder: &Folder<'_>, settings: &Settings, parts: &[Part]) -> Result<PairCounts, Failure> {
    let mut counts = PairCounts::default();
    let mut skipped = false;
    folder.outdate()?;
    // A verifier command's findings are in the trees; solutions without a finding are left to the grader.
    Rows::write(folder.path(), &settings.pairs, &ProblemVerifier, &mut counts, |rows| {
        for part in parts {
            for tree in read_trees(&part.path.join(TREES)).map_err(io::Error::other)? {
                rows.add_tree(&tree.map_err(io::Error::other)?)?;
            }
            for row in skipped_rows(part).map_err(io::Error::other)? {
                rows.add_skipped(&row)?;
                skipped = true;
            }
        }
        Ok(())
    })
    .map_err(unwritten)?;
    if !skipped {
        folder.remove(SKIPPED)?;
    }
    Ok(counts)
}

/// The skipped problems of a part.
fn skipped_rows(part: &Part) -> Result<Vec<SkippedRow<'static>>, DataError> {
    let path = part.path.join(SKIPPED);
    if path.is_file() { JsonlReader::open(&path)?.collect() } else { Ok(Vec::new()) }
}
