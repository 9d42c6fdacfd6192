//! Constant inputs of a tree's search ([`Subject`]: problem, prompt, settings, verifier), and the type of its
//! requests to the policy.

use std::borrow::Cow;

use regrowth_datasets::Problem;
use regrowth_policy::{Boundary, Limits, Policy, PolicyError, Prompt, Request};
use regrowth_verifiers::{Verifier, whole_turn};

use super::reference::ReferenceSolution;
use crate::SearchConfig;
use crate::probe::StateProbe;

/// A request of a tree. Its response is passed to [`TreeSearch::receive`](super::TreeSearch::receive) with
/// the same request id.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyRequest {
    /// Unique within the tree.
    pub request_id: u64,
    /// The request for the policy.
    pub request: Request,
}

/// Problem, prompt, settings and verifier of a tree; constant during its search.
#[derive(Clone)]
pub struct Subject<'a> {
    /// The problem.
    pub(crate) problem: &'a Problem,
    /// The prompt rendered from the problem.
    pub(crate) prompt: Prompt,
    /// Settings of the search.
    pub(crate) config: &'a SearchConfig,
    /// Decides whether a step states the final answer and, with the oracle, whether the solution is right.
    pub(crate) verifier: &'a dyn Verifier,
    /// Limits of the policy, such as its context length.
    pub(crate) limits: Limits,
    /// Steps of the reference solution to inject as candidates; empty unless `inject_reference` is set.
    pub(crate) reference: ReferenceSolution,
    /// Maximum number of tokens of one step.
    pub(crate) step_tokens: usize,
    /// Probe that judges steps by their hidden states; `None` with another judge.
    pub(crate) probe: Option<&'a StateProbe>,
}

impl<'a> Subject<'a> {
    /// Renders the problem for `policy`.
    ///
    /// # Errors
    /// The policy's error if it cannot render the problem or encode the reference solution.
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

    /// Sets the probe that judges steps, if the configuration selects the probe judge.
    #[must_use]
    pub fn judged_by(self, probe: Option<&'a StateProbe>) -> Self {
        Self { probe, ..self }
    }

    /// Adds the opening tag of a thought to `solution` if the prompt ends inside a thought.
    pub(crate) fn turn<'s>(&self, solution: &'s str) -> Cow<'s, str> {
        whole_turn(&self.prompt.text, solution)
    }
}

/// Maximum number of tokens of a step. With whole lines (`Boundary::Lines`) and a visible reference solution,
/// it depends on the problem (authors' code): min(max, max(max / 4, reference tokens / (depth - 1))).
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
        // One token per byte. Three steps before the last; at most 128 and at least 32 tokens.
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
