//! `ranking.jsonl`: log-probabilities of pairs before and after training. The trainer writes the file; the
//! audit compares the log-probabilities.

use regrowth_datasets::{PreferencePair, TokenId, stream_key};
use serde::{Deserialize, Serialize};

/// Version of the row.
const RANKED_PAIR_VERSION: u32 = 1;

/// A pair's log-probabilities before and after training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankedPair {
    /// Version of the row.
    pub version: u32,
    /// [`pair_key`] of the pair.
    pub pair: String,
    /// Sums of the scored tokens' log-probabilities under the reference policy, chosen first.
    pub before: [f64; 2],
    /// Sums of the scored tokens' log-probabilities under the trained policy, chosen first.
    pub after: [f64; 2],
}

impl RankedPair {
    /// Builds the row of a pair.
    #[must_use]
    pub fn new(pair: &PreferencePair, before: [f64; 2], after: [f64; 2]) -> Self {
        Self { version: RANKED_PAIR_VERSION, pair: pair_key(pair), before, after }
    }
}

/// Hash of the token ids of the prefix, the chosen and the rejected side.
#[must_use]
pub fn pair_key(pair: &PreferencePair) -> String {
    let bytes = |ids: &[TokenId]| ids.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>();
    let parts = [&pair.prompt_ids, &pair.chosen_ids, &pair.rejected_ids].map(|ids| bytes(ids));
    format!("{:016x}", stream_key(0, &[&parts[0], &parts[1], &parts[2]]))
}
