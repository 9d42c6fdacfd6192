//! One tree's search as a state machine: it emits policy requests and consumes responses.
//!
//! A tree that waits for the policy is plain data: it holds no thread and no channel. `grow` turns
//! responses into nodes, `simulate` is the search of arXiv:2405.00451 (section 2.1), `beam` is a step
//! beam to compare with, `finish` writes the row.

mod beam;
mod finish;
mod grow;
mod reference;
mod simulate;
mod subject;

use std::collections::BTreeMap;

use regrowth_policy::{PolicyError, Response, Usage};

use self::beam::Beam;
use self::finish::Ended;
use self::grow::GrowingTree;
pub(crate) use self::reference::ReferenceStep;
use self::simulate::MctsState;
pub use self::subject::{PolicyRequest, Subject};
use crate::SkipReason;
use crate::config::Strategy;
use crate::record::TreeRecord;
use crate::tree::Tree;

/// Where a tree stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeStatus {
    /// It waits for responses.
    Waiting,
    /// It is complete.
    Finished,
    /// It was given up.
    Skipped(SkipReason),
}

/// How the tree decides what to expand next.
enum StrategyState {
    Mcts(MctsState),
    Beam(Beam),
}

/// The search of one tree.
pub struct TreeSearch<'a> {
    growing: GrowingTree<'a>,
    strategy: StrategyState,
    status: TreeStatus,
}

impl<'a> TreeSearch<'a> {
    /// A search that has made its first requests.
    #[must_use]
    pub fn new(subject: Subject<'a>) -> Self {
        let strategy = match subject.config.strategy {
            Strategy::Mcts => StrategyState::Mcts(MctsState::new(subject.config)),
            Strategy::Beam { width } => StrategyState::Beam(Beam::new(width, subject.config)),
        };
        let mut search =
            Self { growing: GrowingTree::new(subject), strategy, status: TreeStatus::Waiting };
        search.advance();
        search
    }

    /// Takes the requests that are new since the last call.
    pub fn poll_requests(&mut self) -> Vec<PolicyRequest> {
        self.growing.poll_requests()
    }

    /// Where the tree stands.
    #[must_use]
    pub fn status(&self) -> &TreeStatus {
        &self.status
    }

    /// What the answered requests cost; depends on the policy's cache.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.growing.usage
    }

    /// Number of solutions whose verdict was undecided, by the verifier's reason. They count as wrong; with a
    /// verifier command their outcome is 0 instead. Empty without the oracle.
    #[must_use]
    pub fn undecided(&self) -> &BTreeMap<String, u64> {
        &self.growing.undecided
    }

    /// The statistics of the tree so far.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.growing.tree
    }

    /// Model calls so far.
    #[must_use]
    pub fn model_calls(&self) -> u64 {
        self.growing.counts.model_calls()
    }

    /// Completed simulations so far; 0 for a beam search.
    pub(crate) fn simulations(&self) -> u64 {
        match &self.strategy {
            StrategyState::Mcts(state) => state.completed(),
            StrategyState::Beam(_) => 0,
        }
    }

    /// Takes the response to a request. One to a request id that is not waited for is ignored.
    pub fn receive(&mut self, request_id: u64, result: Result<Response, PolicyError>) {
        if self.status != TreeStatus::Waiting {
            return;
        }
        match self.growing.accept(request_id, result) {
            Ok(Some(node)) => {
                if let StrategyState::Mcts(state) = &mut self.strategy {
                    state.resume_waiting(&mut self.growing, node);
                }
                self.advance();
            }
            Ok(None) => {}
            Err(skip) => self.give_up(skip),
        }
    }

    /// Goes as far as possible without another response.
    fn advance(&mut self) {
        let finished = match &mut self.strategy {
            StrategyState::Mcts(state) => state.advance(&mut self.growing),
            StrategyState::Beam(beam) => beam.advance(&mut self.growing),
        };
        if let Some(skip) = self.growing.refused.take() {
            self.give_up(skip);
        } else if finished {
            self.status = TreeStatus::Finished;
        }
    }

    /// Undoes everything in flight, so that the tree stays consistent, and stops.
    fn give_up(&mut self, skip: SkipReason) {
        if let StrategyState::Mcts(state) = &mut self.strategy {
            state.undo(&mut self.growing.tree);
        }
        self.growing.stop();
        self.status = TreeStatus::Skipped(skip);
    }

    /// The finished tree as a row; `None` before it is finished.
    #[must_use]
    pub fn record(self, policy: &str, round: u32) -> Option<TreeRecord> {
        if self.status != TreeStatus::Finished {
            return None;
        }
        let ended = match self.strategy {
            StrategyState::Mcts(state) => state.end(),
            StrategyState::Beam(beam) => {
                Ended { committed: beam.end(&self.growing), ..Ended::default() }
            }
        };
        finish::record(self.growing, ended, policy, round)
    }
}
