//! The seam between search and model: one trait, one call type, one reply type.

use std::sync::Arc;

use crossbeam::channel::{Sender, bounded};
use regrowth_datasets::{Problem, TokenId};

use crate::decorate::Meter;
use crate::{PolicyError, Request, Response, ServerFeatures, Usage};

/// A language model that proposes steps, judges them, and gives log-probabilities of given text.
///
/// `submit` hands a call over and returns; the answer arrives on the call's channel, in any order
/// and from any thread. The engine in this process answers equal requests equally, whatever else is in
/// flight; a server does so only with batch-invariant kernels or one request at a time.
pub trait Policy: Send + Sync {
    /// Stable identity of the weights and prompt form, written into every row it helps to make.
    fn identity(&self) -> &str;

    /// What a request may ask for.
    fn limits(&self) -> Limits;

    /// What a user should know before a run, one sentence each: what an engine or server cannot give
    /// and how that is marked.
    fn notes(&self) -> &[String] {
        &[]
    }

    /// What the server behind the policy supports; nothing for a model in this process.
    fn server(&self) -> Option<&ServerFeatures> {
        None
    }

    /// The prompt of a problem, as text and token ids. The prefix of every request about the problem begins
    /// with these ids.
    ///
    /// # Errors
    /// When the problem cannot be rendered or does not fit the context.
    fn prompt(&self, problem: &Problem) -> Result<Prompt, PolicyError>;

    /// Token ids of `text`, without special tokens.
    ///
    /// # Errors
    /// When the tokenizer cannot represent the text.
    fn encode(&self, text: &str) -> Result<Vec<TokenId>, PolicyError>;

    /// Text of `ids`, without special tokens.
    ///
    /// # Errors
    /// When an id is outside the vocabulary.
    fn decode(&self, ids: &[TokenId]) -> Result<String, PolicyError>;

    /// The id that ends a solution, if the model has one.
    fn eos(&self) -> Option<TokenId>;

    /// Whether [`Request::Hidden`] is answered: not by servers, which show no hidden states.
    fn gives_hidden_states(&self) -> bool {
        true
    }

    /// Takes a call; `call.caller` is answered once. May block for backpressure only.
    fn submit(&self, call: Call);
}

/// What a request may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most tokens of prefix and continuation together.
    pub context: usize,
    /// Calls that are worth having in flight at once; more only wait.
    pub in_flight: usize,
    /// Most tokens that a judge's question adds after a step, without a reference solution that it shows
    /// (`hinted`); 0 if that is not known.
    pub question: usize,
}

/// A rendered prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The text.
    pub text: String,
    /// Its token ids, special tokens included.
    pub ids: Arc<[TokenId]>,
}

/// A request on its way to a policy.
#[derive(Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// Who waits for the answer.
    pub caller: Caller,
}

impl Call {
    /// A request whose answer goes to `reply` with this request_id, which tells it from others there.
    #[must_use]
    pub fn new(request_id: u64, request: Request, reply: Sender<Answered>) -> Self {
        Self {
            request,
            caller: Caller { request_id, reply: Some(reply), meter: None, hides_usage: false },
        }
    }
}

/// Who waits for the answer to a call. If it is dropped without an answer, it sends
/// [`PolicyError::Gone`], or [`PolicyError::Panicked`] during a panic, so that nobody waits forever.
#[derive(Debug)]
pub struct Caller {
    request_id: u64,
    reply: Option<Sender<Answered>>,
    meter: Option<Arc<Meter>>,
    /// Whether a judgement reaches the caller with zero usage, and the meter alone counts it.
    hides_usage: bool,
}

impl Caller {
    /// Answers; if nobody waits any more, nothing happens.
    pub fn answer(mut self, result: Result<Response, PolicyError>) {
        self.send(result);
    }

    /// Counts the answer, when it comes, in `meter`.
    pub(crate) fn count_in(&mut self, meter: &Arc<Meter>) {
        self.meter = Some(meter.clone());
    }

    /// Counts the answer in `meter` alone: a judgement reaches the caller without its cost.
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
            // A closed channel means that nobody waits any more.
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
    /// The call's request_id.
    pub request_id: u64,
    /// The answer.
    pub result: Result<Response, PolicyError>,
}

/// Submits one request and waits for its answer.
///
/// # Errors
/// The policy's own error, or [`PolicyError::Gone`] when it dropped the call.
pub fn call(policy: &dyn Policy, request: Request) -> Result<Response, PolicyError> {
    let (reply, answers) = bounded(1);
    policy.submit(Call::new(0, request, reply));
    answers.recv().map_err(|_| PolicyError::Gone)?.result
}
