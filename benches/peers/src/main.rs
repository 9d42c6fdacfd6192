//! Simulations per second on one synthetic game: all programs in one run, medians of ten.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml [SIMULATIONS [PART OF A NAME]]`
//!
//! In every program, one simulation is one descent, one expansion and one backup. The programs take
//! turns, so that other load on the machine slows all of them alike. OpenSpiel is included if
//! `OPENSPIEL_MCTS` is the path of the program that `openspiel/build.sh` builds.

mod game;
mod openspiel;
mod ours;
mod peer;

use std::time::Instant;

use regrowth_mcts::config::BackupWeights;
use regrowth_mcts::tree::{GrowOptions, Tree};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TURNS: usize = 10;

/// One thread with enough leaves in flight to keep the memory busy.
const LANES: GrowOptions = GrowOptions { threads: 1, leaves_in_flight: 16 };

/// Simulations per second in one turn: by wall-clock time, and by the CPU time of the main thread. The
/// latter is 0 if another process does the work.
type Rates = (f64, f64);

/// Runs the given number of simulations on a fresh tree.
type Run = Box<dyn FnMut(u64) -> Rates>;

type Contestant = (&'static str, Run);

fn main() {
    let simulations = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let part = std::env::args().nth(2).unwrap_or_default();
    let mut contestants = contestants();
    contestants.retain(|(name, _)| name.contains(&part));
    let mut rates = vec![(Vec::new(), Vec::new()); contestants.len()];
    for _ in 0..TURNS {
        for (rates, (_, run)) in rates.iter_mut().zip(&mut contestants) {
            let (wall, cpu) = run(simulations);
            rates.0.push(wall);
            rates.1.push(cpu);
        }
    }
    println!("{simulations} simulations, {} bytes per node", Tree::NODE_BYTES);
    println!("{:40} {:>10} {:>10}", "million simulations per second of", "wall", "main CPU");
    for ((name, _), (wall, cpu)) in contestants.into_iter().zip(rates) {
        println!("{name:40} {:10.3} {:10.3}", median(wall) / 1e6, median(cpu) / 1e6);
    }
}

fn contestants() -> Vec<Contestant> {
    let ours = |threads, leaves_in_flight| {
        let options = GrowOptions { threads, leaves_in_flight };
        let mut tree = ours::tree(BackupWeights::Returns);
        move |n| ours::run(&mut tree, n, options)
    };
    let mut pair = [ours::tree(BackupWeights::Returns), ours::tree(BackupWeights::Returns)];
    let mut recomputed = ours::tree(BackupWeights::AtLeastOne);
    let mut contestants: Vec<Contestant> = vec![
        ("regrowth, 1 thread, serial", timed(ours(1, 1))),
        ("regrowth, 1 thread, 16 leaves in flight", timed(ours(1, 16))),
        ("regrowth, 2 threads, one tree", timed(ours(2, 16))),
        ("regrowth, 8 threads, one tree", timed(ours(8, 16))),
        ("regrowth, 2 threads, two trees", timed(move |n| two_trees(&mut pair, n))),
        (
            "regrowth, 1 thread, recomputed values",
            timed(move |n| ours::run(&mut recomputed, n, LANES)),
        ),
        ("crate mcts 0.3, 1 thread", timed(|n| peer::old::run(n, 1))),
        ("crate mcts 0.3, 2 threads", timed(|n| peer::old::run(n, 2))),
        ("crate treant 0.4, 1 thread", timed(|n| peer::new::run(n, 1))),
        ("crate treant 0.4, 2 threads", timed(|n| peer::new::run(n, 2))),
    ];
    contestants.extend(openspiel::contestant().map(|run| ("OpenSpiel 2.0, C++, 1 thread", run)));
    contestants
}

/// A program that runs within this process.
fn timed(mut run: impl FnMut(u64) + 'static) -> Run {
    Box::new(move |simulations| {
        let (start, busy) = (Instant::now(), cpu_seconds());
        run(simulations);
        let own = cpu_seconds() - busy;
        (simulations as f64 / start.elapsed().as_secs_f64(), simulations as f64 / own)
    })
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    (rates[TURNS / 2] + rates[TURNS / 2 - 1]) / 2.0
}

/// Seconds of CPU time of the main thread, which other processes cannot lengthen; 0 if the system does
/// not report it.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|n| n.parse::<f64>().ok());
    nanoseconds.unwrap_or(0.0) / 1e9
}

/// Grows two trees in two threads, one tree each: the upper bound for two cores.
fn two_trees(trees: &mut [Tree; 2], simulations: u64) {
    let [one, other] = trees;
    std::thread::scope(|scope| {
        scope.spawn(|| ours::run(other, simulations / 2, LANES));
        ours::run(one, simulations / 2, LANES);
    });
}
