//! Allocates the KV slots of a shard; a slot holds the key and the value of one token.
//!
//! The prefix cache and the sequences own the slots, and the model stores the keys and values. This file
//! only hands out slot numbers: the slot released last if there is one, otherwise the lowest unused number.

/// Allocator of a fixed number of slots.
pub(crate) struct KvSlots {
    capacity: usize,
    used: usize,
    free: Vec<u32>,
}

impl KvSlots {
    /// Creates an allocator with `capacity` free slots.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, used: 0, free: Vec::new() }
    }

    /// Total number of slots.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Takes a free slot. Returns `None` if there is none.
    pub(crate) fn take(&mut self) -> Option<u32> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        if self.used == self.capacity {
            return None;
        }
        self.used += 1;
        Some(self.used as u32 - 1)
    }

    /// Returns a slot to the free slots.
    pub(crate) fn release(&mut self, slot: u32) {
        self.free.push(slot);
    }

    /// Number of slots in use, by sequences or by the prefix cache.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> usize {
        self.used - self.free.len()
    }
}
