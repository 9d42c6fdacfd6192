//! Claims that a verifier checks, and its findings, which contain more than a verdict. Findings are stored
//! with the nodes of a tree in this form.

use regrowth_datasets::Finish;
use serde::{Deserialize, Serialize};

/// Subject of a request to a verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A finished solution.
    Solution,
    /// The last step of an unfinished solution.
    Step,
}

/// Origin of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundBy {
    /// The process of a verifier command.
    Command,
    /// The calculator of this crate ([`crate::equations`]).
    Calculator,
}

/// A solution or a step for a verifier to check.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Whether the solution or the step is checked.
    pub about: About,
    /// Text of the solution up to and including the step.
    pub solution: &'a str,
    /// Text of the last step; empty if the steps are not known.
    pub step: &'a str,
    /// How the step ended.
    pub finish: Finish,
    /// Whether the verifier may see the reference answer and solution.
    pub reference: bool,
}

/// A verifier's finding about a [`Claim`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Origin of the finding.
    pub by: FoundBy,
    /// Whether it is about a solution or a step.
    pub about: About,
    /// Whether the solution or step is right; `None` if the verifier gives no verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct: Option<bool>,
    /// How good the step or solution is, in [0, 1]; `None` if the verifier gives no score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The verifier's explanation, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace: String,
    /// Name of the fault if the verifier failed, so that there is neither verdict nor score: `timeout`,
    /// `crashed`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl Finding {
    /// A finding of the command without verdict, because of a fault.
    pub(crate) fn faulty(about: About, fault: &str) -> Self {
        let fault = Some(fault.to_owned());
        Self {
            by: FoundBy::Command,
            about,
            correct: None,
            score: None,
            trace: String::new(),
            fault,
        }
    }

    /// Short stable name of the reason for a missing verdict, for counting.
    #[must_use]
    pub fn undecided(&self) -> String {
        format!("verifier_{}", self.fault.as_deref().unwrap_or("null"))
    }

    /// Score of a step, in [0, 1]: the verifier's score, or else 1 or 0 for a step called right or wrong.
    /// `None` if there is neither.
    #[must_use]
    pub fn step_score(&self) -> Option<f64> {
        let verdict = self.correct.filter(|_| self.about == About::Step);
        self.score.or(verdict.map(|right| f64::from(u8::from(right))))
    }

    /// One line for people: `right 0.50 (3 of 6 tests pass)`.
    #[must_use]
    pub fn summary(&self) -> String {
        let verdict = match (self.correct, &self.fault) {
            (Some(true), _) => "right".to_owned(),
            (Some(false), _) => "wrong".to_owned(),
            (None, Some(fault)) => format!("no verdict: {fault}"),
            (None, None) => "no verdict".to_owned(),
        };
        let score = self.score.map(|score| format!(" {score:.2}")).unwrap_or_default();
        let trace = self.trace.split_whitespace().collect::<Vec<_>>().join(" ");
        let trace = if trace.is_empty() { trace } else { format!(" ({trace})") };
        format!("{verdict}{score}{trace}")
    }
}
