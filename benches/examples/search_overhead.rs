//! CPU time of the search itself for one model call: a policy that answers at once, 1,000 problems,
//! 64 simulations per root.
//!
//! `cargo run --release -p regrowth-benches --example search_overhead`

use std::error::Error;

use regrowth_benches::{Quick, cpu_seconds, machine};
use regrowth_datasets::{Split, tasks::problems_from_spec};
use regrowth_mcts::{RunOptions, Search, SearchConfig};
use regrowth_verifiers::ProblemVerifier;

const TURNS: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let problems = problems_from_spec("builtin:arithmetic", Split::Train, 1)?;
    let problems: Vec<_> = problems.take(1000).collect();
    println!("{}", machine());
    for threads in [1, 2] {
        for leaves_in_flight in [1, 4] {
            let config =
                SearchConfig { simulations: 64, leaves_in_flight, ..SearchConfig::default() };
            let options = RunOptions { threads, ..RunOptions::default() };
            let mut micros = Vec::new();
            let mut calls = 0;
            for _ in 0..TURNS {
                let start = cpu_seconds();
                let summary = Search::new(&Quick, &ProblemVerifier, &config)
                    .options(&options)
                    .run(&problems, |_| {})?;
                calls = summary.model_calls;
                micros.push((cpu_seconds() - start) * 1e6 / calls as f64);
            }
            micros.sort_by(f64::total_cmp);
            println!(
                "threads {threads}, leaves in flight {leaves_in_flight}: {calls} calls, {:.2} \
                 microseconds of CPU a call (median of {TURNS}; {:.2} to {:.2})",
                (micros[TURNS / 2 - 1] + micros[TURNS / 2]) / 2.0,
                micros[0],
                micros[TURNS - 1],
            );
        }
    }
    Ok(())
}
