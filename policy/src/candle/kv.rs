//! Keys and values of computed tokens, in slots of one token each.
//!
//! A slot holds the (rotated) key and the value of one token in every layer. Who owns a slot is
//! the prefix tree's and the lanes' business; this file only stores and hands out.

/// Store of a fixed number of slots; memory is taken from the system as slots are first used.
pub(super) struct KvStore {
    /// Per layer: keys and values, `[slots, width]` each.
    layers: Vec<[Vec<f32>; 2]>,
    width: usize,
    capacity: usize,
    used: usize,
    free: Vec<u32>,
}

impl KvStore {
    /// A store of `capacity` slots for `layers` layers of `width` = kv heads x head width.
    pub(super) fn new(layers: usize, width: usize, capacity: usize) -> Self {
        // Room for all at once: growing would copy, and hold both copies meanwhile.
        let room = || Vec::with_capacity(capacity * width);
        let layers = (0..layers).map(|_| [room(), room()]).collect();
        Self { layers, width, capacity, used: 0, free: Vec::new() }
    }

    /// Bytes of one slot.
    pub(super) fn slot_bytes(layers: usize, width: usize) -> usize {
        layers * 2 * width * size_of::<f32>()
    }

    /// Number of slots.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// A free slot, if there is one.
    pub(super) fn take(&mut self) -> Option<u32> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        if self.used == self.capacity {
            return None;
        }
        self.used += 1;
        for tensors in &mut self.layers {
            tensors.iter_mut().for_each(|t| t.resize(self.used * self.width, 0.0));
        }
        Some(self.used as u32 - 1)
    }

    /// Gives a slot back.
    pub(super) fn release(&mut self, slot: u32) {
        self.free.push(slot);
    }

    /// Stores the key and the value of one token in one layer.
    pub(super) fn write(&mut self, layer: usize, slot: u32, key: &[f32], value: &[f32]) {
        let at = slot as usize * self.width..(slot as usize + 1) * self.width;
        self.layers[layer][0][at.clone()].copy_from_slice(key);
        self.layers[layer][1][at].copy_from_slice(value);
    }

    /// Keys and values of a layer, `[slots, width]` each.
    pub(super) fn layer(&self, layer: usize) -> (&[f32], &[f32]) {
        let [keys, values] = &self.layers[layer];
        (keys, values)
    }

    /// Slots in use, by lanes or by the prefix tree.
    #[cfg(test)]
    pub(super) fn in_use(&self) -> usize {
        self.used - self.free.len()
    }
}
