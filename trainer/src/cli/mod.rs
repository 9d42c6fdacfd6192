//! The command line of `regrowth`: one file per subcommand.
//!
//! Results go to stdout, progress goes to stderr. The exit codes are those of [`Exit`].

mod check;
mod compare;
mod config;
mod corpus;
mod defaults;
mod engine;
mod evaluate;
mod export;
mod held;
mod iterate;
mod memory;
mod progress;
mod report;
mod score;
mod serve;
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

use clap::{CommandFactory, Parser, Subcommand};
use regrowth_datasets::DataError;
use regrowth_mcts::SearchError;
use regrowth_mcts::console::{self, log};
use regrowth_mcts::frontend::{
    self, CompletionArgs, EXIT_CODES, Exit, ManualArgs, SettingsTree, parse, version, version_text,
    with_help,
};
use regrowth_policy::PolicyError;

use crate::TrainError;

/// Grow search trees over a language model's reasoning, and train the model on what they show.
#[derive(Debug, Parser)]
#[command(name = "regrowth", after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Rounds of search, pairs and training (the default command).
    #[command(after_help = "\
Examples:
  regrowth iterate --run runs/default
  regrowth iterate --policy models/SmolLM2-360M-Instruct --problems gsm8k.jsonl --run runs/gsm8k
  regrowth iterate --policy http://localhost:8000/v1#model --problems gsm8k.jsonl --dry-run
  regrowth iterate --preset paper --set search.c_puct=2 --rounds 1")]
    Iterate(Box<iterate::Args>),
    /// Test a policy for a minute: solutions split into steps, extracted answers, speed, recommended
    /// settings.
    #[command(after_help = "\
Examples:
  regrowth check --policy models/SmolLM2-360M-Instruct --problems gsm8k.jsonl")]
    Check(Box<check::Args>),
    /// Evaluate a policy on problems: greedy, majority, best-of, search; log-likelihood of options.
    #[command(after_help = "\
Examples:
  regrowth evaluate --policy builtin --problems builtin:countdown --limit 100
  regrowth evaluate --policy runs/default/round-0003/checkpoint --problems test.jsonl --out results
  regrowth evaluate --strategy mcts@16 --set search.c_puct=2
  regrowth evaluate --policy models/SmolLM2-360M-Instruct --problems test.jsonl --curve 16 --out results")]
    Evaluate(Box<evaluate::Args>),
    /// Compare finished runs, with paired intervals.
    #[command(after_help = "\
Examples:
  regrowth compare runs/default runs/default-star")]
    Compare(compare::Args),
    /// Show the progress of a running or stopped run, search or training, and when it will end.
    #[command(after_help = "\
Examples:
  regrowth status runs/default")]
    Status(status::Args),
    /// Serve a local web page that shows runs while they are running.
    #[command(after_help = "\
Examples:
  regrowth serve runs/default
  regrowth serve runs/default runs/default-star --port 8090")]
    Serve(serve::Args),
    /// Rewrite the report page of a run.
    #[command(after_help = "\
Examples:
  regrowth report runs/default")]
    Report(report::Args),
    /// Preference training on a file of pairs.
    #[command(after_help = "\
Examples:
  regrowth train --pairs search/pairs.jsonl --policy builtin --out trained
  regrowth train --pairs trl.jsonl --policy models/Qwen2.5-0.5B --lora 16 --set dpo.judge.weight=1 --out trained")]
    Train(Box<train::Args>),
    /// Write a checkpoint or a merged adapter as a GGUF file.
    #[command(after_help = "\
Examples:
  regrowth export --policy runs/default/best --gguf best.gguf --type q8_0")]
    Export(export::Args),
    /// Log-probabilities of given completions.
    #[command(after_help = "\
Examples:
  regrowth score --policy builtin --input rows.jsonl")]
    Score(score::Args),
    /// Grade rows of reference and answer.
    #[command(after_help = "\
Examples:
  regrowth verify --input cases.jsonl --output verdicts.jsonl")]
    Verify(verify::Args),
    /// Supervised fine-tuning on {prompt, completion} rows.
    #[command(after_help = "\
