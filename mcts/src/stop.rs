//! When a search root has had enough before its simulations are used up, or a beam at the end of a
//! level: small rules, any of which stops.
//!
//! They see only what the simulations that are backed up have spent and found, so with several leaves
//! in flight they are as repeatable as the rest of the search, time apart. Every root gets at least one
//! simulation, so a stopped search still ends in a whole solution.

use std::time::Duration;

use schemars::JsonSchema;

use serde::{Deserialize, Serialize};

/// A reason to commit before the simulations of a root are used up; bounds are at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopRule {
    /// At least this many simulations were made in the tree, whatever the root.
    Simulations(u64),
    /// The tree has at least this many nodes.
    Nodes(u64),
    /// At least this many tokens were sampled for the tree.
    SampledTokens(u64),
    /// The tree was begun at least this many milliseconds ago. The rule makes results depend on the
    /// machine: rows of such trees say so.
    Millis(u64),
    /// The most visited child cannot be overtaken by the simulations that are left: a commit by visits
    /// then goes to the child that the full budget would commit to. One that also weighs the spread of
    /// visits below the children may still differ.
    Decided,
    /// At least this many solutions have ended in the tree, and all of them are right or all are wrong:
    /// the problem is probably too easy or too hard to give a pair whose sides differ in verified
    /// outcome (ours). Needs the reference answers (`value.oracle`).
    SameOutcome(u64),
}

/// What the applied simulations of a tree have spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// Simulations in the whole tree.
    pub simulations: u64,
    /// Time since the tree was begun; zero where no rule asks for it.
    pub elapsed: Duration,
    /// Nodes, the root included.
    pub nodes: u64,
    /// Tokens sampled.
    pub sampled_tokens: u64,
    /// Simulations of this root that are not applied yet.
    pub simulations_left: u64,
    /// Visits of the search root's children.
    pub root_visits: Vec<u64>,
    /// Solutions that have ended in the tree and are right; 0 where outcomes are not verified.
    pub right: u64,
    /// Solutions that have ended in the tree and are not right.
    pub wrong: u64,
}

impl StopRule {
    /// Whether the rule depends on the machine.
    #[must_use]
    pub fn is_timed(self) -> bool {
        matches!(self, Self::Millis(_))
    }

    /// The rule's number, at least 1; `None` for a rule without one.
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

    /// Whether the rule stops the root.
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
