//! The benchmarks behind the figures of `benches/README.md`: `cargo bench -p regrowth-benches`.
//!
//! `benches/` holds what criterion measures, `examples/` what is counted once; `peers/` compares
//! with other implementations in one run, in a workspace of its own so that no peer becomes a
//! dependency of the product. `results/` keeps the figures as they were printed.

mod game;
mod process;
mod quick;

pub use game::Game;
pub use process::{cpu_seconds, machine, peak_bytes, resident_bytes};
pub use quick::Quick;
