//! What a tree is worth: exactly, modulo a prime, or within proven bounds.
//!
//! Three evaluators that know nothing of each other: rationals decide numbers, residues decide
//! polynomial and rational identities without expanding them, balls decide the rest.

pub(crate) mod ball;
pub(crate) mod elementary;
pub(crate) mod exact;
mod functions;
pub(crate) mod modular;
pub(crate) mod numeric;
pub(crate) mod polynomial;

use crate::fuel::Reason;

/// Why a value is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The expression has no value at this point.
    Undefined,
    /// The bounds are too wide to go on.
    Imprecise,
    /// This evaluator does not know the expression.
    Foreign,
    /// The comparison has to stop.
    Stop(Reason),
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        Self::Stop(reason)
    }
}
