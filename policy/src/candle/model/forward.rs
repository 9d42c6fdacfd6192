//! The engine's interface to a model: hidden states of token rows with a KV cache, and logits.
//!
//! One implementation computes on the CPU ([`crate::candle::model::decoder`]), the other with tensors on
//! any candle device ([`crate::candle::model::on_device`]). The engine does not depend on which one it
//! uses.

use candle_core::Result;

/// One token to compute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenRow<'a> {
    /// Token id.
    pub(crate) id: u32,
    /// KV slots of the sequence's tokens up to and including this one; the token's position is the length of
    /// this path minus one.
    pub(crate) path: &'a [u32],
}

impl TokenRow<'_> {
    /// Returns the slot for the token's key and value.
    pub(crate) fn slot(&self) -> u32 {
        self.path[self.path.len() - 1]
    }

    /// Returns the token's position in its sequence.
    pub(crate) fn position(&self) -> u32 {
        self.path.len() as u32 - 1
    }
}

/// A model with the KV cache of one shard. R rows, D hidden size, V vocabulary.
pub(crate) trait Forward: Send {
    /// Computes the hidden states after the last norm, `[R, D]`, into `hidden`, and stores keys and values
    /// of the rows in their slots.
    ///
    /// Rows of one sequence must be adjacent, in order of position, and come after all rows that they
    /// depend on.
    ///
    /// # Errors
    /// Errors of the device.
    fn hidden(&mut self, rows: &[TokenRow], hidden: &mut Vec<f32>) -> Result<()>;

    /// Computes the logits of `n` hidden states, `[n, V]`, into `logits`.
    ///
    /// # Errors
    /// Errors of the device.
    fn logits(&mut self, hidden: &[f32], logits: &mut Vec<f32>) -> Result<()>;
}
