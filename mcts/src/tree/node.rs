//! One node: 48 bytes of atomics, grouped by contract.
//!
//! It knows nothing of its neighbours. The protocol is told in `concurrency.md`; here each field
//! says who writes it, when, and what its ordering pairs with.

use super::bits::{COUNT_BITS, IN_FLIGHT_BITS, MOST_CHILDREN, MOST_IN_FLIGHT};
use super::edge::NodeState;
use crate::select::Hint;
use crate::sync::{AtomicU32, AtomicU64, Ordering, UntrackedU32};

/// Scale of sums of returns: 32 fractional bits. A return is rounded once, by at most 2^-33; a sum
/// may reach +-2^31, as 2^30 visits of returns up to 2, or 2^13 of the largest.
const SCALE: f64 = (1u64 << 32) as f64;

/// Most that a return can be.
const MOST_RETURN: f64 = (1u64 << 18) as f64;
/// 1.5 * 2^52: here and 2^51 up or down, neighbours among doubles are whole numbers.
const WHOLE: f64 = (3u64 << 51) as f64;

/// One visit in [`Node::counts`].
const VISIT: u64 = 1 << IN_FLIGHT_BITS;
/// One announcement without a visit in [`Node::counts`]; the field wraps around at the top.
const REFRESH: u64 = 1 << 48;

/// A node.
pub(super) struct Node {
    /// What a walker selects by, bits of `q` and `u` of [`Hint`]: a cache of a function of the
    /// fields below. Relaxed, the last writer wins; stale for a while where threads meet. It decides
    /// which child is next and nothing else, so not loom's.
    hint: [UntrackedU32; 2],

    // Only ever moves forward: unexpanded -> expanding -> expanded, or terminal from the start.
    /// From the top: state in 2 bits, whether the node is trunk in 1, who holds it in
    /// [`HOLDER_BITS`], whether the children lie in two chunks in 1, their number in
    /// [`COUNT_BITS`], id of the first in 32. Expanding and holding are taken by compare-exchange; expanded and released are stored with Release and pair
    /// with the Acquire of every load.
    link: AtomicU64,

    // Commutative: sums do not care for order.
    /// From the top: announcements without a visit in 16 bits (wrapping), completed visits in 32,
    /// visits under way in 16. Relaxed where nothing is published. A backup that recomputes V adds
    /// with AcqRel: the word above the visits under way numbers the announcements of changed
    /// children (`Tree::refresh`).
    counts: AtomicU64,
    /// Sum of returns in fixed point (`Returns`), or bits of V as last recomputed. Relaxed.
    value: AtomicU64,

    // Constant after publication, but that who has the tree alone may set rewards anew. Written by the
    // one thread that expands the parent, before it stores the parent's link with Release; whoever has
    // loaded that link with Acquire reads them Relaxed.
    /// Bits of the reward r of the step that leads here.
    reward: AtomicU64,
    /// Bits of its prior.
    prior: AtomicU32,
    /// Id of the parent; the root is its own.
    parent: AtomicU32,
}

const HOLDER_BITS: u32 = 9;
const SPLIT: u64 = 1 << (32 + COUNT_BITS);
const HOLDER_SHIFT: u32 = 33 + COUNT_BITS;
const TRUNK: u64 = 1 << (HOLDER_SHIFT + HOLDER_BITS);
const STATE_SHIFT: u32 = 62;
/// Numbers of holders, from 1.
pub(super) const MOST_HOLDERS: usize = (1 << HOLDER_BITS) - 1;

/// State and children.
fn link(state: NodeState, first: u32, count: u32) -> u64 {
    ((state as u64) << STATE_SHIFT) | (u64::from(count) << 32) | u64::from(first)
}

/// Completed visits and visits under way.
#[inline]
fn split(counts: u64) -> (u64, u64) {
    (u64::from((counts >> 16) as u32), counts & MOST_IN_FLIGHT)
}

/// A sum of returns.
#[inline]
fn from_fixed(sum: u64) -> f64 {
    sum as i64 as f64 * (1.0 / SCALE)
}

/// A link taken apart.
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
        (self.word >> 32) as u32 & MOST_CHILDREN as u32
    }

    /// Whether the children lie in two chunks or more.
    pub(super) fn is_split(self) -> bool {
        self.word & SPLIT != 0
    }

    pub(super) fn children(self) -> std::ops::Range<u32> {
        self.first()..self.first() + self.count()
    }

    pub(super) fn is_trunk(self) -> bool {
        self.word & TRUNK != 0
    }

    /// Number of the thread that holds the node; 0 for none.
    pub(super) fn holder(self) -> u16 {
        (self.word >> HOLDER_SHIFT) as u16 & MOST_HOLDERS as u16
    }
}

/// How counts are added to: with others about, or alone.
pub(super) trait Access {
    /// Adds `delta`, wrapping; the new content.
    fn add(cell: &AtomicU64, delta: u64) -> u64;
}

/// Several threads may write: a locked addition.
pub(super) struct Together;

/// No other thread writes: a load and a store, an order of magnitude cheaper.
pub(super) struct Alone;

impl Access for Together {
    fn add(cell: &AtomicU64, delta: u64) -> u64 {
        cell.fetch_add(delta, Ordering::Relaxed).wrapping_add(delta)
    }
}

