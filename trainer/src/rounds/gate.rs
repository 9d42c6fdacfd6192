//! The gate: whether the next round starts from a round's policy, by validation problems alone.
//!
//! A pure function of two lists of answers. The paper keeps the best of its rounds (Xie et al. 2024, section
//! 4); the slack is our addition.

use super::config::{Gate, RunConfig};
use super::report::GateReport;
use super::round_policy::RoundPolicy;
use super::test_evaluation::EvalRow;
use crate::stats::Share;

/// Beginning of the reason if the gate is off.
pub(crate) const GATE_OFF: &str = "the gate is off";

/// Minimum number of validation problems for the gate to decide: with fewer, a change of 10 points is one or
/// two problems.
pub const GATE_MINIMUM: usize = 20;

/// Whether `validation` validation problems are enough to decide about rounds.
pub(super) fn can_decide(validation: usize) -> bool {
    validation >= GATE_MINIMUM
}

/// Accepts the policy after a round unless nothing was trained or its validation accuracy is more than
/// `gate_slack` below that of the start policy. A trained policy is always accepted if it was not validated
/// in this round, if the gate is off, or if there are too few validation problems.
pub(super) fn decide(
    config: &RunConfig,
    start: &RoundPolicy,
    policy_after: &RoundPolicy,
    not_trained: Option<&str>,
) -> GateReport {
    let accuracy = |rows: &[EvalRow]| Share::of(rows.iter().map(|r| r.correct)).accuracy;
    let (before, after) = (accuracy(&start.validation), accuracy(&policy_after.validation));
    let figures = format!("{:.1} % before, {:.1} % after", 100.0 * before, 100.0 * after);
    let (accepted, reason) = if not_trained.is_some() {
        (false, "nothing was trained".to_owned())
    } else if policy_after.validated_in.is_none() {
        (true, "not validated in this round".to_owned())
    } else if config.gate == Gate::Off {
        (true, format!("{GATE_OFF}: {figures}"))
    } else if !can_decide(policy_after.validation.len()) {
        let asked = policy_after.validation.len();
        let few =
            format!("{asked} validation problems are too few to decide (at least {GATE_MINIMUM})");
        (true, format!("{few}: the newest policy is kept; {figures}"))
    } else {
        (after + config.gate_slack >= before, figures)
    };
    GateReport { start_round: start.round, accepted, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_mcts::Preset;

    /// A policy that solves `right` of `of` validation problems.
    fn after(round: u32, right: usize, of: usize) -> RoundPolicy {
        let row = |i| EvalRow {
            version: 1,
            id: String::new(),
            level: None,
            correct: i < right,
            tokens: 0,
            text: String::new(),
            failure: None,
            unanswered: None,
        };
        let (spec, identity) = (String::new(), String::new());
        let validation = (0..of).map(row).collect();
        RoundPolicy { round, spec, identity, validation, validated_in: Some(round) }
    }

    fn accepted(gate: Gate, slack: f64, right: usize, not_trained: Option<&str>) -> bool {
        let config = RunConfig { gate, gate_slack: slack, ..RunConfig::of(Preset::Builtin) };
        decide(&config, &after(0, 10, 20), &after(1, right, 20), not_trained).accepted
    }

    #[test]
    fn the_gate_keeps_the_better_policy() {
        for gate in [Gate::Reject, Gate::Stop] {
            assert!(accepted(gate, 0.0, 12, None) && accepted(gate, 0.0, 10, None));
            assert!(!accepted(gate, 0.0, 8, None) && accepted(gate, 0.1, 8, None));
        }
        assert!(accepted(Gate::Off, 0.0, 0, None));
        assert!(!accepted(Gate::Off, 0.0, 18, Some("too few pairs")));
    }

    #[test]
    fn a_handful_of_problems_decides_nothing_and_the_reason_says_so() {
        let config = RunConfig { gate: Gate::Reject, ..RunConfig::of(Preset::Builtin) };
        let few = GATE_MINIMUM - 1;
        let decided = decide(&config, &after(0, few, few), &after(1, 0, few), None);
        assert!(decided.accepted && decided.reason.contains("19 validation problems are too few"));
    }
}
