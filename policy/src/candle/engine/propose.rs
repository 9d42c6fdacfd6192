//! Samples the candidates of `Propose` requests. Candidates whose tokens so far are equal share one
//! sequence; it is forked at the first token that differs.
//!
//! Candidates that share a sequence share its row of logits; each samples from it with its own
//! random generator. The scheduler computes the hidden states.

use regrowth_datasets::{Finish, Step, TokenId, keyed_rng};

use crate::boundary::{self, Cut};
use crate::candle::engine::request::{Kind, RequestState};
use crate::candle::engine::sampler;
use crate::candle::engine::scheduler::Shard;
use crate::candle::engine::sequence::{CandidateState, Drawn, Role, Sequence};
use crate::text::Tokenizer;
use crate::text::incremental_detokenizer::{IncrementalDetokenizer, text_after};
use crate::{Candidates, PolicyError, Propose, Response, Sampling};

impl Shard {
    /// Starts the next wave of candidates of a request whose prefix is computed. `hidden` is the
    /// final hidden state `[D]` of its last token.
    pub(crate) fn sample_from(&mut self, mut sequence: Sequence, id: u64, hidden: &[f32]) {
        let Some(RequestState { kind: Kind::Propose { request, started, wave, .. }, .. }) =
            self.requests.get_mut(&id)
        else {
            return sequence.release(&mut self.prefix_cache, &mut self.kv_slots);
        };
        let from = sequence.ids.len();
        let next = *started..(*started + *wave).min(request.keys.len());
        *started = next.end;
        let special = boundary::reads_special(request);
        let text = IncrementalDetokenizer::after(&self.shared.tokenizer, &sequence.ids, special);
        let candidate = |index: usize| CandidateState {
            request: id,
            index,
            sampling: match request.greedy_first && index == 0 {
                true => Sampling::greedy(),
                false => request.sampling,
            },
            rng: keyed_rng(request.keys[index], &[b"candidate"]),
            from,
            logps: vec![],
            text: text.clone(),
            cut: Cut::default(),
        };
        sequence.role = Role::Decode(next.map(candidate).collect());
        self.await_logits(sequence, hidden);
    }

    /// Assigns to each candidate of a sequence the token sampled for it. Returns the candidates with their
    /// tokens and, for candidates that end here, finish reasons.
    pub(crate) fn follow(
        &self,
        sequence: &mut Sequence,
        tokens: Vec<sampler::Drawn>,
    ) -> Result<Vec<Drawn>, PolicyError> {
        let Role::Decode(candidates) = &mut sequence.role else { return Ok(vec![]) };
        let tokenizer = &self.shared.tokenizer;
        let mut finishes: Vec<Option<Finish>> = Vec::with_capacity(candidates.len());
        for at in 0..candidates.len() {
            let (before, rest) = candidates.split_at_mut(at);
            let Some(candidate) = rest.first_mut() else { break };
            let token = tokens[at];
            candidate.logps.push(token.logp);
            let Some(RequestState { kind: Kind::Propose { request, .. }, .. }) =
                self.requests.get(&candidate.request)
            else {
                finishes.push(None);
                continue;
            };
            // Candidates of one request that sampled the same token have the same text and finish
            // reason.
            let same =
                |b: &usize| (before[*b].request, tokens[*b].id) == (candidate.request, token.id);
            let finish = match (0..at).find(same) {
                Some(like) => {
                    candidate.text.clone_from(&before[like].text);
                    candidate.cut = before[like].cut;
                    finishes[like]
                }
                None => {
                    sequence.ids.push(token.id);
                    let step = &sequence.ids[candidate.from..];
                    let CandidateState { text, cut, .. } = &mut *candidate;
                    let finish = finish_of(request, step, (text, cut), tokenizer);
                    sequence.ids.pop();
                    finish?
                }
            };
            finishes.push(finish);
        }
        let with = |((candidate, token), finish): ((_, sampler::Drawn), _)| Drawn {
            candidate,
            id: token.id,
            finish,
        };
        let drawn = std::mem::take(candidates).into_iter().zip(tokens).zip(finishes).map(with);
        // Drop candidates whose request has failed in another of its sequences.
        Ok(drawn.filter(|d| self.requests.contains_key(&d.candidate.request)).collect())
    }

