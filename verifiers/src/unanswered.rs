//! Counts solutions that state no readable answer, and warns if there are many.
//!
//! Searches, evaluations and rounds use this count, so their figures are comparable.

use regrowth_datasets::Finish;
use serde::{Deserialize, Serialize};

use crate::Statement;

/// Percentage of solutions without an answer at or above which the user is warned (not tuned; smaller shares
/// occur just because some problems are hard).
const WARN_PERCENT: u64 = 20;

/// Number of solutions without an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unanswered {
    /// Number of all solutions.
    pub solutions: u64,
    /// Solutions that ended by themselves without a readable answer.
    pub no_answer: u64,
    /// Solutions that the token limit ended before they stated an answer.
    pub cut_off: u64,
}

impl Statement {
    /// Whether the token limit ended a solution before it stated an answer.
    #[must_use]
    pub fn is_cut_off(&self, finish: Finish) -> bool {
        self.reason.is_some() && finish == Finish::Length
    }

    /// Name of the rule that found the answer, `cut_off`, or the name of the reason why there is no
    /// answer.
    #[must_use]
    pub fn source(&self, finish: Finish) -> &'static str {
        match self.reason {
            None => self.rule.name(),
            Some(_) if finish == Finish::Length => "cut_off",
            Some(crate::Reason::NoAnswer) => "no_answer",
            Some(reason) => reason.name(),
        }
    }
}

impl Unanswered {
    /// Counts a solution by its statement.
    pub fn add(&mut self, statement: &Statement, finish: Finish) {
        let cut_off = statement.is_cut_off(finish);
        self.solutions += 1;
        self.cut_off += u64::from(cut_off);
        self.no_answer += u64::from(statement.reason.is_some() && !cut_off);
    }

    /// Adds another count.
    pub fn merge(&mut self, other: Self) {
        self.solutions += other.solutions;
        self.no_answer += other.no_answer;
        self.cut_off += other.cut_off;
    }

    /// Advice, if a fifth of the solutions or more state no answer; `limit` is the name of the setting
    /// that cuts solutions off.
    #[must_use]
    pub fn warnings(&self, limit: &str) -> Vec<String> {
        let many = |count: u64| count > 0 && count * 100 >= self.solutions * WARN_PERCENT;
        let mut found = vec![];
        if many(self.no_answer) {
            found.push(format!(
                "warning: {} of {} solutions state no answer that can be read: look at one, and at the \
                 prompt (regrowth evaluate --show-prompt); another form by --prompt may help",
                self.no_answer, self.solutions
            ));
        }
        if many(self.cut_off) {
            found.push(format!(
                "warning: {} of {} solutions were cut off by the token limit before they stated an \
                 answer: raise {limit}",
                self.cut_off, self.solutions
            ));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_datasets::{Split, tasks::problems_from_spec};

    #[test]
    fn a_fifth_without_an_answer_is_worth_a_warning() {
        let problem = problems_from_spec("arithmetic", Split::Train, 0).unwrap().next().unwrap();
        let count = |texts: &[(&str, Finish)]| {
            let mut found = Unanswered::default();
            for &(text, finish) in texts {
                found.add(&Statement::of(&problem, text, finish), finish);
            }
            found
        };
        let right = ("#### 4\n", Finish::Eos);
        let silent = ("I cannot tell", Finish::Eos);
        let cut = ("The answer is 1", Finish::Length);
        let found = count(&[right, silent, cut, right, right]);
        assert_eq!((found.solutions, found.no_answer, found.cut_off), (5, 1, 1));
        let warnings = found.warnings("--max-tokens");
        assert!(warnings[0].contains("1 of 5 solutions state no answer"), "{warnings:?}");
        assert!(warnings[1].contains("raise --max-tokens") && warnings.len() == 2, "{warnings:?}");
        let rare = count(&[right, right, right, right, right, silent]);
        assert!(rare.warnings("").is_empty() && Unanswered::default().warnings("").is_empty());
        let (texts, sources) = ([right, silent, cut], ["hashes", "no_answer", "cut_off"]);
        for ((text, finish), source) in texts.into_iter().zip(sources) {
            assert_eq!(Statement::of(&problem, text, finish).source(finish), source, "{text}");
        }
    }
}
