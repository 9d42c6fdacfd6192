//! An append-only arena: a node, once there, never moves, so a reader needs no lock and a tree can
//! grow under its readers.
//!
//! It knows nothing of what nodes mean. Chunks double in size, so a small tree is small and a tree
//! of billions of nodes needs 27 chunks; ids are dense, in the order of reservation.

use std::ops::Range;
use std::sync::OnceLock;

use super::node::Node;
use crate::sync::{AtomicU32, Ordering};

/// Nodes of the first chunk; chunk k > 0 holds `FIRST << (k - 1)`, so that it ends at a power of
/// two.
const FIRST: u32 = if cfg!(loom) { 4 } else { 64 };
/// Chunks that ids of 32 bits can need.
const CHUNKS: usize = 1 + (u32::BITS - FIRST.ilog2()) as usize;

/// Nodes by id.
pub(super) struct Arena {
    chunks: [OnceLock<Box<[Node]>>; CHUNKS],
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

    /// Takes `count` new neighbouring ids and makes sure that their nodes exist, all blank.
    ///
    /// # Panics
    /// When the ids are used up: 2^32 nodes are more than 190 GiB.
    pub(super) fn reserve(&self, count: u32) -> Range<u32> {
        let first = self.reserved.fetch_add(count, Ordering::Relaxed);
        let end = first.checked_add(count).expect("fewer than 2^32 nodes");
        if count > 0 {
            for chunk in place(first).0..=place(end - 1).0 {
                self.chunks[chunk].get_or_init(|| blank(chunk));
            }
        }
        first..end
    }

    /// The node with this id, which must have been reserved.
    pub(super) fn get(&self, id: u32) -> &Node {
        let (chunk, offset) = place(id);
        &self.chunk(chunk)[offset]
    }

    /// The nodes of a reserved range, in order.
    pub(super) fn range(&self, ids: Range<u32>) -> Nodes<'_> {
        Nodes { arena: self, here: [].iter(), left: ids }
    }

    fn chunk(&self, chunk: usize) -> &[Node] {
        self.chunks[chunk].get().expect("a reserved id has its chunk")
    }
}

/// Chunk and offset of an id.
fn place(id: u32) -> (usize, usize) {
    if id < FIRST {
        return (0, id as usize);
    }
    let level = id.ilog2() - FIRST.ilog2();
    ((level + 1) as usize, (id - (FIRST << level)) as usize)
}

fn size(chunk: usize) -> usize {
    if chunk == 0 { FIRST as usize } else { (FIRST as usize) << (chunk - 1) }
}

/// A chunk of blank nodes. Zeroed pages come from the system untouched, so a chunk costs memory
/// only as far as it is used.
#[cfg(not(loom))]
fn blank(chunk: usize) -> Box<[Node]> {
    // SAFETY: a node is made of integer atomics alone, and all of them are valid when zero.
    unsafe { Box::new_zeroed_slice(size(chunk)).assume_init() }
}

#[cfg(loom)]
fn blank(chunk: usize) -> Box<[Node]> {
    (0..size(chunk)).map(|_| Node::blank()).collect()
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
