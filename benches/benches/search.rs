//! Simulations per second of one tree, and the cost of the search itself with a policy that answers
//! immediately.
//!
//! The benchmark ids are named after phases of the search: `tree` is selection, expansion and backup on a
//! synthetic game, `search` is many trees over one policy. `benches/peers` compares `tree` with other
//! programs.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use regrowth_benches::{Game, Quick};
use regrowth_datasets::{Split, tasks::problems_from_spec};
use regrowth_mcts::config::{BackupWeights, FirstPlay, Selection};
use regrowth_mcts::select::SelectionRule;
use regrowth_mcts::tree::{GrowOptions, Tree, grow_shared};
use regrowth_mcts::{RunOptions, Search, SearchConfig};
use regrowth_verifiers::ProblemVerifier;

const SIMULATIONS: u64 = 100_000;

fn tree(c: &mut Criterion) {
    let rule = SelectionRule { selection: Selection::Puct, c: 1.5, first_play: FirstPlay::Own };
    let mut group = c.benchmark_group("tree");
    group.sample_size(10);
    group.throughput(Throughput::Elements(SIMULATIONS));
    for weights in [BackupWeights::Returns, BackupWeights::AtLeastOne] {
        for (threads, leaves_in_flight) in [(1, 1), (1, 16), (2, 16), (8, 16)] {
            let options = GrowOptions { threads, leaves_in_flight };
            let name = format!("{weights:?}, {threads} threads, {leaves_in_flight} in flight");
            let mut tree = Tree::new(1.0, weights);
            group.bench_with_input(BenchmarkId::from_parameter(name), &options, |b, &options| {
                b.iter(|| {
                    tree.clear();
                    grow_shared(&mut tree, &Game, rule, SIMULATIONS, options);
                });
            });
        }
    }
    group.finish();
}

fn search(c: &mut Criterion) {
    let problems = problems_from_spec("builtin:arithmetic", Split::Train, 1).expect("a task");
    let problems: Vec<_> = problems.take(100).collect();
    let config = SearchConfig { simulations: 64, ..SearchConfig::default() };
    let mut group = c.benchmark_group("search");
    group.sample_size(10);
    for threads in [1, 2] {
        let options = RunOptions { threads, ..RunOptions::default() };
        let run = || {
            Search::new(&Quick, &ProblemVerifier, &config)
                .options(&options)
                .run(&problems, |_| {})
                .expect("a search")
                .model_calls
        };
        group.throughput(Throughput::Elements(run()));
        group.bench_function(format!("{threads} threads"), |b| b.iter(run));
    }
    group.finish();
}

criterion_group!(all, tree, search);
criterion_main!(all);
