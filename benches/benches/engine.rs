//! Tokens per second of the inference engine: decoding at several batch sizes, and the requests of
//! one tree.
//!
//! `REGROWTH_BENCH_POLICY` sets another checkpoint than the bundled one.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crossbeam::channel::unbounded;
use regrowth_datasets::{Split, tasks::problems_from_spec};
use regrowth_policy::{
    Boundary, Call, LoadOptions, Policy, Propose, Request, Response, Sampling, StopAt, load,
};

/// Tokens that every candidate decodes.
const TOKENS: usize = 32;

fn open(threads: usize, max_batch: usize) -> std::sync::Arc<dyn Policy> {
    let spec = std::env::var("REGROWTH_BENCH_POLICY").unwrap_or_else(|_| "builtin".into());
    let options = LoadOptions { threads, max_batch, ..LoadOptions::default() };
    load(&spec, &options).expect("the policy loads")
}

/// Decodes at most [`TOKENS`] tokens for each of `n` problems, one candidate each; returns the rows
/// computed.
fn decode(policy: &dyn Policy, n: usize) -> u64 {
    let (reply, answers) = unbounded();
    let problems = problems_from_spec("builtin:arithmetic", Split::Train, 1).expect("a task");
    for (request_id, problem) in problems.take(n).enumerate() {
        let request = Request::Propose(Propose {
            prefix: policy.prompt(&problem).expect("a prompt").ids,
            keys: vec![request_id as u64],
            sampling: Sampling::default(),
            greedy_first: false,
            boundary: Boundary::End,
            stop_at: StopAt::default(),
            max_tokens: TOKENS,
        });
        policy.submit(Call::new(request_id as u64, request, reply.clone()));
    }
    answers
        .iter()
        .take(n)
        .map(|answer| match answer.result {
            Ok(Response::Candidates(c)) => c.usage.sampling_rows,
            other => panic!("expected candidates, got {other:?}"),
        })
        .sum()
}

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    group.sample_size(10);
    for (threads, batch) in [(1, 1), (1, 8), (1, 64), (2, 64)] {
        let policy = open(threads, batch);
        let n = batch.max(4) * 2;
        let tokens = decode(policy.as_ref(), n);
        group.throughput(Throughput::Elements(tokens));
        let id = BenchmarkId::from_parameter(format!("batch {batch}, threads {threads}"));
        group.bench_with_input(id, &n, |b, &n| b.iter(|| decode(policy.as_ref(), n)));
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
