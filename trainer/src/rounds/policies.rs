//! The policies of a run, loaded when a phase requests them.
//!
//! At most one policy is in memory: requesting another one, or [`Policies::unload`], frees the previous one.

use std::cell::RefCell;
use std::sync::Arc;

use regrowth_policy::{LoadOptions, Policy};

use super::config::RunConfig;
use super::serving::Serving;
use crate::{TrainError, inputs};

/// Loads the base policy and the policies of the rounds, in this process or behind servers.
pub(super) struct Policies<'a> {
    config: &'a RunConfig,
    load: LoadOptions,
    serving: Serving<'a>,
    /// The policy requested last, with its specification.
    loaded: RefCell<Option<(String, Arc<dyn Policy>)>>,
}

impl<'a> Policies<'a> {
    /// `load` are the load options. `serving` serves the policies if the settings name weights.
    pub(super) fn new(config: &'a RunConfig, load: LoadOptions, serving: Serving<'a>) -> Self {
        Self { config, load, serving, loaded: RefCell::new(None) }
    }

    /// Returns the policy of the specification `spec`. Loads it unless it is loaded already.
    pub(super) fn get(&self, spec: &str) -> Result<Arc<dyn Policy>, TrainError> {
        let mut loaded = self.loaded.borrow_mut();
        if let Some((_, policy)) = loaded.as_ref().filter(|(name, _)| name == spec) {
            return Ok(policy.clone());
        }
        *loaded = None;
        let policy = match self.config.weights {
            Some(_) => self.serving.policy(spec, &self.load)?,
            None => inputs::policy(spec, &self.load)?,
        };
        *loaded = Some((spec.to_owned(), policy.clone()));
        Ok(policy)
    }

    /// Unloads the policy and frees its memory.
    pub(super) fn unload(&self) {
        *self.loaded.borrow_mut() = None;
    }

    /// The load options of the policies.
    pub(super) fn load_options(&self) -> &LoadOptions {
        &self.load
    }
}
