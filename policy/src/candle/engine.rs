//! Continuous batching: all requests in flight share one forward pass a turn.
//!
//! A shard is a thread with its own keys, values and prefix tree. Every turn it takes in requests,
//! computes one row for every lane that samples and a few for lanes that still read, and hands out
//! what is finished. Equal requests get equal bits whatever else is in flight (see `decoder`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crossbeam::channel::Receiver;
use regrowth_datasets::{Finish, Step, TokenId, keyed_rng};

use super::boundary;
use super::decoder::{Decoder, Row};
use super::job::{Job, Kind};
use super::kv::KvStore;
use super::lane::{Candidate, Lane, Role};
use super::prefix::PrefixTree;
use super::sampler;
use super::tokenizer::Tokenizer;
use crate::{Candidates, Judgement, PolicyError, Response, Sampling, Scores};

/// Rows of one turn that lanes may spend on reading given tokens.
const READ_ROWS: usize = 256;

/// Probability that the two labels must hold together to mean anything (taste).
const LABEL_MASS_FLOOR: f64 = 0.05;

/// What all shards share.
pub(super) struct Shared {
    pub(super) decoder: Decoder,
    pub(super) tokenizer: Tokenizer,
    /// Ids that mean (A) and (B).
    pub(super) labels: [Vec<TokenId>; 2],
}

/// One thread of the engine.
pub(super) struct Shard {
    shared: Arc<Shared>,
    max_lanes: usize,
    kv: KvStore,
    tree: PrefixTree,
    waiting: VecDeque<Job>,
    jobs: BTreeMap<u64, Job>,
    lanes: Vec<Lane>,
    next_job: u64,
    reserved: usize,
}

impl Shard {
    /// A shard with room for `slots` tokens and about `max_lanes` sequences at once.
    pub(super) fn new(shared: Arc<Shared>, slots: usize, max_lanes: usize) -> Self {
        let config = shared.decoder.config();
        let kv = KvStore::new(config.layers, config.kv_heads * config.head_dim, slots);
        Self {
            shared,
            max_lanes,
            kv,
            tree: PrefixTree::new(),
            waiting: VecDeque::new(),
            jobs: BTreeMap::new(),
            lanes: Vec::new(),
            next_job: 0,
            reserved: 0,
        }
    }

    /// Serves requests until the channel closes and all are answered.
    pub(super) fn run(mut self, calls: &Receiver<Job>) {
        loop {
            if self.lanes.is_empty() && self.waiting.is_empty() {
                match calls.recv() {
                    Ok(job) => self.waiting.push_back(job),
                    Err(_) => return,
                }
            }
            self.waiting.extend(calls.try_iter());
            self.admit();
            self.turn();
        }
    }

