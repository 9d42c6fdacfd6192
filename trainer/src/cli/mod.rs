//! The command line of `regrowth`: one file a subcommand.
//!
//! stdout is data or a short result, progress goes to stderr. Exit codes: 0 ok, 2 usage, 3 bad
//! input file, 4 policy or server failed, 5 stopped by a budget or gate, 70 internal.

mod compare;
mod corpus;
mod engine;
mod evaluate;
mod interrupt;
mod iterate;
mod memory;
mod progress;
mod report;
mod score;
mod settings;
mod sft;
mod train;
mod training;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use regrowth_datasets::DataError;
use regrowth_mcts::SearchError;
use regrowth_policy::PolicyError;

use crate::TrainError;

/// Grow search trees over a language model's reasoning, and train the model on what they show.
#[derive(Debug, Parser)]
#[command(name = "regrowth", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Rounds of search, pairs and training (the default command).
    Iterate(Box<iterate::Args>),
    /// Measure a policy on problems: greedy, majority, best-of, search; log-likelihood of options.
    Evaluate(Box<evaluate::Args>),
    /// Finished runs side by side, with paired intervals.
    Compare(compare::Args),
    /// Write a run's page again.
    Report(report::Args),
    /// Preference training on a file of pairs.
    Train(Box<train::Args>),
    /// Log-probabilities of given completions.
    Score(score::Args),
    /// Grade rows of reference and answer.
    Verify(verify::Args),
    /// Supervised fine-tuning on {prompt, completion} rows.
    Sft(Box<sft::Args>),
    /// Write what the embedded model is trained from: tokenizer, shape and corpus.
    Corpus(corpus::Args),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::parse() {
        Cli { command: None } => Cli::parse_from(["regrowth", "iterate"]),
        given => given,
    };
    let Some(command) = cli.command else { return ExitCode::from(2) };
    let result = match command {
        Command::Iterate(args) => iterate::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Verify(args) => verify::run(&args),
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
        TrainError::Setting { .. } | TrainError::Run { .. } => 2,
        TrainError::Data(DataError::UnknownTask { .. }) => 2,
        TrainError::Search(SearchError::Config { .. }) => 2,
        TrainError::Policy(PolicyError::Spec { .. } | PolicyError::Device { .. }) => 2,
        TrainError::Data(_) | TrainError::Io { .. } | TrainError::File { .. } => 3,
        TrainError::Example { .. } => 3,
        TrainError::Search(
            SearchError::Io { .. } | SearchError::Row { .. } | SearchError::Data(_),
        ) => 3,
        TrainError::Policy(_) | TrainError::Search(SearchError::Policy(_)) => 4,
        TrainError::Interrupted | TrainError::Gate(_) => 5,
        TrainError::Search(SearchError::Panicked { .. }) => 70,
        TrainError::Tensor(_) | TrainError::MissingGradient(_) | TrainError::Diverged { .. } => 70,
    }
}

/// Number of cores this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Writes a line to stdout; a reader that went away is no failure.
fn say(text: &str) -> Result<(), TrainError> {
    use std::io::{ErrorKind, Write};
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(TrainError::io("stdout")(error)),
        _ => Ok(()),
    }
}
