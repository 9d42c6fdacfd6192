//! `mcts show`: one tree as text or as a page.
//!
//! [`crate::show`] draws the tree.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use regrowth_datasets::atomic_write;

use super::failure::Failure;
use super::paths::{check_output, unwritten};
use super::rules::RuleFlags;
use super::{print_line, trees};
use crate::show::{STEP_CHARS, render_html, render_text};
use crate::{TreeRecord, read_trees};

pub(super) const EXAMPLES: &str = "\
Examples:
  mcts show --trees search
  mcts show --trees runs/default --html tree.html";

/// Arguments of `mcts show`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input and output")]
pub(crate) struct Arguments {
    /// Trees: a file, or the folder of a search, of a round or of a run
    #[arg(long, value_name = "PATH")]
    trees: PathBuf,
    /// Id of the problem [default: that of the first tree]
    #[arg(long, value_name = "ID")]
    problem: Option<String>,
    /// Show the whole text of every step, not its first 100 characters
    #[arg(long)]
    full: bool,
    /// Write the tree as a page that folds its branches, instead of text to stdout
    /// [default: text on stdout]
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    rules: RuleFlags,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let files = trees::files(&arguments.trees)?;
    if let Some(path) = &arguments.html {
        let taken: Vec<_> = files.iter().map(|file| ("--trees", file.as_path())).collect();
        check_output("--html", path, &taken)?;
    }
    let tree = find(arguments, &files)?;
    let rules = arguments.rules.rules(&files[0])?;
    match &arguments.html {
        Some(path) => {
            let page = render_html(&tree, &rules);
            atomic_write(path, |file| file.write_all(page.as_bytes())).map_err(unwritten)
        }
        None => {
            let longest = if arguments.full { usize::MAX } else { STEP_CHARS };
            print_line(render_text(&tree, &rules, longest).trim_end())
        }
    }
}

fn find(arguments: &Arguments, files: &[PathBuf]) -> Result<TreeRecord, Failure> {
    for file in files {
        for tree in read_trees(file)? {
            let tree = tree?;
            if arguments.problem.as_ref().is_none_or(|id| *id == tree.problem.id) {
                return Ok(tree);
            }
        }
    }
    let file = arguments.trees.display();
    Err(Failure::file(match &arguments.problem {
        Some(id) => format!("{file}: no tree of the problem `{id}`"),
        None => format!("{file}: holds no tree"),
    }))
}
