//! Whether the next round starts from a round's policy, by validation problems alone.
//!
//! A pure function of two lists of answers; it knows nothing of what made them. The paper keeps the
//! best of its rounds (Xie et al. 2024, section 4); the slack is ours.

use super::config::{Gate, RunConfig};
use super::exam::EvalRow;
use super::report::GateReport;
use super::round::Start;
use crate::stats::Share;

/// Accepts a candidate unless it solves clearly fewer validation problems than its start.
pub(super) fn decide(
    config: &RunConfig,
    start: &Start,
    candidate: &Start,
    not_trained: Option<&str>,
) -> GateReport {
    let accuracy = |rows: &[EvalRow]| Share::of(rows.iter().map(|r| r.correct)).accuracy;
    let (before, after) = (accuracy(&start.validation), accuracy(&candidate.validation));
    let figures = format!("{:.1} % before, {:.1} % after", 100.0 * before, 100.0 * after);
    let (accepted, reason) = if not_trained.is_some() {
        (false, "nothing was trained".to_owned())
    } else if config.gate == Gate::Off {
        (true, format!("the gate is off: {figures}"))
    } else {
        (after + config.gate_slack >= before, figures)
    };
    GateReport { start_round: start.round, accepted, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::Preset;

    fn after(round: u32, right: usize) -> Start {
        let row = |i| EvalRow {
            version: 1,
            id: String::new(),
            level: None,
            correct: i < right,
            tokens: 0,
            text: String::new(),
            failure: None,
        };
        let (spec, identity) = (String::new(), String::new());
        Start { round, spec, identity, validation: (0..10).map(row).collect() }
    }

    fn accepted(gate: Gate, slack: f64, right: usize, not_trained: Option<&str>) -> bool {
        let config = RunConfig { gate, gate_slack: slack, ..Preset::Builtin.config() };
        decide(&config, &after(0, 5), &after(1, right), not_trained).accepted
    }

    #[test]
    fn the_gate_keeps_the_better_policy() {
        for gate in [Gate::Keep, Gate::Stop] {
            assert!(accepted(gate, 0.0, 6, None) && accepted(gate, 0.0, 5, None));
            assert!(!accepted(gate, 0.0, 4, None) && accepted(gate, 0.1, 4, None));
        }
        assert!(accepted(Gate::Off, 0.0, 0, None));
        assert!(!accepted(Gate::Off, 0.0, 9, Some("too few pairs")));
    }
}
