//! The loop over the rounds of a run, and the conditions that end it.

use super::best::best_round;
use super::config::Gate;
use super::context::RunContext;
use super::observer::Observer;
use super::round_policy::Finished;
use super::{gate, prune, round};
use crate::TrainError;

/// Reason why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    LastRound,
    Gate,
    NoNewBest,
}

/// The finished rounds of a run, round 0 first, and why there are no more.
pub(super) struct Rounds {
    pub(super) finished: Vec<Finished>,
    pub(super) end: End,
}

/// Runs rounds until the last one, or until the gate or `patience` ends the run.
pub(super) fn run_rounds(
    run: &RunContext,
    observer: &mut dyn Observer,
) -> Result<Rounds, TrainError> {
    let decides = gate::can_decide(run.sets.validation.len());
    let patience = Some(run.config.patience as usize).filter(|&rounds| rounds > 0 && decides);
    let zero = round::base(run, observer)?;
    observer.round(&zero.report);
    let mut start = zero.policy_after.clone();
    // The last policy that was validated and accepted; the run continues from it when the gate rejects a
    // round.
    let mut fallback = start.clone();
    let mut rounds: Vec<Finished> = vec![zero];
    for number in 1..=run.config.rounds {
        let finished = round::round(run, number, &start, observer)?;
        observer.round(&finished.report);
        let accepted = finished.report.gate.as_ref().is_some_and(|g| g.accepted);
        let worse = finished.report.trained && !accepted;
        // If nothing was trained, `policy_after` is the start policy, which this round may have validated.
        start = if worse { fallback.clone() } else { finished.policy_after.clone() };
        if start.validated_in.is_some() {
            fallback = start.clone();
        }
        rounds.push(finished);
        prune::prune(&run.dir, run.config, &rounds, [start.round, fallback.round])?;
        if worse && run.config.gate == Gate::Stop {
            return Ok(Rounds { finished: rounds, end: End::Gate });
        }
        let since_best = number as usize - best_round(&rounds);
        if number < run.config.rounds && patience.is_some_and(|most| since_best >= most) {
            observer.log(&format!("no new best in {since_best} rounds: the run ends early"));
            return Ok(Rounds { finished: rounds, end: End::NoNewBest });
        }
    }
    Ok(Rounds { finished: rounds, end: End::LastRound })
}
