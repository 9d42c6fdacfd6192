//! An append-only arena of nodes. Nodes never move, so readers need no lock while other threads grow the
//! tree.
//!
//! Chunks double in size, so a small tree takes little memory and a tree of billions of nodes needs 27
//! chunks. Ids are dense, in the order of reservation.

use std::ops::Range;
use std::ptr::null_mut;
use std::sync::atomic::AtomicPtr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::memory::ChunkMemory;
use super::node::Node;
use crate::sync::{AtomicU32, Ordering};

/// Nodes of the first chunk; chunk k holds `FIRST << k`.
const FIRST: u32 = if cfg!(loom) { 4 } else { 64 };
/// Number of chunks that 32-bit ids can need.
const CHUNKS: usize = 1 + (u32::BITS - FIRST.ilog2()) as usize;

/// The nodes, indexed by id.
pub(super) struct Arena {
    /// The chunks, each allocated once and never replaced.
    chunks: [OnceLock<ChunkMemory>; CHUNKS],
    /// For each chunk, the address at which the node with id 0 would lie if the chunk extended down to it;
    /// null before the chunk is allocated. Stored with Release after the allocation and always loaded with
    /// Acquire, so a thread that has read the address sees blank nodes there. Not part of the protocol of
    /// nodes, so not a loom type.
    origins: [AtomicPtr<Node>; CHUNKS],
    /// Number of ids reserved so far. Relaxed: it only counts and publishes nothing; a node is published by
    /// its parent's link.
    reserved: AtomicU32,
    /// Number of reserved ids that have no node and are in no thread's [`Supply`].
    unused: AtomicU32,
    /// Ranges of unused ids for the next thread.
    spare: Mutex<Vec<Range<u32>>>,
}

impl Arena {
    pub(super) fn new() -> Self {
        Self {
            chunks: [const { OnceLock::new() }; CHUNKS],
            origins: [const { AtomicPtr::new(null_mut()) }; CHUNKS],
            reserved: AtomicU32::new(0),
            unused: AtomicU32::new(0),
            spare: Mutex::default(),
        }
    }

    /// Number of nodes, plus the ids that threads have reserved for their next nodes.
    pub(super) fn len(&self) -> u32 {
        self.end().saturating_sub(self.unused.load(Ordering::Relaxed))
    }

    /// Upper bound (exclusive) of all ids.
    pub(super) fn end(&self) -> u32 {
        self.reserved.load(Ordering::Relaxed)
    }

    /// Removes all ids; keeps the memory for the next ones.
    pub(super) fn clear(&mut self) {
        self.reserved = AtomicU32::new(0);
        self.unused = AtomicU32::new(0);
        self.spare = Mutex::default();
    }

    /// Reserves `count` new consecutive ids and makes sure that memory for their nodes exists. Its content is
    /// arbitrary.
    ///
    /// # Panics
    /// If the ids are used up: 2^32 nodes are more than 190 GiB.
    pub(super) fn reserve(&self, count: u32) -> Range<u32> {
        let first = self.reserved.fetch_add(count, Ordering::Relaxed);
        let end = first.checked_add(count).expect("fewer than 2^32 nodes");
        if count > 0 {
            for chunk in place(first).0..=place(end - 1).0 {
                let memory = self.chunks[chunk].get_or_init(|| ChunkMemory::blank(size(chunk)));
                let start = memory.nodes().as_ptr().cast_mut();
                let origin = start.wrapping_sub(size(chunk) - size(0));
                self.origins[chunk].store(origin, Ordering::Release);
            }
        }
        first..end
    }

    /// The node with this id, which must have been reserved.
    #[inline]
    pub(super) fn get(&self, id: u32) -> &Node {
        let origin = self.origin(id);
        assert!(!origin.is_null(), "a reserved id has its chunk");
        // SAFETY: 1. the chunk exists for as long as `self`; 2. it holds the nodes of all ids that `place`
        // maps to it (tested).
        unsafe { &*origin.wrapping_add(id as usize) }
    }

    /// Whether a reserved range spans more than one chunk.
    #[inline]
    pub(super) fn is_split(&self, ids: &Range<u32>) -> bool {
        !ids.is_empty() && place(ids.start).0 != place(ids.end - 1).0
    }

    /// The nodes of `count` ids from `first`.
    ///
    /// # Safety
    /// All ids lie in one chunk, and the chunk exists: this thread has reserved the ids, or has learnt them
    /// by an Acquire load from a thread that had.
    #[inline]
    pub(super) unsafe fn slice(&self, first: u32, count: u32) -> &[Node] {
        let start = self.origin(first).wrapping_add(first as usize);
        // SAFETY: guaranteed by the caller; the rest as in `get`.
        unsafe { std::slice::from_raw_parts(start, count as usize) }
    }

    /// The nodes of a reserved range, in order.
    pub(super) fn range(&self, ids: Range<u32>) -> Nodes<'_> {
        Nodes { arena: self, here: [].iter(), left: ids }
    }

    /// Locks the list of spare ranges. Poisoning can be ignored: a panicking thread leaves the list as it was
    /// or with one more range.
    fn spare(&self) -> MutexGuard<'_, Vec<Range<u32>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn origin(&self, id: u32) -> *mut Node {
        self.origins[place(id).0].load(Ordering::Acquire)
    }
}

