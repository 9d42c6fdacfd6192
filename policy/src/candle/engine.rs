//! Continuous batching: all requests in flight share one forward pass a turn.
//!
//! A shard is a thread with its own keys, values and prefix tree. Every turn it takes in requests,
//! computes one row for every lane that samples and a few for lanes that still read, and hands out
//! what is finished. Equal requests get equal bits whatever else is in flight (see `decoder`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam::channel::{Receiver, TryRecvError};
use regrowth_datasets::TokenId;

use super::config::ModelConfig;
use super::forward::{Forward, Row};
use super::job::{Job, Kind};
use super::lane::{Lane, Reading, Role};
use super::prefix::PrefixTree;
use super::slots::Slots;
use super::tokenizer::Tokenizer;
use crate::decorate::Meter;
use crate::{PolicyError, Response};

/// Rows of one turn that lanes may spend on reading given tokens.
pub(super) const READ_ROWS: usize = 256;

/// What all shards share.
pub(super) struct Shared {
    /// Shapes of the model.
    pub(super) config: ModelConfig,
    pub(super) tokenizer: Tokenizer,
    /// Ids that mean (A) and (B).
    pub(super) labels: [Vec<TokenId>; 2],
    /// Who is told that the cache is too small, until that was said.
    warn: Mutex<Option<fn(&str)>>,
    /// Counts the tokens of every turn.
    meter: Option<Arc<Meter>>,
}

/// Share of the computed tokens that was computed before, from which the cache is too small, and the
/// tokens from which a share means something (taste).
const AGAIN: (f64, u64) = (0.05, 256);

