//! One server: bounded, timed exchanges of JSON, and whether it answers at present.
//!
//! A reply is read piece by piece up to a limit of bytes, and the key is taken out of it first.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder, Response, StatusCode, header};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::address::Address;
use super::api_key::{API_KEY, ApiKey};
use super::client::lost;
use super::fault::Fault;

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
    key: Option<ApiKey>,
    /// Requests that it works on at once.
    slots: Semaphore,
    waiting: AtomicUsize,
    alone_until: Mutex<Option<Instant>>,
}

impl Server {
    pub(super) fn new(
        address: Address,
        client: Client,
        key: Option<ApiKey>,
        in_flight: usize,
    ) -> Self {
        Self {
            address,
            client,
            key,
            slots: Semaphore::new(in_flight.max(1)),
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
        self.note(!matches!(result, Err(Fault::Down(_) | Fault::Protocol(_))));
        result
    }

    async fn answer(&self, mut request: RequestBuilder, path: &str) -> Result<Value, Fault> {
        let url = self.url(path);
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, key.header());
        }
        let mut response = request.send().await.map_err(|e| lost(&url, &e))?;
        let status = response.status();
        let (after, location) = (retry_after(&response), location(&response));
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|e| lost(&url, &e))? {
            if body.len() + piece.len() > REPLY_BYTES {
                return Err(Fault::Reply(format!("{url}: a reply above {REPLY_BYTES} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        let body = match &self.key {
            Some(key) => key.redact(body),
            None => body,
        };
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|e| Fault::Reply(format!("{url}: the reply is not valid JSON: {e}")));
        }
        let said: String = String::from_utf8_lossy(&body).chars().take(REFUSAL_SHOWN).collect();
        let detail = format!("{url}: {status}: {}", said.trim());
        Err(match (status, location) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => Fault::Refused(format!(
                "{detail}; set the environment variable {API_KEY}, or give --server-key-file FILE"
            )),
            (StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT, _) => {
                Fault::Busy { detail, after }
            }
            (s, _) if s.is_server_error() => Fault::Busy { detail, after },
            (s, Some(to)) if s.is_redirection() => {
                Fault::Refused(format!("{url}: {status}: it is now at `{to}`; name that address"))
            }
            _ => Fault::Refused(detail),
        })
    }
}

/// Where a reply sends the client instead.
fn location(response: &Response) -> Option<String> {
    let value = response.headers().get(header::LOCATION)?.to_str().ok()?;
    Some(value.chars().take(REFUSAL_SHOWN).collect())
}

/// Seconds that the server asks to wait, bounded.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds: u64 = value.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}
