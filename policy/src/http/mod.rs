//! Policies behind inference servers: vLLM, SGLang, llama.cpp (C++), llama-cpp-python, and
//! OpenAI-compatible chat servers.
//!
//! [`HttpPolicy`] has the same stateless interface as the engine in this process. One service thread per
//! policy sends the requests to the servers, with many requests in flight. Each dialect is a small file with
//! the fields of one kind of server; prompts, boundaries, judging and retries are the same for all.

mod address;
mod api_key;
mod client;
mod completion;
mod dialect;
mod discover;
mod fault;
mod features;
mod fleet;
mod gate;
mod health;
mod limit;
mod llama_cpp;
mod llama_cpp_python;
mod lora;
mod model;
mod openai;
mod reply;
mod reward;
mod serve;
mod server;
mod sglang;
mod slots;
mod vllm;

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, bounded};
use regrowth_datasets::{Problem, TokenId, stream_key};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

pub use api_key::API_KEY;

use crate::text::PromptForm;
use crate::{
    Call, Dialect, Limits, Policy, PolicyError, Prompt, PromptOptions, ServedAdapter,
    ServedWeights, ServerFeatures, ServerOptions,
};
use api_key::ApiKey;
use client::Clients;
use discover::{Discovered, Unmet, discover};
use fleet::Fleet;
use gate::Gate;
use lora::Lora;
use model::Model;
use serve::{Order, Service};
use server::Server;

/// Maximum number of discovery attempts at the start if no server can be reached. A server that is still
/// loading its model gets [`ServerOptions::attempts`].
const ATTEMPTS_AT_START: u32 = 3;

/// A model behind one or several servers.
pub struct HttpPolicy {
    identity: String,
    features: ServerFeatures,
    /// Maximum number of tokens of prompt and continuation together.
    context: usize,
    eos: Option<TokenId>,
    notes: Vec<String>,
    servers: Vec<Arc<Server>>,
    orders: Option<UnboundedSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

/// Facts about the served model that the thread sends to the constructor after discovery.
struct Met {
    identity: String,
    features: ServerFeatures,
    /// Maximum number of tokens of prompt and continuation together.
    context: usize,
    eos: Option<TokenId>,
    notes: Vec<String>,
}

impl HttpPolicy {
    /// Connects to the servers in `spec`: `http://host:port/v1#model` or `https://...`. Several addresses are
    /// separated by commas.
    ///
    /// # Errors
    /// [`PolicyError::Spec`] if `spec` is not an address or its server uses another protocol,
    /// [`PolicyError::Server`] if no server answers, if the servers serve different models, or if discovery
    /// fails. Also errors of the prompt form, of the certificates and of the API key.
    pub fn connect(
        spec: &str,
        options: &ServerOptions,
        prompt: &PromptOptions,
    ) -> Result<Self, PolicyError> {
        let fleet = fleet(spec, options)?;
        let servers = fleet.servers.clone();
        let (options, prompt) = (options.clone(), prompt.clone());
        let (orders, queue) = unbounded_channel();
        let (met, meeting) = bounded(1);
        let failed = |e: std::io::Error| PolicyError::Model(format!("the HTTP thread: {e}"));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let thread = std::thread::Builder::new()
            .name("regrowth-http".into())
            .spawn(move || runtime.block_on(work(fleet, options, prompt, queue, met)))
            .map_err(failed)?;
        let Met { identity, features, context, eos, notes } =
            meeting.recv().map_err(|_| PolicyError::Gone)??;
        let (orders, thread) = (Some(orders), Some(thread));
        Ok(Self { identity, features, context, eos, notes, servers, orders, thread })
    }

    /// Number of requests of each server that are in flight or wait for a slot, in the order of the
    /// addresses.
    #[must_use]
    pub fn in_flight(&self) -> Vec<usize> {
        self.servers.iter().map(|server| server.load()).collect()
    }

    /// Current limit on the requests in flight of each server (at most [`ServerOptions::in_flight`]), in the
    /// order of the addresses.
    #[must_use]
    pub fn concurrency(&self) -> Vec<usize> {
        self.servers.iter().map(|server| server.limit()).collect()
    }

    /// Whether these servers load adapters while they run ([`ServerOptions::weights`]).
    #[must_use]
    pub fn loads_adapters(&self) -> bool {
        self.features.loads_adapters
    }

    fn order(&self, order: Order) -> Result<(), PolicyError> {
        let orders = self.orders.as_ref().ok_or(PolicyError::Gone)?;
        orders.send(order).map_err(|_| PolicyError::Gone)
    }

