//! The rules that a search can choose between: strategy, selection, priors, backups, commits, judges.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What decides which node is expanded next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Monte Carlo tree search.
    Mcts,
    /// A step beam: of every level the `width` partial solutions with the highest value are kept.
    Beam {
        /// Partial solutions that are kept, at least 1.
        width: usize,
    },
}

/// Form of the selection score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// `Q + c p sqrt(N_parent) / (1 + N_child)`: the paper.
    Puct,
    /// `Q + c sqrt(ln N_parent / N_child)`: without priors.
    Uct,
}

/// Value that a child without completed visits competes with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FirstPlay {
    /// Its own reward (UCT: it comes first).
    Own,
    /// This value, any number.
    Fixed(f64),
    /// This much below its parent's V.
    BelowParent(f64),
}

/// Dirichlet noise: `(1 - weight) p + weight eta`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RootNoise {
    /// Concentration, above 0.
    pub alpha: f64,
    /// Share of the noise, in [0, 1].
    pub weight: f64,
}

/// What the depth limit counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DepthLimit {
    /// The problem: a node at depth `max_depth - 1` is completed to the end in one step.
    Absolute,
    /// The search root: a simulation stops `max_depth` steps below it, nothing is completed by
    /// force, and solutions end by themselves or by their token budget.
    Relative,
    /// Both at once: completed as by `Absolute`, and a simulation stops `max_depth - 1` steps, at
    /// least one, below the search root (code, whose `depth_limit` is `max_depth - 1`).
    Both,
}

/// How log-probabilities become a prior.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PriorRule {
    /// exp(sum of log-probabilities / length^lambda): the code.
    LengthRoot,
    /// exp(sum of log-probabilities) / length^lambda: the paper.
    LengthDivided,
}

/// How the values below a node become its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackupWeights {
    /// Mean of the children's Q, weighted by max(1, visits): the code.
    AtLeastOne,
    /// Mean of the children's Q, weighted by visits: the paper.
    Visits,
    /// Mean of the returns of the simulations that passed: plain Monte Carlo backup, the only form
    /// whose cost does not grow with the breadth.
    Returns,
}

/// Which child of the search root becomes the next root.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CommitRule {
    /// Most visits x (1 + spread of its children's visits); ties by Q, then V: the code.
    SpreadVisits,
    /// Highest (Q + 2) x (1 + spread of its children's visits); ties by visits, then V: the code,
    /// second form.
    SpreadValue,
    /// Most visits; ties by Q, then V.
    Visits,
    /// Highest Q among visited children; ties by visits.
    Value,
    /// Drawn with probability proportional to visits.
    Sampled,
    /// Drawn with probability proportional to (exp(Q) x (1 + number of its children))^(1 / T), where
    /// T = temperature x decay^depth of the search root: the code, third form. (There a child whose
    /// Q is exactly 0 is never drawn, which is an accident and not copied.)
    Tempered {
        /// T at the problem's root, above 0.
        temperature: f64,
        /// Multiplies T with every step, above 0 and at most 1 (default 1: the code's command line).
        #[serde(default = "CommitRule::default_decay")]
        decay: f64,
    },
}

impl CommitRule {
    /// `decay` of [`CommitRule::Tempered`] where none is set.
    #[must_use]
    pub fn default_decay() -> f64 {
        1.0
    }
}

/// How the spread of the visits of a node's children is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VisitSpread {
    /// Their population variance.
    #[default]
    Variance,
    /// The highest less the lowest: the code.
    Range,
}

/// How a step is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum JudgeForm {
    /// By the answer to "is this correct, (A) or (B)?", asked right after the step. Same question as the
    /// paper; with the prefix cached, only the question's tokens are computed.
    #[default]
    Question,
    /// By the answer to that question in a prompt of its own, which restates the problem and the
    /// whole solution so far (paper).
    Restated,
    /// In such a prompt as well, but asked whether the solution so far heads in the right direction
    /// (code).
    Direction,
    /// By the mean value of the grades that the judge may answer with, by their probabilities, asked right after the
    /// step (`grades`).
    Graded,
    /// By how much likelier approving follow-ups are than disapproving ones.
    #[cfg_attr(feature = "cli", value(alias = "follow_ups"))]
    FollowUps,
    /// By the log-likelihood of the solution so far, which is known: nothing is asked (ours).
    Likelihood,
    /// As `likelihood`, but finished solutions by that of their answer: of all solutions of the tree
    /// that state it, those found later included (ours).
    Answers,
    /// By a linear probe on the policy's hidden state at the end of the step, fitted to verified outcomes:
    /// nothing is asked.
    Probe,
}

impl JudgeForm {
    /// Whether steps are judged by what is known of them already.
    pub(super) fn asks_nothing(self) -> bool {
        matches!(self, Self::Likelihood | Self::Answers | Self::Probe)
    }
}
