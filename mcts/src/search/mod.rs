//! One tree as a small state machine: it says what it wants to know, is told, and goes on.
//!
//! It knows nothing of channels, threads or other trees; a tree that waits for the model is a
//! value at rest. `grow` turns answers into nodes, `simulate` is the search of arXiv:2405.00451
//! (section 2.1), `beam` is a step beam to compare with, `finish` writes the row.

mod beam;
mod finish;
mod grow;
mod reference;
mod simulate;

use std::borrow::Cow;
use std::collections::BTreeMap;

use regrowth_datasets::Problem;
use regrowth_policy::{Boundary, Limits, Policy, PolicyError, Prompt, Request, Response, Usage};
use regrowth_verifiers::{Verifier, whole_turn};

use self::beam::Beam;
use self::finish::Ended;
use self::grow::Grow;
pub(crate) use self::reference::{Reference, ReferenceStep};
use self::simulate::Simulate;
use crate::record::TreeRecord;
use crate::tree::Tree;
use crate::{SearchConfig, Skip, Strategy};

/// A request of a tree; its answer goes to [`TreeSearch::answer`] with the same ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// Unique within the tree.
    pub ticket: u64,
    /// What is asked.
    pub request: Request,
}

/// Where a tree stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It waits for answers.
    Waiting,
    /// It is complete.
    Finished,
    /// It was given up.
    Skipped(Skip),
}

/// What a tree is about: the same for its whole life.
#[derive(Clone)]
pub struct Subject<'a> {
    /// The problem.
    pub(crate) problem: &'a Problem,
    /// Its prompt.
    pub(crate) prompt: Prompt,
    /// How to search.
    pub(crate) config: &'a SearchConfig,
    /// Decides where a solution ends and, with the oracle, whether it is right.
    pub(crate) verifier: &'a dyn Verifier,
    /// What the policy can be asked.
    pub(crate) limits: Limits,
    /// Steps of the reference solution that are injected as candidates; empty when they are not.
    pub(crate) reference: Reference,
    /// Tokens of one step at most.
    pub(crate) step_tokens: usize,
}

impl<'a> Subject<'a> {
    /// Renders the problem for `policy`.
    ///
    /// # Errors
    /// The policy's, when it cannot render the problem or encode its reference solution.
    pub fn new(
        policy: &dyn Policy,
        verifier: &'a dyn Verifier,
        problem: &'a Problem,
        config: &'a SearchConfig,
    ) -> Result<Self, PolicyError> {
        let prompt = policy.prompt(problem)?;
        let reference = match (&problem.solution, config.inject_reference) {
            (Some(solution), true) => {
                let states = |line: &str| verifier.states_answer(problem, line);
                Reference::encode(policy, solution, &problem.answer, states)?
            }
            _ => Reference::default(),
        };
        let step_tokens = step_tokens(policy, problem, config)?;
        let limits = policy.limits();
        Ok(Self { problem, prompt, config, verifier, limits, reference, step_tokens })
    }

    /// A solution with the mark of the thought that the prompt opens, where it opens one.
    pub(crate) fn turn<'s>(&self, solution: &'s str) -> Cow<'s, str> {
        whole_turn(&self.prompt.text, solution)
    }
}

/// Tokens of a step at most. Of whole lines it is a budget of the problem (authors' code):
/// min(max, max(max / 4, reference tokens / (depth - 1))), where the reference is in view.
fn step_tokens(
    policy: &dyn Policy,
    problem: &Problem,
    config: &SearchConfig,
) -> Result<usize, PolicyError> {
    let most = config.max_step_tokens;
    let reference = problem.solution.as_ref().filter(|_| config.value.oracle);
    let (Boundary::Lines, Some(solution)) = (&config.boundary, reference) else { return Ok(most) };
    let steps = config.max_depth.saturating_sub(1).max(1) as usize;
    let share = policy.encode(solution)?.len() / steps;
    Ok(share.max(most / 4).clamp(1, most))
}

/// How the tree decides what to expand next.
enum Plan {
    Simulate(Simulate),
    Beam(Beam),
}

/// The search of one tree.
pub struct TreeSearch<'a> {
    grow: Grow<'a>,
    plan: Plan,
    progress: Progress,
}

