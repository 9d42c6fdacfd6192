//! `regrowth verify`: grade rows of reference and answer.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use regrowth_datasets::atomic_write;
use regrowth_mcts::config::VerifierConfig;
use regrowth_mcts::console::log;
use regrowth_mcts::{SearchConfig, SearchError};
use regrowth_verifiers::{Grader, Tally, Verifier, VerifyError, verify_jsonl, verify_jsonl_with};
use serde_json::json;

use super::print_line;
use crate::TrainError;

/// Arguments of `regrowth verify`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Input and output")]
pub(super) struct Args {
    /// Rows {id?, gold, pred, form?, gold_form?, choices?, options?}, one JSON object per line; `-` reads
    /// standard input.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Output file of verdicts, one JSON object per line; `-` writes standard output.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Accept only announced answers, without tolerance and alternative readings.
    #[arg(long, conflicts_with = "lenient", help_heading = "Grading")]
    strict: bool,
    /// Accept decimals within 1e-4, intervals for inequalities and vice versa, and any units.
    #[arg(long, help_heading = "Grading")]
    lenient: bool,
    /// Command of a verifier that checks each row, by JSON lines (docs/judges.md)
    /// [default: none: `pred` is compared with `gold`]
    #[arg(long, value_name = "CMD", conflicts_with_all = ["strict", "lenient"], help_heading = "Grading")]
    verifier_command: Option<String>,
    /// Timeout of the command for one row, in seconds.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 30,
        requires = "verifier_command",
        help_heading = "Grading"
    )]
    verifier_timeout: u64,
    /// Number of threads [default: number of cores]; does not change verdicts.
    #[arg(long, value_name = "T", help_heading = "Engine")]
    threads: Option<usize>,
    /// Print the counts as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    let grader = grader(args)?;
    let threads = args.threads.unwrap_or_else(super::cores).max(1);
    let tally = if is_dash(&args.input) {
        grade(&grader, stdin().lock(), args, threads)?
    } else {
        let file = File::open(&args.input).map_err(TrainError::io(&args.input))?;
        grade(&grader, BufReader::new(file), args, threads)?
    };
    let Some(tally) = tally else { return Ok(()) };
    let counts = if args.json {
        json!(tally).to_string()
    } else {
        format!(
            "{} rows: {} equal, {} different, {} undecided",
            tally.rows, tally.equal, tally.different, tally.undecided
        )
    };
    if is_dash(&args.output) {
        log(&counts);
        return Ok(());
    }
    print_line(&counts)
}

/// Grader of the rows.
enum RowGrader {
    BuiltIn(Grader),
    Command(Arc<dyn Verifier>),
}

impl RowGrader {
    fn verify(
        &self,
        input: impl BufRead,
        output: impl Write,
        threads: usize,
    ) -> Result<Tally, VerifyError> {
        match self {
            Self::BuiltIn(grader) => verify_jsonl(grader, input, output, threads),
            Self::Command(verifier) => verify_jsonl_with(&**verifier, input, output, threads),
        }
    }
}

fn grader(args: &Args) -> Result<RowGrader, TrainError> {
    if let Some(command) = args.verifier_command.clone() {
        let (command, timeout) = (Some(command), args.verifier_timeout);
        let config = SearchConfig {
            verifier: VerifierConfig { command, timeout, ..VerifierConfig::default() },
            ..SearchConfig::default()
        };
        config.check()?;
        return Ok(RowGrader::Command(config.verifier.start(None, log)?));
    }
    Ok(RowGrader::BuiltIn(match (args.strict, args.lenient) {
        (true, _) => Grader::strict(),
        (false, true) => Grader::lenient(),
        (false, false) => Grader::default(),
    }))
}

fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Grades all rows; `None` if the reader of the verdicts has closed the pipe.
fn grade(
    grader: &RowGrader,
    input: impl BufRead,
    args: &Args,
    threads: usize,
) -> Result<Option<Tally>, TrainError> {
    let stream: Box<dyn Write> = if is_dash(&args.output) {
        Box::new(stdout().lock())
    } else if args.output.metadata().is_ok_and(|kind| !kind.is_file() && !kind.is_dir()) {
        // A pipe or device is written to directly and never replaced.
        let file = File::options().write(true).open(&args.output);
        Box::new(file.map_err(TrainError::io(&args.output))?)
    } else {
        return whole_file(grader, input, args, threads).map(Some);
    };
    match grader.verify(input, BufWriter::new(stream), threads) {
        Ok(tally) => Ok(Some(tally)),
        Err(VerifyError::Write { source }) if source.kind() == ErrorKind::BrokenPipe => Ok(None),
        Err(VerifyError::Write { source }) => Err(TrainError::io(&args.output)(source)),
        Err(error) => Err(bad_row(args, &error)),
    }
}

/// Grades into a file that appears only when it is complete.
fn whole_file(
    grader: &RowGrader,
    input: impl BufRead,
    args: &Args,
    threads: usize,
) -> Result<Tally, TrainError> {
    let (mut tally, mut failed) = (Tally::default(), None);
    let written = atomic_write(&args.output, |file| match grader.verify(input, file, threads) {
        Ok(counts) => {
            tally = counts;
            Ok(())
        }
        Err(VerifyError::Write { source }) => Err(source),
        Err(error) => {
            failed = Some(bad_row(args, &error));
            Err(std::io::Error::other("not graded"))
        }
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(written.map(|()| tally)?),
    }
}

fn bad_row(args: &Args, error: &VerifyError) -> TrainError {
    if let VerifyError::Verifier(why) = error {
        return SearchError::Verifier(why.clone()).into();
    }
    TrainError::File { path: args.input.clone(), detail: error.to_string() }
}
