//! Pairs that occur more than once, and pairs that contradict each other.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::row::AuditRow;

/// Counts of repeated pairs, compared by text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeats {
    /// Number of pairs whose prompt and sides equal those of an earlier pair.
    pub identical: u64,
    /// Number of pairs whose sides are those of an earlier pair of the same prompt, swapped.
    pub swapped: u64,
    /// Number of pairs whose two sides have the same text.
    pub same_sides: u64,
    /// Number of distinct prompts.
    pub prompts: u64,
}

impl Repeats {
    /// Counts the repeats among `rows`, in their order.
    #[must_use]
    pub fn of(rows: &[AuditRow]) -> Self {
        let mut counts = Self::default();
        let mut seen: HashMap<&str, Vec<(&str, &str)>> = HashMap::new();
        for row in rows {
            let earlier = seen.entry(&row.prompt).or_default();
            let sides = (row.chosen.text.as_str(), row.rejected.text.as_str());
            counts.same_sides += u64::from(sides.0 == sides.1);
            counts.identical += u64::from(earlier.contains(&sides));
            counts.swapped +=
                u64::from(earlier.contains(&(sides.1, sides.0)) && sides.0 != sides.1);
            earlier.push(sides);
        }
        counts.prompts = seen.len() as u64;
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::row::AuditSide;

    #[test]
    fn repeats_and_contradictions_are_counted_by_prompt() {
        let row = |prompt: &str, chosen: &str, rejected: &str| AuditRow {
            prompt: prompt.to_owned(),
            chosen: AuditSide { text: chosen.to_owned(), ..AuditSide::default() },
            rejected: AuditSide { text: rejected.to_owned(), ..AuditSide::default() },
            ..AuditRow::default()
        };
        let rows = [
            row("p", "a", "b"),
            row("p", "a", "b"),
            row("p", "b", "a"),
            row("q", "a", "b"),
            row("q", "c", "c"),
        ];
        let expected = Repeats { identical: 1, swapped: 1, same_sides: 1, prompts: 2 };
        assert_eq!(Repeats::of(&rows), expected);
    }
}
