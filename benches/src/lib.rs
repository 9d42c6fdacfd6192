//! The benchmarks behind the figures of `benches/README.md`: `cargo bench -p regrowth-benches`.
//!
//! `benches/` holds the criterion benchmarks, `examples/` programs that run once and print a count;
//! `peers/` compares with other implementations in one run. `peers/` is a workspace of its own, so that
//! no peer becomes a dependency of this project. `results/` keeps the printed figures.

mod game;
mod process;
mod quick;

pub use game::Game;
pub use process::{cpu_seconds, machine, peak_bytes, resident_bytes};
pub use quick::Quick;
