//! The trait of all decorators: everything except calls is forwarded to the inner policy.
//!
//! One blanket implementation of [`Policy`] serves all decorators, so that no decorator forgets to forward
//! a method (such as the notes of a server).

use regrowth_datasets::{Problem, TokenId};

use crate::{Call, Limits, Policy, PolicyError, Prompt, ServerFeatures};

/// A decorator: handles calls itself and forwards everything else to the inner policy.
pub trait Around: Send + Sync {
    /// The inner policy.
    fn inner(&self) -> &dyn Policy;

    /// Handles a call in place of the inner policy; see [`Policy::submit`].
    fn take(&self, call: Call);

    /// Limits on requests, if they differ from the inner policy's; see [`Policy::limits`].
    fn limits_around(&self) -> Limits {
        self.inner().limits()
    }
}

impl<T: Around> Policy for T {
    fn identity(&self) -> &str {
        self.inner().identity()
    }

    fn limits(&self) -> Limits {
        self.limits_around()
    }

    fn notes(&self) -> &[String] {
        self.inner().notes()
    }

    fn server(&self) -> Option<&ServerFeatures> {
        self.inner().server()
    }

    fn prompt(&self, problem: &Problem) -> Result<Prompt, PolicyError> {
        self.inner().prompt(problem)
    }

    fn encode(&self, text: &str) -> Result<Vec<TokenId>, PolicyError> {
        self.inner().encode(text)
    }

    fn decode(&self, ids: &[TokenId]) -> Result<String, PolicyError> {
        self.inner().decode(ids)
    }

    fn eos(&self) -> Option<TokenId> {
        self.inner().eos()
    }

    fn gives_hidden_states(&self) -> bool {
        self.inner().gives_hidden_states()
    }

    fn submit(&self, call: Call) {
        self.take(call);
    }
}
