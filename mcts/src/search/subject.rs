//! What a tree is about, and what it asks of the policy.

use std::borrow::Cow;

use regrowth_datasets::Problem;
use regrowth_policy::{Boundary, Limits, Policy, PolicyError, Prompt, Request};
use regrowth_verifiers::{Verifier, whole_turn};

use super::reference::ReferenceSolution;
use crate::SearchConfig;
use crate::probe::StateProbe;

/// A request of a tree; its response goes to
/// [`TreeSearch::receive`](super::TreeSearch::receive) with the same request id.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyRequest {
    /// Unique within the tree.
    pub request_id: u64,
    /// What is asked.
    pub request: Request,
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
    pub(crate) reference: ReferenceSolution,
    /// Tokens of one step at most.
    pub(crate) step_tokens: usize,
    /// Judges steps by their hidden states.
    pub(crate) probe: Option<&'a StateProbe>,
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
                ReferenceSolution::encode(policy, solution, &problem.answer, states)?
            }
            _ => ReferenceSolution::default(),
        };
        let step_tokens = step_tokens(policy, problem, config)?;
        let limits = policy.limits();
        Ok(Self { problem, prompt, config, verifier, limits, reference, step_tokens, probe: None })
    }

    /// Lets a probe judge, where the configuration says so.
    #[must_use]
    pub fn judged_by(self, probe: Option<&'a StateProbe>) -> Self {
        Self { probe, ..self }
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
