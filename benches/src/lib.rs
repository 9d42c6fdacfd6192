//! The benchmarks behind the figures of the README: `cargo bench -p regrowth-benches`.
//!
//! `benches/` holds what criterion measures; `peers/` compares with other implementations in one
//! run, in a workspace of its own so that no peer becomes a dependency of the product.
