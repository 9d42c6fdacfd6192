//! Tables of counts with bars, one column per round: margins, depths and lengths of pairs, and reasons of
//! dropped pairs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::sources::{PAIRS_READ, RoundSources, Sources};
use super::words::{count, drop_reason};
use crate::rounds::HISTOGRAM_EDGES;

/// Upper bounds of the length bins, in tokens.
const LENGTHS: [usize; 7] = [4, 8, 16, 32, 64, 128, 256];

/// A table of counts.
#[derive(Debug, Serialize)]
pub(super) struct Histogram {
    title: &'static str,
    explained: String,
    columns: Vec<String>,
    rows: Vec<HistogramRow>,
}

#[derive(Debug, Serialize)]
struct HistogramRow {
    name: String,
    /// Sum over all rounds.
    #[serde(skip)]
    total: u64,
    cells: Vec<Cell>,
}

/// A count, and the length of its bar in percent of the longest bar in the column.
#[derive(Debug, Serialize)]
struct Cell {
    count: String,
    bar: String,
}

/// Returns all tables that are not empty.
pub(super) fn histograms(sources: &Sources) -> Vec<Histogram> {
    let mut rounds = sources.searched().peekable();
    if rounds.peek().is_none() {
        return Vec::new();
    }
    let tables = [
        table(
            sources,
            "Margins",
            "Pairs by value gap: Q of the chosen less Q of the rejected step.".to_owned(),
            &|round| margins(&round.report.statistics.margins),
        ),
        table(
            sources,
            "Depths",
            "Pairs by the depth of their two steps; 1 is the first step of a solution.".to_owned(),
            &|round| {
                let depths = round.report.statistics.depths.iter();
                depths.map(|d| (format!("{:>6}", d.depth), d.pairs)).collect()
            },
        ),
        lengths(sources, "Lengths of chosen sides", |(chosen, _)| chosen),
        lengths(sources, "Lengths of rejected sides", |(_, rejected)| rejected),
        left_out(sources),
    ];
    tables.into_iter().filter(|table| !table.rows.is_empty()).collect()
}

/// Reasons why places gave no pair, the most frequent first.
fn left_out(sources: &Sources) -> Histogram {
    let explained = "Places that gave no pair, and pairs that training left out, by reason.";
    let mut table = table(sources, "Left out", explained.to_owned(), &|round| {
        round.report.pairs_dropped.iter().map(|(k, n)| (drop_reason(k), *n)).collect()
    });
    table.rows.sort_by_key(|row| std::cmp::Reverse(row.total));
    table
}

fn lengths(sources: &Sources, title: &'static str, side: fn((usize, usize)) -> usize) -> Histogram {
    let cut = sources.searched().any(|r| r.report.pairs as usize > PAIRS_READ);
    let of = if cut {
        format!(" Of the first {} pairs.", count(PAIRS_READ as u64))
    } else {
        String::new()
    };
    table(sources, title, format!("Pairs by the tokens of this side.{of}"), &|round| {
        let mut counts = vec![0; LENGTHS.len() + 1];
        for &pair in &round.lengths {
            counts[LENGTHS.partition_point(|&end| end < side(pair))] += 1;
        }
        if round.lengths.is_empty() { Vec::new() } else { named_lengths(&counts) }
    })
}

/// Counts by the name of their bin; bins above the last non-zero count are left out.
fn named_lengths(counts: &[u64]) -> Vec<(String, u64)> {
    let last = counts.iter().rposition(|&n| n > 0).unwrap_or(0);
    let starts = std::iter::once(1).chain(LENGTHS.iter().map(|end| end + 1));
    let name = |(start, at): (usize, usize)| match LENGTHS.get(at) {
        Some(end) => format!("{start:>4} to {end}"),
        None => format!("{start:>4} and more"),
    };
    starts.zip(0..).map(name).zip(counts.iter().copied()).take(last + 1).collect()
}

fn margins(counts: &[u64]) -> Vec<(String, u64)> {
    let last = counts.iter().rposition(|&n| n > 0).map_or(0, |last| last + 1);
    let label = |i: usize| match HISTOGRAM_EDGES.get(i + 1) {
        Some(next) => format!("{:.2} to {next:.2}", HISTOGRAM_EDGES[i]),
        None => format!("{:.2} and more", HISTOGRAM_EDGES[i]),
    };
    counts
        .iter()
        .take(HISTOGRAM_EDGES.len().min(last))
        .enumerate()
        .map(|(i, &n)| (label(i), n))
        .collect()
}

/// Builds a table with one column per round. Rows are sorted by name; names that begin with a number are
/// padded.
fn table(
    sources: &Sources,
    title: &'static str,
    explained: String,
    counts: &dyn Fn(&RoundSources) -> Vec<(String, u64)>,
) -> Histogram {
    let rounds: Vec<&RoundSources> = sources.searched().collect();
    let mut rows: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (at, round) in rounds.iter().enumerate() {
        for (name, n) in counts(round) {
            rows.entry(name).or_insert_with(|| vec![0; rounds.len()])[at] += n;
        }
    }
    let most = |at: usize| rows.values().map(|row| row[at]).max().unwrap_or(0).max(1);
    let longest: Vec<u64> = (0..rounds.len()).map(most).collect();
    let cell = |(n, most): (&u64, &u64)| Cell {
        count: count(*n),
        bar: format!("{:.1}", 100.0 * *n as f64 / *most as f64),
    };
    Histogram {
        title,
        explained,
        columns: rounds.iter().map(|round| format!("round {}", round.report.round)).collect(),
        rows: rows
            .iter()
            .map(|(name, row)| HistogramRow {
                name: name.trim().to_owned(),
                total: row.iter().sum(),
                cells: row.iter().zip(&longest).map(cell).collect(),
            })
            .collect(),
    }
}