    /// Sends an order to the service thread and waits for its reply.
    fn wait<T>(
        &self,
        order: impl FnOnce(Sender<Result<T, PolicyError>>) -> Order,
    ) -> Result<T, PolicyError> {
        let (reply, answer): (_, Receiver<_>) = bounded(1);
        self.order(order(reply))?;
        answer.recv().map_err(|_| PolicyError::Gone)?
    }
}

fn fleet(spec: &str, options: &ServerOptions) -> Result<Fleet, PolicyError> {
    let key = ApiKey::read(options.key_file.as_deref())?;
    let mut clients = Clients::new(options);
    let (mut servers, turns) = (Vec::new(), Arc::new(Gate::new(0)));
    for address in address::parse(spec)? {
        let client = clients.of(&address)?;
        let in_flight = (options.in_flight, turns.clone());
        servers.push(Arc::new(Server::new(address, client, key.clone(), in_flight)));
    }
    Ok(Fleet::new(servers, turns, options.attempts))
}

/// The service thread: discovers the servers, then serves orders until all senders are gone.
async fn work(
    mut fleet: Fleet,
    options: ServerOptions,
    prompt: PromptOptions,
    orders: tokio::sync::mpsc::UnboundedReceiver<Order>,
    met: Sender<Result<Met, PolicyError>>,
) {
    let mut discovered = patiently(&fleet, &options, &prompt).await;
    let adapter = options.weights.as_ref().and_then(|weights| weights.adapter.clone());
    if let (Ok(found), Some(adapter)) = (&mut discovered, adapter) {
        let loaded = load_adapter(&mut fleet, found, adapter).await;
        discovered = loaded.and(discovered);
    }
    let (service, told) = match discovered {
        Ok(Discovered { model, form, notes }) => {
            let context = model.context;
            let eos = model.eos.first().copied();
            let named = identity(&model, &form, options.weights.as_ref());
            let features = ServerFeatures::of(&model);
            let told = Met { identity: named, features, context, eos, notes };
            let service = Service::new(fleet, asked(model, options.weights.as_ref()), form);
            (Some(service), Ok(told))
        }
        Err(error) => (None, Err(error)),
    };
    // If the receiver is gone, `connect` has ended, and no orders will come either.
    let _ = met.send(told);
    if let Some(service) = service {
        Arc::new(service).run(orders).await;
    }
}

/// Discovers the servers; retries with growing pauses if they cannot be reached or are still starting.
async fn patiently(
    fleet: &Fleet,
    options: &ServerOptions,
    prompt: &PromptOptions,
) -> Result<Discovered, PolicyError> {
    let (mut tried, mut pause) = (1, fleet::FIRST_PAUSE);
    loop {
        let (most, error) = match discover(fleet, options, prompt).await {
            Ok(found) => return Ok(found),
            // A server is reachable but still loading its model.
            Err(Unmet::Busy(error)) => (options.attempts, error),
            Err(Unmet::Failed(error @ PolicyError::Server(_))) => {
                (options.attempts.min(ATTEMPTS_AT_START), error)
            }
            Err(Unmet::Failed(error)) => return Err(error),
        };
        if tried >= most {
            return Err(error);
        }
        if let Some(log) = options.log {
            let seconds = pause.as_secs_f64();
            log(&format!("attempt {tried} of {most}: {error}; trying again in {seconds:.1} s"));
        }
        tokio::time::sleep(pause).await;
        (tried, pause) = (tried + 1, (2 * pause).min(fleet::LONGEST_PAUSE));
    }
}

/// Loads an adapter of the discovered model.
async fn load_adapter(
    fleet: &mut Fleet,
    found: &Discovered,
    adapter: ServedAdapter,
) -> Result<(), PolicyError> {
    let lora = Lora::new(adapter, found.model.dialect)?;
    let loaded = fleet.load(lora).await;
    loaded.map_err(|fault| PolicyError::Server(fault.to_string()))
}

/// Returns the model with the name that requests use: the adapter's name if there is an adapter.
fn asked(mut model: Model, weights: Option<&ServedWeights>) -> Model {
    if let Some(ServedAdapter { name, .. }) = weights.and_then(|weights| weights.adapter.as_ref()) {
        match model.dialect {
            Dialect::Sglang => model.adapter = Some(name.clone()),
            _ => model.name.clone_from(name),
        }
    }
    model
}

/// Fingerprint of the model, the revision of its weights and the form of the requests. Addresses and the
/// number of servers are not part of it, so a run can be resumed with other servers.
fn identity(model: &Model, form: &PromptForm, weights: Option<&ServedWeights>) -> String {
    let form = serde_json::to_vec(form).unwrap_or_default();
    let chat = format!("{:?}", model.chat);
    let mut parts = vec![model.name.as_bytes(), &form, chat.as_bytes()];
    // The request fields that a chat server accepts determine the requests.
    let taken = model.form.as_ref().map(|taken| format!("{taken:?}"));
    parts.extend(taken.as_deref().map(str::as_bytes));
    // The scores of a reward model are not comparable with judgements from generated text.
    let scored = model.scored_labels.map(|labels| format!("score of {labels}"));
    parts.extend(scored.as_deref().map(str::as_bytes));
    let key = stream_key(0, &parts);
    let name = model.name.rsplit('/').next().unwrap_or_default();
    let revision = weights.map(|weights| format!("+{}", weights.revision)).unwrap_or_default();
    format!("{}:{name}@{key:016x}{revision}", model.dialect.name())
}

impl Policy for HttpPolicy {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn limits(&self) -> Limits {
        let in_flight = self.servers.iter().map(|server| server.worthwhile()).sum();
        Limits { context: self.context, in_flight, question: 0 }
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn server(&self) -> Option<&ServerFeatures> {
        Some(&self.features)
    }

    fn prompt(&self, problem: &Problem) -> Result<Prompt, PolicyError> {
        let problem = Box::new(problem.clone());
        self.wait(|reply| Order::Prompt { problem, reply })
    }

    fn encode(&self, text: &str) -> Result<Vec<TokenId>, PolicyError> {
        self.wait(|reply| Order::Encode { text: text.to_owned(), reply })
    }

    fn decode(&self, ids: &[TokenId]) -> Result<String, PolicyError> {
        self.wait(|reply| Order::Decode { ids: ids.to_vec(), reply })
    }

    fn eos(&self) -> Option<TokenId> {
        self.eos
    }

    fn gives_hidden_states(&self) -> bool {
        false
    }

    fn submit(&self, call: Call) {
        // If the thread is gone, dropping the call sends `PolicyError::Gone` to the caller.
        drop(self.order(Order::Call(call)));
    }
}

impl Drop for HttpPolicy {
    fn drop(&mut self) {
        // Closing the queue ends the thread. Requests in flight are dropped, and their callers get
        // `PolicyError::Gone`.
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
