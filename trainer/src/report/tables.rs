//! Tables of results and costs, round by round.

use std::collections::BTreeSet;

use super::charts::all_tokens;
use super::machine;
use super::sources::Sources;
use super::table::{Group, Row, Table};
use super::words::{count, duration, interval, mean, metric, part, percent, points, signed};
use crate::rounds::{GATE_OFF, Objective, RoundReport};
use crate::stats::{Paired, p_value};

/// Name, meaning, and the function for the cell of a round.
type Spec<'a> = (&'static str, &'static str, &'a dyn Fn(&RoundReport) -> String);

/// Table of the rounds' accuracy, data and training.
pub(super) fn results(sources: &Sources) -> Table {
    let mut accuracy = group("Accuracy", sources, &accuracy_rows());
    // Place the comparison after the test accuracy and its interval.
    let place = accuracy.rows.len().min(2);
    accuracy.rows.splice(place..place, against_base(sources));
    let groups = vec![
        accuracy,
        group("Search", sources, &search_rows()),
        group("Pairs", sources, &pair_rows()),
        training(sources),
        metrics(sources),
        group("Judge", sources, &judge_rows()),
        held_out_judges(sources),
    ];
    Table::of_rounds(sources, groups)
}

/// Table of the rounds' tokens and time.
pub(super) fn costs(sources: &Sources) -> Table {
    let tokens: [Spec; 7] = [
        ("prompts", "each tree's once", &|r| count(r.tokens.prompts)),
        ("sampled by the search", "", &|r| count(r.tokens.sampled)),
        ("trained", "through forward and backward", &|r| count(r.tokens.trained)),
        ("reference", "forward passes of the reference policy", &|r| count(r.tokens.referenced)),
        ("validation", "sampled", &|r| count(r.tokens.validated)),
        ("all tokens", "", &|r| count(all_tokens(r))),
        ("model calls of the search", "", &|r| count(r.statistics.model_calls)),
    ];
    let time: [Spec; 6] = [
        ("search", "", &|r| duration(r.seconds.search)),
        ("training", "", &|r| duration(r.seconds.train)),
        ("validation", "", &|r| duration(r.seconds.validate)),
        ("KL to the base policy", "", &|r| duration(r.seconds.kl)),
        ("test problems", "", &|r| duration(r.seconds.test)),
        ("all phases", "", &|r| duration(r.seconds.total())),
    ];
    let groups = vec![
        group("Tokens", sources, &tokens),
        group("Time", sources, &time),
        machine::memory(sources),
    ];
    Table::of_rounds(sources, groups)
}

/// Builds a group of the rows that have a value in some round.
fn group(name: &'static str, sources: &Sources, specs: &[Spec]) -> Group {
    let rows = specs.iter().map(|(name, meaning, cell)| Row {
        name: (*name).to_owned(),
        meaning,
        cells: sources.report.rounds.iter().map(cell).collect(),
    });
    Group { name, rows: rows.filter(|row| row.cells.iter().any(|cell| !cell.is_empty())).collect() }
}

fn accuracy_rows() -> [Spec<'static>; 8] {
    [
        ("test", "greedy; decides nothing", &|r| {
            r.test.as_ref().map(|e| percent(e.share.accuracy)).unwrap_or_default()
        }),
        ("95 % interval", "Wilson, in percent", &|r| {
            r.test.as_ref().map(|e| interval(&e.share)).unwrap_or_default()
        }),
        ("test solutions without an answer", "cut off included", &|r| {
            let test = r.test.as_ref();
            test.map(|e| part(e.no_answer + e.cut_off, e.share.n)).unwrap_or_default()
        }),
        ("validation", "chooses the best round, feeds the gate", &|r| match r.validated {
            true => percent(r.validation.share.accuracy),
            false => String::new(),
        }),
        (
            "validation problems learned",
            "solved now, not by the policy the round started from",
            &|r| changed(r, r.learned),
        ),
        ("validation problems forgotten", "the reverse", &|r| changed(r, r.forgotten)),
        ("equations that hold", "of those in validation solutions", &|r| {
            r.validation.equations.map(|s| percent(s.accuracy)).unwrap_or_default()
        }),
        (
            "gate",
            "whether the next round starts from this policy; with the gate off it always does",
            &gate,
        ),
    ]
}

