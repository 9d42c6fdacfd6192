//! A policy of a run: the policy that a round starts from or ends with.

use super::report::RoundReport;
use super::test_evaluation::EvalRow;

/// A policy with its answers to the validation problems.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RoundPolicy {
    /// Number of the round that trained the policy; 0 is the base policy.
    pub(super) round: u32,
    /// Specification of the policy.
    pub(super) spec: String,
    /// Identity of the policy.
    pub(super) identity: String,
    /// Answers to the validation problems. If this policy was not validated: the answers of the last
    /// validated policy before it.
    pub(super) validation: Vec<EvalRow>,
    /// Round in which this policy was validated; `None` if it was not.
    pub(super) validated_in: Option<u32>,
}

impl RoundPolicy {
    /// The base policy with its answers to the validation problems.
    pub(super) fn base(spec: &str, identity: &str, validation: Vec<EvalRow>) -> Self {
        let (spec, identity) = (spec.to_owned(), identity.to_owned());
        Self { round: 0, spec, identity, validation, validated_in: Some(0) }
    }

    /// Returns the policy that `round` trained from this one; it is not validated yet.
    pub(super) fn trained(&self, round: u32, spec: String, identity: String) -> Self {
        Self { round, spec, identity, validation: self.validation.clone(), validated_in: None }
    }
}

/// A finished round.
pub(super) struct Finished {
    pub(super) report: RoundReport,
    /// The policy that the next round starts from if this round is accepted.
    pub(super) policy_after: RoundPolicy,
}
