//! One tree's search as a state machine: it emits policy requests and consumes responses.
//!
//! A tree that waits for the policy is plain data: it holds no thread and no channel. `grow` turns responses
//! into nodes, `simulate` is the search of arXiv:2405.00451 (section 2.1), `beam` is a step beam as a
//! baseline, `finish` turns the finished search into a row.

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

/// State of a tree's search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeStatus {
    /// The search waits for responses.
    Waiting,
    /// The search is complete.
    Finished,
    /// The search was given up.
    Skipped(SkipReason),
}

/// State of the strategy, which decides which node to expand next.
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
    /// Starts a search; its first requests are ready.
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

    /// Returns the requests made since the last call.
    pub fn poll_requests(&mut self) -> Vec<PolicyRequest> {
        self.growing.poll_requests()
    }

    /// State of the search.
    #[must_use]
    pub fn status(&self) -> &TreeStatus {
        &self.status
    }

    /// Tokens that the answered requests cost; depends on the policy's cache.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.growing.usage
    }

    /// Number of solutions with an undecided verdict, by the verifier's reason. They count as wrong, except
    /// with a verifier command, where their outcome is 0. Empty without the oracle.
    #[must_use]
    pub fn undecided(&self) -> &BTreeMap<String, u64> {
        &self.growing.undecided
    }

    /// The tree's statistics so far.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.growing.tree
    }

    /// Number of model calls so far.
    #[must_use]
    pub fn model_calls(&self) -> u64 {
        self.growing.counts.model_calls()
    }

    /// Number of completed simulations so far; 0 for a beam search.
    pub(crate) fn simulations(&self) -> u64 {
        match &self.strategy {
            StrategyState::Mcts(state) => state.completed(),
            StrategyState::Beam(_) => 0,
        }
    }

    /// Processes the response to a request. A response with an unknown request id is ignored.
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

    /// Advances the search until it needs another response.
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

    /// Stops the search and removes all in-flight visits, so that the tree stays consistent.
    fn give_up(&mut self, skip: SkipReason) {
        if let StrategyState::Mcts(state) = &mut self.strategy {
            state.undo(&mut self.growing.tree);
        }
        self.growing.stop();
        self.status = TreeStatus::Skipped(skip);
    }

    /// Turns the finished tree into a row; `None` if the search is not finished.
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
