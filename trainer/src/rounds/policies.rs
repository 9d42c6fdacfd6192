//! The policies of a run, loaded when a phase asks for them.
//!
//! One policy is in memory at a time: asking for another one, or [`Policies::unload`], frees the last.

use std::cell::RefCell;
use std::sync::Arc;

use regrowth_policy::{LoadOptions, Policy};

use super::config::RunConfig;
use super::serving::Serving;
use crate::{TrainError, inputs};

/// Loads the base policy and those of the rounds, here or behind servers.
pub(super) struct Policies<'a> {
    config: &'a RunConfig,
    load: LoadOptions,
    serving: Serving<'a>,
    /// The policy that was asked for last, with its specification.
    loaded: RefCell<Option<(String, Arc<dyn Policy>)>>,
}

impl<'a> Policies<'a> {
    /// `load` says how they are loaded, `serving` where they are served if the settings name weights.
    pub(super) fn new(config: &'a RunConfig, load: LoadOptions, serving: Serving<'a>) -> Self {
        Self { config, load, serving, loaded: RefCell::new(None) }
    }

    /// The policy that `spec` names, loaded unless it is the one that is loaded.
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

    /// Frees the memory of the loaded policy.
    pub(super) fn unload(&self) {
        *self.loaded.borrow_mut() = None;
    }

    /// How policies are loaded.
    pub(super) fn load_options(&self) -> &LoadOptions {
        &self.load
    }
}
