//! Several servers of one model: who is asked, and what happens when one does not answer.
//!
//! Requests that begin alike go to one server, so that its prefix cache is of use, unless that one
//! is down or has much more to do than another. Repeated requests carry the same seeds, so who
//! answers in the end changes no result.

use std::sync::Arc;
use std::time::Duration;

use regrowth_datasets::{TokenId, stream_key};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::fault::Fault;
use super::server::Server;

/// Tokens of a prefix that decide its server (as many as decide a shard of the engine here).
const ROUTE_TOKENS: usize = 24;

/// Requests that a server may have waiting above the least busy one before affinity gives way.
const AFFINITY_SLACK: usize = 16;

/// The first pause after a failure; it doubles up to the longest.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// The servers, and how often a request is tried.
pub(super) struct Fleet {
    pub(super) servers: Vec<Arc<Server>>,
    /// Times that a request is tried, at least 1.
    pub(super) attempts: u32,
    /// Candidates that are worked on at once.
    turns: Semaphore,
}

impl Fleet {
    /// `servers` that work on `in_flight` requests each.
    pub(super) fn new(servers: Vec<Arc<Server>>, in_flight: usize, attempts: u32) -> Self {
        // With slack, or candidates that wait for one server would keep the others idle.
        let slack = AFFINITY_SLACK * servers.len().saturating_sub(1);
        let turns = Semaphore::new(in_flight.max(1) * servers.len().max(1) + slack);
        Self { servers, attempts, turns }
    }

    /// Waits until a candidate may begin; it is held until the candidate is complete. A candidate takes
    /// several requests, and one that has begun goes before those that have not: its prefix is still
    /// in the server's cache, and a stop loses little.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
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
        let mut pause = FIRST_PAUSE;
        let mut tried = 0;
        loop {
            let fault = match ask(self.choose(prefix)).await {
                Err(fault) if fault.is_passing() => fault,
                done => return done,
            };
            tried += 1;
            if tried >= self.attempts.max(1) {
                return Err(fault);
            }
            let after = match &fault {
                Fault::Busy { after, .. } => *after,
                // Another server is up: no reason to wait.
                Fault::Down(_) if self.servers.iter().any(|s| s.is_up()) => Some(Duration::ZERO),
                _ => None,
            };
            tokio::time::sleep(after.unwrap_or(pause)).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// The server that the prefix names, or the least busy one that is up.
    fn choose(&self, prefix: &[TokenId]) -> Arc<Server> {
        let bytes: Vec<u8> =
            prefix.iter().take(ROUTE_TOKENS).flat_map(|id| id.to_le_bytes()).collect();
        let count = self.servers.len();
        let home = (stream_key(0, &[&bytes]) % count as u64) as usize;
        // From the home on around, so that the prefixes of a lost server spread evenly.
        let order = (0..count).map(|i| &self.servers[(home + i) % count]);
        let up: Vec<&Arc<Server>> = order.filter(|s| s.is_up()).collect();
        let Some(least) = up.iter().map(|s| s.load()).min() else {
            return self.servers[home].clone();
        };
        let close = up.iter().find(|s| s.load() <= least + AFFINITY_SLACK);
        close.map_or_else(|| self.servers[home].clone(), |s| (*s).clone())
    }
}
