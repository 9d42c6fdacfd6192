//! One server: JSON requests with limits on size and time, and the server's state.
//!
//! A reply is read in chunks up to a limit of bytes, and the API key is removed from it before it is parsed.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dashmap::DashMap;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, header};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::RwLock;

use super::address::{Address, PathUrl};
use super::api_key::{API_KEY, ApiKey};
use super::client::lost;
use super::fault::{Busy, Fault};
use super::gate::Gate;
use super::health::Health;
use super::slots::Slots;

/// Maximum size of a reply in bytes: ample for the log-probabilities of a long context.
const REPLY_BYTES: usize = 64 << 20;

/// Maximum number of characters of a refusal in an error message.
const REFUSAL_SHOWN: usize = 400;

/// Path of the list of models, which every server has.
pub(super) const MODELS: &str = "/v1/models";

/// Maximum pause that a server may request (Retry-After).
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A server and its state.
pub(super) struct Server {
    pub(super) address: Address,
    client: Client,
    key: Option<ApiKey>,
    /// Parsed URLs of the paths requested so far: parsing one takes microseconds.
    urls: DashMap<String, Url>,
    /// Slots for requests in flight.
    slots: Slots,
    pub(super) health: Health,
    /// The model that the server listed at the start; unset if it lists none.
    listed: OnceLock<String>,
    /// Write-locked by a request that must be alone on the server, read-locked by all others.
    pub(super) company: RwLock<()>,
}

impl Server {
    pub(super) fn new(
        address: Address,
        client: Client,
        key: Option<ApiKey>,
        (in_flight, turns): (usize, Arc<Gate>),
    ) -> Self {
        let slots = Slots::new(in_flight, turns);
        let (health, listed) = (Health::default(), OnceLock::new());
        let (urls, company) = (DashMap::new(), RwLock::default());
        Self { address, client, key, urls, slots, health, listed, company }
    }

    /// Number of requests that wait for a slot or have one.
    pub(super) fn load(&self) -> usize {
        self.slots.load()
    }

    /// Current limit on requests in flight.
    pub(super) fn limit(&self) -> usize {
        self.slots.limit()
    }

    /// Number of requests that are useful at once.
    pub(super) fn worthwhile(&self) -> usize {
        self.slots.worthwhile()
    }

    /// Counts tokens that the server generated.
    pub(super) fn generated(&self, tokens: usize) {
        self.slots.generated(tokens);
    }

    /// Stores which of the listed models is used.
    pub(super) fn serves(&self, name: &str) {
        // Called several times while the server starts; the first name is kept.
        let _ = self.listed.set(name.to_owned());
    }

    /// Stores that the server must serve the model that `other` lists.
    pub(super) fn serves_as(&self, other: &Self) {
        if let Some(name) = other.listed.get() {
            self.serves(name);
        }
    }

    /// Whether the server answers again and still serves the model.
    pub(super) async fn is_back(&self) -> bool {
        let answer = self.answer(self.request(Method::GET, MODELS), MODELS).await;
        let Some(name) = self.listed.get() else {
            return answer.is_ok() || answer.is_err_and(|fault| !fault.is_passing());
        };
        let models = answer.and_then(|reply| self.json(MODELS, &reply)).ok();
        let models = models.as_ref().and_then(|value| value.get("data")?.as_array());
        models.is_some_and(|all| all.iter().any(|m| m.get("id").is_some_and(|id| id == name)))
    }

    /// URL of a path below the server's root.
    pub(super) fn url<'a>(&'a self, path: &'a str) -> PathUrl<'a> {
        PathUrl { root: &self.address.root, path }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        if let Some(url) = self.urls.get(path) {
            return self.client.request(method, url.clone());
        }
        let url = self.url(path).to_string();
        // An invalid URL is reported by reqwest when the request is sent.
        if let Ok(url) = Url::parse(&url) {
            self.urls.insert(path.to_owned(), url);
        }
        self.client.request(method, url)
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Fault> {
        let reply = self.exchange(self.request(Method::GET, path), path).await?;
        self.json(path, &reply)
    }

    pub(super) async fn post(&self, path: &str, body: &impl Serialize) -> Result<Value, Fault> {
        let reply = self.tell(path, body).await?;
        self.json(path, &reply)
    }

    /// Sends a POST request and returns the raw reply. An error status is a fault; the reply is not parsed.
    pub(super) async fn tell(&self, path: &str, body: &impl Serialize) -> Result<Vec<u8>, Fault> {
        let body = serde_json::to_vec(body)
            .map_err(|e| Fault::Refused(format!("{}: the request: {e}", self.url(path))))?;
        let request = self
            .request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body);
        self.exchange(request, path).await
    }

    fn json(&self, path: &str, reply: &[u8]) -> Result<Value, Fault> {
        serde_json::from_slice(reply).map_err(|e| {
            Fault::Garbled(format!("{}: the reply is not valid JSON: {e}", self.url(path)))
        })
    }

    async fn exchange(&self, request: RequestBuilder, path: &str) -> Result<Vec<u8>, Fault> {
        let _slot = self.slots.take().await;
        let result = self.answer(request, path).await;
        self.note(&result);
        result
    }

    fn note(&self, result: &Result<Vec<u8>, Fault>) {
        match result {
            Err(Fault::Down(_) | Fault::Protocol(_)) => self.health.lost(),
            Err(Fault::Busy { kind, after, .. }) => {
                match kind {
                    Busy::Overloaded => self.slots.overloaded(),
                    Busy::NotReady => self.health.lost(),
                    Busy::Failed => {}
                }
                if let Some(after) = after {
                    self.health.leave(*after);
                }
            }
            _ => {
                self.health.answered();
                self.slots.answered();
            }
        }
    }

    async fn answer(&self, mut request: RequestBuilder, path: &str) -> Result<Vec<u8>, Fault> {
        let url = self.url(path);
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, key.header());
        }
        let mut response = request.send().await.map_err(|e| lost(&url.to_string(), &e))?;
        let status = response.status();
        let (after, location) = (retry_after(&response), location(&response));
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|e| lost(&url.to_string(), &e))? {
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
            return Ok(body);
        }
        let said: String = String::from_utf8_lossy(&body).chars().take(REFUSAL_SHOWN).collect();
        let detail = format!("{url}: {status}: {}", said.trim());
        Err(match (status, location) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => Fault::Refused(format!(
                "{detail}; set the environment variable {API_KEY}, or give --server-key-file FILE"
            )),
            (StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT, _) => {
                Fault::Busy { kind: Busy::Overloaded, detail, after }
            }
            (StatusCode::SERVICE_UNAVAILABLE, _) => {
                Fault::Busy { kind: Busy::NotReady, detail, after }
            }
            (s, _) if s.is_server_error() => Fault::Busy { kind: Busy::Failed, detail, after },
            (s, Some(to)) if s.is_redirection() => {
                Fault::Refused(format!("{url}: {status}: it is now at `{to}`; name that address"))
            }
            _ => Fault::Refused(detail),
        })
    }
}

/// Target of a redirect.
fn location(response: &Response) -> Option<String> {
    let value = response.headers().get(header::LOCATION)?.to_str().ok()?;
    Some(value.chars().take(REFUSAL_SHOWN).collect())
}

/// Pause that the server requests (Retry-After), bounded.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds: u64 = value.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}
