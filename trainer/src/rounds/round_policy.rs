//! A policy of a run: what a round starts from, and what it leaves.

use super::report::RoundReport;
use super::test_evaluation::EvalRow;

/// A policy with its answers to the validation problems.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RoundPolicy {
    /// Round whose policy it is; 0 is the base policy.
    pub(super) round: u32,
    /// The policy as a specification.
    pub(super) spec: String,
    /// Its identity.
    pub(super) identity: String,
    /// Answers to the validation problems: its own, or those of the last policy before it that was
    /// asked them.
    pub(super) validation: Vec<EvalRow>,
    /// Round in which it was asked them.
    pub(super) validated_in: Option<u32>,
}

impl RoundPolicy {
    /// The base policy with its answers to the validation problems.
    pub(super) fn base(spec: &str, identity: &str, validation: Vec<EvalRow>) -> Self {
        let (spec, identity) = (spec.to_owned(), identity.to_owned());
        Self { round: 0, spec, identity, validation, validated_in: Some(0) }
    }

    /// The policy that `round` trained from this one: not validated yet.
    pub(super) fn trained(&self, round: u32, spec: String, identity: String) -> Self {
        Self { round, spec, identity, validation: self.validation.clone(), validated_in: None }
    }
}

/// A round at its end.
pub(super) struct Finished {
    pub(super) report: RoundReport,
    /// What the next round starts from if this one is accepted.
    pub(super) policy_after: RoundPolicy,
}
