//! Continuous batching: all sequences in flight share the forward pass of an engine step.
//!
//! A shard is an engine thread with its own KV cache and prefix cache (not a tensor-parallel shard). In
//! each engine step it admits requests, computes one token of every decoding sequence plus chunked prefill
//! within the step's token budget ([`MAX_BATCHED_TOKENS`]), and answers finished requests. On the CPU, a
//! request gets bit-identical results whatever else is in the batch, because a token's result does not
//! depend on the other tokens of the forward pass (batch invariance). On a GPU, rounding may differ.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam::channel::{Receiver, TryRecvError};
use dashmap::DashMap;
use regrowth_datasets::TokenId;

use crate::candle::checkpoint::config::ModelConfig;
use crate::candle::engine::kv_slots::KvSlots;
use crate::candle::engine::logits::AwaitingLogits;
use crate::candle::engine::prefix_cache::PrefixCache;
use crate::candle::engine::request::{Kind, RequestState};
use crate::candle::engine::sequence::{Prefill, Role, Sequence};
use crate::candle::model::forward::{Forward, TokenRow};
use crate::decorate::Meter;
use crate::text::tokenizer::Tokenizer;
use crate::{Dtype, LoadOptions, PolicyError, Response};

/// Token budget of an engine step, like vLLM's `max_num_batched_tokens`. A row is one token of a
/// forward pass. Every decoding sequence takes one row, even beyond the budget; a prefill gets the
/// part of the budget that the sequences before it leave.
pub(crate) const MAX_BATCHED_TOKENS: usize = 256;

/// State shared by all shards of an engine.
pub(crate) struct Shared {
    /// Shapes of the model.
    pub(crate) config: ModelConfig,
    pub(crate) tokenizer: Tokenizer,
    /// Cache, filled on first use: for each judge label, the token ids whose probabilities count for it.
    labels: DashMap<String, Arc<[TokenId]>>,
    /// Callback for the warning that the KV cache is too small; `None` after the first warning, so
    /// it is given once.
    warn: Mutex<Option<fn(&str)>>,
    /// Counts the tokens computed in every step.
    meter: Option<Arc<Meter>>,
    /// Whether log-probabilities are precise enough to be the reference's in training; not so in int8.
    pub(crate) precise: bool,
}

/// Warn that the KV cache is too small once this share of the computed tokens was recomputed after eviction
/// (not tuned).
const RECOMPUTED_WARN_SHARE: f64 = 0.05;
/// Do not warn before this many tokens were recomputed (not tuned).
const RECOMPUTED_WARN_TOKENS: u64 = 256;

impl Shared {
    pub(crate) fn new(config: ModelConfig, tokenizer: Tokenizer, options: &LoadOptions) -> Self {
        Self {
            config,
            tokenizer,
            labels: DashMap::new(),
            warn: Mutex::new(options.log),
            meter: options.meter.clone(),
            precise: options.dtype != Dtype::Int8,
        }
    }

    /// Returns all token ids that decode to the label.
    pub(crate) fn label_ids(&self, label: &str) -> Arc<[TokenId]> {
        if let Some(ids) = self.labels.get(label) {
            return ids.clone();
        }
        // This searches the whole vocabulary, so it is done once per label.
        let find = || self.tokenizer.label_ids(label).into();
        self.labels.entry(label.to_owned()).or_insert_with(find).clone()
    }

    /// Warns, once per engine, that the KV cache is too small.
    fn warn(&self, slots: usize, detail: &str) {
        // No code panics under this lock, so poisoning can be ignored.
        let warn = self.warn.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(warn) = warn {
            warn(&format!(
                "the KV cache holds {slots} tokens per shard, which is too few: {detail}. Results \
                 are the same but take longer; give a larger cache with --cache"
            ));
        }
    }
}

/// One engine thread: its KV slots, its prefix cache and the sequences in flight.
pub(crate) struct Shard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) max_sequences: usize,
    pub(crate) model: Box<dyn Forward>,
    /// KV slots, free and in use.
    pub(crate) kv_slots: KvSlots,
    pub(crate) prefix_cache: PrefixCache,
    /// Requests not admitted yet, oldest first.
    waiting: VecDeque<RequestState>,
    /// Admitted requests by id.
    pub(crate) requests: BTreeMap<u64, RequestState>,
    /// Ids of requests whose prefill waits for another sequence that is about to cache the same
    /// prefix.
    awaiting_prefix: Vec<u64>,
    pub(crate) sequences: Vec<Sequence>,
    next_request_id: u64,
    /// KV slots reserved by admitted requests. Never above the capacity, so no request is ever
    /// preempted (unlike vLLM).
    reserved: usize,
    /// Tokens computed so far, for all requests.
    computed: u64,
    /// Number of `computed` tokens that had been computed and evicted before.
    recomputed: u64,
    /// Sequences whose last hidden state is computed and whose logits are not. [`Self::read_logits`]
    /// computes the logits of all of them together, then samples or judges.
    pub(crate) awaiting_logits: AwaitingLogits,
    /// Hidden states of an engine step, `[rows, hidden size]`; a buffer kept between steps.
    hidden: Vec<f32>,
    /// Logits, `[sequences, vocabulary]`; a buffer kept between steps.
    pub(crate) logits: Vec<f32>,
}

