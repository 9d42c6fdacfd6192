//! Memory of one tree of 20 million nodes, grown by two threads.
//!
//! `cargo run --release -p regrowth-benches --example search_memory [NODES]`

use regrowth_benches::{machine, resident_bytes};
use regrowth_mcts::{
    BackupWeights, Edge, Evaluator, FirstPlay, GrowOptions, Selection, SelectionRule, Tree,
    grow_shared,
};

/// Branching 5, depth 30, everything a hash.
struct Game;

fn mix(hash: u64) -> u64 {
    let mut z = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 31)
}

fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

impl Evaluator for Game {
    type State = (u64, u32);

    fn root(&self) -> Self::State {
        (1, 0)
    }

    fn follow(&self, state: &mut Self::State, step: usize) {
        *state = (mix(state.0.wrapping_add(step as u64 + 1)), state.1 + 1);
    }

    fn expand(&self, state: &Self::State, edges: &mut Vec<Edge>) -> f64 {
        if state.1 < 30 {
            let prior = |step| 0.2 * unit(mix(state.0 ^ step)) as f32 + 0.1;
            edges.extend((0..5).map(|i| Edge { prior: prior(i), reward: 0.0, terminal: false }));
        }
        unit(mix(state.0 ^ 0xa5a5))
    }
}

fn main() {
    let nodes = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(20_000_000);
    let rule = SelectionRule { selection: Selection::Puct, c: 1.5, first_play: FirstPlay::Own };
    let options = GrowOptions { threads: 2, leaves_in_flight: 8 };
    let mut tree = Tree::new(1.0, BackupWeights::Returns);
    let before = resident_bytes();
    while tree.len() < nodes {
        let missing = (nodes - tree.len()) as u64;
        grow_shared(&mut tree, &Game, rule, missing.div_ceil(5), options);
    }
    let used = resident_bytes() - before;
    println!("{}", machine());
    println!(
        "{} nodes, {:.3} GB resident, {:.1} bytes a node of {}",
        tree.len(),
        used as f64 / 1e9,
        used as f64 / tree.len() as f64,
        Tree::NODE_BYTES
    );
}
