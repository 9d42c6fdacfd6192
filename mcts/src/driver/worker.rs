//! One thread of a search. It owns its trees and a channel for the policy's responses.
//!
//! A waiting tree needs no thread of its own.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, never, select, unbounded};
use regrowth_policy::{Answered, Call};

use super::{Cost, Done, Report, Shared};
use crate::search::{Subject, TreeSearch, TreeStatus};
use crate::{SearchError, SkipReason, TreeRecord};

/// How often a waiting worker checks whether the search is over.
const CANCEL_POLL: Duration = Duration::from_millis(50);

/// Advances its own trees with the responses that arrive.
pub(super) struct Worker<'a> {
    shared: Shared<'a>,
    jobs: Receiver<usize>,
    reports: Sender<Report>,
    /// Maximum number of trees held at once.
    capacity: usize,
    active: HashMap<u32, Active<'a>>,
    /// Number of the next tree, used as the upper half of its request ids.
    serial: u32,
    /// Channel on which the policy responds.
    reply: Sender<Answered>,
    answers: Receiver<Answered>,
}

/// A tree in flight.
struct Active<'a> {
    index: usize,
    search: TreeSearch<'a>,
    /// Number of this tree's simulations already added to `RunOptions::simulated`.
    simulated: u64,
}

impl Active<'_> {
    fn cost(&self) -> Cost {
        Cost { calls: self.search.model_calls(), usage: self.search.usage() }
    }
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        shared: Shared<'a>,
        jobs: Receiver<usize>,
        reports: Sender<Report>,
        capacity: usize,
    ) -> Self {
        let (reply, answers) = unbounded();
        let active = HashMap::new();
        Self { shared, jobs, reports, capacity, active, serial: 0, reply, answers }
    }

    /// Works until no problem is left, the search is cancelled or the delivery has ended. A panic (of the
    /// policy or the verifier, for example) is reported; otherwise the delivery would wait for this worker's
    /// trees forever.
    pub(super) fn run(self) {
        let reports = self.reports.clone();
        // Unwind safe: the state that a panic leaves inconsistent is dropped with the worker.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.work())) {
            // Sending fails only if another worker has already failed.
            let error = SearchError::Panicked { message: message(&*panic) };
            let _ = reports.send(Report::Failed(error));
        }
    }

    fn work(mut self) {
        let mut open = true;
        let no_jobs = never();
        while !self.shared.is_over() && (open || !self.active.is_empty()) {
            let room = open && self.active.len() < self.capacity;
            let jobs = if room { self.jobs.clone() } else { no_jobs.clone() };
            let listened = select! {
                recv(self.answers) -> answered => answered.is_ok_and(|a| self.on_answer(a)),
                recv(jobs) -> job => match job {
                    Ok(index) => self.start(index),
                    Err(_) => { open = false; true }
                },
                default(CANCEL_POLL) => true
            };
            if !listened {
                return;
            }
        }
        for active in self.active.values() {
            // Sending fails if the search has failed; the cost is not needed then.
            let _ = self.reports.send(Report::Unfinished(active.cost()));
        }
    }

    /// Starts a tree. Returns false if this worker should stop.
    fn start(&mut self, index: usize) -> bool {
        let shared = self.shared;
        let problem = &shared.problems[index];
        let subject = Subject::new(shared.policy, shared.verifier, problem, shared.config);
        let subject = match subject {
            Ok(subject) => subject,
            Err(error) if error.is_final() => return self.fail(error.into()),
            Err(error) => {
                let result = Err(SkipReason::Prompt(error.to_string()));
                let undecided = BTreeMap::new();
                return self.report(Done { index, result, undecided, cost: Cost::default() });
            }
        };
        let search = TreeSearch::new(subject.judged_by(shared.probe));
        let serial = self.serial;
        self.serial += 1;
        self.active.insert(serial, Active { index, search, simulated: 0 });
        self.after_change(serial)
    }

    /// Passes a response to its tree. Returns false if this worker should stop.
    fn on_answer(&mut self, answered: Answered) -> bool {
        // A policy that is gone or cannot write its log will not recover.
        let answered = match answered {
            Answered { result: Err(error), .. } if error.is_final() => {
                return self.fail(error.into());
            }
            answered => answered,
        };
        let serial = (answered.request_id >> 32) as u32;
        // Responses may still arrive for a tree that was given up.
        let Some(active) = self.active.get_mut(&serial) else { return true };
        active.search.receive(answered.request_id & u64::from(u32::MAX), answered.result);
        self.after_change(serial)
    }

    /// Submits the tree's new requests, or reports its end. Returns false if this worker should stop.
    fn after_change(&mut self, serial: u32) -> bool {
        let Some(active) = self.active.get_mut(&serial) else { return true };
        for ask in active.search.poll_requests() {
            let request_id = u64::from(serial) << 32 | ask.request_id;
            self.shared.policy.submit(Call::new(request_id, ask.request, self.reply.clone()));
        }
        if let Some(why) = self.shared.verifier.failure() {
            return self.fail(SearchError::Verifier(why));
        }
        let simulated = active.search.simulations();
        let new = simulated - std::mem::replace(&mut active.simulated, simulated);
        // Relaxed: a statistic.
        self.shared.options.simulated.fetch_add(new, Ordering::Relaxed);
        if *active.search.status() == TreeStatus::Waiting {
            return true;
        }
        let Some(active) = self.active.remove(&serial) else { return true };
        let cost = active.cost();
        let Active { index, search, .. } = active;
        let undecided = search.undecided().clone();
        let skip = match search.status() {
            TreeStatus::Skipped(skip) => Some(skip.clone()),
            _ => None,
        };
        let options = self.shared.options;
        let record = search.record(self.shared.policy.identity(), options.round);
        let record = record.map(|tree| TreeRecord { judge: options.judge.clone(), ..tree });
        let result = record.ok_or_else(|| skip.unwrap_or(SkipReason::NoCandidate));
        self.report(Done { index, result, undecided, cost })
    }

    fn report(&self, done: Done) -> bool {
        self.reports.send(Report::Ended(Box::new(done))).is_ok()
    }

    fn fail(&self, error: SearchError) -> bool {
        // The worker stops either way.
        let _ = self.reports.send(Report::Failed(error));
        false
    }
}

/// Message of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message").to_owned()
}
