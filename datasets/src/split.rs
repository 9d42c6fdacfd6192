//! Train, validation and test splits by the content of a problem, not by its position in a file. Nothing
//! is random: a problem belongs to the same split in every file, format, order and run, so different
//! splits never share a problem. Official splits of a published set are not recognised; give the
//! published test file as a separate source.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Problem, content_hash, stream_key};

/// Percentage of [`Split::Validation`] and of [`Split::Test`] each; the rest is [`Split::Train`]. A tenth
/// of a set of ten thousand gives an interval of about ±3 points.
const HELD_OUT_PERCENT: u64 = 10;

/// Split that a problem belongs to: 80 % train, 10 % validation, 10 % test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Searched and trained on.
    Train,
    /// For choosing settings, rounds and checkpoints.
    Validation,
    /// Held out to measure the result, once. A run whose test problems come from another file trains on it.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        })
    }
}

impl FromStr for Split {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "train" => Ok(Self::Train),
            "validation" => Ok(Self::Validation),
            "test" => Ok(Self::Test),
            _ => Err(format!("unknown split `{name}`; known are: train, validation, test")),
        }
    }
}

/// Identity of a problem: [`content_hash`] of the question and, for multiple choice, of the option texts
/// in any order (labels and order depend on the format).
#[must_use]
pub fn problem_key(problem: &Problem) -> String {
    let mut options: Vec<String> = problem.choices.iter().map(|c| content_hash(&c.text)).collect();
    if options.is_empty() {
        return content_hash(&problem.question);
    }
    options.sort_unstable();
    content_hash(&format!("{}\n{}", problem.question, options.join(" ")))
}

/// The split of the problem with this content key; [`split_of`] is this function applied to
/// [`problem_key`].
///
/// A generator of problems for one split keeps those for which this function returns that split.
#[must_use]
pub fn split_of_key(key: &str) -> Split {
    match stream_key(0, &[b"split", key.as_bytes()]) % 100 {
        percent if percent < HELD_OUT_PERCENT => Split::Test,
        percent if percent < 2 * HELD_OUT_PERCENT => Split::Validation,
        _ => Split::Train,
    }
}

/// The split of a problem, by its content alone.
#[must_use]
pub fn split_of(problem: &Problem) -> Split {
    split_of_key(&problem_key(problem))
}

/// Positions in `b`, ascending, of the problems that are also in `a`, compared by content and not by file
/// or format.
#[must_use]
pub fn overlap(a: &[Problem], b: &[Problem]) -> Vec<usize> {
    let known: BTreeSet<String> = a.iter().map(problem_key).collect();
    (0..b.len()).filter(|&i| known.contains(&problem_key(&b[i]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AnswerKind, Choice};

    fn problem(question: &str, options: &[&str]) -> Problem {
        let labels = ["A", "B", "C", "D"];
        Problem {
            id: "1".into(),
            source: "test".into(),
            question: question.into(),
            choices: options
                .iter()
                .zip(labels)
                .map(|(text, label)| Choice { label: label.into(), text: (*text).into() })
                .collect(),
            answer: "1".into(),
            kind: AnswerKind::Number,
            solution: None,
            level: None,
        }
    }

    #[test]
    fn shares_are_as_documented() {
        let mut counts = [0_usize; 3];
        for i in 0..20_000 {
            counts[split_of_key(&format!("problem {i}")) as usize] += 1;
        }
        // Three standard deviations of a binomial share are 0.85 % and 0.64 %.
        assert!((15_830..=16_170).contains(&counts[0]), "{counts:?}");
        assert!((1_873..=2_127).contains(&counts[1]), "{counts:?}");
        assert!((1_873..=2_127).contains(&counts[2]), "{counts:?}");
    }

    #[test]
    fn parts_never_change_between_builds() {
        // SHA-256 of the delimited parts, computed independently by hand.
        let names: Vec<String> = (0..6).map(|i| split_of_key(&i.to_string()).to_string()).collect();
        assert_eq!(names, ["train", "test", "test", "test", "train", "train"]);
    }

    #[test]
    fn key_ignores_spacing_case_and_option_order_but_not_words() {
        let a = problem("What is red?", &["a rose", "the sea"]);
        assert_eq!(problem_key(&a), problem_key(&problem("what is  Red?", &["The sea", "a rose"])));
        assert_ne!(problem_key(&a), problem_key(&problem("What is red?", &["a rose", "the sky"])));
        assert_ne!(problem_key(&a), problem_key(&problem("What is red?", &[])));
    }

    #[test]
    fn overlap_names_positions_in_the_second_set() {
        let a = [problem("one", &[]), problem("two", &[])];
        let b = [problem("three", &[]), problem("TWO ", &[]), problem("one", &["x"])];
        assert_eq!(overlap(&a, &b), [1]);
    }

    #[test]
    fn names_go_there_and_back() {
        for split in [Split::Train, Split::Validation, Split::Test] {
            assert_eq!(split.to_string().parse(), Ok(split));
        }
        assert!("dev".parse::<Split>().unwrap_err().contains("validation"));
    }
}
