//! The command line: one file per subcommand, and what they share.
//!
//! It knows nothing of how a tree is grown. stdout is data or a short result, progress and messages
//! go to stderr, exit codes tell kinds of failure apart.

mod failure;
mod flags;
mod folder;
mod inputs;
mod pair_flags;
mod pairs;
mod parse;
mod paths;
mod rows;
mod rules;
mod search;
mod settings;
mod show;
mod sources;
mod summary;
mod trees;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use regrowth_mcts::console;

use self::failure::Failure;

/// Grow search trees over a language model's reasoning steps, and cut preference pairs from them.
#[derive(Debug, Parser)]
#[command(name = "mcts", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 2 usage, 3 bad input file, 4 policy or server failed, \
                          5 stopped by a budget, 70 internal error.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Search every problem; write trees.jsonl, pairs.jsonl, summary.json, and skipped.jsonl for
    /// problems without a tree.
    Search(Box<flags::Flags>),
    /// Extract pairs again from written trees, with other rules and no model.
    Pairs(pairs::Arguments),
    /// Show one tree as text or as a page.
    Show(show::Arguments),
}

/// Parses the command line, runs the command and says how it went.
pub(crate) fn main() -> ExitCode {
    // What a panic left half-done ends with the process; its message was printed as it happened.
    let result = std::panic::catch_unwind(run);
    match result.unwrap_or_else(|_| Err(Failure::Internal("this program panicked".to_owned()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            note(failure.to_string());
            failure.exit_code()
        }
    }
}

fn run() -> Result<(), Failure> {
    match Arguments::parse().command {
        Command::Search(flags) => search::run(&flags),
        Command::Pairs(arguments) => pairs::run(&arguments),
        Command::Show(arguments) => show::run(&arguments),
    }
}

/// Writes a line to stderr, under the name of the program.
fn note(text: impl AsRef<str>) {
    console::note(&format!("mcts: {}", text.as_ref()));
}

/// Writes a line to stdout; a reader that went away is no failure.
fn say(text: &str) -> Result<(), Failure> {
    console::say(text).map_err(|error| Failure::Internal(format!("stdout: {error}")))
}
