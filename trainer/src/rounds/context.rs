//! The context of a run: its folder, settings and problems, and the models and verifiers that its phases use.
//!
//! [`super::driver`] creates the context once; it does not change. [`super::round`] and [`super::finish`]
//! give each phase the parts that it needs.

use std::sync::Arc;

use regrowth_mcts::config::JudgePolicy;
use regrowth_verifiers::Verifier;

use super::config::RunConfig;
use super::observer::Control;
use super::on_demand::OnDemand;
use super::policies::Policies;
use super::run_dir::{RunDir, RunFile};
use super::sets::ProblemSets;
use super::validation::Evaluator;

/// A run in progress.
pub(super) struct RunContext<'a> {
    pub(super) dir: RunDir,
    pub(super) config: &'a RunConfig,
    pub(super) sets: ProblemSets,
    /// `run.json`: the settings, policy and problems that the run was started with.
    pub(super) file: RunFile,
    /// Number of threads of search and training.
    pub(super) threads: usize,
    pub(super) control: &'a Control,
    pub(super) policies: Policies<'a>,
    /// Verifier of solutions. All rounds share its verdicts.
    pub(super) verifier: OnDemand<'a, Arc<dyn Verifier>>,
    /// Policy that judges in place of the searched policy; `None` if the settings name no judge policy. It is
    /// never trained.
    pub(super) judge: OnDemand<'a, Option<JudgePolicy>>,
}

impl RunContext<'_> {
    /// Returns the evaluator, which answers the run's problems with a policy.
    pub(super) fn evaluator(&self) -> Evaluator<'_> {
        Evaluator {
            policies: &self.policies,
            verifier: &self.verifier,
            sets: &self.sets,
            max_tokens: self.config.search.max_solution_tokens,
            control: self.control,
        }
    }
}
