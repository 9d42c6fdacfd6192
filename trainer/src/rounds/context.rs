//! What all phases of a run share: folder, settings, problems, and the policy that was loaded last.
//!
//! A context does not change while the run goes; only the loaded policy is exchanged.

use std::cell::RefCell;
use std::sync::Arc;

use regrowth_policy::{Dtype, LoadOptions, Policy};

use super::config::RunConfig;
use super::observer::Control;
use super::run_dir::RunDir;
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
    /// The policy that was asked for last, by its specification.
    pub(super) loaded: RefCell<Option<(String, Arc<dyn Policy>)>>,
}

impl RunContext<'_> {
    /// Loads a policy unless it is the one that is loaded. One is held at a time.
    pub(super) fn policy(&self, spec: &str) -> Result<Arc<dyn Policy>, TrainError> {
        let mut loaded = self.loaded.borrow_mut();
        if let Some((_, policy)) = loaded.as_ref().filter(|(name, _)| name == spec) {
            return Ok(policy.clone());
        }
        *loaded = None;
        let policy = inputs::policy(spec, &self.load)?;
        *loaded = Some((spec.to_owned(), policy.clone()));
        Ok(policy)
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
