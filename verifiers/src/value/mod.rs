//! Values of trees: exact, modulo a prime, or within proven bounds.
//!
//! Three independent evaluators: rationals decide numbers, residues decide polynomial and rational
//! identities without expanding them, balls decide the rest.

pub(crate) mod ball;
pub(crate) mod elementary;
pub(crate) mod exact;
mod functions;
pub(crate) mod modular;
pub(crate) mod numeric;
pub(crate) mod polynomial;

use crate::fuel::Reason;

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The expression has no value at this point.
    Undefined,
    /// The bounds are too wide to continue.
    Imprecise,
    /// This evaluator does not support the expression.
    Foreign,
    /// The whole comparison must stop.
    Stop(Reason),
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        Self::Stop(reason)
    }
}
