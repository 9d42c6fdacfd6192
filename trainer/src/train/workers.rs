//! Worker threads that compute the micro-batches of every step of a run.
//!
//! Micro-batches are formed by content alone, and their gradients are summed in order, so the sum does not
//! depend on the number of threads. A thread computes a complete micro-batch with single-threaded matrix
//! products, because the products of small models are too small to parallelise. The threads live as long as
//! the run and start few micro-batches ahead of the sum, so peak memory is the same in every step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::Scope;

use crossbeam::channel::{Receiver, Sender, unbounded};

use super::gradients::{Compute, StepGradients, TrainingObjective, alone, gradients};
use crate::TrainError;

/// A micro-batch to compute: the batches of the step, the index of this one, and the key of the dropout
/// masks.
struct Job<B> {
    batches: Arc<Vec<B>>,
    index: usize,
    dropout: u64,
}

type Done = (usize, Result<StepGradients, TrainError>);

/// The worker threads of a run; dropping this ends them.
pub(super) struct Workers<B> {
    jobs: Sender<Job<B>>,
    done: Receiver<Done>,
    threads: usize,
}

impl<B: Send + Sync> Workers<B> {
    /// Starts `threads` threads, at least one.
    pub(super) fn start<'scope, 'env, O: TrainingObjective<Batch = B>>(
        scope: &'scope Scope<'scope, 'env>,
        objective: &'env O,
        compute: Compute<'env>,
        threads: usize,
    ) -> Self
    where
        B: 'scope,
    {
        let threads = threads.max(1);
        let (jobs, taken) = unbounded::<Job<B>>();
        let (send, done) = unbounded();
        for _ in 0..threads {
            let (taken, send) = (taken.clone(), Watched(send.clone()));
            let work = move || {
                for Job { batches, index, dropout } in taken {
                    let compute = Compute { dropout, ..compute };
                    let result = gradients(objective, compute, index, &batches[index]);
                    drop(batches);
                    if send.0.send((index, result)).is_err() {
                        break;
                    }
                }
            };
            scope.spawn(|| alone(work));
        }
        Self { jobs, done, threads }
    }

    /// Returns the summed gradients of a step's micro-batches; `dropout` is the key of the step's dropout
    /// masks.
    pub(super) fn step(&self, batches: Vec<B>, dropout: u64) -> Result<Summed<B>, TrainError> {
        let batches = Arc::new(batches);
        let give = |index: usize| {
            let job = Job { batches: batches.clone(), index, dropout };
            // A failed send shows up when the results are received.
            let _ = self.jobs.send(job);
        };
        // One more than the number of threads, so that a thread that finishes early need not wait for the
        // sum.
        let ahead = (self.threads + 1).min(batches.len());
        (0..ahead).for_each(give);
        let mut early = BTreeMap::new();
        let mut total: Option<StepGradients> = None;
        let mut added = 0;
        while added < batches.len() {
            let (index, result) = self.done.recv().map_err(|_| lost())?;
            early.insert(index, result?);
            while let Some(part) = early.remove(&added) {
                match &mut total {
                    None => total = Some(part),
                    Some(total) => total.add(part)?,
                }
                added += 1;
                if added + ahead <= batches.len() {
                    give(added + ahead - 1);
                }
            }
        }
        let empty = || "a step without examples".to_owned();
        let total = total.ok_or_else(|| TrainError::Setting { name: "batch", detail: empty() })?;
        Ok(Summed { total, batches })
    }
}

/// Summed gradients of a step, and its micro-batches.
pub(super) struct Summed<B> {
    pub(super) total: StepGradients,
    pub(super) batches: Arc<Vec<B>>,
}

/// A thread's result channel; if the thread panics, its drop tells the receiver.
struct Watched(Sender<Done>);

impl Drop for Watched {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.send((usize::MAX, Err(lost())));
        }
    }
}

fn lost() -> TrainError {
    TrainError::Panicked(
        "a thread that computed gradients panicked; this is a fault of this program",
    )
}
