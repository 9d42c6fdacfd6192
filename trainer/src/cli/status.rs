//! `regrowth status`: progress of a running or stopped run, when it started, and when it will end.
//!
//! The lock of the folder shows whether a process is running.

use std::path::PathBuf;

use super::print_line;
use crate::status::{Sign, Status};
use crate::{TrainError, clock};

/// Arguments of `regrowth status`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(super) struct Args {
    /// Folder of a run, of a search (`mcts search --out`) or of a training (`--out` of train and sft).
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Print the status as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    let now = clock::unix_now();
    let status = Status::of(&args.dir, now, Sign::Lock)?;
    if args.json {
        let text = serde_json::to_string(&status).map_err(|e| TrainError::File {
            path: args.dir.clone(),
            detail: format!("its status cannot be written as JSON: {e}"),
        })?;
        return print_line(&text);
    }
    print_line(&status.text(now))
}
