//! The shape that decorators share: everything but calls goes to the policy inside.
//!
//! One blanket implementation stands for all of them, so that none forgets a method (the notes of a
//! server, say).

use regrowth_datasets::{Problem, TokenId};

use crate::{Call, Limits, Policy, PolicyError, Prompt, ServerFeatures};

/// A policy that does with calls what it likes and is otherwise the one inside.
pub trait Around: Send + Sync {
    /// The policy inside.
    fn inner(&self) -> &dyn Policy;

    /// Takes a call in the place of the policy inside; see [`Policy::submit`].
    fn take(&self, call: Call);

    /// What a request may ask for, where that differs; see [`Policy::limits`].
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
