//! Answers of every supported kind with the verdict of a careful reader: the tables in `tests/cases/`,
//! one case per row, written for this crate.
//!
//! The rows have the fields of `regrowth verify` and `expect`; they were written independently of the
//! code. For an answer that does not parse, an undecided verdict is a correct rejection, but it is
//! counted and must be rare.

use crate::table;
use std::path::Path;

use regrowth_verifiers::{Grader, Verdict};

/// The folder of the tables.
const TABLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");

/// The folder of answers that are not stated: bounds, truncated text, parts of something larger.
const UNSTATED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/unstated");

#[test]
fn what_is_not_stated_is_not_accepted() {
    let mut count = 0;
    for (name, rows) in table::tables(Path::new(UNSTATED)) {
        for row in rows {
            count += 1;
            let (graded, right) = row.grade();
            assert!(right, "{name}: {:?} {:?} {graded:?}", row.gold, row.pred);
        }
    }
    assert!(count >= 10, "only {count} cases were read");
}

#[test]
fn the_strict_grader_accepts_nothing_that_the_tables_refuse() {
    let strict = Grader::strict();
    for folder in [TABLES, UNSTATED] {
        for (name, rows) in table::tables(Path::new(folder)) {
            for row in rows {
                let (graded, right) = row.grade_by(&strict);
                let accepted = graded.verdict == Verdict::Equal;
                assert!(right || !accepted, "{name}: {:?} {:?} {graded:?}", row.gold, row.pred);
            }
        }
    }
}

#[test]
fn every_table_is_right() {
    let (mut wrong, mut undecided, mut count) = (Vec::new(), 0, 0);
    for (name, rows) in table::tables(Path::new(TABLES)) {
        for row in rows {
            count += 1;
            let (graded, right) = row.grade();
            undecided += usize::from(matches!(graded.verdict, Verdict::Undecided(_)));
            if !right {
                wrong.push(format!("{name}: {:?} {:?} {graded:?}", row.gold, row.pred));
            }
        }
    }
    assert!(count > 1500, "only {count} cases were read");
    assert!(wrong.is_empty(), "{}\n{} of {count} wrong", wrong.join("\n"), wrong.len());
    assert!(undecided * 500 <= count, "{undecided} undecided");
}