fn changed(round: &RoundReport, n: u64) -> String {
    if round.trained { count(n) } else { String::new() }
}

fn gate(round: &RoundReport) -> String {
    match (&round.gate, &round.not_trained) {
        (_, Some(reason)) => format!("not trained: {reason}"),
        (Some(gate), None) if gate.reason.starts_with(GATE_OFF) => "off".to_owned(),
        (Some(gate), None) if gate.accepted => "accepted".to_owned(),
        (Some(gate), None) => format!("rejected, kept round {}", gate.start_round),
        (None, None) => String::new(),
    }
}

/// Compares each round with round 0 on the same test problems.
fn against_base(sources: &Sources) -> Vec<Row> {
    let Some(base) = sources.rounds.first().filter(|r| !r.answers.is_empty()) else {
        return vec![];
    };
    let compared: Vec<Option<Paired>> = sources
        .rounds
        .iter()
        .map(|round| {
            let answered = round.report.round > 0 && round.answers.len() == base.answers.len();
            let both = base.answers.iter().zip(&round.answers);
            answered.then(|| Paired::of(both.map(|(a, b)| (a.correct, b.correct))))
        })
        .collect();
    let row = |name: &str, meaning, cell: &dyn Fn(&Paired) -> String| Row {
        name: name.to_owned(),
        meaning,
        cells: compared.iter().map(|c| c.as_ref().map(cell).unwrap_or_default()).collect(),
    };
    if compared.iter().all(Option::is_none) {
        return vec![];
    }
    vec![
        row("test, points against the base policy", "same problems", &|c| points(c.difference)),
        row("95 % interval of the difference", "paired, Bonett and Price", &|c| {
            format!("{} to {}", points(c.ci95[0]), points(c.ci95[1]))
        }),
        row("gained, lost", "test problems", &|c| format!("{}, {}", c.gained, c.lost)),
        row("p-value", "exact McNemar test", &|c| p_value(c.p_value)),
    ]
}

fn search_rows() -> [Spec<'static>; 9] {
    [
        ("problems", "", &|r| some(r, count(r.problems))),
        ("trees", "", &|r| some(r, count(r.trees))),
        ("steps per tree", "", &|r| {
            mean(r.statistics.nodes.saturating_sub(r.statistics.trees), r.statistics.trees)
        }),
        ("simulations per tree", "", &|r| mean(r.statistics.simulations, r.statistics.trees)),
        ("trees with right and wrong solutions", "these teach by outcome", &|r| {
            of_trees(r, r.statistics.mixed)
        }),
        ("trees without a wrong solution", "all are right, or none is finished", &|r| {
            let wrong = r.statistics.mixed + r.statistics.all_wrong;
            of_trees(r, r.statistics.trees.saturating_sub(wrong))
        }),
        ("trees with wrong solutions only", "", &|r| of_trees(r, r.statistics.all_wrong)),
        ("solutions without an answer", "cut off included", &|r| {
            let seen = r.statistics.unanswered;
            part(seen.no_answer + seen.cut_off, seen.solutions)
        }),
        ("candidates dropped as duplicates", "", &|r| {
            let steps = r.statistics.nodes.saturating_sub(r.statistics.trees);
            part(r.statistics.duplicates, r.statistics.duplicates + steps)
        }),
    ]
}

/// A number of trees and its share of all trees.
fn of_trees(round: &RoundReport, n: u64) -> String {
    match round.statistics.trees {
        0 => String::new(),
        trees => format!("{} ({})", count(n), part(n, trees)),
    }
}

fn some(round: &RoundReport, text: String) -> String {
    if round.trees > 0 { text } else { String::new() }
}

fn pair_rows() -> [Spec<'static>; 7] {
    [
        ("pairs", "", &|r| some(r, count(r.pairs))),
        ("joint pairs", "of solutions of two problems, from trees without contrast", &|r| {
            r.statistics.joint.map(|joint| count(joint.pairs)).unwrap_or_default()
        }),
        ("sampled by the round's own policy", "of what was trained on", &|r| match r.trained {
            true => percent(r.on_policy_share),
            false => String::new(),
        }),
        ("replayed from earlier rounds", "of what was trained on", &|r| match r.replayed {
            0 => String::new(),
            n => count(n),
        }),
        ("tokens of a chosen side", "mean", &|r| {
            mean(r.statistics.chosen_tokens, r.statistics.pairs)
        }),
        ("tokens of a rejected side", "mean; a gap is a length bias", &|r| {
            mean(r.statistics.rejected_tokens, r.statistics.pairs)
        }),
        ("pairs whose chosen side is longer", "", &|r| {
            part(r.statistics.chosen_longer, r.statistics.pairs)
        }),
    ]
}

