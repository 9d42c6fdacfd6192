//! Factors that the preferences of each round correlate with, their evidence, and contamination by test
//! problems: `regrowth_mcts::audit` of the pairs on the page.

use std::collections::BTreeSet;

use regrowth_mcts::audit::{Evidence, PairAudit};

use super::sources::{RoundSources, Sources};
use super::table::{Group, Row, Table};
use super::words::{count, percent, signed};

/// Returns the table; it has no groups if no round has pairs.
pub(super) fn table(sources: &Sources) -> Table {
    let audits: Vec<&PairAudit> = sources.rounds.iter().filter_map(|r| r.audit.as_ref()).collect();
    let groups = vec![
        Group { name: "Tau-b of preference and factor", rows: factors(sources, &audits) },
        Group { name: "What pairs rest on", rows: evidence(sources, &audits) },
        Group { name: "Repeats and test problems", rows: troubles(sources) },
    ];
    Table::of_rounds(sources, groups)
}

/// Name of a factor on the page.
pub(super) fn factor_in_words(name: &str) -> String {
    match name {
        "tokens" => "length in tokens".to_owned(),
        "characters" => "length in characters".to_owned(),
        "restating" => "restating the prompt".to_owned(),
        "self_evaluation" => "self-evaluation".to_owned(),
        other => other.replace('_', " "),
    }
}

fn factors(sources: &Sources, audits: &[&PairAudit]) -> Vec<Row> {
    let Some(first) = audits.first() else { return Vec::new() };
    let meaning = |name: &str| match name {
        "likelihood" => "mean log-probability of a token under the policy that sampled it",
        "finished" => "the step ends the solution",
        "false_equations" => "in the step, such as 3 + 4 = 8",
        "restating" => "share of word 3-grams that question and earlier steps have",
        _ => "",
    };
    let rows = first.factors.iter().enumerate().map(|(at, factor)| {
        row(sources, factor_in_words(&factor.name), meaning(&factor.name), |audit| {
            audit.factors[at].tau_b.map(|tau| signed(tau, 3))
        })
    });
    filled(rows)
}

fn evidence(sources: &Sources, audits: &[&PairAudit]) -> Vec<Row> {
    let classes: BTreeSet<Evidence> =
        audits.iter().flat_map(|audit| &audit.evidence).map(|count| count.class).collect();
    let rows = classes.into_iter().map(|class| {
        let name = match class {
            // The page reads pairs without their trees, so it knows no solutions below the two steps.
            Evidence::Unfinished => "neither step ends a solution",
            class => class.in_words(),
        };
        row(sources, name.to_owned(), "", |audit| {
            let found = audit.evidence.iter().find(|count| count.class == class);
            Some(percent(found.map_or(0.0, |count| count.share)))
        })
    });
    filled(rows)
}

fn troubles(sources: &Sources) -> Vec<Row> {
    let some = |n: u64| (n > 0).then(|| count(n));
    let test = |audit: &PairAudit, n: fn(&regrowth_mcts::audit::Contamination) -> u64| {
        audit.contamination.as_ref().map(n).and_then(some)
    };
    filled([
        row(sources, "pairs that repeat another".into(), "", |a| some(a.repeats.identical)),
        row(sources, "pairs that contradict another".into(), "", |a| some(a.repeats.swapped)),
        row(sources, "test problems found whole in pairs".into(), "", |a| test(a, |c| c.exact)),
        row(
            sources,
            "test problems that share text with pairs".into(),
            "13 words in a row; templates do, too",
            |a| test(a, |c| c.overlapping),
        ),
    ])
}

fn row(
    sources: &Sources,
    name: String,
    meaning: &'static str,
    cell: impl Fn(&PairAudit) -> Option<String>,
) -> Row {
    let of_round = |round: &RoundSources| round.audit.as_ref().and_then(&cell).unwrap_or_default();
    Row { name, meaning, cells: sources.rounds.iter().map(of_round).collect() }
}

/// Returns the rows that have a value in some round.
fn filled(rows: impl IntoIterator<Item = Row>) -> Vec<Row> {
    let says = |row: &Row| row.cells.iter().any(|cell| !cell.is_empty());
    rows.into_iter().filter(says).collect()
}
