//! Accuracy before and after training by kind of problem: level, data set, length of the question.

use std::collections::{BTreeMap, HashMap};

use regrowth_datasets::Problem;
use regrowth_mcts::foreign::readable;
use serde::Serialize;

use super::words::{interval, percent, points};
use crate::rounds::EvalRow;
use crate::stats::{Paired, Share, p_value};

/// Maximum number of kinds in a table; if there are more, the values are ids rather than kinds.
const KINDS: usize = 12;

/// Test problems grouped by kind.
#[derive(Debug, Serialize)]
pub(super) struct Breakdown {
    /// Property by which the problems are grouped: a level, a data set.
    by: &'static str,
    kinds: Vec<Kind>,
}

/// A group of test problems.
#[derive(Debug, Serialize)]
struct Kind {
    name: String,
    n: u64,
    before: Measured,
    after: Measured,
    difference: String,
    interval: String,
    gained: u64,
    lost: u64,
    p: String,
}

/// An accuracy with its interval.
#[derive(Debug, Serialize)]
struct Measured {
    accuracy: String,
    interval: String,
}

/// Kind of a problem: a sort key and a name; `None` if it has none.
type Key<'a> = &'a dyn Fn(&EvalRow) -> Option<(u64, String)>;

/// Groups the problems by level, by data set and by length of the question, for properties with several
/// values.
pub(super) fn breakdowns(
    both: &[(&EvalRow, &EvalRow)],
    problems: &HashMap<&str, &Problem>,
) -> Vec<Breakdown> {
    let level = |row: &EvalRow| row.level.map(|level| (u64::from(level), level.to_string()));
    let source = |row: &EvalRow| Some((0, problems.get(row.id.as_str())?.source.clone()));
    // In files combined from several data sets, the beginning of an id often names the set.
    let prefix = |row: &EvalRow| {
        let end = row.id.find(|c: char| !c.is_alphabetic()).filter(|&end| end > 0)?;
        Some((0, row.id[..end].to_owned()))
    };
    let words = |row: &EvalRow| problems.get(row.id.as_str()).map(|p| words(&p.question));
    let ends = terciles(both.iter().filter_map(|(row, _)| words(row)).collect());
    let length = |row: &EvalRow| Some(tercile(words(row)?, ends));
    let by = |by, key: Key| {
        let kinds = grouped(both, key);
        (2..=KINDS).contains(&kinds.len()).then_some(Breakdown { by, kinds })
    };
    let set = by("data set", &source).or_else(|| by("data set", &prefix));
    [by("level", &level), set, by("question", &length)].into_iter().flatten().collect()
}

fn words(question: &str) -> usize {
    question.split_whitespace().count()
}

/// The maximum lengths of the shortest third and of the middle third.
fn terciles(mut lengths: Vec<usize>) -> [usize; 2] {
    lengths.sort_unstable();
    let end = |third: usize| (third * lengths.len()).div_ceil(3).saturating_sub(1);
    [1, 2].map(|third| lengths.get(end(third)).copied().unwrap_or_default())
}

/// Returns the third that contains a length, with its name; equal lengths are in the same third.
fn tercile(length: usize, [short, middle]: [usize; 2]) -> (u64, String) {
    if length <= short {
        (0, format!("up to {short} words"))
    } else if length <= middle {
        (1, format!("{} to {middle} words", short + 1))
    } else {
        (2, format!("more than {middle} words"))
    }
}

fn grouped(both: &[(&EvalRow, &EvalRow)], key: Key) -> Vec<Kind> {
    let mut groups: BTreeMap<(u64, String), Vec<(bool, bool)>> = BTreeMap::new();
    for (before, after) in both {
        let Some(name) = key(before) else { continue };
        groups.entry(name).or_default().push((before.correct, after.correct));
    }
    groups.into_iter().map(|((_, name), outcomes)| kind(&name, &outcomes)).collect()
}

fn kind(name: &str, outcomes: &[(bool, bool)]) -> Kind {
    let compared = Paired::of(outcomes.iter().copied());
    let measured = |right: fn(&(bool, bool)) -> bool| {
        let share = Share::of(outcomes.iter().map(right));
        Measured { accuracy: percent(share.accuracy), interval: interval(&share) }
    };
    Kind {
        name: readable(name),
        n: compared.n,
        before: measured(|o| o.0),
        after: measured(|o| o.1),
        difference: points(compared.difference),
        interval: format!("{} to {}", points(compared.ci95[0]), points(compared.ci95[1])),
        gained: compared.gained,
        lost: compared.lost,
        p: p_value(compared.p_value),
    }
}

impl Breakdown {
    /// Describes the kinds with the largest gain and the largest loss.
    pub(super) fn in_words(&self) -> String {
        let points = |k: &Kind| (k.gained as f64 - k.lost as f64) / k.n as f64;
        let of = |k: &Kind| {
            let (before, after) = (&k.before.accuracy, &k.after.accuracy);
            format!("{} {} ({before} to {after}, {} points)", self.by, k.name, k.difference)
        };
        let by_gain = |a: &&Kind, b: &&Kind| points(a).total_cmp(&points(b));
        match (self.kinds.iter().max_by(by_gain), self.kinds.iter().min_by(by_gain)) {
            (Some(most), Some(least)) if most.name != least.name => {
                format!("most on {}; least on {}", of(most), of(least))
            }
            (most, _) => most.map(|one| format!("alike, as on {}", of(one))).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirds_of_lengths_keep_equal_lengths_together() {
        assert_eq!(terciles((1..=9).rev().collect()), [3, 6]);
        assert_eq!(terciles(vec![5, 5, 5, 5, 7, 9, 9]), [5, 7]);
        assert_eq!(terciles(vec![]), [0, 0]);
        let names = [5, 6, 7, 8].map(|n| tercile(n, [5, 7]).1);
        assert_eq!(names, ["up to 5 words", "6 to 7 words", "6 to 7 words", "more than 7 words"]);
    }

    #[test]
    fn a_group_has_both_accuracies_with_their_intervals() {
        let outcomes = [(true, true), (false, true), (false, true), (false, false)];
        let kind = kind("gsm8k", &outcomes);
        assert_eq!((kind.n, kind.gained, kind.lost), (4, 2, 0));
        assert_eq!(
            (kind.before.accuracy.as_str(), kind.after.accuracy.as_str()),
            ("25.0\u{a0}%", "75.0\u{a0}%")
        );
        // Wilson: (p + z²/2n ± z sqrt(p(1 - p)/n + z²/4n²)) / (1 + z²/n) with p = 1/4, n = 4, z = 1.959964.
        let (p, n, z) = (0.25_f64, 4.0_f64, 1.959_964_f64);
        let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        let end = |sign: f64| 100.0 * (p + z * z / (2.0 * n) + sign * half) / (1.0 + z * z / n);
        assert_eq!(kind.before.interval, format!("{:.1} to {:.1}", end(-1.0), end(1.0)));
    }
}