impl Shard {
    /// Creates a shard with a KV capacity of `slots` tokens. It admits requests while their sequences
    /// together are at most `max_sequences`; a request that alone has more sequences is admitted when the
    /// shard is idle.
    pub(crate) fn new(
        shared: Arc<Shared>,
        model: Box<dyn Forward>,
        slots: usize,
        max_sequences: usize,
    ) -> Self {
        Self {
            shared,
            max_sequences,
            model,
            kv_slots: KvSlots::new(slots),
            prefix_cache: PrefixCache::new(),
            waiting: VecDeque::new(),
            requests: BTreeMap::new(),
            awaiting_prefix: Vec::new(),
            sequences: Vec::new(),
            next_request_id: 0,
            reserved: 0,
            computed: 0,
            recomputed: 0,
            awaiting_logits: AwaitingLogits::default(),
            hidden: Vec::new(),
            logits: Vec::new(),
        }
    }

    /// Serves requests until all senders of `calls` are dropped. Requests in flight are then
    /// abandoned, so shutdown takes at most one engine step.
    pub(crate) fn run(mut self, calls: &Receiver<RequestState>) {
        loop {
            if self.sequences.is_empty() && self.waiting.is_empty() {
                match calls.recv() {
                    Ok(state) => self.waiting.push_back(state),
                    Err(_) => return,
                }
            }
            loop {
                match calls.try_recv() {
                    Ok(state) => self.waiting.push_back(state),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            self.admit();
            self.step();
        }
    }

    /// Admits waiting requests, first come first served, until the limit of sequences or of KV slots is
    /// reached.
    fn admit(&mut self) {
        while let Some(state) = self.waiting.front_mut() {
            let in_flight = self.sequences.len() + self.awaiting_logits.width();
            let busy = in_flight > 0;
            if busy && in_flight + self.awaiting_prefix.len() + state.width() > self.max_sequences {
                break;
            }
            let capacity = self.kv_slots.capacity();
            if self.reserved + state.reserved > capacity {
                if busy {
                    break;
                }
                // The shard is idle and the request still does not fit: sample its candidates in
                // several waves, or fail.
                let need = state.reserved;
                if let Err(error) = state.shrink(capacity) {
                    if let Some(state) = self.waiting.pop_front() {
                        state.answer(Err(error));
                    }
                    continue;
                }
                let detail = format!("one request needs {need}; it samples in several waves");
                self.shared.warn(capacity, &detail);
            }
            if let Some(state) = self.waiting.pop_front() {
                self.reserved += state.reserved;
                let id = self.next_request_id;
                self.next_request_id += 1;
                self.requests.insert(id, state);
                self.start_prefill(id);
            }
        }
    }

    /// Starts the request's next prefill after its longest cached prefix. If everything is cached,
    /// the request continues at once; if another sequence is about to cache the next token, the
    /// request waits in `awaiting_prefix` to reuse it.
    pub(crate) fn start_prefill(&mut self, id: u64) {
        let Some(state) = self.requests.get_mut(&id) else { return };
        let Some(span) = state.next_prefill() else { return };
        let mut found = self.prefix_cache.find(&span.ids[..span.cacheable]);
        let n = found.slots.len();
        if n < span.cacheable
            && self.sequences.iter().any(|sequence| sequence.will_cache(&span.ids[..=n]))
        {
            self.awaiting_prefix.push(id);
            return;
        }
        if n < span.cacheable && self.prefix_cache.was_evicted(&span.ids[..=n]) {
            let again = (span.cacheable - n) as u64;
            state.usage.recomputed += again;
            self.recomputed += again;
        }
        // `first_needed` is the first position whose hidden state is needed; `ready` means that this state is
        // not needed or already cached. A judge computes its question after the prefix and needs no hidden
        // state of the prefix.
        let judge = matches!(state.kind, Kind::Judge { .. });
        let ready = n == span.cacheable && (judge || found.hidden.is_some());
        if !ready && n > span.first_needed {
            // The prefix is cached without the hidden state of its last token: recompute that
            // token.
            found = self.prefix_cache.find(&span.ids[..span.first_needed]);
        }
        self.prefix_cache.pin(found.node);
        state.usage.reused += found.slots.len() as u64;
        let mut sequence = Sequence {
            shared: found.slots.len(),
            node: found.node,
            slots: found.slots,
            ids: span.ids,
            role: Role::Prefill(Prefill {
                request: id,
                first_needed: if ready { span.cacheable } else { span.first_needed },
                cacheable: span.cacheable,
                last: vec![],
            }),
        };
        let known = found.hidden.filter(|_| ready).unwrap_or_default();
        match self.take_hidden(&mut sequence, &known) {
            Err(detail) => self.fail(sequence, &detail),
            Ok(()) if sequence.pending() == 0 => self.finish_prefill(sequence),
            Ok(()) => self.sequences.push(sequence),
        }
    }

    /// Consumes final hidden states `[n, D]` of a prefill. For a `Score` request, computes
    /// log-probabilities from them; otherwise keeps only the last state, from which sampling or judging
    /// starts.
    fn take_hidden(&mut self, sequence: &mut Sequence, rows: &[f32]) -> Result<(), String> {
        let Role::Prefill(prefill) = &mut sequence.role else { return Ok(()) };
        if rows.is_empty() {
            return Ok(());
        }
        if let Some(RequestState { kind: Kind::Score { .. }, .. }) =
            self.requests.get(&prefill.request)
        {
            return self.score(prefill.request, rows);
        }
        let d = self.shared.config.hidden_size;
        prefill.last.clear();
        prefill.last.extend_from_slice(&rows[rows.len() - d..]);
        Ok(())
    }

    /// Runs one engine step: samples for requests whose whole prefix was cached, computes one forward pass
    /// over the rows of all sequences, and samples from its hidden states.
    fn step(&mut self) {
        self.read_logits();
        if self.sequences.is_empty() {
            return;
        }
        let counts = self.schedule();
        for (sequence, &n) in self.sequences.iter_mut().zip(&counts) {
            for _ in 0..n {
                let slot = take_slot(&mut self.kv_slots, &mut self.prefix_cache);
                sequence.slots.push(slot);
            }
        }
        self.count(&counts);
        let order = self.by_shared_prefix();
        let mut rows: Vec<TokenRow> = Vec::with_capacity(counts.iter().sum());
        let mut starts = vec![0; counts.len()];
        for index in order {
            let sequence = &self.sequences[index];
            starts[index] = rows.len();
            let new = sequence.slots.len() - counts[index]..sequence.slots.len();
            rows.extend(new.map(|p| TokenRow { id: sequence.ids[p], path: &sequence.slots[..=p] }));
        }
        let mut hidden = std::mem::take(&mut self.hidden);
        let computed = self.model.hidden(&rows, &mut hidden);
        drop(rows);
        match computed {
            Ok(()) => {
                let ranges = starts.iter().zip(&counts).map(|(&start, &n)| start..start + n);
                self.process_outputs(ranges, &hidden);
            }
            Err(error) => {
                let sequences = std::mem::take(&mut self.sequences);
                sequences.into_iter().for_each(|sequence| self.fail(sequence, &error.to_string()));
            }
        }
        self.hidden = hidden;
        for id in std::mem::take(&mut self.awaiting_prefix) {
            self.start_prefill(id);
        }
        self.read_logits();
    }

    /// Returns the indices of the sequences, ordered so that sequences with a common prefix are adjacent:
    /// attention then reads the prefix's keys and values once for several rows.
    fn by_shared_prefix(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.sequences.len()).collect();
        order.sort_by(|&a, &b| self.sequences[a].slots.cmp(&self.sequences[b].slots));
        order
    }

    /// Returns the number of tokens that each sequence computes in this step: one for a decoding sequence;
    /// for a prefill, as many as the budget left by earlier sequences allows, possibly 0. The first
    /// sequence always gets at least one, so every step makes progress.
    fn schedule(&self) -> Vec<usize> {
        let mut budget = MAX_BATCHED_TOKENS;
        self.sequences
            .iter()
            .map(|sequence| {
                let n = match sequence.role {
                    Role::Decode(_) => 1,
                    Role::Prefill(_) => sequence.pending().min(budget),
                };
                budget = budget.saturating_sub(n);
                n
            })
            .collect()
    }

    /// Adds the rows of this step to the usage of their requests. A row that several requests share is
    /// counted for one of them ([`Sequence::charged_request`]).
    fn count(&mut self, counts: &[usize]) {
        let computed = counts.iter().sum::<usize>() as u64;
        self.computed += computed;
        if let Some(meter) = &self.shared.meter {
            meter.computed(computed);
        }
        let (all, again) = (self.computed, self.recomputed);
        let share = RECOMPUTED_WARN_SHARE * all as f64;
        if again >= RECOMPUTED_WARN_TOKENS && again as f64 >= share {
            let detail = format!("{again} of {all} tokens had been computed before and evicted");
            self.shared.warn(self.kv_slots.capacity(), &detail);
        }
        for (sequence, &n) in self.sequences.iter().zip(counts) {
            let Some(state) = sequence.charged_request().and_then(|id| self.requests.get_mut(&id))
            else {
                continue;
            };
            match &sequence.role {
                Role::Decode(_) => state.usage.sampling_rows += n as u64,
                Role::Prefill(prefill) => {
                    let end = sequence.slots.len();
                    // Rows after the cacheable prefix: a judge's question.
                    let past = end.saturating_sub(prefill.cacheable.max(end - n));
                    state.count(n, past);
                }
            }
        }
    }

    /// Gives each sequence its rows of the hidden states (`ranges`, in the order of the sequences), puts
    /// prefilled tokens into the prefix cache, and continues requests whose prefill is complete.
    fn process_outputs(&mut self, ranges: impl Iterator<Item = Range<usize>>, hidden: &[f32]) {
        let d = self.shared.config.hidden_size;
        let mut finished = Vec::new();
        for (mut sequence, range) in std::mem::take(&mut self.sequences).into_iter().zip(ranges) {
            let n = range.len();
            let rows = &hidden[range.start * d..range.end * d];
            let first = sequence.slots.len() - n;
            let Role::Prefill(Prefill { first_needed, cacheable, .. }) = sequence.role else {
                self.await_logits(sequence, rows);
                continue;
            };
            sequence.cache_computed(cacheable, &mut self.prefix_cache, &mut self.kv_slots);
            if first_needed < cacheable && (first..first + n).contains(&(cacheable - 1)) {
                let row = &rows[(cacheable - 1 - first) * d..][..d];
                self.prefix_cache.keep_hidden(sequence.node, row.to_vec());
            }
            let skip = first_needed.saturating_sub(first).min(n);
            match self.take_hidden(&mut sequence, &rows[skip * d..]) {
                Err(detail) => self.fail(sequence, &detail),
                Ok(()) if sequence.pending() == 0 => finished.push(sequence),
                Ok(()) => self.sequences.push(sequence),
            }
        }
        for sequence in finished {
            self.finish_prefill(sequence);
        }
    }

    /// Continues a request whose prefill is complete: starts sampling, judges from the next logits, or
    /// finishes a `Score` or `Hidden` request.
    fn finish_prefill(&mut self, mut sequence: Sequence) {
        let Role::Prefill(Prefill { request, last, .. }) = &mut sequence.role else { return };
        let (id, last) = (*request, std::mem::take(last));
        match self.requests.get(&id).map(|state| &state.kind) {
            Some(Kind::Propose { .. }) => self.sample_from(sequence, id, &last),
            Some(Kind::Judge { .. }) => self.await_logits(sequence, &last),
            Some(Kind::Score { .. }) => self.finish_score(sequence, id),
            Some(Kind::Hidden { .. }) => self.finish_hidden(sequence, id, last),
            None => sequence.release(&mut self.prefix_cache, &mut self.kv_slots),
        }
    }

    /// Answers a request and releases its reservation of KV slots.
    pub(crate) fn answer(&mut self, id: u64, result: Result<Response, PolicyError>) {
        if let Some(state) = self.requests.remove(&id) {
            self.reserved -= state.reserved;
            state.answer(result);
        }
    }

    /// Fails all requests of a sequence.
    pub(crate) fn fail(&mut self, sequence: Sequence, detail: &str) {
        let mut ids: Vec<u64> = match &sequence.role {
            Role::Prefill(prefill) => vec![prefill.request],
            Role::Decode(candidates) => candidates.iter().map(|c| c.request).collect(),
        };
        ids.dedup();
        sequence.release(&mut self.prefix_cache, &mut self.kv_slots);
        ids.into_iter().for_each(|id| self.abort(id, detail));
    }

    /// Fails a request and removes its candidates from their sequences; a sequence left without
    /// candidates is released.
    pub(crate) fn abort(&mut self, id: u64, detail: &str) {
        for mut sequence in std::mem::take(&mut self.sequences) {
            if sequence.serves(id) {
                if let Role::Decode(candidates) = &mut sequence.role {
                    candidates.retain(|c| c.request != id);
                    if !candidates.is_empty() {
                        self.sequences.push(sequence);
                        continue;
                    }
                }
                sequence.release(&mut self.prefix_cache, &mut self.kv_slots);
            } else {
                self.sequences.push(sequence);
            }
        }
        self.answer(id, Err(PolicyError::Model(detail.to_owned())));
    }
}

/// Takes a free KV slot, evicting the least recently used prefixes until there is one. Panics if
/// nothing can be evicted; reservations at admission make that impossible.
fn take_slot(free: &mut KvSlots, tree: &mut PrefixCache) -> u32 {
    loop {
        match free.take() {
            Some(slot) => return slot,
            None => assert!(tree.evict(free), "sequences use more slots than they reserved"),
        }
    }
}
