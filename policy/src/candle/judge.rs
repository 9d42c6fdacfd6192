//! What is read off the last hidden rows of a pass: judgements and scores.
//!
//! A judgement is the probability of two labels after a question; a score is the log-probability of
//! each token of a continuation. The question's wording is not known here.

use regrowth_datasets::TokenId;

use super::engine::Shard;
use super::job::{Job, Kind};
use super::lane::Lane;
use super::sampler;
use crate::{Judgement, Response, Scores};

impl Shard {
    /// Reads the two labels' probabilities; asks the next question or answers.
    pub(super) fn judged(&mut self, lane: Lane, id: u64, hidden: &[f32]) {
        let mut logps = std::mem::take(&mut self.logits);
        if let Err(error) = self.model.logits(hidden, &mut logps) {
            return self.fail(lane, &error.to_string());
        }
        if !sampler::normalise(&mut logps) {
            self.logits = logps;
            return self.fail(lane, "its logits are not finite numbers");
        }
        let mass = |ids: &[TokenId]| ids.iter().map(|&i| f64::from(logps[i as usize]).exp()).sum();
        let (a, b): (f64, f64) = (mass(&self.shared.labels[0]), mass(&self.shared.labels[1]));
        self.logits = logps;
        lane.leave(&mut self.tree, &mut self.free);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Kind::Judge { ask, answers, .. } = &mut job.kind else { return };
        if let Some(question) = ask.pop() {
            answers.push(Some(if question.correct_first { [a, b] } else { [b, a] }));
        }
        if !ask.is_empty() {
            return self.start_pass(id);
        }
        let judgement = Judgement::from_labels(answers, job.usage);
        self.answer(id, Ok(Response::Judgement(judgement)));
    }

    /// Scores every token of a continuation from the hidden rows before it.
    pub(super) fn scored(&mut self, lane: Lane, id: u64, hidden: &[f32]) {
        let (d, v) = {
            let config = &self.shared.config;
            (config.hidden_size, config.vocab_size)
        };
        let Some(Job { kind: Kind::Score { request }, usage, .. }) = self.jobs.get(&id) else {
            return lane.leave(&mut self.tree, &mut self.free);
        };
        let (targets, usage) = (request.continuation.clone(), *usage);
        let mut scores = Scores { logps: vec![], greedy: vec![], usage };
        let mut logits = std::mem::take(&mut self.logits);
        // No more logits at once than sampling takes.
        let n = self.max_lanes;
        for (rows, targets) in hidden.chunks(n * d).zip(targets.chunks(n)) {
            if let Err(error) = self.model.logits(&rows[..targets.len() * d], &mut logits) {
                return self.fail(lane, &error.to_string());
            }
            for (row, &target) in logits.chunks_exact_mut(v).zip(targets) {
                if !sampler::normalise(row) {
                    return self.fail(lane, "its logits are not finite numbers");
                }
                scores.logps.push(row[target as usize]);
                scores.greedy.push(sampler::greedy(row).id == target);
            }
        }
        self.logits = logits;
        lane.leave(&mut self.tree, &mut self.free);
        self.answer(id, Ok(Response::Scores(scores)));
    }
}
