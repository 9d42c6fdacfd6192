//! Which shard a request goes to: all requests of one problem to the one whose cache knows it.
//!
//! It knows prompts as hashes of their ids and nothing of what is asked. Prompts are dealt to the
//! shards in step, as they are rendered, so that a few problems are work for all; a request goes
//! where its prompt goes. Where that was never rendered here, the first tokens of the request stand
//! for it. No answer depends on it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use regrowth_datasets::TokenId;

/// Tokens that stand for a prompt that is not known.
const FIRST: usize = 24;

/// Prompts that are remembered; then all are forgotten and met again (16 bytes each).
const MOST: usize = 1 << 18;

/// Chooses shards.
pub(crate) struct Router {
    shards: usize,
    /// Shards of known prompts by the hash of their ids.
    prompts: Mutex<HashMap<u64, usize>>,
}

impl Router {
    /// A router for `shards` shards, at least 1.
    pub(crate) fn new(shards: usize) -> Self {
        Self { shards, prompts: Mutex::new(HashMap::new()) }
    }

    /// Remembers a prompt.
    pub(crate) fn remember(&self, prompt: &[TokenId]) {
        if let Some(hash) = beginnings(prompt).last() {
            self.deal(&mut self.prompts(), hash);
        }
    }

    /// The shard of a request that begins with `prefix`.
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

    /// The shard of a prompt, from now on if it is new.
    fn deal(&self, prompts: &mut HashMap<u64, usize>, hash: u64) -> usize {
        if prompts.len() >= MOST {
            prompts.clear();
        }
        let step = prompts.len() % self.shards;
        *prompts.entry(hash).or_insert(step)
    }

    /// Nothing can panic while this lock is held; a poisoned one is as good.
    fn prompts(&self) -> MutexGuard<'_, HashMap<u64, usize>> {
        self.prompts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A hash of each beginning of `ids`, the shortest first.
fn beginnings(ids: &[TokenId]) -> impl Iterator<Item = u64> {
    ids.iter().scan(0u64, |hash, &id| {
        *hash = chained(*hash, id);
        Some(*hash)
    })
}

/// The hash of ids that one more is added to (a step of SplitMix64).
pub(crate) fn chained(hash: u64, id: TokenId) -> u64 {
    let mut mixed = (hash ^ u64::from(id)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A prompt of `n` ids that differs from others in its last one.
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
