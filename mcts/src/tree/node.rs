//! A node of the tree: 48 bytes of atomics, grouped by which thread may write a field and when.
//!
//! `mcts/concurrency.md` describes the protocol. Here, each field's comment states its writer, the time of the
//! write and which access its memory ordering pairs with. Terms of the protocol: the nodes of the *shared
//! top* may be updated by all threads at once; below the shared top, a thread locks a subtree for itself. An
//! *announcement* states that a child has changed, so V has to be recomputed.

use super::bits::{COUNT_BITS, IN_FLIGHT_BITS, MAX_CHILDREN, MAX_IN_FLIGHT};
use super::edge::NodeState;
use crate::select::ScoreTerms;
use crate::sync::{AtomicU32, AtomicU64, Ordering, UntrackedU32};

/// Scale of fixed-point sums of returns: 32 fractional bits. A return is rounded once, by at most 2^-33. A
/// sum may reach +-2^31: 2^30 visits with returns up to 2, or 2^13 visits with the largest return.
const SCALE: f64 = (1u64 << 32) as f64;

/// Largest magnitude of a return; larger ones are clamped.
const MAX_RETURN: f64 = (1u64 << 18) as f64;
/// 1.5 * 2^52: doubles within 2^51 of it are spaced by 1, so adding it rounds to an integer.
const WHOLE: f64 = (3u64 << 51) as f64;

/// One visit in [`Node::counts`].
const VISIT: u64 = 1 << IN_FLIGHT_BITS;
/// One announcement without a visit in [`Node::counts`]; the field wraps around on overflow.
const REFRESH: u64 = 1 << 48;

/// A node.
pub(super) struct Node {
    /// Cached score terms `q` and `u` ([`ScoreTerms`], as bits), computed from the fields below and used for
    /// selection by the walkers of `grow_shared` (several threads on one tree: `mcts countdown`). Relaxed, the last
    /// writer wins; may be stale while several threads update the node. Stale terms may select another
    /// child; they never enter stored visits or values, so loom does not track them.
    score_terms: [UntrackedU32; 2],

    // The state only ever moves forward: unexpanded -> expanding -> expanded, or -> terminal if the expansion finds
    // no child. A step that ends a solution is terminal from the start.
    /// From the highest bits: state (2 bits), whether the node is in the shared top (1), number of the thread
    /// that has locked it ([`OWNER_BITS`]), whether the children lie in two chunks of the arena (1), number of children
    /// ([`COUNT_BITS`]), id of the first child (32). Claims and locks are made by compare-exchange. Stores
    /// that expand, end or unlock a node are Release and pair with the Acquire of [`Node::link`].
    link: AtomicU64,

    // Additions commute: they may come in any order.
    /// From the highest bits: announcements without a visit (16 bits, wrapping), completed visits (32),
    /// in-flight visits (16). Relaxed, except for announcements: a backup that recomputes V adds with AcqRel. An
    /// announcement either completes visits or adds 1 to the top field, so the upper 48 bits change with every
    /// announcement and serve as its number (`Tree::refresh`).
    counts: AtomicU64,
    /// With `BackupWeights::Returns`: sum of returns in fixed point. With the other backup weights: bits of V as last
    /// recomputed. Relaxed.
    value: AtomicU64,

    // Constant after publication, except that `Tree::set_rewards`, which has exclusive access to the tree,
    // may overwrite rewards. Written by the one thread that expands the parent, before it stores the parent's
    // link with Release. A thread that has loaded that link with Acquire reads these fields Relaxed.
    /// Reward r of the step that leads to this node (bits of an f64).
    reward: AtomicU64,
    /// Prior of the step (bits of an f32).
    prior: AtomicU32,
    /// Id of the parent; the root is its own parent.
    parent: AtomicU32,
}

const OWNER_BITS: u32 = 9;
const SPLIT: u64 = 1 << (32 + COUNT_BITS);
const OWNER_SHIFT: u32 = 33 + COUNT_BITS;
const SHARED: u64 = 1 << (OWNER_SHIFT + OWNER_BITS);
const STATE_SHIFT: u32 = 62;
/// Largest number of a lock owner (thread). Numbers start at 1; 0 means no owner.
pub(super) const MAX_OWNERS: usize = (1 << OWNER_BITS) - 1;

