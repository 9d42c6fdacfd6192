//! What all phases of a run share: folder, settings, problems, and the policy that was loaded last.
//!
//! A context does not change while the run goes; only the loaded policy is exchanged.

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;

use regrowth_mcts::config::{JudgePolicy, VERDICTS_FILE};
use regrowth_policy::{Dtype, LoadOptions, Policy};
use regrowth_verifiers::Verifier;

use super::config::RunConfig;
use super::observer::Control;
use super::run_dir::RunDir;
use super::serving::{self, Serving};
use super::sets::ProblemSets;
use crate::{TrainError, inputs};

/// A run in progress.
pub(super) struct RunContext<'a> {
    pub(super) dir: RunDir,
    pub(super) config: RunConfig,
    pub(super) sets: ProblemSets,
    /// Rounds after which the test problems were looked at before rounds were added.
    pub(super) extended: Vec<u32>,
    /// Threads of search and training.
    pub(super) threads: usize,
    pub(super) control: &'a Control,
    /// How policies are loaded.
    pub(super) load: LoadOptions,
    /// The servers of a run whose model is served.
    pub(super) serving: Serving,
    /// The policy that was asked for last, by its specification.
    pub(super) loaded: RefCell<Option<(String, Arc<dyn Policy>)>>,
    /// What checks solutions, once it was needed.
    pub(super) checking: OnceCell<Arc<dyn Verifier>>,
    /// The policy that judges in place of the searched one, once it was needed; it is never trained.
    pub(super) judging: OnceCell<Option<JudgePolicy>>,
}

impl RunContext<'_> {
    /// Loads a policy unless it is the one that is loaded. One is held at a time.
    pub(super) fn policy(&self, spec: &str) -> Result<Arc<dyn Policy>, TrainError> {
        let mut loaded = self.loaded.borrow_mut();
        if let Some((_, policy)) = loaded.as_ref().filter(|(name, _)| name == spec) {
            return Ok(policy.clone());
        }
        *loaded = None;
        let policy = match self.config.weights {
            Some(_) => serving::policy(self, spec)?,
            None => inputs::policy(spec, &self.load)?,
        };
        *loaded = Some((spec.to_owned(), policy.clone()));
        Ok(policy)
    }

    /// What checks solutions: the built-in grader or the command of the settings, started when it is first
    /// needed. All rounds share what it finds.
    pub(super) fn verifier(&self) -> Result<Arc<dyn Verifier>, TrainError> {
        if let Some(verifier) = self.checking.get() {
            return Ok(verifier.clone());
        }
        let verdicts = self.dir.path().join(VERDICTS_FILE);
        let log = self.load.log.unwrap_or(|_| {});
        let verifier = self.config.search.verifier.start(Some(verdicts), log)?;
        Ok(self.checking.get_or_init(|| verifier).clone())
    }

    /// The policy that judges in place of the searched one, where the settings name one.
    pub(super) fn judge(&self) -> Result<Option<JudgePolicy>, TrainError> {
        if let Some(judge) = self.judging.get() {
            return Ok(judge.clone());
        }
        let judge = inputs::judge(&self.config.search.value, &self.load)?;
        Ok(self.judging.get_or_init(|| judge).clone())
    }

    /// Frees the memory of the loaded policy.
    pub(super) fn unload_policy(&self) {
        *self.loaded.borrow_mut() = None;
    }

    /// What weights are multiplied in, by engine and trainer alike.
    pub(super) fn dtype(&self) -> Dtype {
        self.load.dtype
    }
}
