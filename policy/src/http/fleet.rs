//! Several servers of one model: who is asked, and what happens when one does not answer.
//!
//! Requests that begin alike go to one server, so that its prefix cache is of use, unless that one
//! is out or has much more to do than another. Repeated requests carry the same seeds, so who
//! answers in the end, and after which pause, changes no result. A request is answered once: what an
//! earlier attempt draws after all has nobody that listens.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use regrowth_datasets::{TokenId, stream_key};

use super::fault::{Busy, Fault};
use super::gate::{Gate, Permit};
use super::health::{FIRST_LOOK, LONGEST_LOOK};
use super::lora::Lora;
use super::server::Server;

/// Tokens that decide the server of a prefix, behind those with which all prompts begin: a system's turn
/// and worked examples are the same for all problems (as many as decide a shard of the engine here).
const ROUTE_TOKENS: usize = 24;

/// Requests that a server may have above the least busy one, beside their limits, before affinity gives way.
const AFFINITY_SLACK: usize = 16;

/// The first pause after a failure; it doubles up to the longest.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// How many times as often a request is tried while servers answer others: then it is luck, or the
/// request itself that a server cannot stand.
const WHILE_OTHERS_SUCCEED: u32 = 4;

/// The servers, and how often a request is tried.
pub(super) struct Fleet {
    pub(super) servers: Vec<Arc<Server>>,
    /// Times that a request is tried, at least 1.
    pub(super) attempts: u32,
    /// Requests that were answered.
    answered: AtomicU64,
    /// What all prompts so far begin with, and how much that is.
    head: Mutex<Option<Vec<TokenId>>>,
    head_len: AtomicUsize,
    /// The adapter that is asked, where it is one.
    lora: Option<Lora>,
    /// Candidates that are worked on at once.
    turns: Arc<Gate>,
}

/// The failed attempts of a request.
#[derive(Default)]
struct Tries {
    /// Since any request was answered.
    in_vain: u32,
    all: u32,
    /// Answers to all requests at the last attempt.
    answered: u64,
}

impl Fleet {
    /// `servers` that share these turns.
    pub(super) fn new(servers: Vec<Arc<Server>>, turns: Arc<Gate>, attempts: u32) -> Self {
        // With slack, or candidates that wait for one server would keep the others idle.
        turns.widen(AFFINITY_SLACK * servers.len().saturating_sub(1));
        Self {
            servers,
            attempts: attempts.max(1),
            answered: AtomicU64::new(0),
            head: Mutex::new(None),
            head_len: AtomicUsize::new(0),
            lora: None,
            turns,
        }
    }

    /// Takes note of the prompt of a problem.
    pub(super) fn note_prompt(&self, ids: &[TokenId]) {
        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let common = match &*head {
            // Of one prompt nothing is known to be common.
            None => 0,
            Some(head) => head.iter().zip(ids).take_while(|(a, b)| a == b).count(),
        };
        match &mut *head {
            Some(head) => head.truncate(common),
            None => *head = Some(ids.to_vec()),
        }
        self.head_len.store(common, Ordering::Relaxed);
    }

    /// What decides the server of a prefix.
    fn route(&self, prefix: &[TokenId]) -> u64 {
        let head = self.head_len.load(Ordering::Relaxed);
        let own = prefix.iter().take(head + ROUTE_TOKENS);
        let bytes: Vec<u8> = own.flat_map(|id| id.to_le_bytes()).collect();
        stream_key(0, &[&bytes])
    }

    /// Loads an adapter on every server that is up; the others get it when they refuse a request for
    /// want of it.
    pub(super) async fn load(&mut self, lora: Lora) -> Result<(), Fault> {
        let (mut loaded, mut lost) = (false, None);
        for server in &self.servers {
            match lora.ensure(server).await {
                Ok(()) => loaded = true,
                Err(fault) if fault.is_passing() => lost = Some(fault),
                Err(fault) => return Err(fault),
            }
        }
        self.lora = Some(lora);
        if loaded { Ok(()) } else { lost.map_or(Ok(()), Err) }
    }

