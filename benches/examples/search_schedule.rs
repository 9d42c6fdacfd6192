//! Whether a slow model gets full batches: 1,000 problems, two threads, and a server that answers up to 64
//! calls at once in 50 ms +- 30 %. Compares this with searches that advance in lock-step.
//!
//! `cargo run --release -p regrowth-benches --example search_schedule [PROBLEMS]`
//!
//! In the ideal schedule every batch is full; its time is the sum of their latencies. In lock-step, as in
//! other programs, all trees of a group send a request and wait until the last of them is answered; that time is
//! computed from the same latencies, without any overhead. The tail begins when the last tree
//! has started.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use regrowth_benches::{Quick, machine};
use regrowth_datasets::{Problem, Split, tasks::problems_from_spec};
use regrowth_mcts::search::{Subject, TreeStatus};
use regrowth_mcts::{RunOptions, Search, SearchConfig, TreeSearch};
use regrowth_policy::decorate::{Delay, Delayed};
use regrowth_policy::{Policy, PolicyError, call};
use regrowth_verifiers::ProblemVerifier;

const BATCH: usize = 64;
/// The simulated server.
const DELAY: Delay =
    Delay { batch: BATCH, latency: Duration::from_millis(50), jitter: 0.3, seed: 1 };

fn main() -> Result<(), Box<dyn Error>> {
    let count = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1000);
    let problems = problems_from_spec("builtin:arithmetic", Split::Train, 1)?;
    let problems: Vec<_> = problems.take(count).collect();
    let config = SearchConfig::default();
    println!("{}, {count} problems", machine());
    let calls = ours(&problems, &config)?;
    let ideal = latencies(calls.div_ceil(BATCH));
    println!("ideal schedule: {calls} calls, {:.1} s", ideal.as_secs_f64());
    for group in [BATCH, count] {
        let (batches, calls) = lock_step(&problems, &config, group)?;
        println!(
            "lock-step, {group} trees at a time: {batches} batches, {:.1} % full, {:.1} s, {:.3} of \
             the ideal",
            100.0 * calls as f64 / (batches * BATCH) as f64,
            latencies(batches).as_secs_f64(),
            latencies(batches).as_secs_f64() / ideal.as_secs_f64(),
        );
    }
    Ok(())
}

/// Time of this many batches, one after the other.
fn latencies(batches: usize) -> Duration {
    (0..batches as u64).map(|number| DELAY.of(number)).sum()
}

/// Runs the search against the server. Returns the number of calls.
fn ours(problems: &[Problem], config: &SearchConfig) -> Result<usize, Box<dyn Error>> {
    let policy = Delayed::new(Arc::new(Quick), DELAY);
    let options = RunOptions { threads: 2, ..RunOptions::default() };
    let window = 4 * policy.limits().in_flight;
    let start = Instant::now();
    let (mut delivered, mut tail) = (0, None);
    Search::new(&policy, &ProblemVerifier, config).options(&options).run(problems, |_| {
        delivered += 1;
        if delivered + window >= problems.len() {
            tail = tail.or(Some(policy.counts().batches as usize));
        }
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let sizes = policy.sizes();
    let calls: usize = sizes.iter().sum();
    let body = &sizes[..tail.unwrap_or(0).min(sizes.len())];
    let share = |sizes: &[usize]| {
        100.0 * sizes.iter().sum::<usize>() as f64 / (sizes.len().max(1) * BATCH) as f64
    };
    let ideal = latencies(calls.div_ceil(BATCH)).as_secs_f64();
    println!(
        "regrowth: {} batches, {:.1} % full before the tail ({} batches), {:.1} % in all, {seconds:.1} \
         s, {:.3} of the ideal",
        sizes.len(),
        share(body),
        body.len(),
        share(&sizes),
        seconds / ideal,
    );
    Ok(calls)
}

/// Batches and calls if groups of `group` trees send their requests together and wait for each other.
fn lock_step(
    problems: &[Problem],
    config: &SearchConfig,
    group: usize,
) -> Result<(usize, usize), PolicyError> {
    let (mut batches, mut calls) = (0, 0);
    for group in problems.chunks(group) {
        let mut trees = Vec::with_capacity(group.len());
        for problem in group {
            let subject = Subject::new(&Quick, &ProblemVerifier, problem, config)?;
            trees.push(TreeSearch::new(subject));
        }
        loop {
            let mut asked: usize = 0;
            for tree in trees.iter_mut().filter(|t| *t.status() == TreeStatus::Waiting) {
                for ask in tree.poll_requests() {
                    asked += 1;
                    tree.receive(ask.request_id, call(&Quick, ask.request));
                }
            }
            if asked == 0 {
                break;
            }
            batches += asked.div_ceil(BATCH);
            calls += asked;
        }
    }
    Ok((batches, calls))
}