Examples:
  regrowth sft --data rows.jsonl --policy builtin --out tuned
  regrowth sft --data rows.jsonl --init init --set sft.patience=3 --out model")]
    Sft(Box<sft::Args>),
    /// Write the training inputs of the bundled model: tokenizer, configuration and corpus.
    #[command(after_help = "\
Examples:
  regrowth corpus --out corpus --examples 10000")]
    Corpus(corpus::Args),
    /// Print a settings file with every key, its meaning and its value.
    #[command(after_help = "\
Examples:
  regrowth config > settings.toml
  regrowth config --preset paper --set search.c_puct=2
  regrowth config --policy models/SmolLM2-360M-Instruct")]
    Config(config::Args),
    /// Print the completion script of a shell.
    #[command(after_help = "Examples:\n  regrowth completions bash > regrowth.bash")]
    Completions(CompletionArgs),
    /// Write man pages.
    #[command(after_help = "Examples:\n  regrowth man man1")]
    Man(ManualArgs),
}

/// Optional features of this build; checkpoints and servers are always supported.
const FEATURES: &[(&str, bool)] = &[
    ("candle", true),
    ("cuda", cfg!(feature = "cuda")),
    ("http", true),
    ("parquet", cfg!(feature = "parquet")),
];

/// Returns the command line for help, completions and man pages.
#[must_use]
pub fn command() -> clap::Command {
    let command = version(Cli::command(), version_text(env!("CARGO_PKG_VERSION"), FEATURES));
    with_help(defaults::said(command))
}

/// Returns all keys of a settings file that this program reads.
#[must_use]
pub fn settings() -> SettingsTree {
    settings::known()
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    frontend::run(run, |error| {
        if is_full(error) {
            log("the disk is full: free space; what was written stays, the same command resumes");
        }
        exit(error)
    })
}

fn run() -> Result<(), TrainError> {
    match parse::<Cli>(command(), Some("iterate")).command {
        Command::Iterate(args) => iterate::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Sft(args) => sft::run(&args),
        Command::Corpus(args) => corpus::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Completions(args) => {
            print_line(String::from_utf8_lossy(&args.script(command())).trim_end())
        }
        Command::Man(args) => args.write(command()).map_err(TrainError::io("man pages")),
    }
}

/// Whether a write failed because the disk is full.
fn is_full(error: &TrainError) -> bool {
    let source = match error {
        TrainError::Io { source, .. }
        | TrainError::Data(DataError::Io { source, .. })
        | TrainError::Search(
            SearchError::Io { source, .. } | SearchError::Data(DataError::Io { source, .. }),
        ) => source,
        // Errors of the checkpoint writer and of the call log contain the system's error text.
        TrainError::File { detail, .. }
        | TrainError::Policy(PolicyError::Write { detail, .. })
        | TrainError::Search(SearchError::Policy(PolicyError::Write { detail, .. })) => {
            return detail.contains("No space left") || detail.contains("quota exceeded");
        }
        _ => return false,
    };
    matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Returns the exit code of an error.
fn exit(error: &TrainError) -> Exit {
    match error {
        TrainError::Setting { .. } | TrainError::Run { .. } => Exit::Usage,
        TrainError::Io { .. } | TrainError::File { .. } | TrainError::Example { .. } => Exit::File,
        TrainError::Data(error) => error.into(),
        TrainError::Policy(error) => error.into(),
        TrainError::Search(error) => error.into(),
        TrainError::Unmeasured(_) => Exit::Policy,
        TrainError::Interrupted | TrainError::Stopped(_) | TrainError::Gate(_) => Exit::Stopped,
        TrainError::Tensor(_)
        | TrainError::MissingGradient(_)
        | TrainError::Diverged { .. }
        | TrainError::Panicked(_) => Exit::Internal,
    }
}

/// Number of cores this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Prints a line to stdout; it is no error if the reader has closed the pipe.
fn print_line(text: &str) -> Result<(), TrainError> {
    console::print_line(text).map_err(TrainError::io("stdout"))
}
