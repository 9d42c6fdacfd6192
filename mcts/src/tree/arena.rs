//! An append-only arena: a node, once there, never moves, so a reader needs no lock and a tree can
//! grow under its readers.
//!
//! Chunks double in size, so a small tree is small and a tree of billions of nodes needs 27 chunks;
//! ids are dense, in the order of reservation.

use std::ops::Range;
use std::ptr::null_mut;
use std::sync::atomic::AtomicPtr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::memory::ChunkMemory;
use super::node::Node;
use crate::sync::{AtomicU32, Ordering};

/// Nodes of the first chunk; chunk k holds `FIRST << k`.
const FIRST: u32 = if cfg!(loom) { 4 } else { 64 };
/// Chunks that ids of 32 bits can need.
const CHUNKS: usize = 1 + (u32::BITS - FIRST.ilog2()) as usize;

/// Nodes by id.
pub(super) struct Arena {
    /// The chunks, made once and never replaced.
    chunks: [OnceLock<ChunkMemory>; CHUNKS],
    /// For each of them, where the node with id 0 would be if its nodes went on downwards; null
    /// before the chunk is there. Stored with Release when it is, and every load is an Acquire: who
    /// has the address sees blank nodes behind it. Not part of the protocol of nodes, so not a loom
    /// type.
    origins: [AtomicPtr<Node>; CHUNKS],
    /// Ids that were handed out. Relaxed: it hands out numbers and publishes nothing; a node is
    /// published by its parent's link.
    reserved: AtomicU32,
    /// How many of those no node has.
    unused: AtomicU32,
    /// Stretches of those that wait for the next thread.
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

    /// Nodes so far, and what threads have reserved for their next ones.
    pub(super) fn len(&self) -> u32 {
        self.end().saturating_sub(self.unused.load(Ordering::Relaxed))
    }

    /// All ids are below.
    pub(super) fn end(&self) -> u32 {
        self.reserved.load(Ordering::Relaxed)
    }

    /// Forgets all ids; the memory stays for the next ones.
    pub(super) fn clear(&mut self) {
        self.reserved = AtomicU32::new(0);
        self.unused = AtomicU32::new(0);
        self.spare = Mutex::default();
    }

    /// Takes `count` new neighbouring ids and makes sure that their nodes exist, with anything in
    /// them.
    ///
    /// # Panics
    /// When the ids are used up: 2^32 nodes are more than 190 GiB.
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
        // SAFETY: 1. the chunk is there, for as long as `self`; 2. it holds the nodes of all ids
        // that `place` puts there (tested).
        unsafe { &*origin.wrapping_add(id as usize) }
    }

    /// Whether a reserved range does not lie in one chunk.
    #[inline]
    pub(super) fn is_split(&self, ids: &Range<u32>) -> bool {
        !ids.is_empty() && place(ids.start).0 != place(ids.end - 1).0
    }

    /// The nodes of `count` ids from `first`.
    ///
    /// # Safety
    /// All of them lie in one chunk, and it is there: this thread has reserved the ids, or learnt of
    /// them by an Acquire from one that had.
    #[inline]
    pub(super) unsafe fn slice(&self, first: u32, count: u32) -> &[Node] {
        let start = self.origin(first).wrapping_add(first as usize);
        // SAFETY: the caller's word; the rest as in `get`.
        unsafe { std::slice::from_raw_parts(start, count as usize) }
    }

    /// The nodes of a reserved range, in order.
    pub(super) fn range(&self, ids: Range<u32>) -> Nodes<'_> {
        Nodes { arena: self, here: [].iter(), left: ids }
    }

    /// A thread that panics leaves the list as it was or with one more: fit for use.
    fn spare(&self) -> MutexGuard<'_, Vec<Range<u32>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn origin(&self, id: u32) -> *mut Node {
        self.origins[place(id).0].load(Ordering::Acquire)
    }
}

/// Ids that one thread has reserved for the nodes it is going to make: threads that took each block
/// from the common counter would write it in turn, and neighbouring blocks of two threads would
/// share lines of their caches.
pub(super) struct Supply<'a> {
    arena: &'a Arena,
    ids: Range<u32>,
}

/// Ids that a thread reserves at once (48 KiB of nodes).
const STRETCH: u32 = if cfg!(loom) { 4 } else { 1024 };

impl<'a> Supply<'a> {
    pub(super) fn new(arena: &'a Arena) -> Self {
        let ids = arena.spare().pop().unwrap_or_default();
        if !ids.is_empty() {
            arena.unused.fetch_sub(ids.len() as u32, Ordering::Relaxed);
        }
        Self { arena, ids }
    }

    /// Takes `count` neighbouring ids, as [`Arena::reserve`].
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
            // Nobody else has reserved meanwhile: one longer stretch.
            self.ids.end = new.end;
        } else {
            self.arena.unused.fetch_add(self.ids.len() as u32, Ordering::Relaxed);
            self.ids = new;
        }
    }
}

/// What is left goes back to the counter if it is its last, or waits for the next thread.
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

/// Prefetches nodes before they are used; a hint without effect on results. It always prefetches
/// the cache lines that five nodes can touch, whatever their number and alignment: a loop of
/// varying length would be mispredicted.
#[inline]
#[cfg(target_arch = "x86_64")]
pub(super) fn prefetch(first: *const Node, count: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    /// Bytes of a line of the cache.
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

/// Other processors have to guess.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn prefetch(_: *const Node, _: usize) {}

/// Chunk and offset of an id.
#[inline]
fn place(id: u32) -> (usize, usize) {
    // In 64 bits: the highest ids would wrap around.
    let place = u64::from(id) + u64::from(FIRST);
    let level = place.ilog2();
    ((level - FIRST.ilog2()) as usize, (place - (1 << level)) as usize)
}

#[inline]
fn size(chunk: usize) -> usize {
    (FIRST as usize) << chunk
}

/// Iterator over a range of nodes: mostly one slice, two or more where chunks meet.
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
            // SAFETY: the chunk is there, and `count` goes no further than its end.
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