    /// Starts waiting jobs while there is room for their lanes and their slots.
    fn admit(&mut self) {
        while let Some(job) = self.waiting.front() {
            let busy = !self.lanes.is_empty();
            if busy && self.lanes.len() + job.width() > self.max_lanes {
                break;
            }
            if self.reserved + job.reserved > self.kv.capacity() {
                if busy {
                    break;
                }
                if let Some(job) = self.waiting.pop_front() {
                    let need = job.reserved;
                    let have = self.kv.capacity();
                    job.answer(Err(PolicyError::Request(format!(
                        "the request needs room for {need} tokens, but the cache holds {have}; \
                         raise the cache budget"
                    ))));
                }
                continue;
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

    /// Puts the job's next pass on a lane, or samples at once where nothing is left to compute.
    fn start_pass(&mut self, id: u64) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(pass) = job.next_pass() else { return };
        let asks_next_only = matches!(job.kind, Kind::Propose { .. } | Kind::Judge { .. });
        let mut found = self.tree.find(&pass.ids[..pass.keep]);
        let whole = found.slots.len() == pass.keep;
        let ready = whole && found.hidden.is_some() && asks_next_only;
        if !ready && found.slots.len() > pass.wanted {
            // The last token's hidden row is needed and was not kept: compute that token again.
            found = self.tree.find(&pass.ids[..pass.wanted]);
        }
        let wanted = if ready { pass.keep } else { pass.wanted };
        self.tree.pin(found.node);
        job.usage.reused += found.slots.len() as u64;
        job.count(pass.ids.len() - found.slots.len(), pass.ids.len() - pass.keep);
        let lane = Lane {
            job: id,
            shared: found.slots.len(),
            node: found.node,
            slots: found.slots,
            ids: pass.ids,
            role: Role::Pass { wanted, keep: pass.keep, hidden: vec![] },
        };
        match found.hidden.filter(|_| ready && lane.pending() == 0) {
            Some(hidden) => self.sample_from(lane, &hidden),
            None => self.lanes.push(lane),
        }
    }

    /// One forward pass over rows of all lanes, and what follows from it.
    fn turn(&mut self) {
        if self.lanes.is_empty() {
            return;
        }
        let counts = self.plan();
        for (lane, &n) in self.lanes.iter_mut().zip(&counts) {
            for _ in 0..n {
                let slot = take_slot(&mut self.kv, &mut self.tree);
                lane.slots.push(slot);
            }
        }
        let rows: Vec<Row> = self
            .lanes
            .iter()
            .zip(&counts)
            .flat_map(|(lane, &n)| {
                (lane.slots.len() - n..lane.slots.len())
                    .map(|p| Row { id: lane.ids[p], path: &lane.slots[..=p] })
            })
            .collect();
        let hidden = self.shared.decoder.hidden(&rows, &mut self.kv);
        drop(rows);
        self.after(&counts, &hidden);
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
                    Role::Pass { .. } => lane.pending().min(budget),
                };
                budget = budget.saturating_sub(n);
                n
            })
            .collect()
    }

    /// Distributes hidden rows to the lanes that want them.
    fn after(&mut self, counts: &[usize], hidden: &[f32]) {
        let d = self.shared.decoder.config().hidden_size;
        let mut sampled: Vec<(Lane, Vec<f32>)> = Vec::new();
        let mut offset = 0;
        let lanes = std::mem::take(&mut self.lanes);
        let mut finished = Vec::new();
        for (mut lane, &n) in lanes.into_iter().zip(counts) {
            let rows = &hidden[offset * d..(offset + n) * d];
            offset += n;
            let first = lane.slots.len() - n;
            let pending = lane.pending();
            match &mut lane.role {
                Role::Sample(_) => sampled.push((lane, rows.to_vec())),
                Role::Pass { wanted, hidden, .. } => {
                    let skip = wanted.saturating_sub(first).min(n);
                    hidden.extend_from_slice(&rows[skip * d..]);
                    if pending == 0 { finished.push(lane) } else { self.lanes.push(lane) }
                }
            }
        }
        self.sample(sampled);
        for lane in finished {
            self.finish_pass(lane);
        }
    }

    /// Draws the next token of every sampling lane from its hidden row.
    fn sample(&mut self, lanes: Vec<(Lane, Vec<f32>)>) {
        let hidden: Vec<f32> = lanes.iter().flat_map(|(_, h)| h.iter().copied()).collect();
        let mut logits = self.shared.decoder.logits(&hidden);
        let v = self.shared.decoder.config().vocab_size;
        for ((lane, _), row) in lanes.into_iter().zip(logits.chunks_exact_mut(v)) {
            if sampler::normalise(row) {
                self.draw(lane, row);
            } else {
                self.fail(lane, "its logits are not finite numbers");
            }
        }
    }

    /// Draws one token for a lane and decides whether its candidate is complete.
    fn draw(&mut self, mut lane: Lane, logps: &[f32]) {
        let tokenizer = &self.shared.tokenizer;
        let Some(Job { kind: Kind::Propose { request, .. }, usage, .. }) =
            self.jobs.get_mut(&lane.job)
        else {
            // The job failed through another of its lanes.
            return lane.leave(&mut self.tree, &mut self.kv);
        };
        let Role::Sample(candidate) = &mut lane.role else { return };
        let greedy = request.greedy_first && candidate.index == 0;
        let sampling = if greedy { Sampling::greedy() } else { request.sampling };
        let drawn = sampler::draw(logps, &sampling, &mut candidate.rng);
        lane.ids.push(drawn.id);
        candidate.logps.push(drawn.logp);
        usage.decoded += 1;
        let step = &lane.ids[candidate.from..];
        let complete = boundary::is_complete(&request.boundary, step, tokenizer);
        candidate.finish = match complete {
            _ if tokenizer.is_eos(drawn.id) => Some(Finish::Eos),
            Ok(true) => Some(Finish::Boundary),
            _ if step.len() >= request.max_tokens => Some(Finish::Length),
            Ok(false) => None,
            Err(error) => return self.fail(lane, &error.to_string()),
        };
        if candidate.finish.is_some() {
            self.finish_candidate(lane);
        } else {
            self.lanes.push(lane);
        }
    }

    /// Starts the candidates of a proposal whose prefix is computed and ends in `hidden`.
    fn sample_from(&mut self, lane: Lane, hidden: &[f32]) {
        let Some(Job { kind: Kind::Propose { request, .. }, .. }) = self.jobs.get(&lane.job) else {
            return lane.leave(&mut self.tree, &mut self.kv);
        };
        let mut logits = self.shared.decoder.logits(hidden);
        if !sampler::normalise(&mut logits) {
            return self.fail(lane, "its logits are not finite numbers");
        }
        let keys = request.keys.clone();
        for (index, key) in keys.into_iter().enumerate() {
            self.tree.pin(lane.node);
            let candidate = Candidate {
                index,
                rng: keyed_rng(key, &[b"candidate"]),
                from: lane.ids.len(),
                logps: vec![],
                finish: None,
            };
            let own = Lane {
                job: lane.job,
                ids: lane.ids.clone(),
                slots: lane.slots.clone(),
                node: lane.node,
                shared: lane.shared,
                role: Role::Sample(Box::new(candidate)),
            };
            self.draw(own, &logits);
        }
        lane.leave(&mut self.tree, &mut self.kv);
    }

    /// Keeps what a finished candidate computed and stores its step; answers if it was the last.
    fn finish_candidate(&mut self, mut lane: Lane) {
        let id = lane.job;
        lane.settle(usize::MAX, &mut self.tree, &mut self.kv);
        let Role::Sample(candidate) = &mut lane.role else { return };
        let ids = lane.ids[candidate.from..].to_vec();
        let text = match self.shared.tokenizer.decode(&ids) {
            Ok(text) => text,
            Err(error) => return self.fail(lane, &error.to_string()),
        };
        let (index, finish) = (candidate.index, candidate.finish.unwrap_or(Finish::Length));
        let step = Step { ids, text, logps: std::mem::take(&mut candidate.logps), finish };
        lane.leave(&mut self.tree, &mut self.kv);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Kind::Propose { request, done } = &mut job.kind else { return };
        let logps_exact = request.sampling.is_exact() && !(request.greedy_first && index == 0);
        done[index] = Some(crate::Candidate { step, logps_exact });
        if done.iter().all(Option::is_some) {
            let candidates = done.iter_mut().filter_map(Option::take).collect();
            let usage = job.usage;
            self.answer(id, Ok(Response::Candidates(Candidates { candidates, usage })));
        }
    }

    /// All tokens of a pass are computed: keep the prefix, and go on with what the job is for.
    fn finish_pass(&mut self, mut lane: Lane) {
        let Role::Pass { wanted, keep, hidden } = &mut lane.role else { return };
        let (wanted, keep, hidden) = (*wanted, *keep, std::mem::take(hidden));
        let d = self.shared.decoder.config().hidden_size;
        lane.settle(keep, &mut self.tree, &mut self.kv);
        if wanted < keep {
            let at = (keep - 1 - wanted) * d;
            self.tree.keep_hidden(lane.node, hidden[at..at + d].to_vec());
        }
        let last = &hidden[hidden.len() - d..];
        match self.jobs.get(&lane.job).map(|j| &j.kind) {
            Some(Kind::Propose { .. }) => self.sample_from(lane, last),
            Some(Kind::Judge { .. }) => self.judged(lane, last),
            Some(Kind::Score { .. }) => self.scored(lane, &hidden),
            None => lane.leave(&mut self.tree, &mut self.kv),
        }
    }

    /// Reads the two labels' probabilities; asks the next question or answers.
    fn judged(&mut self, lane: Lane, hidden: &[f32]) {
        let mut logps = self.shared.decoder.logits(hidden);
        if !sampler::normalise(&mut logps) {
            return self.fail(lane, "its logits are not finite numbers");
        }
        let mass = |ids: &[TokenId]| ids.iter().map(|&i| f64::from(logps[i as usize]).exp()).sum();
        let (a, b): (f64, f64) = (mass(&self.shared.labels[0]), mass(&self.shared.labels[1]));
        let id = lane.job;
        lane.leave(&mut self.tree, &mut self.kv);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Kind::Judge { ask, answers, .. } = &mut job.kind else { return };
        if let Some((_, correct_first)) = ask.pop() {
            answers.push((if correct_first { a } else { b }, a + b));
        }
        if !ask.is_empty() {
            return self.start_pass(id);
        }
        let n = answers.len().max(1) as f64;
        let mass = answers.iter().map(|x| x.1).sum::<f64>() / n;
        let known = answers.iter().all(|x| x.1 >= LABEL_MASS_FLOOR);
        let correct = known.then(|| answers.iter().map(|x| x.0 / x.1).sum::<f64>() / n);
        let judgement = Judgement { correct, mass, usage: job.usage };
        self.answer(id, Ok(Response::Judgement(judgement)));
    }

    /// Scores every token of a continuation from the hidden rows before it.
    fn scored(&mut self, lane: Lane, hidden: &[f32]) {
        let d = self.shared.decoder.config().hidden_size;
        let v = self.shared.decoder.config().vocab_size;
        let Some(Job { kind: Kind::Score { request }, usage, .. }) = self.jobs.get(&lane.job)
        else {
            return lane.leave(&mut self.tree, &mut self.kv);
        };
        let (targets, usage) = (request.continuation.clone(), *usage);
        let mut logits = self.shared.decoder.logits(&hidden[..targets.len() * d]);
        let mut scores = Scores { logps: vec![], greedy: vec![], usage };
        for (row, &target) in logits.chunks_exact_mut(v).zip(&*targets) {
            if !sampler::normalise(row) {
                return self.fail(lane, "its logits are not finite numbers");
            }
            scores.logps.push(row[target as usize]);
            scores.greedy.push(sampler::greedy(row).id == target);
        }
        let id = lane.job;
        lane.leave(&mut self.tree, &mut self.kv);
        self.answer(id, Ok(Response::Scores(scores)));
    }

    /// Answers a job and gives back what it reserved.
    fn answer(&mut self, id: u64, result: Result<Response, PolicyError>) {
        if let Some(job) = self.jobs.remove(&id) {
            self.reserved -= job.reserved;
            job.answer(result);
        }
    }

    /// Ends a job with an error; all its lanes leave.
    fn fail(&mut self, lane: Lane, detail: &str) {
        let id = lane.job;
        lane.leave(&mut self.tree, &mut self.kv);
        let (others, kept) = std::mem::take(&mut self.lanes).into_iter().partition(|l| l.job == id);
        self.lanes = kept;
        let others: Vec<Lane> = others;
        others.into_iter().for_each(|l| l.leave(&mut self.tree, &mut self.kv));
        self.answer(id, Err(PolicyError::Model(detail.to_owned())));
    }
}

/// A free slot; gives up old prefixes until there is one. Reservations make sure that there is.
fn take_slot(kv: &mut KvStore, tree: &mut PrefixTree) -> u32 {
    loop {
        match kv.take() {
            Some(slot) => return slot,
            None => assert!(tree.evict(kv), "lanes use more slots than they reserved"),
        }
    }
}
