//! `regrowth report`: rewrites the report page of a run from its files.

use std::path::PathBuf;

use regrowth_mcts::console::log;

use super::print_line;
use crate::TrainError;
use crate::report::write_html;
use crate::rounds::{ProblemSets, read_report};

/// Arguments of `regrowth report`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(super) struct Args {
    /// Folder of a finished run.
    #[arg(value_name = "DIR")]
    run: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    let report = read_report(&args.run)?.ok_or_else(|| TrainError::File {
        path: args.run.join("report.json"),
        detail: "no such file: the run is not finished; `regrowth iterate` with its settings goes \
                 on with it"
            .into(),
    })?;
    let sets = ProblemSets::read(&report.config);
    if let Err(error) = &sets {
        log(&format!("the page shows ids in place of questions: {error}"));
    }
    write_html(&args.run, &report, &sets.map(|sets| sets.test).unwrap_or_default())?;
    print_line(&format!("written to {}", args.run.join("report.html").display()))
}
