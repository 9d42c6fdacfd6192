//! KV cache in CPU memory, in slots of one token each.

use crate::candle::kernels::KvWord;

/// Keys and values by slot. The operating system provides memory for a slot when it is first written.
pub(crate) struct KvStore<W> {
    /// Per layer: keys (rotated) and values, `[slots, width]` words each.
    layers: Vec<[Vec<W>; 2]>,
    /// Words per key.
    width: usize,
    /// Words per head.
    head: usize,
}

impl<W: KvWord> KvStore<W> {
    /// Creates a store of `capacity` slots for `layers` layers with `heads` key/value heads of `d` values.
    pub(crate) fn new(layers: usize, (heads, d): (usize, usize), capacity: usize) -> Self {
        let head = d / W::VALUES;
        let width = heads * head;
        // Allocate the full capacity at once: growing later would copy, and hold both copies meanwhile.
        let room = || Vec::with_capacity(capacity * width);
        Self { layers: (0..layers).map(|_| [room(), room()]).collect(), width, head }
    }

    /// Grows the store so that `slot` can be written.
    pub(crate) fn reach(&mut self, slot: u32) {
        let length = (slot as usize + 1) * self.width;
        for tensor in self.layers.iter_mut().flatten() {
            if tensor.len() < length {
                tensor.resize(length, W::default());
            }
        }
    }

    /// Stores the key and the value of one token in one layer.
    pub(crate) fn write(&mut self, layer: usize, slot: u32, key: &[f32], value: &[f32]) {
        let at = slot as usize * self.width..(slot as usize + 1) * self.width;
        for (tensor, row) in self.layers[layer].iter_mut().zip([key, value]) {
            let heads = tensor[at.clone()].chunks_exact_mut(self.head);
            let values = row.chunks_exact(self.head * W::VALUES);
            heads.zip(values).for_each(|(words, values)| W::store(values, words));
        }
    }

    /// Keys and values of a layer, `[slots, width]` each.
    pub(crate) fn layer(&self, layer: usize) -> (&[W], &[W]) {
        let [keys, values] = &self.layers[layer];
        (keys, values)
    }
}