/// Packs state and children into a link word.
fn link(state: NodeState, first: u32, count: u32) -> u64 {
    ((state as u64) << STATE_SHIFT) | (u64::from(count) << 32) | u64::from(first)
}

/// Unpacks completed visits and in-flight visits.
#[inline]
fn unpack_counts(counts: u64) -> (u64, u64) {
    (u64::from((counts >> 16) as u32), counts & MAX_IN_FLIGHT)
}

/// Converts a fixed-point sum of returns to a float.
#[inline]
fn from_fixed(sum: u64) -> f64 {
    sum as i64 as f64 * (1.0 / SCALE)
}

/// The content of a node's link, with accessors for its fields.
#[derive(Clone, Copy)]
pub(super) struct Link {
    word: u64,
}

impl Link {
    pub(super) fn state(self) -> NodeState {
        match self.word >> STATE_SHIFT {
            0 => NodeState::Unexpanded,
            1 => NodeState::Expanding,
            2 => NodeState::Expanded,
            _ => NodeState::Terminal,
        }
    }

    /// Id of the first child.
    pub(super) fn first(self) -> u32 {
        self.word as u32
    }

    /// Number of children.
    pub(super) fn count(self) -> u32 {
        (self.word >> 32) as u32 & MAX_CHILDREN as u32
    }

    /// Whether the children lie in more than one chunk.
    pub(super) fn is_split(self) -> bool {
        self.word & SPLIT != 0
    }

    pub(super) fn children(self) -> std::ops::Range<u32> {
        self.first()..self.first() + self.count()
    }

    pub(super) fn is_shared(self) -> bool {
        self.word & SHARED != 0
    }

    /// Number of the thread that has locked the node; 0 if unlocked.
    pub(super) fn owner(self) -> u16 {
        (self.word >> OWNER_SHIFT) as u16 & MAX_OWNERS as u16
    }
}

/// How counters are increased: with or without concurrent writers.
pub(super) trait Access {
    /// Adds `delta`, wrapping. Returns the new value.
    fn add(cell: &AtomicU64, delta: u64) -> u64;
}

/// Several threads may write: an atomic addition.
pub(super) struct Shared;

/// No other thread writes: a load and a store, an order of magnitude cheaper.
pub(super) struct Exclusive;

impl Access for Shared {
    fn add(cell: &AtomicU64, delta: u64) -> u64 {
        cell.fetch_add(delta, Ordering::Relaxed).wrapping_add(delta)
    }
}

impl Access for Exclusive {
    #[inline]
    fn add(cell: &AtomicU64, delta: u64) -> u64 {
        let new = cell.load(Ordering::Relaxed).wrapping_add(delta);
        cell.store(new, Ordering::Relaxed);
        new
    }
}

impl Node {
    #[cfg(loom)]
    pub(super) fn blank() -> Self {
        Self {
            score_terms: Default::default(),
            link: AtomicU64::new(0),
            counts: AtomicU64::new(0),
            value: AtomicU64::new(0),
            reward: AtomicU64::new(0),
            prior: AtomicU32::new(0),
            parent: AtomicU32::new(0),
        }
    }

    /// Initialises an unpublished slot as a node without visits, overwriting the previous content. Does not
    /// set `score_terms`.
    pub(super) fn fill(&self, parent: u32, prior: f32, reward: f64, terminal: bool) {
        self.counts.store(0, Ordering::Relaxed);
        self.value.store(0, Ordering::Relaxed);
        self.reward.store(reward.to_bits(), Ordering::Relaxed);
        self.prior.store(prior.to_bits(), Ordering::Relaxed);
        self.parent.store(parent, Ordering::Relaxed);
        let state = if terminal { NodeState::Terminal } else { NodeState::Unexpanded };
        self.link.store(link(state, 0, 0), Ordering::Relaxed);
    }

