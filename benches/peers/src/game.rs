//! The synthetic game that all programs search: branching 5, depth 30, every value a hash.
//!
//! Values are in [0, 1), priors of siblings sum to 1.

/// Children of every state that is not the last.
pub const BRANCHING: usize = 5;
/// Steps until the game is over.
pub const DEPTH: u32 = 30;

/// A state: a hash of the path to it, and its depth.
#[derive(Clone, Copy)]
pub struct State {
    hash: u64,
    depth: u32,
}

impl State {
    pub fn root() -> Self {
        Self { hash: 1, depth: 0 }
    }

    pub fn is_over(self) -> bool {
        self.depth == DEPTH
    }

    pub fn child(self, step: usize) -> Self {
        Self { hash: mix(self.hash.wrapping_add(step as u64 + 1)), depth: self.depth + 1 }
    }

    pub fn value(self) -> f64 {
        unit(mix(self.hash ^ 0xa5a5))
    }

    pub fn priors(self) -> [f64; BRANCHING] {
        let mut priors = [0.0; BRANCHING];
        for (step, prior) in priors.iter_mut().enumerate() {
            *prior = 0.1 + unit(mix(self.hash ^ (step as u64 + 77)));
        }
        let sum: f64 = priors.iter().sum();
        priors.map(|p| p / sum)
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(hash: u64) -> u64 {
    let mut z = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}
