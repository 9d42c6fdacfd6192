//! `mcts countdown`: tree-parallel search with a calculator in place of a language model.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Instant;

use clap::Args;

use super::failure::Failure;
use super::print_line;
use crate::config::{BackupWeights, FirstPlay, Selection};
use crate::countdown::Countdown;
use crate::select::SelectionRule;
use crate::tree::{GrowOptions, Tree, grow_shared};

pub(super) const EXAMPLES: &str = "\
Examples:
  mcts countdown 25 50 75 100 3 6 --target 952
  mcts countdown 1 2 4 8 16 32 64 --target 100000 --threads 2 --simulations 5000000";

/// Number of simulations between two checks whether the target was reached.
const SLICE: u64 = 16_384;
/// Exploration constant of PUCT.
const C_PUCT: f64 = 1.0;

/// Arguments of `mcts countdown`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Search")]
pub(crate) struct Arguments {
    /// The numbers, 2 to 8; each may be used once
    #[arg(required = true, value_name = "NUMBER")]
    numbers: Vec<u64>,
    /// The number to make
    #[arg(long, value_name = "N")]
    target: u64,
    /// Maximum number of simulations; the search ends when a solution is found
    #[arg(long, value_name = "N", default_value = "1000000")]
    simulations: NonZeroU64,
    /// Number of threads on the one tree; with more than one, the tree depends on timing
    #[arg(long, value_name = "N", default_value = "1")]
    threads: NonZeroUsize,
    /// Number of simulations that each thread has in flight, 1 to 64
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u8).range(1..=64))]
    leaves_in_flight: u8,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let game = Countdown::new(&arguments.numbers, arguments.target).map_err(Failure::usage)?;
    let rule = SelectionRule { selection: Selection::Puct, c: C_PUCT, first_play: FirstPlay::Own };
    let options = GrowOptions {
        threads: arguments.threads.get(),
        leaves_in_flight: arguments.leaves_in_flight.into(),
    };
    let mut tree = Tree::new(1.0, BackupWeights::Returns);
    let (begun, mut done) = (Instant::now(), 0);
    while done < arguments.simulations.get() && !game.is_solved() {
        let slice = SLICE.min(arguments.simulations.get() - done);
        grow_shared(&mut tree, &game, rule, slice, options);
        done += slice;
    }
    let seconds = begun.elapsed().as_secs_f64();
    match game.solution(&tree) {
        Some(steps) if steps.is_empty() => {
            print_line(&format!("{} is one of the numbers", arguments.target))?
        }
        Some(steps) => print_line(&steps.join("\n"))?,
        None => print_line(&format!("no solution in {done} simulations"))?,
    }
    super::log(format!(
        "{done} simulations, {} nodes, {seconds:.2} s: {:.2} million simulations/s",
        tree.len(),
        done as f64 / seconds.max(1e-9) / 1e6,
    ));
    Ok(())
}
