//! The command line of `regrowth`: one file a subcommand.
//!
//! stdout is data or a short result, progress goes to stderr. Exit codes: 0 ok, 2 usage, 3 bad
//! input file, 4 policy or server failed, 5 stopped by a budget or gate, 70 internal.

mod corpus;
mod progress;
mod sft;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::TrainError;

/// Grow search trees over a language model's reasoning, and train the model on what they show.
#[derive(Debug, Parser)]
#[command(name = "regrowth", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Supervised fine-tuning on {prompt, completion} rows.
    Sft(sft::Args),
    /// Write what the embedded model is trained from: tokenizer, shape and corpus.
    Corpus(corpus::Args),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Sft(args) => sft::run(&args),
        Command::Corpus(args) => corpus::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(exit_code(&error))
        }
    }
}

/// Exit code of an error, by the contract above.
fn exit_code(error: &TrainError) -> u8 {
    match error {
        TrainError::Setting { .. } => 2,
        TrainError::Data(_) | TrainError::Io { .. } | TrainError::File { .. } => 3,
        TrainError::Example { .. } => 3,
        TrainError::Policy(_) => 4,
        TrainError::Tensor(_) | TrainError::MissingGradient(_) | TrainError::Diverged { .. } => 70,
    }
}

/// Number of cores this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
