//! Which slots of a shard's store are free; a slot holds the key and the value of one token.
//!
//! Who owns a slot is the prefix cache's and the sequences' business, what lies in it the model's; this
//! file only hands out numbers, low ones first.

/// A fixed number of slots.
pub(crate) struct KvSlots {
    capacity: usize,
    used: usize,
    free: Vec<u32>,
}

impl KvSlots {
    /// `capacity` free slots.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, used: 0, free: Vec::new() }
    }

    /// Number of slots.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// A free slot, if there is one.
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

    /// Gives a slot back.
    pub(crate) fn release(&mut self, slot: u32) {
        self.free.push(slot);
    }

    /// Slots in use, by sequences or by the prefix cache.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> usize {
        self.used - self.free.len()
    }
}
