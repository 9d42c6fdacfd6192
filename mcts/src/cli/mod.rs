//! The command line of `mcts`: one file per subcommand, and the code they share.
//!
//! Data and short results go to stdout, progress and messages to stderr. The exit codes are those of
//! [`Exit`](crate::frontend::Exit).

mod audit;
mod config;
mod countdown;
mod failure;
mod flags;
mod folder;
mod inputs;
mod merge;
mod pair_flags;
mod pairs;
mod parse;
mod paths;
mod rejudge;
mod rows;
mod rules;
mod search;
mod search_plan;
mod settings;
mod shard;
mod show;
mod sources;
mod summary;
mod trees;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use toml::Table;

use self::failure::Failure;
use crate::Preset;
use crate::console;
use crate::frontend::{
    CompletionArgs, EXIT_CODES, ManualArgs, SettingsTree, hide_group, parse, run, version,
    version_text, with_default, with_defaults, with_help,
};

/// Grow search trees over a language model's reasoning steps, and extract preference pairs from them.
#[derive(Debug, Parser)]
#[command(name = "mcts", after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Search every problem; write trees.jsonl, pairs.jsonl, summary.json, and skipped.jsonl for
    /// problems without a tree.
    #[command(after_help = search::EXAMPLES)]
    Search(Box<flags::Flags>),
    /// Merge the parts of a search with --shard into the files that one process would have written.
    #[command(after_help = merge::EXAMPLES)]
    Merge(merge::Arguments),
    /// Extract pairs again from written trees, with other rules and no model.
    #[command(after_help = pairs::EXAMPLES)]
    Pairs(pairs::Arguments),
    /// Audit preference pairs: factors they correlate with, evidence they rest on, repeats, test problems
    /// among them, drift over rounds.
    #[command(after_help = audit::EXAMPLES)]
    Audit(audit::Arguments),
    /// Let another policy judge the pairs of a file; report the agreement, and write the pairs with its
    /// ratings.
    #[command(after_help = rejudge::EXAMPLES)]
    Rejudge(rejudge::Arguments),
    /// Show trees as text, as a page or in the terminal.
    #[command(after_help = show::EXAMPLES)]
    Show(show::Arguments),
    /// Search a Countdown numbers game with a calculator instead of a language model.
    #[command(after_help = countdown::EXAMPLES)]
    Countdown(countdown::Arguments),
    /// Print a settings file with every key, its meaning and its value.
    #[command(after_help = config::EXAMPLES)]
    Config(config::Arguments),
    /// Print the script that lets a shell complete commands and flags.
    #[command(after_help = "Examples:\n  mcts completions bash > mcts.bash")]
    Completions(CompletionArgs),
    /// Write man pages.
    #[command(after_help = "Examples:\n  mcts man man1")]
    Man(ManualArgs),
}

/// Flags of `search` that mirror a setting: the flag's id and the setting.
const MIRRORED: &[(&str, &str)] = &[
    ("simulations", "search.simulations"),
    ("first_root_factor", "search.first_root_factor"),
    ("breadth", "search.breadth"),
    ("depth", "search.max_depth"),
    ("boundary", "search.boundary"),
    ("temperature", "search.sampling.temperature"),
    ("c_puct", "search.c_puct"),
    ("strategy", "search.strategy"),
    ("selection", "search.selection"),
    ("commit", "search.commit"),
    ("leaves_in_flight", "search.leaves_in_flight"),
    ("seed", "search.seed"),
    ("oracle", "search.value.oracle"),
    ("self_evaluation", "search.value.self_evaluation"),
    ("judge", "search.value.judge"),
    ("all_parents", "pairs.parents"),
    ("rejected", "pairs.rejected"),
    ("min_margin", "pairs.min_margin"),
    ("min_visits", "pairs.min_visits_chosen"),
    ("min_visits_chosen", "pairs.min_visits_chosen"),
    ("min_visits_rejected", "pairs.min_visits_rejected"),
    ("mixed", "pairs.mixed"),
    ("correct_only", "pairs.correct_only"),
    ("solved_only", "pairs.solved_only"),
    ("max_pairs", "pairs.max_per_tree"),
    ("glue_chains", "pairs.glue_chains"),
    ("smoothing", "pairs.smoothing"),
];

/// Features of this build.
const FEATURES: &[(&str, bool)] = &[
    ("candle", cfg!(feature = "candle")),
    ("cuda", cfg!(feature = "cuda")),
    ("http", cfg!(feature = "http")),
    ("parquet", cfg!(feature = "parquet")),
];

/// The command line, as used for help, completions and man pages.
#[must_use]
pub fn command() -> clap::Command {
    let presets = [("builtin", Preset::Builtin), ("chat", Preset::Chat), ("", Preset::Default)];
    let table = |preset| Table::try_from(sources::of_preset(preset)).unwrap_or_default();
    let presets = presets.map(|(name, preset)| (name, table(preset)));
    let command = version(Arguments::command(), version_text(env!("CARGO_PKG_VERSION"), FEATURES));
    let command = command.mut_subcommand("search", |search| {
        with_defaults(hide_group(search, pair_flags::GROUP), MIRRORED, &presets)
    });
    let command = command.mut_subcommand("pairs", as_trees).mut_subcommand("show", as_trees);
    with_help(command)
}

/// Sets the default shown for the flags of pair rules: the rules of the search or run that grew the trees.
fn as_trees(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| match arg.get_help_heading() {
        Some(pair_flags::GROUP) => with_default(arg, "as in the search or run that grew the trees"),
        _ => arg,
    })
}

/// Every key of a settings file that this program reads.
#[must_use]
pub fn settings() -> SettingsTree {
    sources::known()
}

/// Parses the command line and runs the command. Returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    run(execute, Failure::exit)
}

fn execute() -> Result<(), Failure> {
    match parse::<Arguments>(command(), None).command {
        Subcommands::Search(flags) => search::run(&flags),
        Subcommands::Merge(arguments) => merge::run(&arguments),
        Subcommands::Pairs(arguments) => pairs::run(&arguments),
        Subcommands::Audit(arguments) => audit::run(&arguments),
        Subcommands::Rejudge(arguments) => rejudge::run(&arguments),
        Subcommands::Show(arguments) => show::run(&arguments),
        Subcommands::Countdown(arguments) => countdown::run(&arguments),
        Subcommands::Config(arguments) => config::run(&arguments),
        Subcommands::Completions(arguments) => {
            print_line(String::from_utf8_lossy(&arguments.script(command())).trim_end())
        }
        Subcommands::Man(arguments) => {
            arguments.write(command()).map_err(|e| Failure::file(format!("man pages: {e}")))
        }
    }
}

/// Writes a line to stderr.
fn log(text: impl AsRef<str>) {
    console::log(text.as_ref());
}

/// Writes a line to stdout; a closed pipe is not a failure.
fn print_line(text: &str) -> Result<(), Failure> {
    console::print_line(text).map_err(|error| Failure::file(format!("stdout: {error}")))
}