    /// Waits until a candidate may begin; it is held until the candidate is complete. A candidate takes
    /// several requests, and one that has begun goes before those that have not: its prefix is still
    /// in the server's cache, and a stop loses little.
    pub(super) async fn turn(&self) -> Permit<'_> {
        self.turns.enter().await
    }

    /// Tries `ask` until it succeeds or fails for good; each time with the server that suits best.
    pub(super) async fn ask<T, F>(
        &self,
        prefix: &[TokenId],
        ask: impl Fn(Arc<Server>) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let route = self.route(prefix);
        let (mut tries, mut failed) = (Tries::default(), None);
        let mut restored = false;
        loop {
            let at = self.choose(route, failed);
            let server = &self.servers[at];
            let fault = match ask(server.clone()).await {
                Err(fault) if fault.is_passing() => fault,
                Err(Fault::Refused(_)) if self.lora.is_some() && !restored => {
                    restored = true;
                    match self.restore(server).await {
                        None => continue,
                        Some(fault) => fault,
                    }
                }
                done => {
                    // Relaxed: a count that nothing is ordered by.
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    return done;
                }
            };
            if server.health.is_out() {
                look_after(server);
            }
            self.count(&mut tries);
            if tries.in_vain >= self.attempts {
                return Err(fault);
            }
            if tries.all >= self.attempts.saturating_mul(WHILE_OTHERS_SUCCEED) {
                return Err(fault.of_one_request());
            }
            failed = Some(at);
            let up = |(i, other): (usize, &Arc<Server>)| i != at && other.health.is_up();
            let pause = match self.servers.iter().enumerate().any(up) {
                // Somebody else takes it at once; if that is in vain, too, something is wrong with all.
                true if tries.in_vain == 1 => FIRST_PAUSE / 8,
                _ => pause(&fault, tries.in_vain),
            };
            tokio::time::sleep(jittered(pause, route, tries.all)).await;
        }
    }

    /// Loads the adapter again on a server that refused a request: it may have been restarted. What keeps
    /// it from that is returned; it passes when the server is started as it should be.
    async fn restore(&self, server: &Server) -> Option<Fault> {
        let fault = self.lora.as_ref()?.ensure(server).await.err()?;
        Some(match fault {
            Fault::Refused(detail) => Fault::Busy { detail, kind: Busy::Failed, after: None },
            other => other,
        })
    }

    fn count(&self, tries: &mut Tries) {
        let answered = self.answered.load(Ordering::Relaxed);
        tries.all += 1;
        tries.in_vain = if answered > tries.answered { 1 } else { tries.in_vain + 1 };
        tries.answered = answered;
    }

    /// The server that the prefix names, or the least busy one that is up; not the one that has `failed`
    /// if another one is up.
    fn choose(&self, route: u64, failed: Option<usize>) -> usize {
        let count = self.servers.len();
        let home = (route % count as u64) as usize;
        // From the home on around: the next one takes the prefixes of a lost server.
        let order = (0..count).map(|i| (home + i) % count);
        let mut up: Vec<usize> = order.filter(|&i| self.servers[i].health.is_up()).collect();
        if up.len() > 1 {
            up.retain(|i| Some(*i) != failed);
        }
        let load = |i: usize| self.servers[i].load() as f64;
        let limit = |i: usize| self.servers[i].limit() as f64;
        // In shares of their limits: what a server is done with in a second is in proportion to these.
        let least = up.iter().map(|&i| load(i) / limit(i)).fold(f64::INFINITY, f64::min);
        let close = up.into_iter().find(|&i| load(i) <= least * limit(i) + AFFINITY_SLACK as f64);
        // Where nobody answers at present each has its turn.
        close.unwrap_or_else(|| failed.map_or(home, |last| (last + 1) % count))
    }
}

/// How long the next attempt is waited for after so many `in_vain`, where nobody else takes it.
fn pause(fault: &Fault, in_vain: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << in_vain.saturating_sub(1).min(10));
    match fault {
        Fault::Busy { after: Some(after), .. } => (*after).max(FIRST_PAUSE),
        _ => doubled.min(LONGEST_PAUSE),
    }
}

/// Between all and one and a half of a pause, so that requests that failed together do not come back
/// together. It is drawn from what the request begins with; no result depends on it.
fn jittered(pause: Duration, route: u64, tried: u32) -> Duration {
    let drawn = stream_key(u64::from(tried), &[b"jitter", &route.to_le_bytes()]);
    pause.mul_f64(1.0 + 0.5 * (drawn >> 11) as f64 / (1u64 << 53) as f64)
}

/// Looks at a server that is out until it serves the model again, once for each time it goes out.
pub(super) fn look_after(server: &Arc<Server>) {
    if !server.health.claim_look() {
        return;
    }
    let server = server.clone();
    tokio::spawn(async move {
        let mut pause = FIRST_LOOK;
        loop {
            tokio::time::sleep(pause).await;
            if server.is_back().await {
                return server.health.close();
            }
            pause = (2 * pause).min(LONGEST_LOOK);
        }
    });
}
