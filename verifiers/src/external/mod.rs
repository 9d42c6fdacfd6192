//! A verifier that is a user's program: a long-running process that answers JSON lines.
//!
//! Searches and evaluations hold a [`CommandVerifier`]. It looks each claim up by content (`verdicts`)
//! and sends the others to the thread that owns the process (`supervisor`), which enforces time limits,
//! restarts a failed process and matches answers by id. `protocol` defines the lines, `process` handles
//! the pipes. The process is not trusted: its output is bounded, and can only become a finding, a counted
//! fault or the end of the run. docs/judges.md describes the protocol.

mod options;
mod process;
mod protocol;
mod supervisor;
mod verdicts;

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use regrowth_datasets::{Finish, Problem};

pub use self::options::{CommandOptions, VerifierLog};
use self::protocol::Question;
use self::supervisor::{Event, Job, Supervisor};
use self::verdicts::Verdicts;
use crate::{About, Claim, Finding, ProblemVerifier, Verdict, Verifier, VerifyError};

/// Checks solutions and steps by a process; answers every other question as [`ProblemVerifier`] does.
pub struct CommandVerifier {
    verdicts: Verdicts,
    events: SyncSender<Event>,
    /// Why the command can no longer be used; unset while it can.
    failure: Arc<OnceLock<String>>,
    supervisor: Option<JoinHandle<()>>,
}

impl CommandVerifier {
    /// Starts the command.
    ///
    /// # Errors
    /// [`VerifyError::Command`] if the command cannot be started, [`VerifyError::Verifier`] if the file
    /// of findings cannot be read or written.
    pub fn start(options: CommandOptions) -> Result<Self, VerifyError> {
        let verdicts = Verdicts::open(&options)?;
        // Bounded, so that a process that writes faster than it is read cannot fill the memory.
        let (events, inbox) = sync_channel(256);
        let failure = Arc::<OnceLock<String>>::default();
        let mut supervisor = Supervisor::new(options, events.clone(), inbox, failure.clone());
        supervisor.first_launch()?;
        let thread = std::thread::spawn(move || supervisor.run());
        Ok(Self { verdicts, events, failure, supervisor: Some(thread) })
    }

    /// Sends claims that are not known yet to the process, each content once, and stores the findings.
    fn ask(&self, problem: &Problem, claims: &[Claim<'_>]) -> Vec<Finding> {
        let keys: Vec<String> =
            claims.iter().map(|claim| self.verdicts.key(problem, claim)).collect();
        let mut open = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            if self.verdicts.get(key).is_none() && !keys[..index].contains(key) {
                let (reply, answer) = sync_channel(1);
                let question = Question::new(problem, &claims[index]);
                let job = Job { question, about: claims[index].about, faults: 0, reply };
                // If the supervisor has ended, the send fails; `recv` below then reports it as stopped.
                let _ = self.events.send(Event::Job(job));
                open.push((index, answer));
            }
        }
        for (index, answer) in open {
            let gone = |_| Finding::faulty(claims[index].about, "stopped");
            let finding = answer.recv().unwrap_or_else(gone);
            if let Err(detail) = self.verdicts.put(&keys[index], finding) {
                let _ = self.failure.set(detail);
            }
        }
        let unknown = |about| Finding::faulty(about, "stopped");
        let known = keys.iter().zip(claims);
        known
            .map(|(key, claim)| self.verdicts.get(key).unwrap_or_else(|| unknown(claim.about)))
            .collect()
    }
}

impl Verifier for CommandVerifier {
    fn verify(&self, problem: &Problem, solution: &str) -> Verdict {
        self.verify_finished(problem, solution, Finish::Eos)
    }

    fn verify_finished(&self, problem: &Problem, solution: &str, finish: Finish) -> Verdict {
        let claim = Claim { about: About::Solution, solution, step: "", finish, reference: true };
        match self.ask(problem, &[claim]).pop() {
            Some(Finding { correct: Some(true), .. }) => Verdict::Equal,
            Some(Finding { correct: Some(false), .. }) => Verdict::Different,
            Some(finding) => Verdict::Undecided(finding.undecided()),
            None => Verdict::Undecided("verifier_stopped".to_owned()),
        }
    }

    fn states_answer(&self, problem: &Problem, step: &str) -> bool {
        ProblemVerifier.states_answer(problem, step)
    }

    fn states_answer_finished(&self, problem: &Problem, step: &str, finish: Finish) -> bool {
        ProblemVerifier.states_answer_finished(problem, step, finish)
    }

    fn same_answer(&self, problem: &Problem, solution: &str) -> Verdict {
        ProblemVerifier.verify(problem, solution)
    }

    fn examine(&self, problem: &Problem, claims: &[Claim<'_>]) -> Option<Vec<Finding>> {
        Some(self.ask(problem, claims))
    }

    fn failure(&self) -> Option<String> {
        self.failure.get().cloned()
    }
}

impl Drop for CommandVerifier {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Stop);
        if let Some(supervisor) = self.supervisor.take() {
            // The supervisor has ended or panicked; either way nothing is left to stop.
            let _ = supervisor.join();
        }
    }
}
