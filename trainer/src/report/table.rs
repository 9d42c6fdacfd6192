//! A table of rounds side by side: one column per round, and groups of rows.

use serde::Serialize;

use super::sources::Sources;
use crate::rounds::RoundReport;

/// A table.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    columns: Vec<Column>,
    groups: Vec<Group>,
}

#[derive(Debug, Serialize)]
struct Column {
    name: String,
    best: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    /// Meaning of the numbers; empty if the name is clear.
    pub(super) meaning: &'static str,
    pub(super) cells: Vec<String>,
}

impl Table {
    /// Builds a table of the non-empty groups, with one column per round that has values in them.
    pub(super) fn of_rounds(sources: &Sources, groups: Vec<Group>) -> Self {
        let report = sources.report;
        let column = |r: &RoundReport| Column {
            name: if r.round == 0 { "base policy".into() } else { format!("round {}", r.round) },
            best: r.round == report.best_round,
        };
        let mut groups = groups;
        groups.retain(|group| !group.rows.is_empty());
        let mut columns: Vec<Column> = report.rounds.iter().map(column).collect();
        for at in (0..columns.len()).rev() {
            if groups.iter().flat_map(|group| &group.rows).any(|row| !row.cells[at].is_empty()) {
                continue;
            }
            columns.remove(at);
            for row in groups.iter_mut().flat_map(|group| &mut group.rows) {
                row.cells.remove(at);
            }
        }
        Self { columns, groups }
    }
}
