//! One token sequence in flight: what of it is computed, and in whose slots.
//!
//! Candidates that have drawn the same tokens so far are one sequence and one lane: a token is
//! computed once however many candidates it belongs to, and they part where they first differ.

use rand_chacha::ChaCha8Rng;
use regrowth_datasets::{Finish, TokenId};

use super::prefix::{NodeId, PrefixTree};
use super::slots::Slots;
use crate::boundary::Cut;
use crate::text::growing::Growing;

/// A sequence whose tokens are being computed.
pub(super) struct Lane {
    /// All ids so far.
    pub(super) ids: Vec<TokenId>,
    /// Slots of the computed ids: those of the prefix tree first, then its own.
    pub(super) slots: Vec<u32>,
    /// The prefix tree's node it stands on; pinned.
    pub(super) node: NodeId,
    /// How many slots belong to the tree.
    pub(super) shared: usize,
    /// What it is for.
    pub(super) role: Role,
}

/// What a lane is for.
pub(super) enum Role {
    /// Computes given tokens.
    Pass(Reading),
    /// Samples tokens of candidates that are equal so far; at least one.
    Sample(Vec<Candidate>),
}

/// Given tokens on their way through the model.
pub(super) struct Reading {
    /// The job they are computed for.
    pub(super) job: u64,
    /// First position whose hidden row is wanted and not known yet.
    pub(super) wanted: usize,
    /// Ids that are worth keeping in the prefix tree; what follows is forgotten.
    pub(super) keep: usize,
    /// The hidden row of the last wanted position so far; of scores, none is kept.
    pub(super) last: Vec<f32>,
}

/// A candidate being sampled.
pub(super) struct Candidate {
    /// The job it belongs to.
    pub(super) job: u64,
    /// Its place in the reply.
    pub(super) index: usize,
    /// Its random stream.
    pub(super) rng: ChaCha8Rng,
    /// Length of the prefix before it.
    pub(super) from: usize,
    /// Log-probability of each sampled token.
    pub(super) logps: Vec<f32>,
    /// Its text so far, where that can end it.
    pub(super) text: Growing,
    /// Where it is cut if it runs out of tokens.
    pub(super) cut: Cut,
}

/// A candidate with the token that it has just drawn, and why it ends there if it does.
pub(super) struct Drawn {
    pub(super) candidate: Candidate,
    pub(super) id: TokenId,
    pub(super) finish: Option<Finish>,
}

impl Lane {
    /// Ids that have no keys and values yet.
    pub(super) fn pending(&self) -> usize {
        self.ids.len() - self.slots.len()
    }

    /// Whether the lane will compute the token that ends `ids` and keep it in the tree.
    pub(super) fn will_keep(&self, ids: &[TokenId]) -> bool {
        match &self.role {
            Role::Pass(reading) => {
                ids.len() <= reading.keep
                    && ids.len() > self.slots.len()
                    && self.ids[..ids.len()] == *ids
            }
            Role::Sample(_) => false,
        }
    }

    /// Whether a job has a part in the lane.
    pub(super) fn serves(&self, job: u64) -> bool {
        match &self.role {
            Role::Pass(reading) => reading.job == job,
            Role::Sample(candidates) => candidates.iter().any(|c| c.job == job),
        }
    }

    /// The job that the lane's next tokens are counted for.
    pub(super) fn payer(&self) -> Option<u64> {
        match &self.role {
            Role::Pass(reading) => Some(reading.job),
            Role::Sample(candidates) => candidates.first().map(|c| c.job),
        }
    }

    /// Another lane of the same sequence, for candidates that go on with `id`. Its slots must all
    /// belong to the tree.
    pub(super) fn branch(&self, id: TokenId, role: Role, tree: &mut PrefixTree) -> Self {
        debug_assert_eq!(self.shared, self.slots.len(), "slots of its own cannot be shared");
        tree.pin(self.node);
        let mut ids = Vec::with_capacity(self.ids.len() + 1);
        ids.extend_from_slice(&self.ids);
        ids.push(id);
        Self { ids, slots: self.slots.clone(), node: self.node, shared: self.shared, role }
    }

    /// Puts the computed ids up to `keep` into the tree, and stands on the node in which they end,
    /// pinned. Slots of ids past `keep` stay the lane's own.
    pub(super) fn settle(&mut self, keep: usize, tree: &mut PrefixTree, free: &mut Slots) {
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

    /// Leaves the tree; the lane is done.
    pub(super) fn leave(mut self, tree: &mut PrefixTree, free: &mut Slots) {
        self.slots.drain(self.shared..).for_each(|slot| free.release(slot));
        tree.unpin(self.node);
    }
}
