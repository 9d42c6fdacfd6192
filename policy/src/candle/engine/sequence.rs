//! One token sequence in flight: what of it is computed, and in whose slots.
//!
//! Candidates that have drawn the same tokens so far are one sequence and one sequence: a token is
//! computed once however many candidates it belongs to, and they part where they first differ.

use rand_chacha::ChaCha8Rng;
use regrowth_datasets::{Finish, TokenId};

use crate::boundary::Cut;
use crate::candle::engine::kv_slots::KvSlots;
use crate::candle::engine::prefix_cache::{CacheNode, PrefixCache};
use crate::text::growing::Growing;

/// A sequence whose tokens are being computed.
pub(crate) struct Sequence {
    /// All ids so far.
    pub(crate) ids: Vec<TokenId>,
    /// KvSlots of the computed ids: those of the prefix tree first, then its own.
    pub(crate) slots: Vec<u32>,
    /// The prefix tree's node it stands on; pinned.
    pub(crate) node: CacheNode,
    /// How many slots belong to the tree.
    pub(crate) shared: usize,
    /// What it is for.
    pub(crate) role: Role,
}

/// What a sequence is for.
pub(crate) enum Role {
    /// Computes given tokens.
    Prefill(Prefill),
    /// Samples tokens of candidates that are equal so far; at least one.
    Decode(Vec<CandidateState>),
}

/// Given tokens on their way through the model.
pub(crate) struct Prefill {
    /// The request they are computed for.
    pub(crate) request: u64,
    /// First position whose hidden row is wanted and not known yet.
    pub(crate) wanted: usize,
    /// Ids that are worth keeping in the prefix tree; what follows is forgotten.
    pub(crate) keep: usize,
    /// The hidden row of the last wanted position so far; of scores, none is kept.
    pub(crate) last: Vec<f32>,
}

/// A candidate being sampled.
pub(crate) struct CandidateState {
    /// The request it belongs to.
    pub(crate) request: u64,
    /// Its place in the reply.
    pub(crate) index: usize,
    /// Its random stream.
    pub(crate) rng: ChaCha8Rng,
    /// Length of the prefix before it.
    pub(crate) from: usize,
    /// Log-probability of each sampled token.
    pub(crate) logps: Vec<f32>,
    /// Its text so far, where that can end it.
    pub(crate) text: Growing,
    /// Where it is cut if it runs out of tokens.
    pub(crate) cut: Cut,
}

/// A candidate with the token that it has just drawn, and why it ends there if it does.
pub(crate) struct Drawn {
    pub(crate) candidate: CandidateState,
    pub(crate) id: TokenId,
    pub(crate) finish: Option<Finish>,
}

impl Sequence {
    /// Ids that have no keys and values yet.
    pub(crate) fn pending(&self) -> usize {
        self.ids.len() - self.slots.len()
    }

    /// Whether the sequence will compute the token that ends `ids` and keep it in the tree.
    pub(crate) fn will_keep(&self, ids: &[TokenId]) -> bool {
        match &self.role {
            Role::Prefill(prefill) => {
                ids.len() <= prefill.keep
                    && ids.len() > self.slots.len()
                    && self.ids[..ids.len()] == *ids
            }
            Role::Decode(_) => false,
        }
    }

    /// Whether a request has a part in the sequence.
    pub(crate) fn serves(&self, request: u64) -> bool {
        match &self.role {
            Role::Prefill(prefill) => prefill.request == request,
            Role::Decode(candidates) => candidates.iter().any(|c| c.request == request),
        }
    }

    /// The request that the sequence's next tokens are counted for.
    pub(crate) fn payer(&self) -> Option<u64> {
        match &self.role {
            Role::Prefill(prefill) => Some(prefill.request),
            Role::Decode(candidates) => candidates.first().map(|c| c.request),
        }
    }

    /// Another sequence of the same sequence, for candidates that go on with `id`. Its slots must all
    /// belong to the tree.
    pub(crate) fn branch(&self, id: TokenId, role: Role, tree: &mut PrefixCache) -> Self {
        debug_assert_eq!(self.shared, self.slots.len(), "slots of its own cannot be shared");
        tree.pin(self.node);
        let mut ids = Vec::with_capacity(self.ids.len() + 1);
        ids.extend_from_slice(&self.ids);
        ids.push(id);
        Self { ids, slots: self.slots.clone(), node: self.node, shared: self.shared, role }
    }

    /// Puts the computed ids up to `keep` into the tree, and stands on the node in which they end,
    /// pinned. KvSlots of ids past `keep` stay the sequence's own.
    pub(crate) fn settle(&mut self, keep: usize, tree: &mut PrefixCache, free: &mut KvSlots) {
        let keep = keep.min(self.slots.len());
        if keep <= self.shared {
            return;
        }
        let own = self.shared..keep;
        let known = tree.extend(self.node, &self.ids[own.clone()], &self.slots[own.clone()], free);
        tree.pin(known.0);
        tree.unpin(self.node);
        self.node = known.0;
        self.slots[own].copy_from_slice(&known.1);
        self.shared = keep;
    }

    /// Leaves the tree; the sequence is done.
    pub(crate) fn leave(mut self, tree: &mut PrefixCache, free: &mut KvSlots) {
        self.slots.drain(self.shared..).for_each(|slot| free.release(slot));
        tree.unpin(self.node);
    }
}