/// Rows about training: data, steps and KL divergence.
fn training(sources: &Sources) -> Group {
    let mut training = group("Training", sources, &training_rows());
    let name = match sources.report.config.objective {
        Objective::Preferences => "pairs trained on",
        Objective::ChosenSteps => "chosen steps trained on",
        Objective::CorrectSolutions => "solutions trained on",
    };
    let cells = sources.by_round(|round| round.rows_trained.map(count).unwrap_or_default());
    if cells.iter().any(|cell| !cell.is_empty()) {
        let meaning = "replayed ones included, too long ones not";
        training.rows.insert(0, Row { name: name.to_owned(), meaning, cells });
    }
    training
}

fn training_rows() -> [Spec<'static>; 3] {
    [
        (
            "tokens trained on",
            "through forward and backward, in all epochs",
            &|r| match r.trained {
                true => count(r.tokens.trained),
                false => String::new(),
            },
        ),
        ("optimizer steps", "", &|r| if r.trained { count(r.steps) } else { String::new() }),
        ("KL to the base policy", "nats per token, of sampled validation solutions", &|r| {
            r.kl_to_base.map(|d| signless(d.per_token)).unwrap_or_default()
        }),
    ]
}

/// The last value of each training metric, by TRL's metric names.
fn metrics(sources: &Sources) -> Group {
    let rounds = &sources.report.rounds;
    let names: BTreeSet<&String> = rounds.iter().flat_map(|r| r.metrics.keys()).collect();
    let value = |r: &RoundReport, name| r.metrics.get(name).map(|v: &f64| signless(*v));
    let rows = names.into_iter().map(|name| Row {
        name: name.clone(),
        meaning: metric(name),
        cells: rounds.iter().map(|r| value(r, name).unwrap_or_default()).collect(),
    });
    Group { name: "Metrics at the last step", rows: rows.collect() }
}

/// Formats with four decimals and a typographic minus sign.
fn signless(value: f64) -> String {
    let text = signed(value, 4);
    text.strip_prefix('+').map_or(text.clone(), str::to_owned)
}

fn judge_rows() -> [Spec<'static>; 4] {
    [
        ("judged solutions", "", &|r| {
            r.statistics.self_evaluation.as_ref().map(|c| count(c.all.n)).unwrap_or_default()
        }),
        ("AUC", "chance that a right solution is rated above a wrong one; 0.5 is chance", &|r| {
            let judged = r.statistics.self_evaluation.as_ref();
            judged.and_then(|c| c.all.auc).map(|v| format!("{v:.3}")).unwrap_or_default()
        }),
        ("ECE", "expected calibration error; 0 is calibrated", &|r| {
            let judged = r.statistics.self_evaluation.as_ref();
            judged.and_then(|c| c.all.ece).map(|v| format!("{v:.3}")).unwrap_or_default()
        }),
        ("judge and outcome disagree", "self-evaluation above or below one half", &|r| {
            part(r.statistics.judge_disagrees, r.statistics.judged_solutions)
        }),
    ]
}

/// Judges that are fitted to outcomes, on held-out problems.
fn held_out_judges(sources: &Sources) -> Group {
    let rounds = &sources.report.rounds;
    let names: BTreeSet<&String> =
        rounds.iter().flat_map(|r| r.statistics.held_out.keys()).collect();
    let row = |name: &String| {
        let cell = |r: &RoundReport| {
            let figures = r.statistics.held_out.get(name).map(|found| found.all);
            let shown = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
            figures.map(|f| format!("{}, {}", shown(f.auc), shown(f.ece))).unwrap_or_default()
        };
        Row {
            name: name.clone(),
            meaning: "AUC, ECE; fitted to other problems of the round",
            cells: rounds.iter().map(cell).collect(),
        }
    };
    Group { name: "Fitted judges", rows: names.into_iter().map(row).collect() }
}
