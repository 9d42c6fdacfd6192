//! Zeroed memory for nodes. Small blocks come from the allocator, large ones directly from the operating
//! system, in huge pages if it has them.
//!
//! Accesses to a large tree are random. With pages of 4 KiB, the CPU translates an address nearly as often as
//! it reads one (measured on the synthetic game of `benches/peers`: a fifth more simulations per second with
//! huge pages).

use super::node::Node;

/// A block of memory that holds `len` nodes.
pub(super) struct ChunkMemory {
    nodes: *const Node,
    len: usize,
    /// Frees the memory when dropped; never accessed otherwise.
    _owner: Owner,
}

/// Owner of the memory.
enum Owner {
    Allocator(#[expect(dead_code, reason = "held to be dropped")] Box<[Node]>),
    #[cfg(not(loom))]
    System(#[expect(dead_code, reason = "held to be dropped")] memmap2::MmapMut),
}

// SAFETY: nodes consist of atomics, and the pointer is to memory that this value owns.
unsafe impl Send for ChunkMemory {}
// SAFETY: as above.
unsafe impl Sync for ChunkMemory {}

impl ChunkMemory {
    /// Allocates `len` blank nodes.
    pub(super) fn blank(len: usize) -> Self {
        #[cfg(not(loom))]
        if let Some(memory) = Self::from_system(len) {
            return memory;
        }
        let nodes = blank(len);
        Self { nodes: nodes.as_ptr(), len, _owner: Owner::Allocator(nodes) }
    }

    /// Memory from the operating system for large blocks; `None` for small ones, or if the system call fails.
    #[cfg(not(loom))]
    fn from_system(len: usize) -> Option<Self> {
        /// Size of a huge page on common CPUs; a wrong guess costs only time.
        const HUGE: usize = 1 << 21;
        let bytes = len * size_of::<Node>();
        if bytes < HUGE {
            return None;
        }
        // Extra space, to start at a huge-page boundary; pages that are never touched take no memory.
        let map = memmap2::MmapOptions::new().len(bytes + HUGE).map_anon().ok()?;
        let nodes = map.as_ptr().wrapping_add(map.as_ptr().align_offset(HUGE));
        // A system without huge pages returns an error; the pages are then small ones.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Some(Self { nodes: nodes.cast(), len, _owner: Owner::System(map) })
    }

    /// The nodes.
    #[inline]
    pub(super) fn nodes(&self) -> &[Node] {
        // SAFETY: 1. the owner's memory holds `len` nodes, is aligned to pages or for nodes, and lives as
        // long as `self`; 2. it is zero or was written as nodes, and integer atomics are valid when zero; 3.
        // it is written only through those atomics.
        unsafe { std::slice::from_raw_parts(self.nodes, self.len) }
    }
}

#[cfg(not(loom))]
fn blank(len: usize) -> Box<[Node]> {
    // SAFETY: a node consists only of integer atomics, all of which are valid when zero.
    unsafe { Box::new_zeroed_slice(len).assume_init() }
}

#[cfg(loom)]
fn blank(len: usize) -> Box<[Node]> {
    (0..len).map(|_| Node::blank()).collect()
}
