//! Keys and values of computed tokens in memory of the processor, in slots of one token each.

/// Store of slots; memory is taken from the system as slots are first written.
pub(crate) struct KvStore {
    /// Per layer: keys (rotated) and values, `[slots, width]` each.
    layers: Vec<[Vec<f32>; 2]>,
    width: usize,
}

impl KvStore {
    /// A store of `capacity` slots for `layers` layers of `width` = kv heads x head width.
    pub(crate) fn new(layers: usize, width: usize, capacity: usize) -> Self {
        // Allocate all capacity at once: growing later would copy, and hold both copies meanwhile.
        let room = || Vec::with_capacity(capacity * width);
        Self { layers: (0..layers).map(|_| [room(), room()]).collect(), width }
    }

    /// Makes the slots up to `slot` writable.
    pub(crate) fn reach(&mut self, slot: u32) {
        let length = (slot as usize + 1) * self.width;
        for tensor in self.layers.iter_mut().flatten() {
            if tensor.len() < length {
                tensor.resize(length, 0.0);
            }
        }
    }

    /// Stores the key and the value of one token in one layer.
    pub(crate) fn write(&mut self, layer: usize, slot: u32, key: &[f32], value: &[f32]) {
        let at = slot as usize * self.width..(slot as usize + 1) * self.width;
        self.layers[layer][0][at.clone()].copy_from_slice(key);
        self.layers[layer][1][at].copy_from_slice(value);
    }

    /// Keys and values of a layer, `[slots, width]` each.
    pub(crate) fn layer(&self, layer: usize) -> (&[f32], &[f32]) {
        let [keys, values] = &self.layers[layer];
        (keys, values)
    }
}
