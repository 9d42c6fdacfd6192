//! Reasons why test problems were not solved, before and after training.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use regrowth_verifiers::true_share;
use serde::Serialize;

use super::words::{count, part};
use crate::rounds::EvalRow;

/// Columns of the table: all wrong answers before training, all after, those before of gained problems, and
/// those after of lost problems.
const COLUMNS: usize = 4;

/// Data of the table.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Mistakes {
    totals: [String; COLUMNS],
    reasons: Vec<Reason>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Reason {
    name: String,
    cells: [Cell; COLUMNS],
}

/// A count and its share of the column.
#[derive(Debug, PartialEq, Serialize)]
struct Cell {
    count: String,
    share: String,
}

/// Describes the error in a solution with a wrong answer, as far as its plain equations show it.
fn wrong(solution: &str) -> &'static str {
    match true_share(solution) {
        Some(share) if share < 1.0 => "another answer, with a false equation",
        Some(_) => "another answer, though all equations hold",
        None => "another answer, without an equation",
    }
}

impl Mistakes {
    /// Counts wrong answers before and after training; `no_answer` returns why a solution states no answer.
    pub(super) fn of(
        both: &[(&EvalRow, &EvalRow)],
        no_answer: impl Fn(&EvalRow) -> Option<String>,
    ) -> Self {
        let mut counts: BTreeMap<String, [u64; COLUMNS]> = BTreeMap::new();
        let mut totals = [0; COLUMNS];
        for (before, after) in both {
            let (gained, lost) =
                (!before.correct && after.correct, before.correct && !after.correct);
            let counted = [
                (before, !before.correct),
                (after, !after.correct),
                (before, gained),
                (after, lost),
            ];
            for (column, (row, _)) in counted.iter().enumerate().filter(|(_, (_, yes))| *yes) {
                let reason = no_answer(row).unwrap_or_else(|| wrong(&row.text).to_owned());
                counts.entry(reason).or_default()[column] += 1;
                totals[column] += 1;
            }
        }
        let mut found: Vec<(String, [u64; COLUMNS])> = counts.into_iter().collect();
        found.sort_by_key(|(_, counts)| Reverse(counts[0] + counts[1]));
        let cell = |(n, total): (u64, u64)| Cell { count: count(n), share: part(n, total) };
        let reason = |(name, counts): (String, [u64; COLUMNS])| Reason {
            name,
            cells: std::array::from_fn(|column| cell((counts[column], totals[column]))),
        };
        Self { totals: totals.map(count), reasons: found.into_iter().map(reason).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(correct: bool, unanswered: Option<&str>) -> EvalRow {
        EvalRow {
            version: 1,
            id: "a".into(),
            level: None,
            correct,
            tokens: 1,
            text: String::new(),
            failure: None,
            unanswered: unanswered.map(str::to_owned),
        }
    }

    #[test]
    fn wrong_answers_are_counted_by_reason_before_and_after() {
        let rows = [
            (row(false, Some("cut")), row(true, None)),
            (row(true, None), row(false, Some("none"))),
            (row(true, None), row(false, None)),
            (row(false, None), row(false, None)),
            (row(false, Some("cut")), row(false, None)),
            (row(true, None), row(true, None)),
        ];
        let both: Vec<_> = rows.iter().map(|(a, b)| (a, b)).collect();
        let found = Mistakes::of(&both, |row| row.unanswered.clone());
        // By hand: wrong before are rows 1, 4, 5; after 2, 3, 4, 5; gained 1; lost 2 and 3.
        assert_eq!(found.totals, ["3", "4", "1", "2"]);
        let counts: Vec<(&str, Vec<&str>)> = found
            .reasons
            .iter()
            .map(|r| (r.name.as_str(), r.cells.iter().map(|c| c.count.as_str()).collect()))
            .collect();
        assert_eq!(
            counts,
            [
                ("another answer, without an equation", vec!["1", "3", "0", "1"]),
                ("cut", vec!["2", "0", "1", "0"]),
                ("none", vec!["0", "1", "0", "1"]),
            ]
        );
        assert_eq!(found.reasons[0].cells[1].share, "75.0\u{a0}%");
    }

    #[test]
    fn equations_tell_slips_from_other_mistakes() {
        assert!(wrong("3 + 4 = 8, so #### 8").ends_with("with a false equation"));
        assert!(wrong("3 + 4 = 7, so #### 7").ends_with("all equations hold"));
        assert!(wrong("So #### 7").ends_with("without an equation"));
    }
}
