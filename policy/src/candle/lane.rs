//! One token sequence in flight: what of it is computed, and in whose slots.

use rand_chacha::ChaCha8Rng;
use regrowth_datasets::{Finish, TokenId};

use super::kv::KvStore;
use super::prefix::{NodeId, PrefixTree};

/// A sequence whose tokens are being computed.
pub(super) struct Lane {
    /// The job it belongs to.
    pub(super) job: u64,
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
    /// Computes given tokens; hidden rows from position `wanted` on are collected.
    Pass {
        /// First position whose hidden row is wanted.
        wanted: usize,
        /// Ids that are worth keeping in the prefix tree; what follows is forgotten.
        keep: usize,
        /// Hidden rows of positions `wanted..`, in order.
        hidden: Vec<f32>,
    },
    /// Samples tokens of one candidate.
    Sample(Box<Candidate>),
}

/// A candidate being sampled.
pub(super) struct Candidate {
    /// Its place in the reply.
    pub(super) index: usize,
    /// Its random stream.
    pub(super) rng: ChaCha8Rng,
    /// Length of the prefix before it.
    pub(super) from: usize,
    /// Log-probability of each sampled token.
    pub(super) logps: Vec<f32>,
    /// Why it ended, once it has.
    pub(super) finish: Option<Finish>,
}

impl Lane {
    /// Ids that have no keys and values yet.
    pub(super) fn pending(&self) -> usize {
        self.ids.len() - self.slots.len()
    }

    /// Puts the computed ids up to `keep` into the tree, gives back the other slots, and stands on
    /// the node in which they end, pinned.
    pub(super) fn settle(&mut self, keep: usize, tree: &mut PrefixTree, kv: &mut KvStore) {
        let keep = keep.min(self.slots.len()).max(self.shared);
        self.slots.drain(keep..).for_each(|slot| kv.release(slot));
        let own = self.shared..keep;
        let (node, known) = tree.extend(self.node, &self.ids[own.clone()], &self.slots[own], kv);
        tree.pin(node);
        tree.unpin(self.node);
        self.node = node;
        self.slots.splice(self.shared.., known);
        self.shared = keep;
    }

    /// Leaves the tree; the lane is done.
    pub(super) fn leave(mut self, tree: &mut PrefixTree, kv: &mut KvStore) {
        self.slots.drain(self.shared..).for_each(|slot| kv.release(slot));
        tree.unpin(self.node);
    }
}
