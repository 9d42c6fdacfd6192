//! The interface between search and model: [`Policy`], its calls and its answers.

use std::sync::Arc;

use crossbeam::channel::{Sender, bounded};
use regrowth_datasets::{Problem, TokenId};

use crate::decorate::Meter;
use crate::{PolicyError, Request, Response, ServerFeatures, Usage};

/// A language model that proposes steps, judges them, and returns log-probabilities of given text.
///
/// `submit` queues a call and returns. The answer arrives on the call's channel, in any order and from any
/// thread. The engine in this process gives equal answers to equal requests, whatever else is in flight. A
/// server does so only with batch-invariant kernels or with one request at a time.
pub trait Policy: Send + Sync {
    /// Stable identity of the weights and the prompt form. It is written into every row made with this
    /// policy.
    fn identity(&self) -> &str;

    /// Limits on requests.
    fn limits(&self) -> Limits;

    /// Warnings that a user should read before a run, one sentence each: limitations of the engine or
    /// server, and how affected results are marked.
    fn notes(&self) -> &[String] {
        &[]
    }

    /// Features of the server behind the policy; `None` for a model in this process.
    fn server(&self) -> Option<&ServerFeatures> {
        None
    }

    /// Renders the prompt of a problem, as text and token ids. The prefix of every request about the
    /// problem begins with these ids.
    ///
    /// # Errors
    /// If the problem cannot be rendered or does not fit the context.
    fn prompt(&self, problem: &Problem) -> Result<Prompt, PolicyError>;

    /// Encodes `text` as token ids, without special tokens.
    ///
    /// # Errors
    /// If the tokenizer cannot represent the text.
    fn encode(&self, text: &str) -> Result<Vec<TokenId>, PolicyError>;

    /// Decodes `ids` to text, without special tokens.
    ///
    /// # Errors
    /// If an id is outside the vocabulary.
    fn decode(&self, ids: &[TokenId]) -> Result<String, PolicyError>;

    /// The EOS id, which ends a solution; `None` if the model has none.
    fn eos(&self) -> Option<TokenId>;

    /// Whether [`Request::Hidden`] is supported. Servers do not support it, because they return no hidden
    /// states.
    fn gives_hidden_states(&self) -> bool {
        true
    }

    /// Submits a call; `call.caller` is answered exactly once. Blocks only for backpressure.
    fn submit(&self, call: Call);
}

/// Limits on requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of tokens of prefix and continuation together.
    pub context: usize,
    /// Number of calls that are useful to have in flight at once; more calls only wait. For servers, the
    /// number is adapted to their throughput.
    pub in_flight: usize,
    /// Maximum number of tokens that a judge's question adds after a step, not counting a reference
    /// solution (`hinted`); 0 if unknown.
    pub question: usize,
}

/// A rendered prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The text.
    pub text: String,
    /// Token ids of the text, including special tokens.
    pub ids: Arc<[TokenId]>,
}

/// A request with the caller that waits for its answer.
#[derive(Debug)]
pub struct Call {
    /// The request.
    pub request: Request,
    /// Receives the answer.
    pub caller: Caller,
}

impl Call {
    /// Creates a call whose answer is sent to `reply` with this `request_id`, which identifies it there.
    #[must_use]
    pub fn new(request_id: u64, request: Request, reply: Sender<Answered>) -> Self {
        Self {
            request,
            caller: Caller { request_id, reply: Some(reply), meter: None, hides_usage: false },
        }
    }
}

/// Receives the answer to a call. If it is dropped without an answer, it sends [`PolicyError::Gone`], or
/// [`PolicyError::Panicked`] during a panic, so that no caller waits forever.
#[derive(Debug)]
pub struct Caller {
    request_id: u64,
    reply: Option<Sender<Answered>>,
    meter: Option<Arc<Meter>>,
    /// If true, a judgement is sent to the caller with zero usage, and only the meter counts its cost.
    hides_usage: bool,
}

impl Caller {
    /// Sends the answer. Does nothing if the receiver is gone.
    pub fn answer(mut self, result: Result<Response, PolicyError>) {
        self.send(result);
    }

    /// Counts the answer in `meter` when it is sent.
    pub(crate) fn count_in(&mut self, meter: &Arc<Meter>) {
        self.meter = Some(meter.clone());
    }

    /// Counts the answer only in `meter`: a judgement is sent to the caller with zero usage.
    pub(crate) fn count_apart(&mut self, meter: &Arc<Meter>) {
        self.count_in(meter);
        self.hides_usage = true;
    }

    fn send(&mut self, mut result: Result<Response, PolicyError>) {
        if let Some(reply) = self.reply.take() {
            if let (Some(meter), Ok(response)) = (&self.meter, &result) {
                meter.answered(response);
            }
            if let (true, Ok(Response::Judgement(judgement))) = (self.hides_usage, &mut result) {
                judgement.usage = Usage::default();
            }
            // If the channel is closed, no one waits for the answer.
            let _ = reply.send(Answered { request_id: self.request_id, result });
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let lost = match std::thread::panicking() {
            true => PolicyError::Panicked,
            false => PolicyError::Gone,
        };
        self.send(Err(lost));
    }
}

/// The answer to a [`Call`].
#[derive(Debug)]
pub struct Answered {
    /// The `request_id` of the call.
    pub request_id: u64,
    /// The answer.
    pub result: Result<Response, PolicyError>,
}

/// Submits one request and waits for its answer.
///
/// # Errors
/// The policy's own error, or [`PolicyError::Gone`] if it dropped the call.
pub fn call(policy: &dyn Policy, request: Request) -> Result<Response, PolicyError> {
    let (reply, answers) = bounded(1);
    policy.submit(Call::new(0, request, reply));
    answers.recv().map_err(|_| PolicyError::Gone)?.result
}
