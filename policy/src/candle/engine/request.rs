//! State of one request in the engine: the prefills that it needs, and the reply so far.
//!
//! Every request needs one or more prefills. A `Propose` request then samples its candidates from the end
//! of its prefill. The usage of a request is counted here.

use std::sync::Arc;

use regrowth_datasets::TokenId;

use crate::{
    Call, Caller, Candidate, Hidden, LabelMass, PolicyError, Propose, Request, Response, Score,
    Usage,
};

/// A request in progress.
pub(crate) struct RequestState {
    caller: Caller,
    pub(crate) kind: Kind,
    pub(crate) usage: Usage,
    /// Maximum number of KV slots that all its sequences together may need.
    pub(crate) reserved: usize,
}

/// The kind of request, with its results so far.
pub(crate) enum Kind {
    /// `done` holds the finished candidates by index. `started` is the number of candidates started so far,
    /// at most `wave` at a time.
    Propose { request: Propose, done: Vec<Option<Candidate>>, started: usize, wave: usize },
    /// `ask` holds the questions left, `answers` the answers so far. `restated`: whether each question has
    /// a fresh prompt that restates problem and solution.
    Judge { ask: Vec<Question>, answers: Vec<Option<Vec<LabelMass>>>, restated: bool },
    /// One prefill. `logps` and `greedy` hold, for each token scored so far, its log-probability and whether
    /// it is the most likely token.
    Score { request: Score, logps: Vec<f32>, greedy: Vec<bool> },
    /// One prefill, which ends at the token whose hidden state is returned.
    Hidden { request: Hidden },
}

/// Token ids that a sequence has to compute.
pub(crate) struct PrefillSpan {
    pub(crate) ids: Vec<TokenId>,
    /// First position whose hidden state is needed.
    pub(crate) first_needed: usize,
    /// Number of leading ids that go into the prefix cache.
    pub(crate) cacheable: usize,
}

/// A judge's question.
pub(crate) struct Question {
    /// Cacheable tokens before the question: prefix and step, or the part of a fresh prompt that restates
    /// problem and solution.
    pub(crate) base: Vec<TokenId>,
    /// Tokens of the question itself.
    pub(crate) suffix: Vec<TokenId>,
    /// The possible answers.
    pub(crate) labels: Vec<Label>,
}

/// A possible answer to a question.
pub(crate) struct Label {
    /// Value of the answer, in [0, 1].
    pub(crate) value: f64,
    /// Token ids that decode to the label; empty if the vocabulary has none.
    pub(crate) ids: Arc<[TokenId]>,
}

impl Question {
    /// Number of tokens of `base` and `suffix` together.
    pub(crate) fn len(&self) -> usize {
        self.base.len() + self.suffix.len()
    }
}

impl RequestState {
    /// Creates the state of a request whose judge questions are rendered already.
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

    /// Returns the next tokens to compute, or `None` if all questions of a judge request are answered.
    pub(crate) fn next_prefill(&self) -> Option<PrefillSpan> {
        match &self.kind {
            Kind::Propose { request, .. } => {
                let ids = request.prefix.to_vec();
                Some(PrefillSpan { first_needed: ids.len() - 1, cacheable: ids.len(), ids })
            }
            Kind::Judge { ask, .. } => {
                let Question { base, suffix, .. } = ask.last()?;
                let ids: Vec<TokenId> = base.iter().chain(suffix).copied().collect();
                Some(PrefillSpan {
                    first_needed: base.len().saturating_sub(1),
                    cacheable: base.len(),
                    ids,
                })
            }
            Kind::Score { request, .. } => {
                // The last token's hidden state is not needed, because no token after it is scored.
                let read = request.continuation.split_last().map_or(&[][..], |(_, read)| read);
                let ids: Vec<TokenId> = request.prefix.iter().chain(read).copied().collect();
                let cacheable = request.prefix.len();
                Some(PrefillSpan { first_needed: cacheable - 1, cacheable, ids })
            }
            Kind::Hidden { request } => {
                let ids: Vec<TokenId> =
                    request.prefix.iter().chain(&*request.step).copied().collect();
                Some(PrefillSpan { first_needed: ids.len() - 1, cacheable: ids.len(), ids })
            }
        }
    }

    /// Makes the request fit an otherwise empty KV cache of `slots` tokens by sampling fewer candidates at
    /// once. The answer is the same but takes longer.
    ///
    /// # Errors
    /// If not even one sequence fits.
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

    /// Adds `computed` tokens of a forward pass to the usage. The last `suffix` of them lie after the
    /// cacheable prefix.
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

    /// Returns the maximum number of sequences that the request has at once.
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
