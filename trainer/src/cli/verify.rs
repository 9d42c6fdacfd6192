//! `regrowth verify`: grade rows of reference and answer.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use regrowth_datasets::atomic_write;
use regrowth_verifiers::{Grader, VerifyError, verify_jsonl};

use super::say;
use crate::TrainError;

/// Arguments of `regrowth verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Rows {id, gold, pred, form?, gold_form?, choices?, options?}, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Where the verdicts go, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Only announced answers, no tolerance, no second readings: for rewards.
    #[arg(long)]
    strict: bool,
    /// Threads [default: number of cores]; changes no verdict.
    #[arg(long, value_name = "T")]
    threads: Option<usize>,
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    let grader = if args.strict { Grader::strict() } else { Grader::default() };
    let threads = args.threads.unwrap_or_else(super::cores).max(1);
    let input = BufReader::new(File::open(&args.input).map_err(TrainError::io(&args.input))?);
    let mut bad_row = None;
    let mut tally = None;
    let written =
        atomic_write(&args.output, |file| match verify_jsonl(&grader, input, file, threads) {
            Ok(counts) => {
                tally = Some(counts);
                Ok(())
            }
            Err(VerifyError::Write { source }) => Err(source),
            Err(error) => {
                bad_row = Some(error);
                Err(std::io::Error::other("bad row"))
            }
        });
    if let Some(error) = bad_row {
        return Err(TrainError::File { path: args.input.clone(), detail: error.to_string() });
    }
    written?;
    let Some(tally) = tally else { return Ok(()) };
    say(&format!(
        "{} rows: {} equal, {} different, {} undecided",
        tally.rows, tally.equal, tally.different, tally.undecided
    ))
}
