//! Factors: numeric properties of a side that may make it look better than the other side.

use std::cmp::Ordering;
use std::str::FromStr;

use regex::Regex;
use regrowth_verifiers::equations;

use super::row::{AuditRow, AuditSide};
use super::words::{shared_ngrams, words};

/// Length of the n-grams of [`Factor::Restating`] in words (our choice: two shared words are mostly grammar).
const RESTATING_NGRAM: usize = 3;

/// A property of a side.
#[derive(Debug, Clone)]
pub enum Factor {
    /// Number of tokens.
    Tokens,
    /// Number of characters.
    Characters,
    /// Mean log-probability of a token under the policy that sampled the side.
    Likelihood,
    /// Whether the side ends the solution.
    Finished,
    /// Number of false equations between plain numbers.
    FalseEquations,
    /// Share of the side's word 3-grams that already occur in its prompt (question and steps so far).
    Restating,
    /// The judge's rating.
    SelfEvaluation,
    /// Number of matches of a user-defined regular expression.
    Matches {
        /// Name in reports.
        name: String,
        /// The regular expression.
        regex: Regex,
    },
}

/// `NAME=REGEX`.
impl FromStr for Factor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, regex) =
            text.split_once('=').ok_or_else(|| format!("`{text}`: expected NAME=REGEX"))?;
        if name.is_empty() || Self::builtin().iter().any(|f| f.name() == name) {
            return Err(format!("`{name}` is no name for a factor of your own; choose another"));
        }
        let regex = Regex::new(regex).map_err(|e| format!("`{text}`: {e}"))?;
        Ok(Self::Matches { name: name.to_owned(), regex })
    }
}

impl Factor {
    /// The factors of every audit.
    #[must_use]
    pub fn builtin() -> Vec<Self> {
        vec![
            Self::Tokens,
            Self::Characters,
            Self::Likelihood,
            Self::Finished,
            Self::FalseEquations,
            Self::Restating,
            Self::SelfEvaluation,
        ]
    }

    /// Name in reports.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Tokens => "tokens",
            Self::Characters => "characters",
            Self::Likelihood => "likelihood",
            Self::Finished => "finished",
            Self::FalseEquations => "false_equations",
            Self::Restating => "restating",
            Self::SelfEvaluation => "self_evaluation",
            Self::Matches { name, .. } => name,
        }
    }

    /// Values of the factor for both sides; `None` unless both are known.
    #[must_use]
    pub fn of(&self, row: &AuditRow) -> Option<Values> {
        let chosen = self.of_side(&row.chosen, &row.prompt)?;
        let rejected = self.of_side(&row.rejected, &row.prompt)?;
        Some(Values { chosen, rejected })
    }

    fn of_side(&self, side: &AuditSide, prompt: &str) -> Option<f64> {
        match self {
            Self::Tokens => side.tokens.map(|n| n as f64),
            Self::Characters => Some(side.text.chars().count() as f64),
            Self::Likelihood => Some(side.logp? / side.tokens.filter(|&n| n > 0)? as f64),
            Self::Finished => side.finished.map(|finished| f64::from(u8::from(finished))),
            Self::FalseEquations => {
                let found = equations(&side.text);
                Some(found.iter().filter(|e| !e.holds).count() as f64)
            }
            Self::Restating => shared_ngrams(&words(&side.text), &words(prompt), RESTATING_NGRAM),
            Self::SelfEvaluation => side.self_evaluation,
            Self::Matches { regex, .. } => Some(regex.find_iter(&side.text).count() as f64),
        }
    }
}

/// Values of a factor for the two sides of a pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Values {
    /// Of the chosen side.
    pub chosen: f64,
    /// Of the rejected side.
    pub rejected: f64,
}

impl Values {
    /// Compares the two values: `Greater` if the chosen side has more of the factor.
    #[must_use]
    pub fn order(self) -> Ordering {
        self.chosen.total_cmp(&self.rejected)
    }
}
