//! One server: bounded, timed exchanges of JSON, and whether it answers at present.
//!
//! It knows no dialect. A reply is read piece by piece up to a limit of bytes; the key for servers
//! that ask for one comes from the environment and goes nowhere else.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder, StatusCode, header};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::address::Address;
use super::fault::Fault;
use crate::ServerOptions;

/// Environment variable with the key that servers ask for, sent as a bearer token.
pub const API_KEY: &str = "REGROWTH_API_KEY";

/// Bytes of a reply at most: log-probabilities of a long context with room to spare.
const REPLY_BYTES: usize = 64 << 20;

/// Characters of a refusal that a message shows.
const REFUSAL_SHOWN: usize = 400;

/// How long a server that did not answer is left alone while others do.
const LEFT_ALONE: Duration = Duration::from_secs(5);

/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A server and its state.
pub(super) struct Server {
    pub(super) address: Address,
    client: Client,
    key: Option<String>,
    /// Requests that it works on at once.
    slots: Semaphore,
    waiting: AtomicUsize,
    alone_until: Mutex<Option<Instant>>,
}

impl Server {
    pub(super) fn new(address: Address, client: Client, options: &ServerOptions) -> Self {
        Self {
            address,
            client,
            key: std::env::var(API_KEY).ok().filter(|key| !key.is_empty()),
            slots: Semaphore::new(options.in_flight.max(1)),
            waiting: AtomicUsize::new(0),
            alone_until: Mutex::new(None),
        }
    }

    /// Requests that wait for it or are worked on.
    pub(super) fn load(&self) -> usize {
        // Relaxed: an estimate for choosing among servers.
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether it answered when it was asked last, or long enough ago.
    pub(super) fn is_up(&self) -> bool {
        let until = self.alone_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| Instant::now() >= until)
    }

    fn note(&self, answered: bool) {
        let until = (!answered).then(|| Instant::now() + LEFT_ALONE);
        *self.alone_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Address of a path from the server's root.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address.root)
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Fault> {
        self.exchange(self.client.get(self.url(path)), path).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Fault> {
        let request = self
            .client
            .post(self.url(path))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.to_string());
        self.exchange(request, path).await
    }

    async fn exchange(&self, request: RequestBuilder, path: &str) -> Result<Value, Fault> {
        // Relaxed: see `load`.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let slot = self.slots.acquire().await;
        let result = match slot {
            Ok(_slot) => self.answer(request, path).await,
            Err(_) => Err(Fault::Down(format!("{}: closed", self.url(path)))),
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.note(!matches!(result, Err(Fault::Down(_))));
        result
    }

    async fn answer(&self, mut request: RequestBuilder, path: &str) -> Result<Value, Fault> {
        let url = self.url(path);
        let lost = |e: reqwest::Error| Fault::Down(format!("{url}: {}", causes(&e)));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let mut response = request.send().await.map_err(lost)?;
        let status = response.status();
        let after = retry_after(&response);
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(lost)? {
            if body.len() + piece.len() > REPLY_BYTES {
                return Err(Fault::Reply(format!("{url}: a reply above {REPLY_BYTES} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|e| Fault::Reply(format!("{url}: the reply is not valid JSON: {e}")));
        }
        let said: String = String::from_utf8_lossy(&body).chars().take(REFUSAL_SHOWN).collect();
        let detail = format!("{url}: {status}: {}", said.trim());
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Fault::Refused(format!("{detail}; set the environment variable {API_KEY}"))
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                Fault::Busy { detail, after }
            }
            s if s.is_server_error() => Fault::Busy { detail, after },
            _ => Fault::Refused(detail),
        })
    }
}

/// Seconds that the server asks to wait, bounded.
fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds: u64 = value.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

/// An error with what caused it, down to the system's own words.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
