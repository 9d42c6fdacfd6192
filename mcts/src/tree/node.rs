//! One node: 48 bytes of atomics, grouped by contract.
//!
//! It knows nothing of its neighbours. The protocol is told in `concurrency.md`; here each field
//! says who writes it, when, and what its ordering pairs with.

use super::NodeState;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Scale of sums of returns: 32 fractional bits. A return is rounded once, by at most 2^-33; a sum
/// may reach +-2^31, as 2^30 visits of returns up to 2.
pub(super) const SCALE: f64 = (1u64 << 32) as f64;

/// One visit in [`Node::counts`]; the lower half counts visits under way.
const VISIT: u64 = 1 << 32;

/// A node.
pub(super) struct Node {
    // Constant after publication. Written by the one thread that expands the parent, before it
    // stores the parent's link with Release; whoever has loaded that link with Acquire reads them
    // Relaxed.
    /// Bits of the reward r of the step that leads here.
    reward: AtomicU64,
    /// Bits of its prior.
    prior: AtomicU64,
    /// Id of the parent; the root is its own.
    parent: AtomicU32,

    /// Counts announcements of a changed child. Every access is a read-modify-write with AcqRel,
    /// so each synchronises with all before it: who reads a number sees every child that was
    /// changed before that announcement, and who announces sees every value that was stored by
    /// those who had read a smaller number for the last time (`Tree::refresh`).
    epoch: AtomicU32,

    // Only ever moves forward: unexpanded -> expanding -> expanded, or terminal from the start.
    /// State in the two highest bits, number of children in 30, id of the first in the low 32.
    /// Expanding is taken by compare-exchange; expanded is stored with Release and pairs with the
    /// Acquire of every load.
    link: AtomicU64,

    // Commutative. Relaxed: sums do not care for order, and nothing is published by them.
    /// Completed visits in the high half, visits under way in the low half.
    counts: AtomicU64,
    /// Sum of returns in fixed point (`Returns`), or bits of V as last recomputed.
    value: AtomicU64,
}

const STATE_SHIFT: u32 = 62;
const COUNT_SHIFT: u32 = 32;
const COUNT_MASK: u64 = (1 << 30) - 1;

fn link(state: NodeState, first: u32, count: u32) -> u64 {
    ((state as u64) << STATE_SHIFT) | (u64::from(count) << COUNT_SHIFT) | u64::from(first)
}

/// A link taken apart.
#[derive(Clone, Copy)]
pub(super) struct Link {
    pub(super) state: NodeState,
    pub(super) first: u32,
    pub(super) count: u32,
}

/// How counts are added to: with others about, or alone.
pub(super) trait Access {
    /// Adds `delta`, wrapping.
    fn add(cell: &AtomicU64, delta: u64);
}

/// Several threads may write: a locked addition.
pub(super) struct Together;

/// No other thread writes: a load and a store, an order of magnitude cheaper.
pub(super) struct Alone;

impl Access for Together {
    fn add(cell: &AtomicU64, delta: u64) {
        cell.fetch_add(delta, Ordering::Relaxed);
    }
}

impl Access for Alone {
    fn add(cell: &AtomicU64, delta: u64) {
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(delta), Ordering::Relaxed);
    }
}

impl Node {
    #[cfg(loom)]
    pub(super) fn blank() -> Self {
        Self {
            reward: AtomicU64::new(0),
            prior: AtomicU64::new(0),
            parent: AtomicU32::new(0),
            epoch: AtomicU32::new(0),
            link: AtomicU64::new(0),
            counts: AtomicU64::new(0),
            value: AtomicU64::new(0),
        }
    }

    /// Fills a blank node that nobody else can reach yet.
    pub(super) fn fill(&self, parent: u32, prior: f64, reward: f64, terminal: bool) {
        self.reward.store(reward.to_bits(), Ordering::Relaxed);
        self.prior.store(prior.to_bits(), Ordering::Relaxed);
        self.parent.store(parent, Ordering::Relaxed);
        let state = if terminal { NodeState::Terminal } else { NodeState::Unexpanded };
        self.link.store(link(state, 0, 0), Ordering::Relaxed);
    }

    pub(super) fn reward(&self) -> f64 {
        f64::from_bits(self.reward.load(Ordering::Relaxed))
    }

    pub(super) fn prior(&self) -> f64 {
        f64::from_bits(self.prior.load(Ordering::Relaxed))
    }

    pub(super) fn parent(&self) -> u32 {
        self.parent.load(Ordering::Relaxed)
    }

    /// State and children. Acquire: pairs with the Release of [`Node::publish`], so the children's
    /// constant fields are visible.
    pub(super) fn link(&self) -> Link {
        let word = self.link.load(Ordering::Acquire);
        let state = match word >> STATE_SHIFT {
            0 => NodeState::Unexpanded,
            1 => NodeState::Expanding,
            2 => NodeState::Expanded,
            _ => NodeState::Terminal,
        };
        Link { state, first: word as u32, count: ((word >> COUNT_SHIFT) & COUNT_MASK) as u32 }
    }

    /// Unexpanded -> expanding; of all threads that try, one succeeds. Relaxed: the winner learns
    /// nothing from the others; they learn from its publication.
    pub(super) fn claim(&self) -> bool {
        let (from, to) = (link(NodeState::Unexpanded, 0, 0), link(NodeState::Expanding, 0, 0));
        self.link.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Expanding -> expanded. Release: pairs with [`Node::link`].
    pub(super) fn publish(&self, first: u32, count: u32) {
        self.link.store(link(NodeState::Expanded, first, count), Ordering::Release);
    }

    /// Expanding -> terminal: there are no children after all.
    pub(super) fn publish_end(&self) {
        self.link.store(link(NodeState::Terminal, 0, 0), Ordering::Release);
    }

    /// Completed visits and visits under way, of one moment.
    pub(super) fn counts(&self) -> (u64, u64) {
        let word = self.counts.load(Ordering::Relaxed);
        (word >> 32, word & (VISIT - 1))
    }

    pub(super) fn enter<A: Access>(&self) {
        A::add(&self.counts, 1);
    }

    pub(super) fn undo<A: Access>(&self) {
        A::add(&self.counts, 1u64.wrapping_neg());
    }

    /// One visit more, and one under way less if it was marked: one addition.
    pub(super) fn complete<A: Access>(&self, marked: bool) {
        A::add(&self.counts, if marked { VISIT - 1 } else { VISIT });
    }

    /// Adds a return to the sum.
    pub(super) fn add_return<A: Access>(&self, value: f64) {
        A::add(&self.value, (value * SCALE).round() as i64 as u64);
    }

    /// Sum of returns.
    pub(super) fn sum(&self) -> i64 {
        self.value.load(Ordering::Relaxed) as i64
    }

    /// V as last recomputed.
    pub(super) fn value(&self) -> f64 {
        f64::from_bits(self.value.load(Ordering::Relaxed))
    }

    /// Stores a recomputed V.
    pub(super) fn set_value(&self, value: f64) {
        self.value.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Announces that a child has changed and `value` is being recomputed; the number of the
    /// announcement. AcqRel: see [`Node::epoch`].
    pub(super) fn begin_refresh(&self) -> u32 {
        self.epoch.fetch_add(1, Ordering::AcqRel).wrapping_add(1)
    }

    /// Announcements so far. A read-modify-write, because a plain load may be answered before the
    /// store of the value is seen by others.
    pub(super) fn refreshes(&self) -> u32 {
        self.epoch.fetch_add(0, Ordering::AcqRel)
    }
}