impl<'a> TreeSearch<'a> {
    /// A search that has asked its first questions.
    #[must_use]
    pub fn new(subject: Subject<'a>) -> Self {
        let plan = match subject.config.strategy {
            Strategy::Mcts => Plan::Simulate(Simulate::new(subject.config)),
            Strategy::Beam { width } => Plan::Beam(Beam::new(width, subject.config)),
        };
        let mut search = Self { grow: Grow::new(subject), plan, progress: Progress::Waiting };
        search.advance();
        search
    }

    /// Takes the requests that are new since the last call.
    pub fn take_asks(&mut self) -> Vec<Ask> {
        self.grow.take_asks()
    }

    /// Where the tree stands.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What the answered requests cost; depends on the policy's cache.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.grow.usage
    }

    /// Solutions whose answer could be called neither right nor wrong, by the verifier's reason; they
    /// count as wrong. None where the reference is out of sight.
    #[must_use]
    pub fn undecided(&self) -> &BTreeMap<String, u64> {
        &self.grow.undecided
    }

    /// The statistics of the tree so far.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.grow.tree
    }

    /// Model calls so far.
    #[must_use]
    pub fn model_calls(&self) -> u64 {
        self.grow.counts.model_calls()
    }

    /// Completed simulations so far; none where nothing is simulated.
    pub(crate) fn simulations(&self) -> u64 {
        match &self.plan {
            Plan::Simulate(simulate) => simulate.applied(),
            Plan::Beam(_) => 0,
        }
    }

    /// Gives the tree one answer. An answer to a ticket that is not waited for is ignored.
    pub fn answer(&mut self, ticket: u64, result: Result<Response, PolicyError>) {
        if self.progress != Progress::Waiting {
            return;
        }
        match self.grow.accept(ticket, result) {
            Ok(Some(node)) => {
                if let Plan::Simulate(simulate) = &mut self.plan {
                    simulate.go_on(&mut self.grow, node);
                }
                self.advance();
            }
            Ok(None) => {}
            Err(skip) => self.give_up(skip),
        }
    }

    /// Goes as far as possible without another answer.
    fn advance(&mut self) {
        let finished = match &mut self.plan {
            Plan::Simulate(simulate) => simulate.advance(&mut self.grow),
            Plan::Beam(beam) => beam.advance(&mut self.grow),
        };
        if let Some(skip) = self.grow.refused.take() {
            self.give_up(skip);
        } else if finished {
            self.progress = Progress::Finished;
        }
    }

    /// Undoes everything in flight, so that the tree stays consistent, and stops.
    fn give_up(&mut self, skip: Skip) {
        if let Plan::Simulate(simulate) = &mut self.plan {
            simulate.undo(&mut self.grow.tree);
        }
        self.grow.stop();
        self.progress = Progress::Skipped(skip);
    }

    /// The finished tree as a row; `None` before it is finished.
    #[must_use]
    pub fn record(self, policy: &str, round: u32) -> Option<TreeRecord> {
        if self.progress != Progress::Finished {
            return None;
        }
        let ended = match self.plan {
            Plan::Simulate(simulate) => simulate.end(),
            Plan::Beam(beam) => Ended { committed: beam.end(&self.grow), ..Ended::default() },
        };
        finish::record(self.grow, ended, policy, round)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_datasets::{Split, tasks::problems_from_spec};
    use regrowth_policy::Scripted;

    #[test]
    fn lines_have_a_budget_of_the_problem_while_its_solution_is_in_view() {
        let mut problem =
            problems_from_spec("arithmetic", Split::Train, 0).unwrap().next().unwrap();
        let mut config = SearchConfig { boundary: Boundary::Lines, ..SearchConfig::default() };
        let policy = Scripted::new();
        // A token is a byte; three steps before the last, 128 tokens at most and 32 at least.
        for (bytes, budget) in [(9, 32), (150, 50), (900, 128)] {
            problem.solution = Some("1".repeat(bytes));
            assert_eq!(step_tokens(&policy, &problem, &config).unwrap(), budget);
        }
        config.value.oracle = false;
        assert_eq!(step_tokens(&policy, &problem, &config).unwrap(), 128);
        config = SearchConfig::default();
        assert_eq!(step_tokens(&policy, &problem, &config).unwrap(), 128);
    }
}
