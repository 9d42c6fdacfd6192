//! A synthetic game that measures the tree alone: branching 5, depth 30, every value a hash.
//!
//! `peers/src/game.rs` is the same game for the programs that are compared.

use regrowth_mcts::tree::{Edge, Evaluator};

/// Steps until the game is over.
const DEPTH: u32 = 30;

/// The game.
pub struct Game;

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) fn mix(hash: u64) -> u64 {
    let mut z = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
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
        if state.1 < DEPTH {
            let prior = |step| 0.2 * unit(mix(state.0 ^ step)) as f32 + 0.1;
            edges.extend((0..5).map(|i| Edge { prior: prior(i), reward: 0.0, terminal: false }));
        }
        unit(mix(state.0 ^ 0xa5a5))
    }
}