    pub(super) fn reward(&self) -> f64 {
        f64::from_bits(self.reward.load(Ordering::Relaxed))
    }

    /// Overwrites the reward. Requires exclusive access to the tree (`Tree::set_rewards`).
    pub(super) fn set_reward(&self, reward: f64) {
        self.reward.store(reward.to_bits(), Ordering::Relaxed);
    }

    pub(super) fn prior(&self) -> f32 {
        f32::from_bits(self.prior.load(Ordering::Relaxed))
    }

    pub(super) fn parent(&self) -> u32 {
        self.parent.load(Ordering::Relaxed)
    }

    pub(super) fn score_terms(&self) -> ScoreTerms {
        let [q, u] = &self.score_terms;
        let read = |bits: &UntrackedU32| f32::from_bits(bits.load(Ordering::Relaxed));
        ScoreTerms { q: read(q), u: read(u) }
    }

    pub(super) fn set_score_terms(&self, score_terms: ScoreTerms) {
        self.score_terms[0].store(score_terms.q.to_bits(), Ordering::Relaxed);
        self.set_bonus(score_terms.u);
    }

    /// Stores only `u`, the one score term that in-flight visits change.
    pub(super) fn set_bonus(&self, u: f32) {
        self.score_terms[1].store(u.to_bits(), Ordering::Relaxed);
    }

    /// State and children. The Acquire pairs with the Release of [`Node::publish`], so the children's
    /// constant fields are visible. It also pairs with the Release of [`Node::release`], so a thread that
    /// finds a formerly locked node in the shared top sees all changes that were made below the node.
    pub(super) fn link(&self) -> Link {
        Link { word: self.link.load(Ordering::Acquire) }
    }

