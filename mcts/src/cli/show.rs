//! `mcts show`: one tree as text.

use std::path::PathBuf;

use clap::Args;
use regrowth_mcts::{TreeRecord, read_trees, render_text};

use super::failure::Failure;
use super::say;

/// Arguments of `mcts show`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Trees of a search
    #[arg(long, value_name = "FILE")]
    trees: PathBuf,
    /// Id of the problem (default: the first tree)
    #[arg(long, value_name = "ID")]
    problem: Option<String>,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    say(render_text(&find(arguments)?).trim_end())
}

fn find(arguments: &Arguments) -> Result<TreeRecord, Failure> {
    for tree in read_trees(&arguments.trees)? {
        let tree = tree?;
        if arguments.problem.as_ref().is_none_or(|id| *id == tree.problem.id) {
            return Ok(tree);
        }
    }
    let file = arguments.trees.display();
    Err(Failure::Input(match &arguments.problem {
        Some(id) => format!("{file}: no tree of the problem `{id}`"),
        None => format!("{file}: holds no tree"),
    }))
}
