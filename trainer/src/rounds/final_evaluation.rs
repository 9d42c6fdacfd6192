//! The test evaluation at the end of a run: each validated policy answers the test problems once.

use std::time::Instant;

use super::context::RunContext;
use super::observer::Observer;
use super::phase::RoundDir;
use super::report::{EvalReport, RoundReport};
use super::round_files::{self, TEST};
use super::round_policy::{Finished, RoundPolicy};
use super::test_evaluation::EvalRow;
use crate::TrainError;

/// Results on the test problems, one entry per round.
pub(super) struct Tested {
    /// Reports of the rounds, completed with the accuracy on the test problems.
    pub(super) reports: Vec<RoundReport>,
    /// Answers of the policy after the round; empty if it was not validated.
    pub(super) answers: Vec<Vec<EvalRow>>,
}

/// Evaluates every validated policy of the run on the test problems.
pub(super) fn evaluate(
    run: &RunContext,
    rounds: Vec<Finished>,
    observer: &mut dyn Observer,
) -> Result<Tested, TrainError> {
    let task = run.sets.test.first().map(|p| p.source.clone()).unwrap_or_default();
    let mut tested = Tested { reports: Vec::new(), answers: Vec::new() };
    for Finished { mut report, policy_after } in rounds {
        let rows = if policy_after.validated_in == Some(report.round) {
            answers(run, &policy_after, &mut report, observer)?
        } else if let Some(at) = policy_after.validated_in {
            // Nothing was trained: reuse the answers of the round that validated this policy.
            tested.answers[at as usize].clone()
        } else {
            vec![]
        };
        report.test = report.validated.then(|| EvalReport::of(&task, &rows));
        tested.answers.push(rows);
        tested.reports.push(report);
    }
    Ok(tested)
}

/// Returns the answers of a policy; they are stored in the folder of the round that trained it. The time is
/// added to the cost of the round that validated the policy, whose report is `report`.
fn answers(
    run: &RunContext,
    policy_after: &RoundPolicy,
    report: &mut RoundReport,
    observer: &mut dyn Observer,
) -> Result<Vec<EvalRow>, TrainError> {
    let started = Instant::now();
    let path = round_files::path_of(&run.dir.round(policy_after.round), TEST);
    let rows = run.evaluator().test(&policy_after.spec, &path, policy_after.round, observer)?;
    let seconds = started.elapsed().as_secs_f64();
    let dir = RoundDir::open(run.dir.round(report.round), report.round)?;
    dir.charge(|cost| cost.seconds.test += seconds)?;
    report.seconds = dir.cost().seconds;
    Ok(rows)
}
