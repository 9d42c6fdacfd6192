//! Caveats that a reader should know before trusting the result of a run.

use super::words::{count, counted, percent};
use crate::rounds::{RoundReport, RunReport};
use crate::stats::Share;

/// Share of solutions without an answer above which it is reported, as in warnings of searches.
const MANY_UNANSWERED: f64 = 0.2;
/// AUC below which a judge is reported as weak.
const WEAK_JUDGE: f64 = 0.6;
/// Share of trees without a right solution above which it is reported (our choice: most of the search gave no
/// training data).
const MANY_UNSOLVED: f64 = 0.5;
/// Width of a 95 % interval above which it is reported, as in the warnings of a run.
const WIDE: f64 = 0.1;
/// Relative length difference between chosen and rejected sides above which it is reported.
const LENGTH_BIAS: f64 = 0.15;

/// Returns the caveats, one sentence each.
pub(super) fn of(report: &RunReport) -> Vec<String> {
    let rounds: Vec<&RoundReport> = report.rounds.iter().filter(|r| r.round > 0).collect();
    let mut found: Vec<String> = rounds.iter().filter_map(|round| not_kept(round)).collect();
    found.extend(weak_judges(&rounds));
    found.extend(unsolved(&rounds));
    found.extend(length_bias(&rounds));
    found.extend(answers(report));
    found.extend(small_sets(report));
    if report.stopped_by_gate {
        found.push("The gate ended the run before its last round.".into());
    }
    if report.stopped_early {
        found.push("The run ended early: rounds in a row brought no new best.".into());
    }
    if found.is_empty() {
        found.push("Nothing that the run noticed.".into());
    }
    found
}

/// Reports a round whose policy the next round did not start from.
fn not_kept(round: &RoundReport) -> Option<String> {
    let number = round.round;
    match (&round.not_trained, &round.gate) {
        (Some(reason), _) => Some(format!("Round {number} was not trained: {reason}.")),
        (None, Some(gate)) if !gate.accepted => {
            Some(format!("The gate rejected round {number} ({}).", gate.reason))
        }
        _ => None,
    }
}

/// Joins rounds with their values: `rounds 1, 2 and 3`, and the values.
fn named(rounds: &[(u32, String)]) -> Option<(String, String)> {
    let joined = |parts: Vec<String>| match parts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    };
    let numbers = joined(rounds.iter().map(|(number, _)| number.to_string()).collect());
    let values = joined(rounds.iter().map(|(_, value)| value.clone()).collect());
    let word = if rounds.len() == 1 { "round" } else { "rounds" };
    (!rounds.is_empty()).then(|| (format!("{word} {numbers}"), values))
}

fn weak_judges(rounds: &[&RoundReport]) -> Option<String> {
    let weak = rounds.iter().filter_map(|r| {
        let auc = r.statistics.self_evaluation.as_ref()?.all.auc.filter(|auc| *auc < WEAK_JUDGE)?;
        Some((r.round, format!("{auc:.2}")))
    });
    let (which, values) = named(&weak.collect::<Vec<_>>())?;
    Some(format!(
        "In {which} the judge hardly told right solutions from wrong ones (AUC {values}; 0.5 knows \
         nothing)."
    ))
}

fn unsolved(rounds: &[&RoundReport]) -> Option<String> {
    let many = rounds.iter().filter_map(|r| {
        let share = r.statistics.all_wrong as f64 / r.statistics.trees.max(1) as f64;
        (share > MANY_UNSOLVED).then(|| (r.round, percent(share)))
    });
    let (which, values) = named(&many.collect::<Vec<_>>())?;
    Some(format!("In {which} most trees ({values}) found wrong solutions only."))
}

fn length_bias(rounds: &[&RoundReport]) -> Option<String> {
    let biased = rounds.iter().filter_map(|r| {
        let (chosen, rejected) =
            (r.statistics.chosen_tokens as f64, r.statistics.rejected_tokens as f64);
        let bias = chosen / rejected.max(1.0) - 1.0;
        let word = if bias < 0.0 { "shorter" } else { "longer" };
        let told = rejected > 0.0 && bias.abs() > LENGTH_BIAS;
        told.then(|| (r.round, format!("{} {word}", percent(bias.abs()))))
    });
    let (which, values) = named(&biased.collect::<Vec<_>>())?;
    Some(format!(
        "Pairs of {which} have a length bias: chosen sides are {values} than rejected ones."
    ))
}

/// Caveats about the test answers of the best round.
fn answers(report: &RunReport) -> Vec<String> {
    let mut found = Vec::new();
    if report.comparison.lost > 0 {
        found.push(format!(
            "{} lost: solved by the base policy, and now not.",
            counted(report.comparison.lost, "test problem")
        ));
    }
    let Some(test) = report.round(report.best_round).and_then(|r| r.test.as_ref()) else {
        return found;
    };
    let silent = test.no_answer + test.cut_off;
    if silent as f64 > MANY_UNANSWERED * test.share.n as f64 {
        found.push(format!(
            "{} of {} test solutions state no answer that can be read, {} of them because the token limit \
             cut them off.",
            count(silent),
            count(test.share.n),
            count(test.cut_off)
        ));
    }
    if test.failed > 0 {
        let failed = counted(test.failed, "test problem");
        found.push(format!("{failed} without a solution, counted as wrong."));
    }
    found
}

/// Reports sets with too few problems to show small differences.
fn small_sets(report: &RunReport) -> Vec<String> {
    let best = report.round(report.best_round);
    let validation = best.map(|r| ("validation", r.validation.share));
    let test = best.and_then(|r| Some(("test", r.test.as_ref()?.share)));
    let width = |share: &Share| share.ci95[1] - share.ci95[0];
    let small = validation.into_iter().chain(test).filter(|(_, share)| width(share) > WIDE);
    small
        .map(|(name, share)| {
            format!(
                "{}: the 95\u{a0}% interval of accuracy is {:.0} points wide.",
                counted(share.n, &format!("{name} problem")),
                100.0 * width(&share)
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn rounds_are_listed_as_people_list_them() {
        let rounds = |numbers: &[u32]| {
            named(&numbers.iter().map(|n| (*n, format!("{n}.0"))).collect::<Vec<_>>())
        };
        let told = |which: &str, values: &str| Some((which.to_owned(), values.to_owned()));
        assert_eq!(rounds(&[]), None);
        assert_eq!(rounds(&[2]), told("round 2", "2.0"));
        assert_eq!(rounds(&[1, 3, 4]), told("rounds 1, 3 and 4", "1.0, 3.0 and 4.0"));
    }
}
