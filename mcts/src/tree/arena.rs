//! An append-only arena: a node, once there, never moves, so a reader needs no lock and a tree can
//! grow under its readers.
//!
//! It knows nothing of what nodes mean. Chunks double in size, so a small tree is small and a tree
//! of billions of nodes needs 27 chunks; ids are dense, in the order of reservation.

use std::ops::Range;
use std::sync::OnceLock;

use super::memory::Memory;
use super::node::Node;
use crate::sync::{AtomicU32, Ordering};

/// Nodes of the first chunk; chunk k holds `FIRST << k`.
const FIRST: u32 = if cfg!(loom) { 4 } else { 64 };
/// Chunks that ids of 32 bits can need.
const CHUNKS: usize = 1 + (u32::BITS - FIRST.ilog2()) as usize;

/// Nodes by id.
pub(super) struct Arena {
    chunks: [OnceLock<Memory>; CHUNKS],
    /// Ids that were handed out. Relaxed: it hands out numbers and publishes nothing; a node is
    /// published by its parent's link.
    reserved: AtomicU32,
}

impl Arena {
    pub(super) fn new() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS], reserved: AtomicU32::new(0) }
    }

    /// Ids handed out so far.
    pub(super) fn len(&self) -> u32 {
        self.reserved.load(Ordering::Relaxed)
    }

    /// Forgets all ids; the memory stays for the next ones.
    pub(super) fn clear(&mut self) {
        self.reserved = AtomicU32::new(0);
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
                self.chunks[chunk].get_or_init(|| Memory::blank(size(chunk)));
            }
        }
        first..end
    }

    /// The node with this id, which must have been reserved.
    pub(super) fn get(&self, id: u32) -> &Node {
        let (chunk, offset) = place(id);
        &self.chunk(chunk)[offset]
    }

    /// Whether a reserved range does not lie in one chunk.
    pub(super) fn is_split(&self, ids: Range<u32>) -> bool {
        !ids.is_empty() && place(ids.start).0 != place(ids.end - 1).0
    }

    /// The nodes of a reserved range that lies in one chunk.
    #[inline]
    pub(super) fn slice(&self, ids: Range<u32>) -> &[Node] {
        let (chunk, offset) = place(ids.start);
        &self.chunk(chunk)[offset..offset + ids.len()]
    }

    /// The nodes of a reserved range, in order.
    pub(super) fn range(&self, ids: Range<u32>) -> Nodes<'_> {
        Nodes { arena: self, here: [].iter(), left: ids }
    }

    fn chunk(&self, chunk: usize) -> &[Node] {
        self.chunks[chunk].get().expect("a reserved id has its chunk").nodes()
    }
}

/// Calls for nodes from memory before they are read; a hint and no more.
#[cfg(target_arch = "x86_64")]
pub(super) fn prefetch(nodes: &[Node]) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    let range = nodes.as_ptr_range();
    let mut line = range.start.cast::<i8>();
    while line < range.end.cast() {
        // SAFETY: a prefetch reads nothing and cannot fail, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line) }
        line = line.wrapping_add(64);
    }
}

/// Other processors have to guess.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn prefetch(_: &[Node]) {}

/// Chunk and offset of an id.
#[inline]
fn place(id: u32) -> (usize, usize) {
    // In 64 bits: the highest ids would wrap around.
    let place = u64::from(id) + u64::from(FIRST);
    let level = place.ilog2();
    ((level - FIRST.ilog2()) as usize, (place - (1 << level)) as usize)
}

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
            let (chunk, offset) = place(self.left.start);
            let nodes = self.arena.chunk(chunk);
            let end = nodes.len().min(offset + self.left.len());
            self.left.start += (end - offset) as u32;
            self.here = nodes[offset..end].iter();
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
