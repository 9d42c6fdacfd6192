//! Zeroed memory for nodes: small pieces from the allocator, large ones straight from the system,
//! in huge pages where it has them.
//!
//! A large tree is read at random, and with pages of 4 KiB the processor looks up an address nearly
//! as often as it reads one (measured on the synthetic game of `benches/peers`: a fifth more
//! simulations per second with huge pages).

use super::node::Node;

/// A piece of memory that holds `len` nodes.
pub(super) struct ChunkMemory {
    nodes: *const Node,
    len: usize,
    /// Gives the memory back when dropped; never touched otherwise.
    _owner: Owner,
}

/// Who owns the memory.
enum Owner {
    Allocator(#[expect(dead_code, reason = "held to be dropped")] Box<[Node]>),
    #[cfg(not(loom))]
    System(#[expect(dead_code, reason = "held to be dropped")] memmap2::MmapMut),
}

// SAFETY: nodes are made of atomics, and the pointer is to memory that the same value owns.
unsafe impl Send for ChunkMemory {}
// SAFETY: as above.
unsafe impl Sync for ChunkMemory {}

impl ChunkMemory {
    /// Room for `len` blank nodes.
    pub(super) fn blank(len: usize) -> Self {
        #[cfg(not(loom))]
        if let Some(memory) = Self::from_system(len) {
            return memory;
        }
        let nodes = blank(len);
        Self { nodes: nodes.as_ptr(), len, _owner: Owner::Allocator(nodes) }
    }

    /// Large pieces; `None` for small ones, or where the system gives nothing.
    #[cfg(not(loom))]
    fn from_system(len: usize) -> Option<Self> {
        /// Size of a huge page on the processors at hand; a guess that is wrong costs time alone.
        const HUGE: usize = 1 << 21;
        let bytes = len * size_of::<Node>();
        if bytes < HUGE {
            return None;
        }
        // Room to begin where a huge page does; what is never touched takes no memory.
        let map = memmap2::MmapOptions::new().len(bytes + HUGE).map_anon().ok()?;
        let nodes = map.as_ptr().wrapping_add(map.as_ptr().align_offset(HUGE));
        // A system without huge pages says so, and pages are small then.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Some(Self { nodes: nodes.cast(), len, _owner: Owner::System(map) })
    }

    /// The nodes.
    #[inline]
    pub(super) fn nodes(&self) -> &[Node] {
        // SAFETY: 1. the owner's memory holds `len` nodes, is aligned to pages or for nodes, and
        // lives as long as `self`; 2. it is zero or was written as nodes, and atomics of integers
        // are valid when zero; 3. nobody writes it but through those atomics.
        unsafe { std::slice::from_raw_parts(self.nodes, self.len) }
    }
}

#[cfg(not(loom))]
fn blank(len: usize) -> Box<[Node]> {
    // SAFETY: a node is made of integer atomics alone, and all of them are valid when zero.
    unsafe { Box::new_zeroed_slice(len).assume_init() }
}

#[cfg(loom)]
fn blank(len: usize) -> Box<[Node]> {
    (0..len).map(|_| Node::blank()).collect()
}
