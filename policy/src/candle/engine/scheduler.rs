//! Continuous batching: all requests in flight share one forward pass a step.
//!
//! A shard is a thread with its own keys, values and prefix tree. Every step it takes in requests,
//! computes one row for every sequence that samples and a few for sequences that still read, and hands out
//! what is finished. Equal requests get equal bits whatever else is in flight (see `decoder`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam::channel::{Receiver, TryRecvError};
use regrowth_datasets::TokenId;

use crate::candle::checkpoint::config::ModelConfig;
use crate::candle::engine::kv_slots::KvSlots;
use crate::candle::engine::prefix_cache::PrefixCache;
use crate::candle::engine::request::{Kind, RequestState};
use crate::candle::engine::sequence::{Prefill, Role, Sequence};
use crate::candle::model::forward::{Forward, TokenRow};
use crate::decorate::Meter;
use crate::text::tokenizer::Tokenizer;
use crate::{PolicyError, Response};

/// Rows of one step that sequences may spend on prefill given tokens.
pub(crate) const PREFILL_ROWS: usize = 256;

/// What all shards share.
pub(crate) struct Shared {
    /// Shapes of the model.
    pub(crate) config: ModelConfig,
    pub(crate) tokenizer: Tokenizer,
    /// Ids that mean (A) and (B).
    pub(crate) labels: [Vec<TokenId>; 2],
    /// Who is told that the cache is too small, until that was said.
    warn: Mutex<Option<fn(&str)>>,
    /// Counts the tokens of every step.
    meter: Option<Arc<Meter>>,
}

/// Share of the computed tokens that was computed before, from which the cache is too small, and the
/// tokens from which a share means something (taste).
const AGAIN: (f64, u64) = (0.05, 256);

impl Shared {
    pub(crate) fn new(
        config: ModelConfig,
        tokenizer: Tokenizer,
        labels: [Vec<TokenId>; 2],
        warn: Option<fn(&str)>,
        meter: Option<Arc<Meter>>,
    ) -> Self {
        Self { config, tokenizer, labels, warn: Mutex::new(warn), meter }
    }

    /// Says once what is wrong with the cache.
    fn warn(&self, slots: usize, detail: &str) {
        // Nothing can panic while this lock is held; a poisoned one is as good.
        let warn = self.warn.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(warn) = warn {
            warn(&format!(
                "the cache for keys and values holds {slots} tokens a shard, too few: {detail}. The \
                 results are the same, later; a larger cache (--cache) is faster"
            ));
        }
    }
}

/// One thread of the engine.
pub(crate) struct Shard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) max_sequences: usize,
    pub(crate) model: Box<dyn Forward>,
    /// KvSlots for keys and values.
    pub(crate) free: KvSlots,
    pub(crate) tree: PrefixCache,
    waiting: VecDeque<RequestState>,
    pub(crate) requests: BTreeMap<u64, RequestState>,
    /// Jobs whose next tokens another sequence is computing just now.
    joining: Vec<u64>,
    pub(crate) sequences: Vec<Sequence>,
    next_job: u64,
    reserved: usize,
    /// Tokens computed, and those of them that had been computed and evicted before.
    computed: [u64; 2],
    /// Hidden rows of a step, `[R, D]`; kept for their memory.
    hidden: Vec<f32>,
    /// Logits of the rows being sampled from, `[n, V]`; kept for their memory.
    pub(crate) logits: Vec<f32>,
}

