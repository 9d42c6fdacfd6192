//! Answers graded per second on one core: `cargo run --release --example throughput -- CASES [rounds]`.
//!
//! CASES is a file of rows in the format of `regrowth verify`, with `expect`, or a folder of such files.
//! Every round grades all rows, extraction included.

#[path = "../tests/it/table.rs"]
mod table;

use std::path::Path;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: throughput CASES [rounds]")?;
    let rounds: usize = arguments.next().map_or(Ok(20), |r| r.parse())?;
    let path = Path::new(&path);
    let rows = match path.is_dir() {
        true => table::tables(path).into_values().flatten().collect(),
        false => table::rows(path),
    };
    let mut times: Vec<Duration> = Vec::new();
    let mut rates = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        for row in &rows {
            let single = Instant::now();
            std::hint::black_box(row.grade());
            times.push(single.elapsed());
        }
        rates.push(f64::from(u32::try_from(rows.len())?) / start.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 1000];
    println!(
        "{} pairs, {rounds} rounds: {:.0} pairs/s (min {:.0}, max {:.0}); p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}",
        rows.len(),
        rates[rates.len() / 2],
        rates[0],
        rates[rates.len() - 1],
        at(500),
        at(990),
        at(999),
        times[times.len() - 1],
    );
    Ok(())
}
