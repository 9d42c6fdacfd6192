//! The resource counter of a comparison, and the reasons for which a comparison can end undecided.
//!
//! Time is not measured. Work costs fuel in proportion to its amount (bytes, nodes, limb operations,
//! evaluation points), and the fuel is spent before the work is done, so the same input always stops at
//! the same place. Without time limits, the checks work the same in any thread.

use std::fmt;

/// Fuel of one comparison: at most about ten milliseconds of work in an optimised build.
pub(crate) const FULL_TANK: u64 = 3_000_000;

/// Why a comparison could not be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The text states no answer.
    NoAnswer,
    /// The text ends inside its answer: in an unclosed box or formula, or in words that a token budget
    /// cut off.
    Truncated,
    /// The answer does not parse.
    Unparsed,
    /// The reference does not parse.
    GoldUnparsed,
    /// The answer is longer than the longest that is compared.
    TooLong,
    /// The comparison would exceed its limit of work.
    Fuel,
    /// The expressions contain something that the evaluators do not support.
    Unsupported,
    /// Too few points at which both sides are defined.
    Undefined,
    /// The label and the option text of a choice disagree.
    Conflict,
}

impl Reason {
    /// Stable name for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoAnswer => "no-answer",
            Self::Truncated => "truncated",
            Self::Unparsed => "unparsed",
            Self::GoldUnparsed => "gold-unparsed",
            Self::TooLong => "too-long",
            Self::Fuel => "fuel",
            Self::Unsupported => "unsupported",
            Self::Undefined => "undefined",
            Self::Conflict => "label-and-text-disagree",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The remaining fuel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fuel(u64);

impl Fuel {
    /// Fuel of one comparison.
    pub(crate) fn full() -> Self {
        Self(FULL_TANK)
    }

    /// Fuel of a comparison that is one of many small ones.
    pub(crate) fn share() -> Self {
        Self(FULL_TANK / 32)
    }

    /// Spends fuel for `units` of work before it is done.
    pub(crate) fn spend(&mut self, units: u64) -> Result<(), Reason> {
        match self.0.checked_sub(units) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => {
                self.0 = 0;
                Err(Reason::Fuel)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_tank_stays_empty() {
        let mut fuel = Fuel(10);
        assert!(fuel.spend(10).is_ok());
        assert_eq!(fuel.spend(1), Err(Reason::Fuel));
        let mut fuel = Fuel(10);
        assert_eq!(fuel.spend(11), Err(Reason::Fuel));
        assert_eq!(fuel.spend(1), Err(Reason::Fuel));
    }
}