impl Shared {
    pub(super) fn new(
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
pub(super) struct Shard {
    pub(super) shared: Arc<Shared>,
    pub(super) max_lanes: usize,
    pub(super) model: Box<dyn Forward>,
    /// Slots for keys and values.
    pub(super) free: Slots,
    pub(super) tree: PrefixTree,
    waiting: VecDeque<Job>,
    pub(super) jobs: BTreeMap<u64, Job>,
    /// Jobs whose next tokens another lane is computing just now.
    joining: Vec<u64>,
    pub(super) lanes: Vec<Lane>,
    next_job: u64,
    reserved: usize,
    /// Tokens computed, and those of them that had been computed and given up before.
    computed: [u64; 2],
    /// Hidden rows of a turn, `[R, D]`; kept for their memory.
    hidden: Vec<f32>,
    /// Logits of the rows being sampled from, `[n, V]`; kept for their memory.
    pub(super) logits: Vec<f32>,
}

impl Shard {
    /// A shard with room for `slots` tokens and about `max_lanes` sequences at once.
    pub(super) fn new(
        shared: Arc<Shared>,
        model: Box<dyn Forward>,
        slots: usize,
        max_lanes: usize,
    ) -> Self {
        Self {
            shared,
            max_lanes,
            model,
            free: Slots::new(slots),
            tree: PrefixTree::new(),
            waiting: VecDeque::new(),
            jobs: BTreeMap::new(),
            joining: Vec::new(),
            lanes: Vec::new(),
            next_job: 0,
            reserved: 0,
            computed: [0; 2],
            hidden: Vec::new(),
            logits: Vec::new(),
        }
    }

    /// Serves requests until nobody can ask any more: what is then in work is given up, so that a stop is
    /// one pass away.
    pub(super) fn run(mut self, calls: &Receiver<Job>) {
        loop {
            if self.lanes.is_empty() && self.waiting.is_empty() {
                match calls.recv() {
                    Ok(job) => self.waiting.push_back(job),
                    Err(_) => return,
                }
            }
            loop {
                match calls.try_recv() {
                    Ok(job) => self.waiting.push_back(job),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            self.admit();
            self.turn();
        }
    }

    /// Starts waiting jobs while there is room for their lanes and their slots.
    fn admit(&mut self) {
        while let Some(job) = self.waiting.front_mut() {
            let busy = !self.lanes.is_empty();
            if busy && self.lanes.len() + self.joining.len() + job.width() > self.max_lanes {
                break;
            }
            let have = self.free.capacity();
            if self.reserved + job.reserved > have {
                if busy {
                    break;
                }
                // Alone it may still fit with fewer candidates at once.
                let need = job.reserved;
                if let Err(error) = job.shrink(have) {
                    if let Some(job) = self.waiting.pop_front() {
                        job.answer(Err(error));
                    }
                    continue;
                }
                let turns = format!("one request asks for {need}, its candidates take turns");
                self.shared.warn(have, &turns);
            }
            if let Some(job) = self.waiting.pop_front() {
                self.reserved += job.reserved;
                let id = self.next_job;
                self.next_job += 1;
                self.jobs.insert(id, job);
                self.start_pass(id);
            }
        }
    }

    /// Puts the job's next pass on a lane, samples at once where nothing is left to compute, or
    /// waits where another lane is about to compute the same tokens.
    pub(super) fn start_pass(&mut self, id: u64) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(pass) = job.next_pass() else { return };
        let mut found = self.tree.find(&pass.ids[..pass.keep]);
        let n = found.slots.len();
        if n < pass.keep && self.lanes.iter().any(|lane| lane.will_keep(&pass.ids[..=n])) {
            self.joining.push(id);
            return;
        }
        if n < pass.keep && self.tree.was_given_up(&pass.ids[..=n]) {
            let again = (pass.keep - n) as u64;
            job.usage.recomputed += again;
            self.computed[1] += again;
        }
        let judge = matches!(job.kind, Kind::Judge { .. });
        let ready = n == pass.keep && (judge || found.hidden.is_some());
        if !ready && n > pass.wanted {
            // The last token's hidden row is needed and was not kept: compute that token again.
            found = self.tree.find(&pass.ids[..pass.wanted]);
        }
        self.tree.pin(found.node);
        job.usage.reused += found.slots.len() as u64;
        let mut lane = Lane {
            shared: found.slots.len(),
            node: found.node,
            slots: found.slots,
            ids: pass.ids,
            role: Role::Pass(Reading {
                job: id,
                wanted: if ready { pass.keep } else { pass.wanted },
                keep: pass.keep,
                last: vec![],
            }),
        };
        let known = found.hidden.filter(|_| ready).unwrap_or_default();
        match self.read(&mut lane, &known) {
            Err(detail) => self.fail(lane, &detail),
            Ok(()) if lane.pending() == 0 => self.finish_pass(lane),
            Ok(()) => self.lanes.push(lane),
        }
    }

    /// Takes in hidden rows of wanted positions `[n, D]`, the next ones of a lane that reads.
    fn read(&mut self, lane: &mut Lane, rows: &[f32]) -> Result<(), String> {
        let Role::Pass(reading) = &mut lane.role else { return Ok(()) };
        if rows.is_empty() {
            return Ok(());
        }
        if let Some(Job { kind: Kind::Score { .. }, .. }) = self.jobs.get(&reading.job) {
            return self.score(reading.job, rows);
        }
        let d = self.shared.config.hidden_size;
        reading.last.clear();
        reading.last.extend_from_slice(&rows[rows.len() - d..]);
        Ok(())
    }

    /// One forward pass over rows of all lanes, and what follows from it.
    fn turn(&mut self) {
        if self.lanes.is_empty() {
            return;
        }
        let counts = self.plan();
        for (lane, &n) in self.lanes.iter_mut().zip(&counts) {
            for _ in 0..n {
                let slot = take_slot(&mut self.free, &mut self.tree);
                lane.slots.push(slot);
            }
        }
        self.count(&counts);
        let rows: Vec<Row> = self
            .lanes
            .iter()
            .zip(&counts)
            .flat_map(|(lane, &n)| {
                (lane.slots.len() - n..lane.slots.len())
                    .map(|p| Row { id: lane.ids[p], path: &lane.slots[..=p] })
            })
            .collect();
        let mut hidden = std::mem::take(&mut self.hidden);
        let computed = self.model.hidden(&rows, &mut hidden);
        drop(rows);
        match computed {
            Ok(()) => self.after(&counts, &hidden),
            Err(error) => {
                let lanes = std::mem::take(&mut self.lanes);
                lanes.into_iter().for_each(|lane| self.fail(lane, &error.to_string()));
            }
        }
        self.hidden = hidden;
        for id in std::mem::take(&mut self.joining) {
            self.start_pass(id);
        }
    }

    /// Rows of each lane in this turn: one for sampling lanes, what the budget allows for others
    /// (at least one for the first).
    fn plan(&self) -> Vec<usize> {
        let mut budget = READ_ROWS;
        self.lanes
            .iter()
            .map(|lane| {
                let n = match lane.role {
                    Role::Sample(_) => 1,
                    Role::Pass(_) => lane.pending().min(budget),
                };
                budget = budget.saturating_sub(n);
                n
            })
            .collect()
    }

    /// Counts the rows of this turn, each once, for the jobs that need them.
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
        for (lane, &n) in self.lanes.iter().zip(counts) {
            let Some(job) = lane.payer().and_then(|id| self.jobs.get_mut(&id)) else { continue };
            match &lane.role {
                Role::Sample(_) => job.usage.sampling_rows += n as u64,
                Role::Pass(reading) => {
                    let end = lane.slots.len();
                    let past = end.saturating_sub(reading.keep.max(end - n));
                    job.count(n, past);
                }
            }
        }
    }

    /// Distributes hidden rows to the lanes that want them.
    fn after(&mut self, counts: &[usize], hidden: &[f32]) {
        let d = self.shared.config.hidden_size;
        let mut sampled: Vec<Lane> = Vec::new();
        let mut sampled_rows: Vec<f32> = Vec::new();
        let mut offset = 0;
        let mut finished = Vec::new();
        for (mut lane, &n) in std::mem::take(&mut self.lanes).into_iter().zip(counts) {
            let rows = &hidden[offset * d..(offset + n) * d];
            offset += n;
            let first = lane.slots.len() - n;
            let Role::Pass(Reading { wanted, keep, .. }) = lane.role else {
                sampled_rows.extend_from_slice(rows);
                sampled.push(lane);
                continue;
            };
            lane.settle(keep, &mut self.tree, &mut self.free);
            if wanted < keep && (first..first + n).contains(&(keep - 1)) {
                let row = &rows[(keep - 1 - first) * d..][..d];
                self.tree.keep_hidden(lane.node, row.to_vec());
            }
            let skip = wanted.saturating_sub(first).min(n);
            match self.read(&mut lane, &rows[skip * d..]) {
                Err(detail) => self.fail(lane, &detail),
                Ok(()) if lane.pending() == 0 => finished.push(lane),
                Ok(()) => self.lanes.push(lane),
            }
        }
        self.sample(sampled, &sampled_rows, false);
        for lane in finished {
            self.finish_pass(lane);
        }
    }

    /// All tokens of a pass are computed: go on with what the job is for.
    fn finish_pass(&mut self, mut lane: Lane) {
        let Role::Pass(Reading { job, last, .. }) = &mut lane.role else { return };
        let (job, last) = (*job, std::mem::take(last));
        match self.jobs.get(&job).map(|j| &j.kind) {
            Some(Kind::Propose { .. }) => self.sample_from(lane, job, &last),
            Some(Kind::Judge { .. }) => self.judged(lane, job, &last),
            Some(Kind::Score { .. }) => self.scored(lane, job),
            None => lane.leave(&mut self.tree, &mut self.free),
        }
    }

    /// Answers a job and gives back what it reserved.
    pub(super) fn answer(&mut self, id: u64, result: Result<Response, PolicyError>) {
        if let Some(job) = self.jobs.remove(&id) {
            self.reserved -= job.reserved;
            job.answer(result);
        }
    }

    /// Ends the jobs of a lane with an error.
    pub(super) fn fail(&mut self, lane: Lane, detail: &str) {
        let mut ids: Vec<u64> = match &lane.role {
            Role::Pass(reading) => vec![reading.job],
            Role::Sample(candidates) => candidates.iter().map(|c| c.job).collect(),
        };
        ids.dedup();
        lane.leave(&mut self.tree, &mut self.free);
        ids.into_iter().for_each(|id| self.end(id, detail));
    }

    /// Ends a job with an error; lanes that serve no other job leave.
    pub(super) fn end(&mut self, id: u64, detail: &str) {
        for mut lane in std::mem::take(&mut self.lanes) {
            if lane.serves(id) {
                if let Role::Sample(candidates) = &mut lane.role {
                    candidates.retain(|c| c.job != id);
                    if !candidates.is_empty() {
                        self.lanes.push(lane);
                        continue;
                    }
                }
                lane.leave(&mut self.tree, &mut self.free);
            } else {
                self.lanes.push(lane);
            }
        }
        self.answer(id, Err(PolicyError::Model(detail.to_owned())));
    }
}

/// A free slot; gives up old prefixes until there is one. Reservations make sure that there is.
fn take_slot(free: &mut Slots, tree: &mut PrefixTree) -> u32 {
    loop {
        match free.take() {
            Some(slot) => return slot,
            None => assert!(tree.evict(free), "lanes use more slots than they reserved"),
        }
    }
}
