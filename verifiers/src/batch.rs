//! Grades many answers on several threads; results are in input order.
//!
//! Workers share only a counter of the next chunk. A verdict does not depend on the worker that computes
//! it, so the results are the same for any number of threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use crate::grader::{Graded, Grader, Pair};

/// Answers per chunk of a worker: enough to hide the cost of the counter, few enough to balance the load.
const CHUNK: usize = 64;

/// One result of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    /// Verdict and rule.
    pub graded: Graded,
    /// Wall time of extraction and comparison in microseconds.
    pub micros: u64,
}

/// Grades all pairs on `threads` threads (at least one) and returns the results in input order.
#[must_use]
pub fn grade_batch(grader: &Grader, pairs: &[Pair<'_>], threads: usize) -> Vec<Timed> {
    map_ordered(pairs, threads, |pair| timed(grader, pair))
}

/// Grades one pair and measures the time.
#[must_use]
pub fn timed(grader: &Grader, pair: &Pair<'_>) -> Timed {
    let start = Instant::now();
    let graded = grader.grade(pair);
    let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    Timed { graded, micros }
}

/// Applies `work` to every item on `threads` threads and returns the results in input order.
pub(crate) fn map_ordered<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let chunks: Vec<&[T]> = items.chunks(CHUNK).collect();
    let threads = threads.clamp(1, chunks.len().max(1));
    if threads == 1 {
        return items.iter().map(work).collect();
    }
    // Relaxed: the counter only distributes distinct indices; the channel orders the results.
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let mut parts: Vec<Vec<R>> = chunks.iter().map(|_| Vec::new()).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next, chunks, work) = (sender.clone(), &next, &chunks, &work);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(chunk) = chunks.get(index) else { return };
                    let results: Vec<R> = chunk.iter().map(work).collect();
                    if sender.send((index, results)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (index, results) in receiver {
            parts[index] = results;
        }
    });
    parts.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_depend_on_threads() {
        let items: Vec<usize> = (0..1000).collect();
        let one = map_ordered(&items, 1, |i| i * 2);
        assert_eq!(one, map_ordered(&items, 7, |i| i * 2));
        assert_eq!(map_ordered(&items[..0], 4, |i| *i), Vec::<usize>::new());
    }
}