/// Ids that one thread has reserved for its next nodes. If threads took every block from the common counter,
/// they would write the counter in turn, and neighbouring blocks of two threads would share cache lines.
pub(super) struct Supply<'a> {
    arena: &'a Arena,
    ids: Range<u32>,
}

/// Number of ids that a thread reserves at once (48 KiB of nodes).
const STRETCH: u32 = if cfg!(loom) { 4 } else { 1024 };

impl<'a> Supply<'a> {
    pub(super) fn new(arena: &'a Arena) -> Self {
        let ids = arena.spare().pop().unwrap_or_default();
        if !ids.is_empty() {
            arena.unused.fetch_sub(ids.len() as u32, Ordering::Relaxed);
        }
        Self { arena, ids }
    }

    /// Returns `count` consecutive ids, like [`Arena::reserve`].
    #[inline]
    pub(super) fn take(&mut self, count: u32) -> Range<u32> {
        if self.ids.len() < count as usize {
            self.refill(count);
        }
        let first = self.ids.start;
        self.ids.start += count;
        first..self.ids.start
    }

    #[cold]
    fn refill(&mut self, count: u32) {
        let new = self.arena.reserve(count.max(STRETCH));
        if new.start == self.ids.end {
            // No other thread has reserved ids meanwhile: extend the range.
            self.ids.end = new.end;
        } else {
            self.arena.unused.fetch_add(self.ids.len() as u32, Ordering::Relaxed);
            self.ids = new;
        }
    }
}

/// Returns the unused ids to the counter if they were reserved last, otherwise leaves them for the next
/// thread.
impl Drop for Supply<'_> {
    fn drop(&mut self) {
        let Range { start, end } = self.ids;
        if start == end {
            return;
        }
        let (reserved, relaxed) = (&self.arena.reserved, Ordering::Relaxed);
        if reserved.compare_exchange(end, start, relaxed, relaxed).is_err() {
            self.arena.unused.fetch_add(end - start, relaxed);
            self.arena.spare().push(start..end);
        }
    }
}

/// Prefetches nodes before they are used; a hint that does not affect results. Always prefetches the cache
/// lines that five nodes can touch, whatever `count` and alignment, because the CPU would mispredict a loop
/// of varying length.
#[inline]
#[cfg(target_arch = "x86_64")]
pub(super) fn prefetch(first: *const Node, count: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    /// Bytes of a cache line.
    const LINE: usize = 64;
    let (first, bytes) = (first.cast::<i8>(), count * size_of::<Node>());
    // SAFETY: a prefetch reads nothing and cannot fail, whatever the address.
    let call = |offset| unsafe { _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(offset)) };
    (0..4).for_each(|line| call(line * LINE));
    if bytes > 5 * LINE {
        (4 * LINE..bytes).step_by(LINE).for_each(call);
    }
    call(bytes.wrapping_sub(1));
}

/// Without a prefetch instruction: does nothing.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn prefetch(_: *const Node, _: usize) {}

/// Chunk of an id, and its offset in the chunk.
#[inline]
fn place(id: u32) -> (usize, usize) {
    // 64-bit arithmetic: the highest ids would overflow 32 bits.
    let place = u64::from(id) + u64::from(FIRST);
    let level = place.ilog2();
    ((level - FIRST.ilog2()) as usize, (place - (1 << level)) as usize)
}

#[inline]
fn size(chunk: usize) -> usize {
    (FIRST as usize) << chunk
}

/// Iterator over a range of nodes: usually one slice, several if the range spans chunks.
pub(super) struct Nodes<'a> {
    arena: &'a Arena,
    here: std::slice::Iter<'a, Node>,
    left: Range<u32>,
}

impl<'a> Iterator for Nodes<'a> {
    type Item = &'a Node;

    fn next(&mut self) -> Option<&'a Node> {
        loop {
            if let Some(node) = self.here.next() {
                return Some(node);
            }
            if self.left.is_empty() {
                return None;
            }
            let first = self.left.start;
            let (chunk, offset) = place(first);
            let count = self.left.len().min(size(chunk) - offset) as u32;
            self.left.start += count;
            assert!(!self.arena.origin(first).is_null(), "a reserved id has its chunk");
            // SAFETY: the chunk exists, and `count` does not go beyond its end.
            self.here = unsafe { self.arena.slice(first, count) }.iter();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn places_are_dense_and_in_range() {
        let mut next = (0, 0);
        for id in 0..100_000 {
            assert_eq!(place(id), next);
            next.1 += 1;
            if next.1 == size(next.0) {
                next = (next.0 + 1, 0);
            }
        }
        let (chunk, offset) = place(u32::MAX);
        assert!(chunk < CHUNKS && offset < size(chunk));
    }

    #[test]
    fn ranges_cross_chunks() {
        let arena = Arena::new();
        assert_eq!(arena.reserve(60), 0..60);
        assert_eq!(arena.reserve(500), 60..560);
        assert_eq!(arena.range(0..560).count(), 560);
        let same = arena.range(60..560).zip(60..).all(|(n, id)| std::ptr::eq(n, arena.get(id)));
        assert!(same);
        assert_eq!(arena.range(7..7).count(), 0);
    }
}