impl Shard {
    /// A shard with room for `slots` tokens and about `max_sequences` sequences at once.
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
            free: KvSlots::new(slots),
            tree: PrefixCache::new(),
            waiting: VecDeque::new(),
            requests: BTreeMap::new(),
            joining: Vec::new(),
            sequences: Vec::new(),
            next_job: 0,
            reserved: 0,
            computed: [0; 2],
            hidden: Vec::new(),
            logits: Vec::new(),
        }
    }

    /// Serves requests until nobody can ask any more: requests in work are then abandoned, so that a stop is
    /// one forward pass away.
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

    /// Starts waiting requests while there is room for their sequences and their slots.
    fn admit(&mut self) {
        while let Some(state) = self.waiting.front_mut() {
            let busy = !self.sequences.is_empty();
            if busy
                && self.sequences.len() + self.joining.len() + state.width() > self.max_sequences
            {
                break;
            }
            let have = self.free.capacity();
            if self.reserved + state.reserved > have {
                if busy {
                    break;
                }
                // Alone it may still fit with fewer candidates at once.
                let need = state.reserved;
                if let Err(error) = state.shrink(have) {
                    if let Some(state) = self.waiting.pop_front() {
                        state.answer(Err(error));
                    }
                    continue;
                }
                let steps = format!("one request asks for {need}, its candidates take steps");
                self.shared.warn(have, &steps);
            }
            if let Some(state) = self.waiting.pop_front() {
                self.reserved += state.reserved;
                let id = self.next_job;
                self.next_job += 1;
                self.requests.insert(id, state);
                self.start_prefill(id);
            }
        }
    }

    /// Starts the request's next prefill, samples at once where nothing is left to compute, or
    /// waits where another sequence is about to compute the same tokens.
    pub(crate) fn start_prefill(&mut self, id: u64) {
        let Some(state) = self.requests.get_mut(&id) else { return };
        let Some(pass) = state.next_prefill() else { return };
        let mut found = self.tree.find(&pass.ids[..pass.keep]);
        let n = found.slots.len();
        if n < pass.keep
            && self.sequences.iter().any(|sequence| sequence.will_keep(&pass.ids[..=n]))
        {
            self.joining.push(id);
            return;
        }
        if n < pass.keep && self.tree.was_evicted(&pass.ids[..=n]) {
            let again = (pass.keep - n) as u64;
            state.usage.recomputed += again;
            self.computed[1] += again;
        }
        let judge = matches!(state.kind, Kind::Judge { .. });
        let ready = n == pass.keep && (judge || found.hidden.is_some());
        if !ready && n > pass.wanted {
            // The last token's hidden row is needed and was not kept: compute that token again.
            found = self.tree.find(&pass.ids[..pass.wanted]);
        }
        self.tree.pin(found.node);
        state.usage.reused += found.slots.len() as u64;
        let mut sequence = Sequence {
            shared: found.slots.len(),
            node: found.node,
            slots: found.slots,
            ids: pass.ids,
            role: Role::Prefill(Prefill {
                request: id,
                wanted: if ready { pass.keep } else { pass.wanted },
                keep: pass.keep,
                last: vec![],
            }),
        };
        let known = found.hidden.filter(|_| ready).unwrap_or_default();
        match self.read(&mut sequence, &known) {
            Err(detail) => self.fail(sequence, &detail),
            Ok(()) if sequence.pending() == 0 => self.finish_prefill(sequence),
            Ok(()) => self.sequences.push(sequence),
        }
    }

    /// Takes in hidden rows of wanted positions `[n, D]`, the next ones of a sequence that reads.
    fn read(&mut self, sequence: &mut Sequence, rows: &[f32]) -> Result<(), String> {
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

    /// One forward pass over rows of all sequences, and what follows from it.
    fn step(&mut self) {
        if self.sequences.is_empty() {
            return;
        }
        let counts = self.plan();
        for (sequence, &n) in self.sequences.iter_mut().zip(&counts) {
            for _ in 0..n {
                let slot = take_slot(&mut self.free, &mut self.tree);
                sequence.slots.push(slot);
            }
        }
        self.count(&counts);
        let rows: Vec<TokenRow> = self
            .sequences
            .iter()
            .zip(&counts)
            .flat_map(|(sequence, &n)| {
                (sequence.slots.len() - n..sequence.slots.len())
                    .map(|p| TokenRow { id: sequence.ids[p], path: &sequence.slots[..=p] })
            })
            .collect();
        let mut hidden = std::mem::take(&mut self.hidden);
        let computed = self.model.hidden(&rows, &mut hidden);
        drop(rows);
        match computed {
            Ok(()) => self.after(&counts, &hidden),
            Err(error) => {
                let sequences = std::mem::take(&mut self.sequences);
                sequences.into_iter().for_each(|sequence| self.fail(sequence, &error.to_string()));
            }
        }
        self.hidden = hidden;
        for id in std::mem::take(&mut self.joining) {
            self.start_prefill(id);
        }
    }

    /// Rows of each sequence in this step: one for sampling sequences, what the budget allows for others
    /// (at least one for the first).
    fn plan(&self) -> Vec<usize> {
        let mut budget = PREFILL_ROWS;
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

    /// Counts the rows of this step, each once, for the requests that need them.
    fn count(&mut self, counts: &[usize]) {
        let computed = counts.iter().sum::<usize>() as u64;
        self.computed[0] += computed;
        if let Some(meter) = &self.shared.meter {
            meter.computed(computed);
        }
        let [all, again] = self.computed;
        if again >= AGAIN.1 && again as f64 >= AGAIN.0 * all as f64 {
            let detail = format!("{again} of {all} tokens computed so far were computed before");
            self.shared.warn(self.free.capacity(), &detail);
        }
        for (sequence, &n) in self.sequences.iter().zip(counts) {
            let Some(state) = sequence.payer().and_then(|id| self.requests.get_mut(&id)) else {
                continue;
            };
            match &sequence.role {
                Role::Decode(_) => state.usage.sampling_rows += n as u64,
                Role::Prefill(prefill) => {
                    let end = sequence.slots.len();
                    let past = end.saturating_sub(prefill.keep.max(end - n));
                    state.count(n, past);
                }
            }
        }
    }

    /// Distributes hidden rows to the sequences that want them.
    fn after(&mut self, counts: &[usize], hidden: &[f32]) {
        let d = self.shared.config.hidden_size;
        let mut sampled: Vec<Sequence> = Vec::new();
        let mut sampled_rows: Vec<f32> = Vec::new();
        let mut offset = 0;
        let mut finished = Vec::new();
        for (mut sequence, &n) in std::mem::take(&mut self.sequences).into_iter().zip(counts) {
            let rows = &hidden[offset * d..(offset + n) * d];
            offset += n;
            let first = sequence.slots.len() - n;
            let Role::Prefill(Prefill { wanted, keep, .. }) = sequence.role else {
                sampled_rows.extend_from_slice(rows);
                sampled.push(sequence);
                continue;
            };
            sequence.settle(keep, &mut self.tree, &mut self.free);
            if wanted < keep && (first..first + n).contains(&(keep - 1)) {
                let row = &rows[(keep - 1 - first) * d..][..d];
                self.tree.keep_hidden(sequence.node, row.to_vec());
            }
            let skip = wanted.saturating_sub(first).min(n);
            match self.read(&mut sequence, &rows[skip * d..]) {
                Err(detail) => self.fail(sequence, &detail),
                Ok(()) if sequence.pending() == 0 => finished.push(sequence),
                Ok(()) => self.sequences.push(sequence),
            }
        }
        self.sample(sampled, &sampled_rows, false);
        for sequence in finished {
            self.finish_prefill(sequence);
        }
    }

    /// All tokens of a pass are computed: go on with what the request is for.
    fn finish_prefill(&mut self, mut sequence: Sequence) {
        let Role::Prefill(Prefill { request, last, .. }) = &mut sequence.role else { return };
        let (id, last) = (*request, std::mem::take(last));
        match self.requests.get(&id).map(|state| &state.kind) {
            Some(Kind::Propose { .. }) => self.sample_from(sequence, id, &last),
            Some(Kind::Judge { .. }) => self.judged(sequence, id, &last),
            Some(Kind::Score { .. }) => self.scored(sequence, id),
            None => sequence.leave(&mut self.tree, &mut self.free),
        }
    }

    /// Answers a request and gives back what it reserved.
    pub(crate) fn answer(&mut self, id: u64, result: Result<Response, PolicyError>) {
        if let Some(state) = self.requests.remove(&id) {
            self.reserved -= state.reserved;
            state.answer(result);
        }
    }

    /// Ends the requests of a sequence with an error.
    pub(crate) fn fail(&mut self, sequence: Sequence, detail: &str) {
        let mut ids: Vec<u64> = match &sequence.role {
            Role::Prefill(prefill) => vec![prefill.request],
            Role::Decode(candidates) => candidates.iter().map(|c| c.request).collect(),
        };
        ids.dedup();
        sequence.leave(&mut self.tree, &mut self.free);
        ids.into_iter().for_each(|id| self.end(id, detail));
    }

    /// Ends a request with an error; sequences that serve no other request leave.
    pub(crate) fn end(&mut self, id: u64, detail: &str) {
        for mut sequence in std::mem::take(&mut self.sequences) {
            if sequence.serves(id) {
                if let Role::Decode(candidates) = &mut sequence.role {
                    candidates.retain(|c| c.request != id);
                    if !candidates.is_empty() {
                        self.sequences.push(sequence);
                        continue;
                    }
                }
                sequence.leave(&mut self.tree, &mut self.free);
            } else {
                self.sequences.push(sequence);
            }
        }
        self.answer(id, Err(PolicyError::Model(detail.to_owned())));
    }
}

/// A free slot; evicts old prefixes until there is one. Reservations make sure that there is.
fn take_slot(free: &mut KvSlots, tree: &mut PrefixCache) -> u32 {
    loop {
        match free.take() {
            Some(slot) => return slot,
            None => assert!(tree.evict(free), "sequences use more slots than they reserved"),
        }
    }
}
