//! Several servers of one model: choice of a server, retries and failover.
//!
//! Requests with the same prefix go to the same server, so that its prefix cache is used, unless that server
//! is down or much busier than another. Retries carry the same seeds, so the server that answers and the
//! pauses before it do not change the result. Each request is answered once: if an earlier attempt still
//! produces an answer, that answer is discarded.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use regrowth_datasets::{TokenId, stream_key};

use super::fault::{Busy, Fault};
use super::gate::{Gate, Permit};
use super::health::{FIRST_LOOK, LONGEST_LOOK};
use super::lora::Lora;
use super::server::Server;

/// Number of tokens after the common beginning of all prompts (system message, few-shot examples) that are
/// hashed to choose a server. The same number as in the engine's router.
const ROUTE_TOKENS: usize = 24;

/// A prefix stays with its server until that server has this many requests more than it would have if it were as
/// busy, per slot, as the least busy one.
const AFFINITY_SLACK: usize = 16;

/// First pause after a failure; it doubles up to the longest.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Factor on `attempts` while other requests still succeed. A request that fails this often is given up: the
/// servers work, so the request itself is probably at fault.
const WHILE_OTHERS_SUCCEED: u32 = 4;

/// The servers, and the retry policy.
pub(super) struct Fleet {
    pub(super) servers: Vec<Arc<Server>>,
    /// Number of attempts per request, at least 1.
    pub(super) attempts: u32,
    /// Number of answered requests.
    answered: AtomicU64,
    /// Common beginning of all prompts so far, and its length.
    head: Mutex<Option<Vec<TokenId>>>,
    head_len: AtomicUsize,
    /// The LoRA adapter that requests name; `None` if they use the base model.
    lora: Option<Lora>,
    /// Limits the number of candidates that are sampled at once.
    turns: Arc<Gate>,
}

/// Failed attempts of a request.
#[derive(Default)]
struct Tries {
    /// Failed attempts since any request last succeeded.
    in_vain: u32,
    all: u32,
    /// Value of `Fleet::answered` at the last failed attempt.
    answered: u64,
}

impl Fleet {
    /// Creates a fleet of `servers` that share the permits `turns`.
    pub(super) fn new(servers: Vec<Arc<Server>>, turns: Arc<Gate>, attempts: u32) -> Self {
        // Slack: otherwise candidates that wait for one server would leave the others idle.
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

    /// Updates the common beginning of all prompts with the prompt of a problem.
    pub(super) fn note_prompt(&self, ids: &[TokenId]) {
        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let common = match &*head {
            // With only one prompt seen, the common beginning is not known yet.
            None => 0,
            Some(head) => head.iter().zip(ids).take_while(|(a, b)| a == b).count(),
        };
        match &mut *head {
            Some(head) => head.truncate(common),
            None => *head = Some(ids.to_vec()),
        }
        self.head_len.store(common, Ordering::Relaxed);
    }

    /// The tokens of a prefix that choose its server.
    fn route(&self, prefix: &[TokenId]) -> u64 {
        let head = self.head_len.load(Ordering::Relaxed);
        let own = &prefix[..prefix.len().min(head + ROUTE_TOKENS)];
        let bytes = own.iter().map(|id| id.to_le_bytes()).collect::<Vec<_>>();
        stream_key(0, &[bytes.as_flattened()])
    }

    /// Loads an adapter on every server that is up; the others get it when they refuse a request because the
    /// adapter is missing.
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

    /// Waits until a candidate may begin. The permit is held until the candidate is complete. A candidate
    /// takes several requests; finishing begun candidates before starting others keeps their prefixes in the
    /// server's cache and loses little work if the run is stopped.
    pub(super) async fn turn(&self) -> Permit<'_> {
        self.turns.enter().await
    }

    /// Calls `ask` until it succeeds or fails for good, each time with the most suitable server.
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
                    // Relaxed: no other memory access is ordered by this counter.
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
                // Another server is up: retry there almost at once. If that fails too, probably all servers
                // are affected, so back off.
                true if tries.in_vain == 1 => FIRST_PAUSE / 8,
                _ => pause(&fault, tries.in_vain),
            };
            tokio::time::sleep(jittered(pause, route, tries.all)).await;
        }
    }

    /// Loads the adapter again on a server that refused a request, because it may have been restarted.
    /// Returns the fault if the adapter cannot be loaded. A refusal becomes a passing fault, because it ends
    /// once the server is restarted with LoRA enabled.
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

    /// The server that the prefix hashes to (its home); if it is down or too busy, the next server in ring
    /// order that is up and not too busy. Not the server `failed` if another one is up.
    fn choose(&self, route: u64, failed: Option<usize>) -> usize {
        let count = self.servers.len();
        let home = (route % count as u64) as usize;
        // In ring order from the home: the next server takes over the prefixes of a lost one.
        let order = (0..count).map(|i| (home + i) % count);
        let mut up: Vec<usize> = order.filter(|&i| self.servers[i].health.is_up()).collect();
        if up.len() > 1 {
            up.retain(|i| Some(*i) != failed);
        }
        let load = |i: usize| self.servers[i].load() as f64;
        let limit = |i: usize| self.servers[i].limit() as f64;
        // Loads are compared as shares of the limits, because the work that a server does per second is
        // proportional to its limit.
        let least = up.iter().map(|&i| load(i) / limit(i)).fold(f64::INFINITY, f64::min);
        let close = up.into_iter().find(|&i| load(i) <= least * limit(i) + AFFINITY_SLACK as f64);
        // If no server is up, try them in turn.
        close.unwrap_or_else(|| failed.map_or(home, |last| (last + 1) % count))
    }
}

/// Pause before the next attempt after `in_vain` attempts without any success.
fn pause(fault: &Fault, in_vain: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << in_vain.saturating_sub(1).min(10));
    match fault {
        Fault::Busy { after: Some(after), .. } => (*after).max(FIRST_PAUSE),
        _ => doubled.min(LONGEST_PAUSE),
    }
}

/// The pause times a factor between 1 and 1.5, so that requests that failed together do not retry together.
/// The factor is derived from the request's prefix; no result depends on it.
fn jittered(pause: Duration, route: u64, tried: u32) -> Duration {
    let drawn = stream_key(u64::from(tried), &[b"jitter", &route.to_le_bytes()]);
    pause.mul_f64(1.0 + 0.5 * (drawn >> 11) as f64 / (1u64 << 53) as f64)
}

/// Starts a task that polls a server that is down until it serves the model again; at most one task per
/// outage.
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
