//! One token sequence in flight: its ids, how many of them are computed, and its KV slots.
//!
//! Candidates (sampled continuations) that have the same tokens so far share one sequence, so a
//! common token is computed only once. The sequence is forked at the first token where they differ.

use rand_chacha::ChaCha8Rng;
use regrowth_datasets::{Finish, TokenId};

use crate::Sampling;
use crate::boundary::Cut;
use crate::candle::engine::kv_slots::KvSlots;
use crate::candle::engine::prefix_cache::{CacheNode, PrefixCache};
use crate::text::incremental_detokenizer::IncrementalDetokenizer;

/// A sequence whose tokens are being computed.
pub(crate) struct Sequence {
    /// All token ids so far, computed or not.
    pub(crate) ids: Vec<TokenId>,
    /// KV slots of the computed tokens, in order: the first `shared` belong to the prefix cache,
    /// the rest to this sequence.
    pub(crate) slots: Vec<u32>,
    /// Prefix-cache node at which the cached tokens end; pinned against eviction.
    pub(crate) node: CacheNode,
    /// Number of leading `slots` that the prefix cache owns.
    pub(crate) shared: usize,
    /// Prefill or decode, with its request or candidates.
    pub(crate) role: Role,
}

/// The task of a sequence.
pub(crate) enum Role {
    /// Computes given tokens.
    Prefill(Prefill),
    /// Samples tokens for these candidates (at least one), whose tokens so far are equal.
    Decode(Vec<CandidateState>),
}

/// State of a prefill.
pub(crate) struct Prefill {
    /// The request that the tokens are computed for.
    pub(crate) request: u64,
    /// Index in `ids` from which on final hidden states are needed (for logits) and not yet known.
    pub(crate) first_needed: usize,
    /// How many leading tokens go into the prefix cache; the tokens after them, such as a judge's
    /// question, do not.
    pub(crate) cacheable: usize,
    /// Final hidden state `[D]` of the last position computed so far; empty for `Score` requests.
    pub(crate) last: Vec<f32>,
}

/// A candidate being sampled.
pub(crate) struct CandidateState {
    /// The request it belongs to.
    pub(crate) request: u64,
    /// Index of the candidate in the reply.
    pub(crate) index: usize,
    /// Sampling settings of the candidate.
    pub(crate) sampling: Sampling,
    /// Random generator of the candidate, seeded by its key.
    pub(crate) rng: ChaCha8Rng,
    /// Length of the request's prefix: index in `Sequence::ids` at which the candidate starts.
    pub(crate) from: usize,
    /// Log-probability of each sampled token.
    pub(crate) logps: Vec<f32>,
    /// Incremental detokenizer of the candidate, used if text decides where it ends (stop strings, step
    /// boundaries).
    pub(crate) text: IncrementalDetokenizer,
    /// Last position at which the candidate may be truncated if it reaches its token limit (see
    /// `Cut`).
    pub(crate) cut: Cut,
}

/// A candidate, the token sampled for it in this step of the engine, and its finish reason if it ends there.
pub(crate) struct Drawn {
    pub(crate) candidate: CandidateState,
    pub(crate) id: TokenId,
    pub(crate) finish: Option<Finish>,
}

impl Sequence {
    /// Number of ids that are not computed yet.
    pub(crate) fn pending(&self) -> usize {
        self.ids.len() - self.slots.len()
    }

    /// Whether this sequence starts with `ids`, has yet to compute the last of them, and will put it into the
    /// prefix cache.
    pub(crate) fn will_cache(&self, ids: &[TokenId]) -> bool {
        match &self.role {
            Role::Prefill(prefill) => {
                ids.len() <= prefill.cacheable
                    && ids.len() > self.slots.len()
                    && self.ids[..ids.len()] == *ids
            }
            Role::Decode(_) => false,
        }
    }

    /// Whether the sequence computes tokens for this request.
    pub(crate) fn serves(&self, request: u64) -> bool {
        match &self.role {
            Role::Prefill(prefill) => prefill.request == request,
            Role::Decode(candidates) => candidates.iter().any(|c| c.request == request),
        }
    }

    /// Returns the request whose usage counters include the sequence's next tokens; the first one if
    /// candidates of several requests share the sequence.
    pub(crate) fn charged_request(&self) -> Option<u64> {
        match &self.role {
            Role::Prefill(prefill) => Some(prefill.request),
            Role::Decode(candidates) => candidates.first().map(|c| c.request),
        }
    }

    /// Forks the sequence for candidates that continue with `id`. The prefix cache must own all of
    /// its slots ([`Self::cache_computed`]).
    pub(crate) fn fork(&self, id: TokenId, role: Role, cache: &mut PrefixCache) -> Self {
        debug_assert_eq!(self.shared, self.slots.len(), "slots not in the cache cannot be shared");
        cache.pin(self.node);
        let mut ids = Vec::with_capacity(self.ids.len() + 1);
        ids.extend_from_slice(&self.ids);
        ids.push(id);
        Self { ids, slots: self.slots.clone(), node: self.node, shared: self.shared, role }
    }

    /// Moves the first `keep` computed ids into the prefix cache and pins the node that ends them. The
    /// slots of later ids stay the sequence's own.
    pub(crate) fn cache_computed(
        &mut self,
        keep: usize,
        cache: &mut PrefixCache,
        slots: &mut KvSlots,
    ) {
        let keep = keep.min(self.slots.len());
        if keep <= self.shared {
            return;
        }
        let own = self.shared..keep;
        let known =
            cache.extend(self.node, &self.ids[own.clone()], &self.slots[own.clone()], slots);
        cache.pin(known.0);
        cache.unpin(self.node);
        self.node = known.0;
        self.slots[own].copy_from_slice(&known.1);
        self.shared = keep;
    }

    /// Ends the sequence: releases its own slots and unpins its node.
    pub(crate) fn release(mut self, cache: &mut PrefixCache, slots: &mut KvSlots) {
        self.slots.drain(self.shared..).for_each(|slot| slots.release(slot));
        cache.unpin(self.node);
    }
}
