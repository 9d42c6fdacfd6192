//! One request on its way through the engine: the passes it needs, and the reply they make.
//!
//! Every request is one or more passes over given tokens; a proposal then samples its candidates
//! from where its pass ended. What a request costs is counted here.

use std::sync::Arc;

use regrowth_datasets::TokenId;

use crate::{
    Call, Caller, Candidate, Hidden, LabelMass, PolicyError, Propose, Request, Response, Score,
    Usage,
};

/// A request in work.
pub(crate) struct RequestState {
    caller: Caller,
    pub(crate) kind: Kind,
    pub(crate) usage: Usage,
    /// KV slots it may need at most, all its sequences together.
    pub(crate) reserved: usize,
}

/// What the request is for, with what it has so far.
pub(crate) enum Kind {
    /// Candidates by index, as they finish; `started` of them so far, `wave` at once at most.
    Propose { request: Propose, done: Vec<Option<Candidate>>, started: usize, wave: usize },
    /// Questions still to be asked, and the answers; whether prompts of their own ask them.
    Judge { ask: Vec<Question>, answers: Vec<Option<Vec<LabelMass>>>, restated: bool },
    /// One pass; log-probabilities of the tokens so far, and whether each is the likeliest.
    Score { request: Score, logps: Vec<f32>, greedy: Vec<bool> },
    /// One pass, which ends where the state is wanted.
    Hidden { request: Hidden },
}

/// Tokens for a sequence to compute.
pub(crate) struct PrefillSpan {
    pub(crate) ids: Vec<TokenId>,
    /// First position whose hidden row is wanted.
    pub(crate) first_row: usize,
    /// Ids to keep in the prefix cache.
    pub(crate) cacheable: usize,
}

/// A judge's question.
pub(crate) struct Question {
    /// What stands before it and is worth keeping: the prefix and the step, or what a prompt of its
    /// own restates.
    pub(crate) base: Vec<TokenId>,
    /// The question itself.
    pub(crate) suffix: Vec<TokenId>,
    /// What it may be answered with.
    pub(crate) labels: Vec<Label>,
}

/// A label of a question.
pub(crate) struct Label {
    /// What it is worth.
    pub(crate) value: f64,
    /// The tokens that write it; none where the vocabulary has none.
    pub(crate) ids: Arc<[TokenId]>,
}

impl Question {
    /// Tokens of all of it.
    pub(crate) fn len(&self) -> usize {
        self.base.len() + self.suffix.len()
    }
}

impl RequestState {
    /// The state of a request whose judge questions are rendered already.
    pub(crate) fn new(call: Call, questions: Vec<Question>) -> Self {
        let Call { request, caller } = call;
        let (kind, reserved) = match request {
            Request::Propose(request) => {
                let n = request.keys.len();
                let reserved = request.prefix.len() + n * request.max_tokens;
                let done = (0..n).map(|_| None).collect();
                (Kind::Propose { request, done, started: 0, wave: n }, reserved)
            }
            Request::Judge(judge) => {
                let reserved = questions.iter().map(Question::len).max().unwrap_or(0);
                let restated = judge.restated.is_some();
                (Kind::Judge { ask: questions, answers: vec![], restated }, reserved)
            }
            Request::Score(request) => {
                let reserved = request.prefix.len() + request.continuation.len();
                (Kind::Score { request, logps: vec![], greedy: vec![] }, reserved)
            }
            Request::Hidden(request) => {
                let reserved = request.prefix.len() + request.step.len();
                (Kind::Hidden { request }, reserved)
            }
        };
        Self { caller, kind, usage: Usage::default(), reserved }
    }

    /// The next tokens to compute, if any are left.
    pub(crate) fn next_prefill(&self) -> Option<PrefillSpan> {
        match &self.kind {
            Kind::Propose { request, .. } => {
                let ids = request.prefix.to_vec();
                Some(PrefillSpan { first_row: ids.len() - 1, cacheable: ids.len(), ids })
            }
            Kind::Judge { ask, .. } => {
                let Question { base, suffix, .. } = ask.last()?;
                let ids: Vec<TokenId> = base.iter().chain(suffix).copied().collect();
                Some(PrefillSpan {
                    first_row: base.len().saturating_sub(1),
                    cacheable: base.len(),
                    ids,
                })
            }
            Kind::Score { request, .. } => {
                // Nothing follows the last token: its own row is not needed.
                let read = request.continuation.split_last().map_or(&[][..], |(_, read)| read);
                let ids: Vec<TokenId> = request.prefix.iter().chain(read).copied().collect();
                let cacheable = request.prefix.len();
                Some(PrefillSpan { first_row: cacheable - 1, cacheable, ids })
            }
            Kind::Hidden { request } => {
                let ids: Vec<TokenId> =
                    request.prefix.iter().chain(&*request.step).copied().collect();
                Some(PrefillSpan { first_row: ids.len() - 1, cacheable: ids.len(), ids })
            }
        }
    }

    /// Makes the request fit a cache of `slots` tokens that it has to itself: fewer candidates at once,
    /// so that the same answer takes longer.
    ///
    /// # Errors
    /// When not even one sequence fits.
    pub(crate) fn shrink(&mut self, slots: usize) -> Result<(), PolicyError> {
        let mut need = self.reserved;
        if let Kind::Propose { request, wave, .. } = &mut self.kind {
            let fixed = request.prefix.len();
            need = fixed + request.max_tokens;
            *wave = (slots.saturating_sub(fixed) / request.max_tokens).min(*wave);
            if *wave > 0 {
                self.reserved = fixed + *wave * request.max_tokens;
                return Ok(());
            }
        }
        Err(PolicyError::Request(format!(
            "the request needs room for {need} tokens, but the cache holds {slots}; raise the cache \
             budget (--cache)"
        )))
    }

    /// Counts `computed` tokens of a pass, the last `suffix` of which are not kept.
    pub(crate) fn count(&mut self, computed: usize, suffix: usize) {
        let usage = &mut self.usage;
        match self.kind {
            Kind::Judge { restated: true, .. } => usage.restated += computed as u64,
            Kind::Judge { .. } => {
                usage.judged += suffix as u64;
                usage.prefilled += (computed - suffix) as u64;
            }
            _ => usage.prefilled += computed as u64,
        }
    }

    /// How many sequences it fills at most.
    pub(crate) fn width(&self) -> usize {
        match &self.kind {
            Kind::Propose { done, .. } => done.len().max(1),
            _ => 1,
        }
    }

    /// Sends the reply.
    pub(crate) fn answer(self, result: Result<Response, PolicyError>) {
        self.caller.answer(result);
    }
}
