//! Rules that end the simulations of a search root early, or a beam at the end of a level. It is enough that
//! one rule is met.
//!
//! The rules use only the resources spent and the solutions found by backed-up simulations. So with several
//! leaves in flight they are as reproducible as the rest of the search, except for rules on time. Every root
//! gets at least one simulation, so a stopped search still ends in a whole solution.

use std::time::Duration;

use schemars::JsonSchema;

use serde::{Deserialize, Serialize};

/// A rule that ends the simulations of a root early; bounds are at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopRule {
    /// At least this many simulations were made in the tree, over all search roots.
    Simulations(u64),
    /// The tree has at least this many nodes.
    Nodes(u64),
    /// At least this many tokens were sampled for the tree.
    SampledTokens(u64),
    /// The search of the tree began at least this many milliseconds ago. This rule makes results depend on
    /// the machine; rows of such trees are marked (`timed`).
    Millis(u64),
    /// The most visited child cannot be overtaken by the remaining simulations, so a commit by visits selects
    /// the same child as with the full budget. A commit rule that also uses the spread of visits below the
    /// children may still select another one.
    Decided,
    /// At least this many solutions have ended in the tree, and all of them are right or all are wrong. The
    /// problem is then probably too easy or too hard for a pair whose sides differ in verified outcome
    /// (ours). Needs the reference answers (`value.oracle`).
    SameOutcome(u64),
}

/// Resources spent and solutions found by the backed-up simulations of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// Number of simulations in the whole tree.
    pub simulations: u64,
    /// Time since the search of the tree began; zero if no rule uses it.
    pub elapsed: Duration,
    /// Number of nodes, including the root.
    pub nodes: u64,
    /// Number of sampled tokens.
    pub sampled_tokens: u64,
    /// Number of this root's simulations that are not backed up yet.
    pub simulations_left: u64,
    /// Visits of the search root's children.
    pub root_visits: Vec<u64>,
    /// Number of right solutions that have ended in the tree; 0 if outcomes are not verified.
    pub right: u64,
    /// Number of wrong solutions that have ended in the tree; in a beam search, also those with outcome 0.
    pub wrong: u64,
}

impl StopRule {
    /// Whether the rule limits time, so that results depend on the machine.
    #[must_use]
    pub fn is_timed(self) -> bool {
        matches!(self, Self::Millis(_))
    }

    /// The bound of the rule, at least 1; `None` for a rule without a bound.
    pub(crate) fn bound(self) -> Option<u64> {
        match self {
            Self::Simulations(most)
            | Self::Nodes(most)
            | Self::SampledTokens(most)
            | Self::Millis(most)
            | Self::SameOutcome(most) => Some(most),
            Self::Decided => None,
        }
    }

    /// Whether the rule is met.
    #[must_use]
    pub fn is_met(self, spent: &Spent) -> bool {
        match self {
            Self::Simulations(most) => spent.simulations >= most,
            Self::Millis(most) => spent.elapsed >= Duration::from_millis(most),
            Self::Nodes(most) => spent.nodes >= most,
            Self::SampledTokens(most) => spent.sampled_tokens >= most,
            Self::SameOutcome(most) => {
                spent.right + spent.wrong >= most && spent.right.min(spent.wrong) == 0
            }
            Self::Decided => {
                let mut visits = spent.root_visits.clone();
                visits.sort_unstable_by(|a, b| b.cmp(a));
                let first = visits.first().copied().unwrap_or(0);
                let second = visits.get(1).copied().unwrap_or(0);
                first > second + spent.simulations_left
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_look_at_what_they_name() {
        let spent = Spent {
            simulations: 20,
            elapsed: Duration::from_millis(30),
            nodes: 10,
            sampled_tokens: 200,
            simulations_left: 3,
            root_visits: vec![2, 6, 1],
            right: 0,
            wrong: 4,
        };
        assert!(StopRule::Nodes(10).is_met(&spent) && !StopRule::Nodes(11).is_met(&spent));
        assert!(StopRule::Simulations(20).is_met(&spent));
        assert!(!StopRule::Simulations(21).is_met(&spent));
        assert!(StopRule::Millis(30).is_met(&spent) && !StopRule::Millis(31).is_met(&spent));
        assert!(StopRule::SampledTokens(200).is_met(&spent));
        assert!(!StopRule::SampledTokens(201).is_met(&spent));
        assert!(StopRule::Decided.is_met(&spent));
        assert!(
            StopRule::SameOutcome(4).is_met(&spent) && !StopRule::SameOutcome(5).is_met(&spent)
        );
        assert!(!StopRule::SameOutcome(4).is_met(&Spent { right: 1, ..spent.clone() }));
        assert!(StopRule::SameOutcome(4).is_met(&Spent { right: 4, wrong: 0, ..spent.clone() }));
        assert!(!StopRule::Decided.is_met(&Spent { simulations_left: 4, ..spent.clone() }));
        assert!(!StopRule::Decided.is_met(&Spent { root_visits: vec![], ..spent }));
    }
}
