//! Computes the logits of all waiting sequences in one matrix product with the output head.
//!
//! The head is the largest matrix of a small model, and a product reads all of it, whether for one row or a
//! hundred. So decoding sequences, requests whose prefill is complete and judge questions share one
//! product.

use rayon::prelude::*;

use crate::candle::engine::sampler::{self, RowSampler};
use crate::candle::engine::scheduler::Shard;
use crate::candle::engine::sequence::{Prefill, Role, Sequence};

/// Sequences whose last token is computed but whose logits are not, with the final hidden state of that
/// token.
#[derive(Default)]
pub(crate) struct AwaitingLogits {
    sequences: Vec<Sequence>,
    /// Final hidden states, `[n, D]`.
    hidden: Vec<f32>,
}

impl AwaitingLogits {
    /// Maximum number of sequences after sampling: one for each candidate or judge question.
    pub(crate) fn width(&self) -> usize {
        let of = |sequence: &Sequence| match &sequence.role {
            Role::Decode(candidates) => candidates.len(),
            Role::Prefill(_) => 1,
        };
        self.sequences.iter().map(of).sum()
    }
}

impl Shard {
    /// Queues a sequence for the logits after its last token, whose final hidden state is `hidden` `[D]`.
    pub(crate) fn await_logits(&mut self, sequence: Sequence, hidden: &[f32]) {
        self.awaiting_logits.sequences.push(sequence);
        self.awaiting_logits.hidden.extend_from_slice(hidden);
    }

    /// Computes the logits of all queued sequences, then samples or judges. Sequences that are queued in
    /// the meantime, such as a request's next wave of candidates, are included.
    pub(crate) fn read_logits(&mut self) {
        while !self.awaiting_logits.sequences.is_empty() {
            let AwaitingLogits { sequences, hidden } = &mut self.awaiting_logits;
            let n = sequences.len().min(self.max_sequences);
            let sequences = sequences.drain(..n).collect();
            let hidden: Vec<f32> = hidden.drain(..n * self.shared.config.hidden_size).collect();
            self.read_batch(sequences, &hidden);
        }
    }

    /// Computes the logits of these sequences from their hidden states `[n, D]`, then samples or judges.
    fn read_batch(&mut self, mut sequences: Vec<Sequence>, hidden: &[f32]) {
        let mut logits = std::mem::take(&mut self.logits);
        if let Err(error) = self.model.logits(hidden, &mut logits) {
            let detail = error.to_string();
            return sequences.into_iter().for_each(|sequence| self.fail(sequence, &detail));
        }
        let v = self.shared.config.vocab_size;
        let rows = logits.par_chunks_exact_mut(v).zip(&mut sequences);
        let tokens: Vec<_> = rows.map(|(row, sequence)| draw(row, sequence)).collect();
        for ((mut sequence, tokens), row) in
            sequences.into_iter().zip(tokens).zip(logits.chunks_exact(v))
        {
            let Some(tokens) = tokens else {
                self.fail(sequence, "its logits are not finite numbers");
                continue;
            };
            if let Role::Prefill(Prefill { request, .. }) = sequence.role {
                self.finish_judgement(sequence, request, row);
                continue;
            }
            match self.follow(&mut sequence, tokens) {
                Ok(drawn) => self.part(sequence, drawn),
                Err(error) => self.fail(sequence, &error.to_string()),
            }
        }
        self.logits = logits;
    }
}

/// Turns logits into log-probabilities and samples one token for each candidate of a sequence. Returns
/// `None` if the logits are not finite numbers.
fn draw(row: &mut [f32], sequence: &mut Sequence) -> Option<Vec<sampler::Drawn>> {
    if !sampler::normalise(row) {
        return None;
    }
    let Role::Decode(candidates) = &mut sequence.role else { return Some(vec![]) };
    let mut sampler = RowSampler::new(row);
    Some(candidates.iter_mut().map(|c| sampler.draw(&c.sampling, &mut c.rng)).collect())
}
