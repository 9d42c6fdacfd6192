//! What the engine asks of a model: hidden rows of tokens over stored keys and values, and logits.
//!
//! One implementation computes on the processor ([`crate::candle::model::decoder`]), one with tensors on whatever
//! device they lie ([`super::device`]). The engine knows neither.

use candle_core::Result;

/// One token to compute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenRow<'a> {
    /// The token.
    pub(crate) id: u32,
    /// Slots of its sequence up to and with its own; its position is their number less one.
    pub(crate) path: &'a [u32],
}

impl TokenRow<'_> {
    /// The slot that its key and value go to.
    pub(crate) fn slot(&self) -> u32 {
        self.path[self.path.len() - 1]
    }

    /// Its place in its sequence.
    pub(crate) fn position(&self) -> u32 {
        self.path.len() as u32 - 1
    }
}

/// A model, and the keys and values of one shard. R rows, D hidden width, V vocabulary.
pub(crate) trait Forward: Send {
    /// Hidden rows after the last norm, `[R, D]`, into `hidden`; keys and values of the rows are
    /// stored in their slots.
    ///
    /// Rows of one sequence must stand side by side in order of position, after all they depend on.
    ///
    /// # Errors
    /// What the device answers.
    fn hidden(&mut self, rows: &[TokenRow], hidden: &mut Vec<f32>) -> Result<()>;

    /// Logits of hidden rows, `[n, V]`, into `logits`.
    ///
    /// # Errors
    /// What the device answers.
    fn logits(&mut self, hidden: &[f32], logits: &mut Vec<f32>) -> Result<()>;
}
