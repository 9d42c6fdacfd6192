//! `report.html`: one page that says what a run did, readable without anything else.
//!
//! It is made from `report.json` and a few trees of the run; nothing is computed here that is not
//! in those files. Text of models and problems is foreign: it is escaped and cut, never trusted.

mod chart;
mod html;
mod page;

use std::path::Path;

use regrowth_datasets::atomic_write;
use regrowth_mcts::show::{STEP_CHARS, render_text};
use regrowth_mcts::{PairConfig, TreeRecord, read_trees};

use crate::TrainError;
use crate::rounds::{RunReport, read_run_file};

/// Trees that the page shows.
const EXAMPLES: usize = 2;
/// Trees that are looked at to find them.
const SEARCHED: usize = 50;
/// Lines of one shown tree at most.
const LINES: usize = 60;

/// Writes `report.html` into the folder of a run.
///
/// # Errors
/// When it cannot be written. Trees that cannot be read are left out.
pub fn write_html(run: &Path, report: &RunReport) -> Result<(), TrainError> {
    let page = page::render(report, &examples(run, report));
    Ok(atomic_write(&run.join("report.html"), |file| {
        std::io::Write::write_all(file, page.as_bytes())
    })?)
}

/// A few trees of the last round that has some, those with right and wrong solutions first.
fn examples(run: &Path, report: &RunReport) -> Vec<String> {
    let Some(last) = report.rounds.iter().rev().find(|r| r.trees > 0) else { return Vec::new() };
    let path = run.join(format!("round-{:04}", last.round)).join("trees.jsonl");
    let Ok(trees) = read_trees(&path) else { return Vec::new() };
    let Ok(Some(file)) = read_run_file(run) else { return Vec::new() };
    let mut trees: Vec<TreeRecord> = trees.take(SEARCHED).flatten().collect();
    trees.sort_by_key(|tree| !is_mixed(tree));
    trees.iter().take(EXAMPLES).map(|tree| shown(tree, &file.config.pairs)).collect()
}

fn is_mixed(tree: &TreeRecord) -> bool {
    let some = |right: bool| tree.nodes.iter().any(|n| n.terminal && (n.outcome > 0.0) == right);
    some(true) && some(false)
}

fn shown(tree: &TreeRecord, rules: &PairConfig) -> String {
    let text = render_text(tree, rules, STEP_CHARS);
    let mut lines: Vec<&str> = text.lines().take(LINES).collect();
    if text.lines().count() > LINES {
        lines.push("...");
    }
    lines.join("\n")
}