    /// Unexpanded -> expanding; if several threads try, one succeeds. Relaxed: the winner needs no data of
    /// the other threads; they read its publication.
    pub(super) fn claim(&self) -> bool {
        let (from, to) = (link(NodeState::Unexpanded, 0, 0), link(NodeState::Expanding, 0, 0));
        self.link.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Publishes the children: moves the node to expanded. Called by the thread that claimed it or has locked
    /// its subtree. Release: pairs with [`Node::link`].
    pub(super) fn publish(&self, children: std::ops::Range<u32>, split: bool) {
        let count = children.end - children.start;
        let split = if split { SPLIT } else { 0 };
        self.move_on(link(NodeState::Expanded, children.start, count) | split);
    }

    /// Moves the node to terminal: its expansion found no children.
    pub(super) fn publish_end(&self) {
        self.move_on(link(NodeState::Terminal, 0, 0));
    }

    /// Stores a new state and keeps the owner and the shared flag. The load returns this thread's own last
    /// store or exchange, because no other thread writes a link that is claimed or locked.
    fn move_on(&self, to: u64) {
        let kept =
            self.link.load(Ordering::Relaxed) & (SHARED | (MAX_OWNERS as u64) << OWNER_SHIFT);
        self.link.store(to | kept, Ordering::Release);
    }

    /// Locks a free node below the shared top for the thread with number `owner`. Returns true on success.
    /// Acquire: pairs with [`Node::release`], so the owner sees everything that earlier owners did.
    pub(super) fn lock(&self, seen: Link, owner: u16) -> bool {
        if seen.owner() != 0 || seen.is_shared() {
            return false;
        }
        let to = seen.word | u64::from(owner) << OWNER_SHIFT;
        self.link.compare_exchange(seen.word, to, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Unlocks a node. If `promote`, the node joins the shared top. Release: pairs with [`Node::lock`] and
    /// [`Node::link`].
    pub(super) fn release(&self, promote: bool) {
        let free = self.link.load(Ordering::Relaxed) & !((MAX_OWNERS as u64) << OWNER_SHIFT);
        self.link.store(free | if promote { SHARED } else { 0 }, Ordering::Release);
    }

    /// Completed and in-flight visits, read by one atomic load.
    pub(super) fn counts(&self) -> (u64, u64) {
        unpack_counts(self.counts.load(Ordering::Relaxed))
    }

    /// Adds in-flight visits (lc0: `IncrementNInFlight`). Returns the new completed and in-flight visits.
    #[inline]
    pub(super) fn enter<A: Access>(&self, visits: u64) -> (u64, u64) {
        unpack_counts(A::add(&self.counts, visits))
    }

    /// Removes in-flight visits without completing them (lc0: `CancelScoreUpdate`).
    pub(super) fn undo<A: Access>(&self, visits: u64) {
        A::add(&self.counts, visits.wrapping_neg());
    }

    /// Adds completed visits. If the visits `were_in_flight`, removes as many in-flight visits in the same addition
    /// (lc0: `FinalizeScoreUpdate`). Returns the new completed and in-flight visits.
    #[inline]
    pub(super) fn complete<A: Access>(&self, visits: u64, were_in_flight: bool) -> (u64, u64) {
        unpack_counts(A::add(&self.counts, visits * if were_in_flight { VISIT - 1 } else { VISIT }))
    }

    /// Converts a return to fixed point, clamped to +-[`MAX_RETURN`]; NaN becomes the minimum.
    #[inline]
    pub(super) fn to_fixed(value: f64) -> i64 {
        // Comparisons instead of `clamp`: one instruction each.
        let value = if value > -MAX_RETURN { value } else { -MAX_RETURN };
        let value = if value < MAX_RETURN { value } else { MAX_RETURN };
        // Adding `WHOLE` rounds to an integer, and the bits of the sum then count up from those of `WHOLE`.
        // `f64::round` would be a function call, because the code must also run on old CPUs.
        (value * SCALE + WHOLE).to_bits().wrapping_sub(WHOLE.to_bits()) as i64
    }

    /// Adds to the sum of returns. Returns the new [`Node::sum`].
    #[inline]
    pub(super) fn add_returns<A: Access>(&self, sum: i64) -> f64 {
        from_fixed(A::add(&self.value, sum as u64))
    }

    /// Sum of returns.
    pub(super) fn sum(&self) -> f64 {
        from_fixed(self.value.load(Ordering::Relaxed))
    }

    /// V as last recomputed.
    pub(super) fn value(&self) -> f64 {
        f64::from_bits(self.value.load(Ordering::Relaxed))
    }

    /// Stores a recomputed V.
    pub(super) fn set_value(&self, value: f64) {
        self.value.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Completes `visits` in-flight visits (0 or more) and announces that `value` is being recomputed because
    /// a child changed. Returns the number of this announcement. AcqRel: see [`Node::counts`].
    pub(super) fn announce(&self, visits: u64) -> u64 {
        let delta = if visits == 0 { REFRESH } else { visits * (VISIT - 1) };
        self.counts.fetch_add(delta, Ordering::AcqRel).wrapping_add(delta) >> 16
    }

    /// Number of the last announcement. A read-modify-write, because a plain load may complete before this
    /// thread's store of the value is visible to other threads.
    pub(super) fn announced(&self) -> u64 {
        self.counts.fetch_add(0, Ordering::AcqRel) >> 16
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn returns_are_rounded_to_the_nearest_and_bounded() {
        let unit = 1.0 / SCALE;
        assert_eq!(Node::to_fixed(0.5), 1 << 31);
        assert_eq!(Node::to_fixed(-0.5), -(1 << 31));
        assert_eq!(Node::to_fixed(3.4 * unit), 3);
        assert_eq!(Node::to_fixed(-3.6 * unit), -4);
        assert_eq!(Node::to_fixed(1e300), 1 << 50);
        assert_eq!(Node::to_fixed(f64::NEG_INFINITY), -(1 << 50));
        assert_eq!(Node::to_fixed(f64::NAN), -(1 << 50));
        for k in 0..10_000 {
            let value = f64::from(k) / 9_999.0 * 4.0 - 2.0;
            assert!((from_fixed(Node::to_fixed(value) as u64) - value).abs() <= unit / 2.0);
        }
    }
}
