//! The choice of the best round, by validation problems alone.

use super::gate;
use super::round_policy::Finished;

/// Returns the round with the most validation problems solved, the earliest on a tie. With too few
/// validation problems to decide, returns the last round whose policy was validated in that round.
pub(super) fn best_round(rounds: &[Finished]) -> usize {
    let right = |i: &usize| rounds[*i].report.validation.share.correct;
    // A round that trained nothing ends with an earlier round's policy. That policy already counts under the
    // earlier round, unless this round was the first to validate it.
    let asked = |i: &usize| rounds[*i].policy_after.validated_in == Some(*i as u32);
    let mut validated = (0..rounds.len()).filter(asked).rev();
    let problems = rounds.first().map_or(0, |zero| zero.report.validation.share.n);
    if !gate::can_decide(problems as usize) {
        return validated.next().unwrap_or(0);
    }
    validated.max_by_key(right).unwrap_or(0)
}
