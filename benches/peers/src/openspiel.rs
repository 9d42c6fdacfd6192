//! OpenSpiel's search on the synthetic game, in a process of its own that is asked turn by turn.
//!
//! It knows the program's manners alone: a number of simulations goes in, the seconds of the search
//! come out. The program itself is `openspiel/search.cc`, and `openspiel/build.sh` makes it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::Run;

/// Names the program.
const VARIABLE: &str = "OPENSPIEL_MCTS";

/// The contestant, unless no program is named: then a word on how to build it.
pub fn contestant() -> Option<Run> {
    let Some(path) = std::env::var_os(VARIABLE) else {
        let build = format!("export {VARIABLE}=$(benches/peers/openspiel/build.sh DIR)");
        eprintln!("OpenSpiel is left out; to build it and take it in: {build}");
        return None;
    };
    let mut program = Program::start(&path);
    // The main thread only waits: it has no rate of its own.
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

    /// The seconds that the search of one turn took.
    fn seconds(&mut self, simulations: u64) -> f64 {
        let questions = self.process.stdin.as_mut().expect("stdin is piped");
        writeln!(questions, "{simulations}").expect("the program listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the program answers");
        answer.trim().parse().unwrap_or_else(|_| panic!("seconds expected, got {answer:?}"))
    }
}

impl Drop for Program {
    /// Waiting closes the program's input, at whose end it ends.
    fn drop(&mut self) {
        let _ = self.process.wait();
    }
}
