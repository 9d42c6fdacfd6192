//! Delivers ended trees in the order of the problems, and sums up their counts.
//!
//! A tree that ends before its turn waits here. For each delivered tree, a new one starts.

use std::collections::BTreeMap;

use crossbeam::channel::{Receiver, Sender};
use regrowth_datasets::Problem;

use super::{Cost, Done, Report, SearchObserver, SearchSummary, Shared};
use crate::SearchError;

/// Maximum number of skipped problems listed in a summary.
const SKIPPED_EXAMPLES: usize = 20;

/// Passes trees to an observer.
pub(super) struct Delivery<'a> {
    shared: Shared<'a>,
    /// Queue of indices of problems whose trees may start: those less than `window` after `next`.
    jobs: Sender<usize>,
    window: usize,
    observer: &'a mut dyn SearchObserver,
    summary: SearchSummary,
    /// Ended trees that wait for the tree of an earlier problem.
    early: BTreeMap<usize, Done>,
    next: usize,
}

impl<'a> Delivery<'a> {
    pub(super) fn new(
        shared: Shared<'a>,
        jobs: Sender<usize>,
        window: usize,
        observer: &'a mut dyn SearchObserver,
    ) -> Self {
        let summary = SearchSummary {
            problems: shared.problems.len() as u64,
            oracle: shared.config.value.oracle,
            timed: shared.config.is_timed(),
            ..SearchSummary::default()
        };
        Self { shared, jobs, window, observer, summary, early: BTreeMap::new(), next: 0 }
    }

    /// Delivers until all trees are delivered, or until no worker is left (after a cancellation).
    pub(super) fn run(mut self, ended: &Receiver<Report>) -> Result<SearchSummary, SearchError> {
        while self.next < self.shared.problems.len() {
            let Ok(report) = ended.recv() else { break };
            match report {
                Report::Ended(done) => self.take(*done),
                Report::Unfinished(cost) => self.summary.add_cost(cost),
                Report::Failed(error) => return Err(error),
            }
        }
        self.summary.cancelled = self.next < self.shared.problems.len();
        self.summary.timed |= self.summary.cancelled;
        self.leave_none();
        Ok(self.summary)
    }

    /// Stores an ended tree, delivers all trees whose turn has come, and lets one new tree start for each.
    fn take(&mut self, done: Done) {
        self.observer.ended(done.result.as_ref().ok());
        self.early.insert(done.index, done);
        while let Some(done) = self.early.remove(&self.next) {
            let start = self.next.saturating_add(self.window);
            if start < self.shared.problems.len() {
                // If the send fails, all workers have ended and have reported why.
                let _ = self.jobs.send(start);
            }
            self.next += 1;
            self.deliver(done);
        }
    }

    /// Handles the ended trees whose turn did not come in a cancelled search: delivers them if `keep_all`,
    /// otherwise counts only their cost.
    fn leave_none(&mut self) {
        for (_, done) in std::mem::take(&mut self.early) {
            if self.shared.options.keep_all {
                self.deliver(done);
            } else {
                self.summary.add_cost(done.cost);
            }
        }
    }

    fn deliver(&mut self, done: Done) {
        let problem = &self.shared.problems[done.index];
        self.summary.add(problem, &done);
        self.observer.delivered(problem, done.result);
    }
}

impl SearchSummary {
    /// Adds the summary of a search of other problems with the same settings.
    pub fn add_part(&mut self, part: &Self) {
        self.problems += part.problems;
        self.trees += part.trees;
        self.nodes += part.nodes;
        self.simulations += part.simulations;
        self.correct += part.correct;
        self.model_calls += part.model_calls;
        self.unique_tokens += part.unique_tokens;
        self.usage += part.usage;
        for (sum, more) in
            [(&mut self.undecided, &part.undecided), (&mut self.skipped, &part.skipped)]
        {
            more.iter().for_each(|(reason, n)| *sum.entry(reason.clone()).or_default() += n);
        }
        let room = SKIPPED_EXAMPLES.saturating_sub(self.skipped_examples.len());
        self.skipped_examples.extend(part.skipped_examples.iter().take(room).cloned());
        self.oracle |= part.oracle;
        self.timed |= part.timed;
        self.cancelled |= part.cancelled;
    }

    fn add_cost(&mut self, cost: Cost) {
        self.model_calls += cost.calls;
        self.usage += cost.usage;
    }

    fn add(&mut self, problem: &Problem, done: &Done) {
        self.add_cost(done.cost);
        match &done.result {
            Ok(tree) => {
                self.trees += 1;
                self.nodes += tree.nodes.len() as u64;
                self.simulations += tree.simulations;
                self.correct += u64::from(tree.correct);
                self.unique_tokens += tree.unique_tokens();
                for (reason, count) in &done.undecided {
                    *self.undecided.entry(reason.clone()).or_default() += count;
                }
            }
            Err(skip) => {
                *self.skipped.entry(skip.reason().to_owned()).or_default() += 1;
                if self.skipped_examples.len() < SKIPPED_EXAMPLES {
                    self.skipped_examples.push((problem.id.clone(), skip.to_string()));
                }
            }
        }
    }
}
