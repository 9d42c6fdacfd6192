//! Request fields that a chat server accepts, found by trial requests because servers do not report them.
//!
//! OpenAI-compatible servers refuse unknown fields (hosted ones), ignore them, or act on them. The server's
//! count of prompt tokens shows whether it continues an assistant turn: a turn that is closed and answered
//! anew costs the tokens of a turn's end and of another turn's beginning.

use serde_json::{Value, json};

use super::super::fault::Fault;
use super::super::model::Model;
use super::super::reply::Reply;
use super::super::server::Server;
use super::turns::assistant;
use super::{CHAT, body, content};
use crate::text::user;

/// Numbers of likely tokens requested per position; servers have different limits.
const TOPS: [usize; 2] = [20, 5];

/// How a request tells the server to continue the assistant turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Continuation {
    /// `continue_final_message` without `add_generation_prompt` (vLLM, SGLang, newer llama.cpp).
    Flags,
    /// A last message with the assistant's role (llama.cpp).
    Bare,
    /// `prefix` in the last message, which is the assistant's (DeepSeek, Mistral).
    Prefix,
}

/// Request fields that a server accepts, and how it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Form {
    /// Name of the field for the token limit.
    pub(super) budget: &'static str,
    /// Whether fields that are not OpenAI's are accepted. They are sent because some servers' defaults are
    /// not neutral.
    pub(super) neutral: bool,
    pub(in crate::http) seed: bool,
    /// Number of likely tokens listed per position; 0 if the server returns no log-probabilities.
    pub(in crate::http) top: usize,
    pub(in crate::http) continuation: Option<Continuation>,
    /// Whether an answer repeats the turn that it continues.
    echoes: bool,
}

/// Sets neutral repetition penalties, for servers whose defaults are not neutral. `top_k` and `min_p` are set
/// elsewhere.
pub(super) fn neutral(body: &mut Value) {
    body["repetition_penalty"] = json!(1.0);
    body["repeat_penalty"] = json!(1.0);
}

impl Form {
    /// All combinations of fields, in the order in which they are tried: the field that servers refuse most
    /// often is dropped first.
    fn all() -> impl Iterator<Item = Self> {
        let form = |budget, neutral, seed, top| Self {
            budget,
            neutral,
            seed,
            top,
            continuation: None,
            echoes: false,
        };
        ["max_tokens", "max_completion_tokens"].into_iter().flat_map(move |budget| {
            [
                form(budget, true, true, TOPS[0]),
                form(budget, false, true, TOPS[0]),
                form(budget, false, true, TOPS[1]),
                form(budget, true, true, 0),
                form(budget, false, true, 0),
                form(budget, false, false, 0),
            ]
        })
    }

    /// Tries the combinations until the server accepts one.
    pub(in crate::http) async fn find(model: &Model, server: &Server) -> Result<Self, Fault> {
        let mut refused = None;
        for mut form in Self::all() {
            match form.try_request(model, server, None).await {
                Ok(tried) => {
                    form.top = if tried.lists { form.top } else { 0 };
                    form.find_continuation(model, server, tried.tokens).await?;
                    return Ok(form);
                }
                Err(fault @ Fault::Refused(_)) => {
                    refused.get_or_insert(fault);
                }
                Err(fault) => return Err(fault),
            }
        }
        Err(refused.unwrap_or_else(|| Fault::Unsupported(server.url(CHAT).to_string())))
    }

    async fn find_continuation(
        &mut self,
        model: &Model,
        server: &Server,
        alone: u64,
    ) -> Result<(), Fault> {
        for way in [Continuation::Flags, Continuation::Bare, Continuation::Prefix] {
            self.continuation = Some(way);
            let mut counted = [0u64; 2];
            let mut refused = false;
            for (count, words) in counted.iter_mut().zip([4, 8]) {
                match self.try_request(model, server, Some(words)).await {
                    Ok(tried) => {
                        *count = tried.tokens;
                        self.echoes = tried.echoes;
                    }
                    Err(Fault::Refused(_)) => refused = true,
                    Err(fault) => return Err(fault),
                }
            }
            // Twice the tokens of a prompt with four words, less those of a prompt with eight, leaves the
            // tokens around the words. If these are at most as many as without the assistant turn (`alone`),
            // the turn is continued.
            let around = (2 * counted[0]).checked_sub(counted[1]);
            if !refused && around.is_some_and(|around| around > 0 && around <= alone) {
                return Ok(());
            }
        }
        (self.continuation, self.echoes) = (None, false);
        Ok(())
    }

    /// Requests one token, after a greeting or after this number of words of an answer.
    async fn try_request(
        &self,
        model: &Model,
        server: &Server,
        words: Option<usize>,
    ) -> Result<Tried, Fault> {
        let begun = words.map(|words| vec!["a"; words].join(" "));
        let mut turns = vec![user("Hi".into())];
        turns.extend(begun.clone().map(assistant));
        let mut body = body(model, self, &turns, 1);
        super::draw(&mut body, self, &crate::Sampling::default(), 1 << 40);
        if self.top > 0 {
            body["logprobs"] = json!(true);
            body["top_logprobs"] = json!(self.top);
        }
        let value = server.post(CHAT, &body).await?;
        let reply = Reply::new(server.url(CHAT), &value);
        let choice = reply.field("choices")?.at(0)?;
        let listed = choice.optional("logprobs").and_then(|l| l.optional("content"));
        let first = listed.and_then(|l| l.list().ok()?.into_iter().next());
        let text = content(&choice)?;
        Ok(Tried {
            tokens: reply
                .optional("usage")
                .and_then(|u| u.optional("prompt_tokens")?.count().ok())
                .unwrap_or(0),
            lists: first.is_some_and(|first| first.optional("top_logprobs").is_some()),
            // The model generates only one token here, so a repetition comes from the server.
            echoes: begun.is_some_and(|begun| text.starts_with(&begun)),
        })
    }

    /// The new part of the answer of `choice`, which continues `begun`. A server that repeats `begun` may
    /// trim it.
    pub(super) fn fresh<'a>(&self, choice: &Reply<'a>, begun: &str) -> Result<&'a str, Fault> {
        let text = content(choice)?;
        if !self.echoes || self.continuation.is_none() || begun.is_empty() {
            return Ok(text);
        }
        let fresh = text.strip_prefix(begun).or_else(|| text.strip_prefix(begun.trim()));
        fresh.ok_or_else(|| choice.bad("an answer that begins with what it continues"))
    }
}

/// Results of a trial request for one token.
struct Tried {
    /// Number of prompt tokens that the server counts; 0 if it does not report it.
    tokens: u64,
    /// Whether likely tokens are listed.
    lists: bool,
    /// Whether the answer repeats the text that it continues.
    echoes: bool,
}
