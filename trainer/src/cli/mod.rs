//! The command line of `regrowth`: one file a subcommand.
//!
//! stdout is data or a short result, progress goes to stderr. Exit codes: 0 ok, 2 usage, 3 bad
//! input file, 4 policy or server failed, 5 stopped by a budget or gate, 70 internal.

mod check;
mod compare;
mod corpus;
mod engine;
mod evaluate;
mod held;
mod iterate;
mod memory;
mod progress;
mod report;
mod score;
mod settings;
mod sft;
mod status;
mod stop;
mod train;
mod training;
mod verify;
mod watch;

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use regrowth_datasets::DataError;
use regrowth_mcts::SearchError;
use regrowth_mcts::console::{self, note};
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
    /// A minute with a policy: solutions cut into steps, what the checker reads, speed, fitting settings.
    Check(Box<check::Args>),
    /// Measure a policy on problems: greedy, majority, best-of, search; log-likelihood of options.
    Evaluate(Box<evaluate::Args>),
    /// Finished runs side by side, with paired intervals.
    Compare(compare::Args),
    /// What a running or stopped run, search or training is doing, and when it will end.
    Status(status::Args),
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

/// Exit code of a fault of this program.
const INTERNAL: u8 = 70;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    // What the panic left half-done ends with the process; its message was printed as it happened.
    match std::panic::catch_unwind(run) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => report(&error),
        Err(_) => ExitCode::from(INTERNAL),
    }
}

fn run() -> Result<(), TrainError> {
    let cli = match Cli::parse() {
        Cli { command: None } => Cli::parse_from(["regrowth", "iterate"]),
        given => given,
    };
    // Without a command it is parsed as `iterate`.
    let Some(command) = cli.command else { return Ok(()) };
    match command {
        Command::Iterate(args) => iterate::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Sft(args) => sft::run(&args),
        Command::Corpus(args) => corpus::run(&args),
        Command::Status(args) => status::run(&args),
    }
}

/// Says what ended a command and gives its exit code.
fn report(error: &TrainError) -> ExitCode {
    let code = exit_code(error);
    match error {
        TrainError::Stopped(_) | TrainError::Gate(_) => note(&format!("stopped: {error}")),
        TrainError::Interrupted => note(&error.to_string()),
        _ => note(&format!("error: {error}")),
    }
    if is_full(error) {
        note("the disk is full: free space; what was written stays, and the same command resumes");
    }
    ExitCode::from(code)
}

/// Whether the system could not write because there is no space.
fn is_full(error: &TrainError) -> bool {
    let source = match error {
        TrainError::Io { source, .. }
        | TrainError::Data(DataError::Io { source, .. })
        | TrainError::Search(
            SearchError::Io { source, .. } | SearchError::Data(DataError::Io { source, .. }),
        ) => source,
        // The checkpoint's writer and the log of answers give the system's words.
        TrainError::File { detail, .. }
        | TrainError::Policy(PolicyError::Write { detail, .. })
        | TrainError::Search(SearchError::Policy(PolicyError::Write { detail, .. })) => {
            return detail.contains("No space left") || detail.contains("quota exceeded");
        }
        _ => return false,
    };
    matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Exit code of an error, by the contract above.
fn exit_code(error: &TrainError) -> u8 {
    match error {
        TrainError::Setting { .. } | TrainError::Run { .. } => 2,
        TrainError::Data(DataError::UnknownTask { .. } | DataError::Source { .. }) => 2,
        TrainError::Search(SearchError::Config { .. }) => 2,
        TrainError::Policy(
            PolicyError::Spec { .. } | PolicyError::Device { .. } | PolicyError::Prompt(_),
        ) => 2,
        TrainError::Policy(PolicyError::PromptFile { .. }) => 3,
        TrainError::Data(_) | TrainError::Io { .. } | TrainError::File { .. } => 3,
        TrainError::Example { .. } => 3,
        TrainError::Search(
            SearchError::Io { .. } | SearchError::Row { .. } | SearchError::Data(_),
        ) => 3,
        TrainError::Policy(PolicyError::Panicked)
        | TrainError::Search(
            SearchError::Panicked { .. } | SearchError::Policy(PolicyError::Panicked),
        )
        | TrainError::Panicked(_) => 70,
        // The log of a search is an output like any other.
        TrainError::Policy(PolicyError::Write { .. })
        | TrainError::Search(SearchError::Policy(PolicyError::Write { .. })) => 3,
        TrainError::Policy(_) | TrainError::Search(SearchError::Policy(_)) => 4,
        TrainError::Unmeasured(_) => 4,
        TrainError::Interrupted | TrainError::Stopped(_) | TrainError::Gate(_) => 5,
        TrainError::Tensor(_) | TrainError::MissingGradient(_) | TrainError::Diverged { .. } => 70,
    }
}

/// Number of cores this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Writes a line to stdout; a reader that went away is no failure.
fn say(text: &str) -> Result<(), TrainError> {
    console::say(text).map_err(TrainError::io("stdout"))
}
