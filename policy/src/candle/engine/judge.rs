//! Reads judgements, scores and hidden states from the last hidden states of a prefill.
//!
//! A judgement is computed from the probabilities of a few labels after a question. A score is the
//! log-probability of each token of a continuation. The wording of questions is in [`crate::text`].

use rayon::prelude::*;
use regrowth_datasets::TokenId;

use crate::candle::engine::request::{Kind, Label, RequestState};
use crate::candle::engine::sampler;
use crate::candle::engine::scheduler::Shard;
use crate::candle::engine::sequence::Sequence;
use crate::{HiddenState, Judgement, LabelMass, Response, Scores};

impl Shard {
    /// Reads the probabilities of the labels from log-probabilities `[V]`. Then starts the next question or
    /// answers the request.
    pub(crate) fn finish_judgement(&mut self, sequence: Sequence, id: u64, logps: &[f32]) {
        let mass = |ids: &[TokenId]| ids.iter().map(|&i| f64::from(logps[i as usize]).exp()).sum();
        sequence.release(&mut self.prefix_cache, &mut self.kv_slots);
        let Some(state) = self.requests.get_mut(&id) else { return };
        let Kind::Judge { ask, answers, .. } = &mut state.kind else { return };
        if let Some(question) = ask.pop() {
            let read = |label: &Label| LabelMass { value: label.value, mass: mass(&label.ids) };
            answers.push(Some(question.labels.iter().map(read).collect()));
        }
        if !ask.is_empty() {
            return self.start_prefill(id);
        }
        let judgement = Judgement::from_labels(answers, state.usage);
        self.answer(id, Ok(Response::Judgement(judgement)));
    }

    /// Scores the next `n` tokens of a continuation; `hidden` `[n, D]` are the hidden states before them.
    /// Logits are computed for at most `max_sequences` rows at a time, as in sampling.
    pub(crate) fn score(&mut self, id: u64, hidden: &[f32]) -> Result<(), String> {
        let Some(RequestState { kind: Kind::Score { request, logps, greedy }, .. }) =
            self.requests.get_mut(&id)
        else {
            return Ok(());
        };
        let (d, v) = (self.shared.config.hidden_size, self.shared.config.vocab_size);
        let targets = request.continuation[logps.len()..].chunks(self.max_sequences);
        for (rows, targets) in hidden.chunks(self.max_sequences * d).zip(targets) {
            self.model.logits(rows, &mut self.logits).map_err(|e| e.to_string())?;
            let scored = self.logits.par_chunks_exact_mut(v).zip(targets).map(|(row, &target)| {
                sampler::normalise(row)
                    .then(|| (row[target as usize], sampler::greedy(row).id == target))
            });
            for scored in scored.collect::<Vec<_>>() {
                let (logp, is_greedy) = scored.ok_or("its logits are not finite numbers")?;
                logps.push(logp);
                greedy.push(is_greedy);
            }
        }
        Ok(())
    }

    /// Answers a `Hidden` request with the hidden state of its last token.
    pub(crate) fn finish_hidden(&mut self, sequence: Sequence, id: u64, values: Vec<f32>) {
        if !values.iter().all(|value| value.is_finite()) {
            return self.fail(sequence, "its hidden state is not finite numbers");
        }
        sequence.release(&mut self.prefix_cache, &mut self.kv_slots);
        let Some(state) = self.requests.get(&id) else { return };
        let usage = state.usage;
        self.answer(id, Ok(Response::Hidden(HiddenState { values, usage })));
    }

    /// Answers a `Score` request.
    pub(crate) fn finish_score(&mut self, sequence: Sequence, id: u64) {
        sequence.release(&mut self.prefix_cache, &mut self.kv_slots);
        let Some(RequestState { kind: Kind::Score { logps, greedy, .. }, usage, .. }) =
            self.requests.get_mut(&id)
        else {
            return;
        };
        let (logps, greedy) = (std::mem::take(logps), std::mem::take(greedy));
        let scores = Scores { logps, greedy, usage: *usage };
        self.answer(id, Ok(Response::Scores(scores)));
    }
}
