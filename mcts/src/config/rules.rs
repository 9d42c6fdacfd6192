//! The rules that a search can choose between: strategy, selection, priors, backups, commits, judges.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Strategy that selects the node to expand next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Monte Carlo tree search.
    Mcts,
    /// A step beam: keeps the `width` partial solutions with the highest value on every level.
    Beam {
        /// Number of partial solutions to keep, at least 1.
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

/// Q used in selection for a child without completed visits (first-play urgency).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FirstPlay {
    /// The child's own reward (UCT: the child is selected first).
    Own,
    /// This value; any finite number.
    Fixed(f64),
    /// The parent's V minus this value; any finite number.
    BelowParent(f64),
}

/// Dirichlet noise on priors: `(1 - weight) p + weight eta`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RootNoise {
    /// Concentration of the Dirichlet distribution, above 0.
    pub alpha: f64,
    /// Share of the noise, in [0, 1].
    pub weight: f64,
}

/// Root from which the depth limit is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DepthLimit {
    /// The tree's root: a node at depth `max_depth - 1` gets forced completions, i.e. the rest of the
    /// solution in one step.
    Absolute,
    /// The search root: a simulation stops `max_depth` steps below it. No completion is forced; solutions end
    /// by themselves or at their token limit.
    Relative,
    /// Both: completions are forced as with `Absolute`, and a simulation stops `max_depth - 1` steps (at
    /// least one) below the search root (code, whose `depth_limit` is `max_depth - 1`).
    Both,
}

/// Formula of a step's prior from its log-probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PriorRule {
    /// exp(sum of log-probabilities / length^lambda): the code.
    LengthRoot,
    /// exp(sum of log-probabilities) / length^lambda: the paper.
    LengthDivided,
}

/// How a node's value is computed from the values below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackupWeights {
    /// Mean of the children's Q, weighted by max(1, visits): the code.
    AtLeastOne,
    /// Mean of the children's Q, weighted by visits: the paper.
    Visits,
    /// Mean of the returns of the simulations through the node: plain Monte Carlo backup, the only form whose
    /// cost does not grow with the breadth.
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
    /// Drawn with probability proportional to (exp(Q) x (1 + number of its children))^(1 / T), where T =
    /// temperature x decay^depth of the search root: the code, third form. (In the code a child whose Q is
    /// exactly 0 is never drawn; that is an accident and not copied.)
    Tempered {
        /// T at the problem's root, above 0.
        temperature: f64,
        /// Factor on T for every step of depth, above 0 and at most 1 (default 1: the code's command line).
        #[serde(default = "CommitRule::default_decay")]
        decay: f64,
    },
}

impl CommitRule {
    /// Default of `decay` in [`CommitRule::Tempered`].
    #[must_use]
    pub fn default_decay() -> f64 {
        1.0
    }
}

/// How the spread of the visits of a node's children is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VisitSpread {
    /// Population variance of the visits.
    #[default]
    Variance,
    /// Highest minus lowest visits: the code.
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
    /// By the answer to the same question in a separate prompt, which restates the problem and the whole
    /// solution so far (paper).
    Restated,
    /// As `restated`, but the question is whether the solution so far is heading in the right direction
    /// (code).
    Direction,
    /// By the probability-weighted mean of the judge's grades, asked right after the step (`grades`).
    Graded,
    /// By how much likelier approving follow-ups are than disapproving ones.
    #[cfg_attr(feature = "cli", value(alias = "follow_ups"))]
    FollowUps,
    /// By the log-likelihood of the solution so far; needs no judge request (ours).
    Likelihood,
    /// As `likelihood`, but a finished solution is judged by the likelihood of its answer. That is the sum
    /// over all solutions of the tree that state the answer, including those found later (ours).
    Answers,
    /// By a linear probe on the policy's hidden state at the end of the step, fitted to verified outcomes;
    /// needs no judge request.
    Probe,
}

impl JudgeForm {
    /// Whether this judge form needs no judge request.
    pub(super) fn asks_nothing(self) -> bool {
        matches!(self, Self::Likelihood | Self::Answers | Self::Probe)
    }
}
