//! Memory of one tree of 20 million nodes, grown by two threads.
//!
//! `cargo run --release -p regrowth-benches --example search_memory [NODES]`

use regrowth_benches::{Game, machine, resident_bytes};
use regrowth_mcts::config::{BackupWeights, FirstPlay, Selection};
use regrowth_mcts::select::SelectionRule;
use regrowth_mcts::tree::{GrowOptions, Tree, grow_shared};

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
        "{} nodes, {:.3} GB resident, {:.1} bytes per node of {}",
        tree.len(),
        used as f64 / 1e9,
        used as f64 / tree.len() as f64,
        Tree::NODE_BYTES
    );
}
