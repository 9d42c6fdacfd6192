//! Chooses the shard of a request: all requests about one problem go to the shard whose cache holds its
//! prompt.
//!
//! Prompts are stored as hashes of their token ids. They are assigned to the shards in turn, in the order
//! in which they are rendered, so that even a few problems keep all shards busy. A request goes to the
//! shard of its prompt. If its prompt was never rendered here, the first tokens of the request are used
//! instead. Routing never changes an answer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use regrowth_datasets::TokenId;

/// Number of leading tokens that identify a prompt which was never rendered here.
const FIRST: usize = 24;

/// Maximum number of prompts to remember (16 bytes each); when it is reached, all are forgotten and
/// assigned again.
const MOST: usize = 1 << 18;

/// Assigns requests to shards.
pub(crate) struct Router {
    shards: usize,
    /// Shard of each known prompt, by the hash of the prompt's ids.
    prompts: Mutex<HashMap<u64, usize>>,
}

impl Router {
    /// Creates a router for `shards` shards, at least 1.
    pub(crate) fn new(shards: usize) -> Self {
        Self { shards, prompts: Mutex::new(HashMap::new()) }
    }

    /// Assigns a shard to a prompt and remembers it.
    pub(crate) fn remember(&self, prompt: &[TokenId]) {
        if let Some(hash) = beginnings(prompt).last() {
            self.deal(&mut self.prompts(), hash);
        }
    }

    /// Returns the shard of a request that begins with `prefix`.
    pub(crate) fn shard(&self, prefix: &[TokenId]) -> usize {
        if self.shards == 1 {
            return 0;
        }
        let mut prompts = self.prompts();
        let longest = beginnings(prefix).filter_map(|hash| prompts.get(&hash)).last();
        longest.copied().unwrap_or_else(|| {
            let first = beginnings(prefix).take(FIRST).last();
            first.map_or(0, |hash| self.deal(&mut prompts, hash))
        })
    }

    /// Returns the shard of the prompt with this hash. A new prompt is assigned to the next shard in turn.
    fn deal(&self, prompts: &mut HashMap<u64, usize>, hash: u64) -> usize {
        if prompts.len() >= MOST {
            prompts.clear();
        }
        let step = prompts.len() % self.shards;
        *prompts.entry(hash).or_insert(step)
    }

    /// No code panics under this lock, so poisoning can be ignored.
    fn prompts(&self) -> MutexGuard<'_, HashMap<u64, usize>> {
        self.prompts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the hashes of all prefixes of `ids`, the shortest first.
fn beginnings(ids: &[TokenId]) -> impl Iterator<Item = u64> {
    ids.iter().scan(0u64, |hash, &id| {
        *hash = chained(*hash, id);
        Some(*hash)
    })
}

/// Extends the hash of a token prefix by one id (a step of SplitMix64).
pub(crate) fn chained(hash: u64, id: TokenId) -> u64 {
    let mut mixed = (hash ^ u64::from(id)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A prompt of `n` ids that differs from the others in its last id.
    fn prompt(n: usize, last: u32) -> Vec<TokenId> {
        (1..n as u32).chain([1000 + last]).collect()
    }

    #[test]
    fn a_problem_stays_with_its_shard_however_short_its_prompt() {
        for n in [3, 24, 60] {
            let router = Router::new(2);
            let mut load = [0; 2];
            for problem in 0..200 {
                let prompt = prompt(n, problem);
                router.remember(&prompt);
                let own = router.shard(&prompt);
                load[own] += 1;
                for step in 0..20 {
                    let longer = [&prompt[..], &[step, step + 1, 7]].concat();
                    assert_eq!(router.shard(&longer), own);
                }
            }
            assert_eq!(load, [100; 2], "{n}");
        }
    }

    #[test]
    fn what_was_never_rendered_goes_by_its_first_tokens() {
        let router = Router::new(2);
        let mut load = [0; 2];
        for problem in 0..20 {
            let ids: Vec<_> = (0..30).map(|i| 100 * problem + i).collect();
            let more = [&ids[..], &[3; 40]].concat();
            let own = router.shard(&ids);
            load[own] += 1;
            assert_eq!(router.shard(&more), own);
        }
        assert_eq!(load, [10; 2]);
        assert_eq!(router.shard(&[]), 0);
    }
}