    /// Continues with one sequence per distinct sampled token, forking if there are several, and
    /// finishes the candidates that end. After their first token, candidates may join a decoding
    /// sequence with the same tokens.
    pub(crate) fn part(&mut self, mut sequence: Sequence, drawn: Vec<Drawn>) {
        let one = drawn.first().map(|d| d.id);
        let fresh = drawn.first().is_some_and(|d| d.candidate.logps.len() == 1);
        if let Some(id) = one
            && !fresh
            && drawn.iter().all(|d| d.id == id && d.finish.is_none())
        {
            sequence.ids.push(id);
            sequence.role = Role::Decode(drawn.into_iter().map(|d| d.candidate).collect());
            self.sequences.push(sequence);
            return;
        }
        // Move the computed KV slots to the prefix cache, so that the forks can share them.
        sequence.cache_computed(usize::MAX, &mut self.prefix_cache, &mut self.kv_slots);
        let (ended, going): (Vec<_>, Vec<_>) = drawn.into_iter().partition(|d| d.finish.is_some());
        for drawn in going {
            let mut same = self.sequences.iter_mut().filter_map(|other| match &mut other.role {
                Role::Decode(candidates)
                    if other.ids.split_last() == Some((&drawn.id, &sequence.ids)) =>
                {
                    Some(candidates)
                }
                _ => None,
            });
            match same.next() {
                Some(candidates) => candidates.push(drawn.candidate),
                None => {
                    let role = Role::Decode(vec![drawn.candidate]);
                    let fork = sequence.fork(drawn.id, role, &mut self.prefix_cache);
                    self.sequences.push(fork);
                }
            }
        }
        let ids = std::mem::take(&mut sequence.ids);
        sequence.release(&mut self.prefix_cache, &mut self.kv_slots);
        for drawn in ended {
            self.finish_candidate(&ids, drawn);
        }
    }

    /// Stores a finished candidate. Once all started candidates of the request are finished, starts its
    /// next wave or answers the request.
    fn finish_candidate(&mut self, before: &[u32], drawn: Drawn) {
        let CandidateState { request: id, index, from, mut logps, cut, .. } = drawn.candidate;
        let mut ids: Vec<u32> = before[from..].iter().copied().chain([drawn.id]).collect();
        let mut finish = drawn.finish.unwrap_or(Finish::Length);
        if let (Finish::Length, Some(kept)) = (finish, cut.kept()) {
            finish = Finish::Boundary;
            ids.truncate(kept);
            logps.truncate(kept);
        }
        let text = match text_after(&self.shared.tokenizer, &before[..from], &ids) {
            Ok(text) => text,
            Err(error) => return self.abort(id, &error.to_string()),
        };
        let Some(state) = self.requests.get_mut(&id) else { return };
        let Kind::Propose { request, done, started, .. } = &mut state.kind else { return };
        let logps_exact = self.shared.precise
            && request.sampling.is_exact()
            && !(request.greedy_first && index == 0);
        done[index] =
            Some(crate::Candidate { step: Step { ids, text, logps, finish }, logps_exact });
        if done[..*started].iter().any(Option::is_none) {
            return;
        }
        if *started < done.len() {
            return self.start_prefill(id);
        }
        let candidates = done.iter_mut().filter_map(Option::take).collect();
        let usage = state.usage;
        self.answer(id, Ok(Response::Candidates(Candidates { candidates, usage })));
    }
}

/// Returns the finish reason (vLLM: `finish_reason`) if the step ends with its last token. `text` and `cut`
/// hold the state before that token and are updated.
fn finish_of(
    request: &Propose,
    step: &[TokenId],
    (text, cut): (&mut IncrementalDetokenizer, &mut Cut),
    tokenizer: &Tokenizer,
) -> Result<Option<Finish>, PolicyError> {
    let Some(&last) = step.last() else { return Ok(None) };
    if tokenizer.is_eos(last) {
        return Ok(Some(Finish::Eos));
    }
    if request.stop_at.ids.contains(&last) {
        return Ok(Some(Finish::Stop));
    }
    if boundary::is_read(request, step.len()) {
        let text = text.follow(tokenizer, step, boundary::reads_special(request))?;
        if let Some(finish) = boundary::finish_of(request, step.len(), text) {
            return Ok(Some(finish));
        }
        cut.note(&request.boundary, step.len(), text);
    }
    Ok((step.len() >= request.max_tokens).then_some(Finish::Length))
}
