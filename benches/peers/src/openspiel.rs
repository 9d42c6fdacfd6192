//! OpenSpiel's search on the synthetic game, in a separate process that is started once and queried each
//! turn.
//!
//! Protocol: one line with a number of simulations in, one line with the seconds of the search out. The
//! program is `openspiel/search.cc`, built by `openspiel/build.sh`.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::Run;

/// Environment variable with the path of the program.
const VARIABLE: &str = "OPENSPIEL_MCTS";

/// OpenSpiel's entry. `None` if the variable is not set; then a line on how to build the program is
/// printed.
pub fn contestant() -> Option<Run> {
    let Some(path) = std::env::var_os(VARIABLE) else {
        let build = format!("export {VARIABLE}=$(benches/peers/openspiel/build.sh DIR)");
        eprintln!("OpenSpiel is left out; to build it and take it in: {build}");
        return None;
    };
    let mut program = Program::start(&path);
    // The main thread only waits, so its CPU time says nothing: rate 0.
    Some(Box::new(move |simulations| (simulations as f64 / program.seconds(simulations), 0.0)))
}

struct Program {
    process: Child,
    answers: BufReader<ChildStdout>,
}

impl Program {
    fn start(path: &OsStr) -> Self {
        let mut process = Command::new(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{VARIABLE}={}: {error}", path.display()));
        let answers = BufReader::new(process.stdout.take().expect("stdout is piped"));
        Self { process, answers }
    }

    /// Seconds of the search in one turn.
    fn seconds(&mut self, simulations: u64) -> f64 {
        let questions = self.process.stdin.as_mut().expect("stdin is piped");
        writeln!(questions, "{simulations}").expect("the program listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the program answers");
        answer.trim().parse().unwrap_or_else(|_| panic!("seconds expected, got {answer:?}"))
    }
}

impl Drop for Program {
    /// Waiting closes the program's standard input, and the program exits at the end of its input.
    fn drop(&mut self) {
        let _ = self.process.wait();
    }
}
