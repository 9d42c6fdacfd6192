//! Answers of every supported kind with the verdict that a careful reader gives: the tables in
//! `tests/cases/`, one row a case, written for this crate.
//!
//! The rows have the fields of `regrowth verify` and `expect`; they know nothing of the code. Rejecting
//! by not deciding is right for what does not parse, so it is counted and must be rare.

mod table;

use std::path::Path;

use regrowth_verifiers::Verdict;

/// The folder of the tables.
const TABLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");

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