impl Access for Alone {
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
            hint: Default::default(),
            link: AtomicU64::new(0),
            counts: AtomicU64::new(0),
            value: AtomicU64::new(0),
            reward: AtomicU64::new(0),
            prior: AtomicU32::new(0),
            parent: AtomicU32::new(0),
        }
    }

    /// Makes a place that nobody else can reach yet a node without visits, whatever was there. Its
    /// hint is left to those who use it.
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

    /// Only for who has the tree alone (`Tree::set_rewards`): nobody else may read it meanwhile.
    pub(super) fn set_reward(&self, reward: f64) {
        self.reward.store(reward.to_bits(), Ordering::Relaxed);
    }

    pub(super) fn prior(&self) -> f32 {
        f32::from_bits(self.prior.load(Ordering::Relaxed))
    }

    pub(super) fn parent(&self) -> u32 {
        self.parent.load(Ordering::Relaxed)
    }

    pub(super) fn hint(&self) -> Hint {
        let [q, u] = &self.hint;
        let read = |bits: &UntrackedU32| f32::from_bits(bits.load(Ordering::Relaxed));
        Hint { q: read(q), u: read(u) }
    }

    pub(super) fn set_hint(&self, hint: Hint) {
        self.hint[0].store(hint.q.to_bits(), Ordering::Relaxed);
        self.set_bonus(hint.u);
    }

    /// Stores `u` of the hint alone: all of it that visits under way change.
    pub(super) fn set_bonus(&self, u: f32) {
        self.hint[1].store(u.to_bits(), Ordering::Relaxed);
    }

    /// State and children. Acquire: pairs with the Release of [`Node::publish`], so the children's
    /// constant fields are visible, and with that of [`Node::release`], so all that was done below
    /// a node that was held is visible to whoever finds it trunk.
    pub(super) fn link(&self) -> Link {
        Link { word: self.link.load(Ordering::Acquire) }
    }

    /// Unexpanded -> expanding; of all threads that try, one succeeds. Relaxed: the winner learns
    /// nothing from the others; they learn from its publication.
    pub(super) fn claim(&self) -> bool {
        let (from, to) = (link(NodeState::Unexpanded, 0, 0), link(NodeState::Expanding, 0, 0));
        self.link.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Goes on to expanded, by the one thread that may. Release: pairs with [`Node::link`].
    pub(super) fn publish(&self, children: std::ops::Range<u32>, split: bool) {
        let count = children.end - children.start;
        let split = if split { SPLIT } else { 0 };
        self.move_on(link(NodeState::Expanded, children.start, count) | split);
    }

    /// Goes on to terminal: there are no children after all.
    pub(super) fn publish_end(&self) {
        self.move_on(link(NodeState::Terminal, 0, 0));
    }

    /// Stores a new state; who holds the node stays. The load is of this thread's own last store or
    /// exchange: nobody else writes a link that is claimed or held.
    fn move_on(&self, to: u64) {
        let kept =
            self.link.load(Ordering::Relaxed) & (TRUNK | (MOST_HOLDERS as u64) << HOLDER_SHIFT);
        self.link.store(to | kept, Ordering::Release);
    }

    /// Takes a free node that is not trunk, for the thread with this number; true when it holds it
    /// now. Acquire: pairs with [`Node::release`], so the holder sees all that earlier ones did.
    pub(super) fn hold(&self, seen: Link, holder: u16) -> bool {
        if seen.holder() != 0 || seen.is_trunk() {
            return false;
        }
        let to = seen.word | u64::from(holder) << HOLDER_SHIFT;
        self.link.compare_exchange(seen.word, to, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Gives a held node back, as trunk from now on if `promote`. Release: pairs with
    /// [`Node::hold`] and [`Node::link`].
    pub(super) fn release(&self, promote: bool) {
        let free = self.link.load(Ordering::Relaxed) & !((MOST_HOLDERS as u64) << HOLDER_SHIFT);
        self.link.store(free | if promote { TRUNK } else { 0 }, Ordering::Release);
    }

    /// Completed visits and visits under way, of one moment.
    pub(super) fn counts(&self) -> (u64, u64) {
        split(self.counts.load(Ordering::Relaxed))
    }

    /// Counts `visits` more as under way; [`Node::counts`] from now on.
    #[inline]
    pub(super) fn enter<A: Access>(&self, visits: u64) -> (u64, u64) {
        split(A::add(&self.counts, visits))
    }

    /// Takes back [`Node::enter`].
    pub(super) fn undo<A: Access>(&self, visits: u64) {
        A::add(&self.counts, visits.wrapping_neg());
    }

    /// Counts `visits` more, which were under way if `marked`: one addition; [`Node::counts`] from
    /// now on.
    #[inline]
    pub(super) fn complete<A: Access>(&self, visits: u64, marked: bool) -> (u64, u64) {
        split(A::add(&self.counts, visits * if marked { VISIT - 1 } else { VISIT }))
    }

    /// A return as it is summed, at most [`MOST_RETURN`] up or down; what is not a number is the
    /// lowest.
    #[inline]
    pub(super) fn to_fixed(value: f64) -> i64 {
        // Comparisons, not `clamp`: an instruction each.
        let value = if value > -MOST_RETURN { value } else { -MOST_RETURN };
        let value = if value < MOST_RETURN { value } else { MOST_RETURN };
        // Added to a number whose lowest bit is worth 1, it is rounded to a whole one, and the sum's
        // bits count up from there: `round` is a call where the processor may be an old one.
        (value * SCALE + WHOLE).to_bits().wrapping_sub(WHOLE.to_bits()) as i64
    }

    /// Adds returns to the sum; the new [`Node::sum`].
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

    /// Counts `visits` more that were under way, or none, and announces that a child has changed
    /// and `value` is being recomputed; the number of the announcement. AcqRel: see
    /// [`Node::counts`].
    pub(super) fn announce(&self, visits: u64) -> u64 {
        let delta = if visits == 0 { REFRESH } else { visits * (VISIT - 1) };
        self.counts.fetch_add(delta, Ordering::AcqRel).wrapping_add(delta) >> 16
    }

    /// Number of the last announcement. A read-modify-write, because a plain load may be answered
    /// before the store of the value is seen by others.
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
