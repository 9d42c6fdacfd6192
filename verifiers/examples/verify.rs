//! Grades JSON lines from standard input: `cargo run --example verify -- [threads] < cases.jsonl`.

use std::io::{BufWriter, stdin, stdout};

use regrowth_verifiers::{Grader, verify_jsonl};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = std::env::args().nth(1).map_or(Ok(1), |t| t.parse())?;
    let tally =
        verify_jsonl(&Grader::default(), stdin().lock(), BufWriter::new(stdout()), threads)?;
    eprintln!("{tally:?}");
    Ok(())
}
