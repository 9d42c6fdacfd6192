//! Settings of the verifier that checks solutions and steps.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use regrowth_datasets::{Finish, Problem};
use regrowth_verifiers::{
    About, Claim, CommandOptions, CommandVerifier, Finding, ProblemVerifier, Verdict, Verifier,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SearchError;
use crate::foreign::shown;

/// Settings of the verifier that checks solutions and steps. Unknown keys are refused; a missing key takes
/// its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VerifierConfig {
    /// Command of a long-lived process that checks finished solutions in place of the built-in grader, over
    /// JSON lines (docs/judges.md). Outcomes are +1, -1 or, without a verdict, 0 (default none).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Whether the command decides outcomes (default true). If false, it only checks steps, including those
    /// that end a solution, and the built-in grader decides outcomes.
    pub solutions: bool,
    /// Whether the command also checks every step (default false). Its score, or its verdict as 1 or 0, then
    /// replaces the self-evaluation.
    pub steps: bool,
    /// Time limit of the command for one answer, in seconds, 1 to 86,400 (default 30).
    pub timeout: u64,
    /// Whether the tree's nodes record which equations between numbers in a step are false (default false).
    /// The penalty for them is `value.arithmetic`.
    pub calculator: bool,
}

impl Default for VerifierConfig {
    fn default() -> Self {
        Self { command: None, solutions: true, steps: false, timeout: 30, calculator: false }
    }
}

/// File of a verifier command's findings, in the folder of a search or run.
pub const VERDICTS_FILE: &str = "verdicts.jsonl";

impl VerifierConfig {
    /// Checks every range.
    pub(super) fn check(&self) -> Result<(), SearchError> {
        let ok = (1..=86_400).contains(&self.timeout);
        super::check("verifier.timeout", "seconds from 1 to 86400", self.timeout, ok)?;
        let ok = self.command.as_ref().is_none_or(|command| !command.trim().is_empty());
        super::check("verifier.command", "a command that is not empty", "nothing", ok)?;
        let ok = self.solutions || self.steps;
        super::check("verifier.solutions", "true unless `verifier.steps` is", self.solutions, ok)?;
        let ok = !self.steps || self.command.is_some();
        super::check("verifier.steps", "false without `verifier.command`", self.steps, ok)
    }

    /// Starts the verifier of these settings: the grader of reference answers, or the command. `verdicts` is
    /// the file that stores the command's findings; `log` gets its stderr and messages about its process.
    ///
    /// # Errors
    /// [`SearchError::Verifier`] if the command cannot be started or the file cannot be used.
    pub fn start(
        &self,
        verdicts: Option<PathBuf>,
        log: fn(&str),
    ) -> Result<Arc<dyn Verifier>, SearchError> {
        let Some(command) = self.command.clone() else { return Ok(Arc::new(ProblemVerifier)) };
        let timeout = Duration::from_secs(self.timeout);
        let clean = move |text: &str| log(&text.chars().map(shown).collect::<String>());
        let options = CommandOptions { command, timeout, verdicts, log: Arc::new(clean) };
        let started = CommandVerifier::start(options);
        let command = started.map_err(|error| SearchError::Verifier(error.to_string()))?;
        Ok(match self.solutions {
            true => Arc::new(command),
            false => Arc::new(StepVerifier(command)),
        })
    }
}

/// A verifier whose command checks only steps; the built-in grader decides about solutions.
struct StepVerifier(CommandVerifier);

impl Verifier for StepVerifier {
    fn verify(&self, problem: &Problem, solution: &str) -> Verdict {
        ProblemVerifier.verify(problem, solution)
    }

    fn verify_finished(&self, problem: &Problem, solution: &str, finish: Finish) -> Verdict {
        ProblemVerifier.verify_finished(problem, solution, finish)
    }

    fn states_answer(&self, problem: &Problem, step: &str) -> bool {
        ProblemVerifier.states_answer(problem, step)
    }

    fn states_answer_finished(&self, problem: &Problem, step: &str, finish: Finish) -> bool {
        ProblemVerifier.states_answer_finished(problem, step, finish)
    }

    fn examine(&self, problem: &Problem, claims: &[Claim<'_>]) -> Option<Vec<Finding>> {
        let steps = claims.iter().all(|claim| claim.about == About::Step);
        steps.then(|| self.0.examine(problem, claims)).flatten()
    }

    fn failure(&self) -> Option<String> {
        self.0.failure()
    }
}
