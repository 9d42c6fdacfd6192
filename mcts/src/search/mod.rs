//! One tree as a small state machine: it says what it wants to know, is told, and goes on.
//!
//! A tree that waits for the model is plain data: it holds no thread and no channel. `grow` turns
//! answers into nodes, `simulate` is the search of arXiv:2405.00451 (section 2.1), `beam` is a step
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
use self::grow::Grow;
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
    /// It waits for answers.
    Waiting,
    /// It is complete.
    Finished,
    /// It was given up.
    Skipped(SkipReason),
}

/// How the tree decides what to expand next.
enum Method {
    MctsState(MctsState),
    Beam(Beam),
}

/// The search of one tree.
pub struct TreeSearch<'a> {
    grow: Grow<'a>,
    plan: Method,
    progress: TreeStatus,
}

impl<'a> TreeSearch<'a> {
    /// A search that has asked its first questions.
    #[must_use]
    pub fn new(subject: Subject<'a>) -> Self {
        let plan = match subject.config.strategy {
            Strategy::Mcts => Method::MctsState(MctsState::new(subject.config)),
            Strategy::Beam { width } => Method::Beam(Beam::new(width, subject.config)),
        };
        let mut search = Self { grow: Grow::new(subject), plan, progress: TreeStatus::Waiting };
        search.advance();
        search
    }

    /// Takes the requests that are new since the last call.
    pub fn poll_requests(&mut self) -> Vec<PolicyRequest> {
        self.grow.poll_requests()
    }

    /// Where the tree stands.
    #[must_use]
    pub fn progress(&self) -> &TreeStatus {
        &self.progress
    }

    /// What the answered requests cost; depends on the policy's cache.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.grow.usage
    }

    /// Solutions whose answer could be called neither right nor wrong, by the verifier's reason; they
    /// count as wrong. None where the reference is out of sight.
    #[must_use]
    pub fn undecided(&self) -> &BTreeMap<String, u64> {
        &self.grow.undecided
    }

    /// The statistics of the tree so far.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.grow.tree
    }

    /// Model calls so far.
    #[must_use]
    pub fn model_calls(&self) -> u64 {
        self.grow.counts.model_calls()
    }

    /// Completed simulations so far; none where nothing is simulated.
    pub(crate) fn simulations(&self) -> u64 {
        match &self.plan {
            Method::MctsState(simulate) => simulate.applied(),
            Method::Beam(_) => 0,
        }
    }

    /// Gives the tree one answer. An answer to a request_id that is not waited for is ignored.
    pub fn answer(&mut self, request_id: u64, result: Result<Response, PolicyError>) {
        if self.progress != TreeStatus::Waiting {
            return;
        }
        match self.grow.accept(request_id, result) {
            Ok(Some(node)) => {
                if let Method::MctsState(simulate) = &mut self.plan {
                    simulate.resume_waiting(&mut self.grow, node);
                }
                self.advance();
            }
            Ok(None) => {}
            Err(skip) => self.give_up(skip),
        }
    }

    /// Goes as far as possible without another answer.
    fn advance(&mut self) {
        let finished = match &mut self.plan {
            Method::MctsState(simulate) => simulate.advance(&mut self.grow),
            Method::Beam(beam) => beam.advance(&mut self.grow),
        };
        if let Some(skip) = self.grow.refused.take() {
            self.give_up(skip);
        } else if finished {
            self.progress = TreeStatus::Finished;
        }
    }

    /// Undoes everything in flight, so that the tree stays consistent, and stops.
    fn give_up(&mut self, skip: SkipReason) {
        if let Method::MctsState(simulate) = &mut self.plan {
            simulate.undo(&mut self.grow.tree);
        }
        self.grow.stop();
        self.progress = TreeStatus::Skipped(skip);
    }

    /// The finished tree as a row; `None` before it is finished.
    #[must_use]
    pub fn record(self, policy: &str, round: u32) -> Option<TreeRecord> {
        if self.progress != TreeStatus::Finished {
            return None;
        }
        let ended = match self.plan {
            Method::MctsState(simulate) => simulate.end(),
            Method::Beam(beam) => Ended { committed: beam.end(&self.grow), ..Ended::default() },
        };
        finish::record(self.grow, ended, policy, round)
    }
}
