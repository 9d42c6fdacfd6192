//! Ended trees in the order of the problems, and their sums.
//!
//! A tree that ends before its turn waits here, and a new one starts for each that is delivered.

use std::collections::BTreeMap;

use crossbeam::channel::{Receiver, Sender};
use regrowth_datasets::Problem;

use super::{Cost, Done, Report, SearchObserver, SearchSummary, Shared};
use crate::SearchError;

/// How many skipped problems a summary names.
const SKIPPED_EXAMPLES: usize = 20;

/// Trees on their way to an observer.
pub(super) struct Delivery<'a> {
    shared: Shared<'a>,
    /// Indices of problems whose trees may start; how many of them are ahead is `window`.
    jobs: Sender<usize>,
    window: usize,
    observer: &'a mut dyn SearchObserver,
    summary: SearchSummary,
    /// Trees that ended before one that comes before them.
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

    /// Delivers until all is delivered or no worker is left, as after a cancel.
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

    /// Delivers what the order allows, and lets one tree start for each.
    fn take(&mut self, done: Done) {
        self.observer.ended(done.result.as_ref().ok());
        self.early.insert(done.index, done);
        while let Some(done) = self.early.remove(&self.next) {
            let start = self.next.saturating_add(self.window);
            if start < self.shared.problems.len() {
                // Workers that are gone have said why.
                let _ = self.jobs.send(start);
            }
            self.next += 1;
            self.deliver(done);
        }
    }

    /// What a cancelled search does with the trees whose turn did not come.
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
    /// Adds what a search of other problems with the same settings did.
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
