//! What a chat server takes: found by asking it, as servers do not say.
//!
//! Servers of this kind refuse fields that they do not know (hosted ones), ignore them, or act on them.
//! Whether an assistant's turn is continued is seen from the tokens that the server counts: one that is
//! closed and answered anew costs the end of a turn and the beginning of another one.

use serde_json::{Value, json};

use super::super::fault::Fault;
use super::super::model::Model;
use super::super::reply::Reply;
use super::super::server::Server;
use super::turns::assistant;
use super::{CHAT, body, content};
use crate::text::user;

/// Numbers of tokens that are asked for at a place; servers have different limits.
const TOPS: [usize; 2] = [20, 5];

/// How a server is told that an assistant's turn goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Continuation {
    /// `continue_final_message` without `add_generation_prompt` (vLLM, SGLang, newer llama.cpp).
    Flags,
    /// By a last message that is the assistant's (llama.cpp).
    Bare,
    /// By `prefix` in that message (DeepSeek, Mistral).
    Prefix,
}

/// What a server takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Form {
    /// Name of the field for the number of tokens.
    pub(super) budget: &'static str,
    /// Whether settings are taken that are not OpenAI's: some servers' own are not neutral.
    pub(super) neutral: bool,
    pub(in crate::http) seed: bool,
    /// Tokens that are listed at a place; 0 where no log-probabilities are given.
    pub(in crate::http) top: usize,
    pub(in crate::http) continuation: Option<Continuation>,
    /// Whether an answer repeats the turn that it continues.
    echoes: bool,
}

/// Settings that turn off what servers do unasked, besides `top_k` and `min_p`.
pub(super) fn neutral(body: &mut Value) {
    body["repetition_penalty"] = json!(1.0);
    body["repeat_penalty"] = json!(1.0);
}

impl Form {
    /// Everything, in the order in which it is tried; what is refused most often goes first.
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

    /// Asks the server what it takes.
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
        Err(refused.unwrap_or_else(|| Fault::Unsupported(server.url(CHAT))))
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
            // Eight words cost what four do and four words more; what is left is all around them.
            let around = (2 * counted[0]).checked_sub(counted[1]);
            if !refused && around.is_some_and(|around| around > 0 && around <= alone) {
                return Ok(());
            }
        }
        (self.continuation, self.echoes) = (None, false);
        Ok(())
    }

    /// One token, after a greeting or after so many words of an answer.
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
        let reply = Reply::new(&server.url(CHAT), &value);
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
            // One token is no repetition by the model.
            echoes: begun.is_some_and(|begun| text.starts_with(&begun)),
        })
    }

    /// What is new in the answer of `choice`, which continues `begun`. A server that repeats that may
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

/// What one token of an answer tells.
struct Tried {
    /// Tokens of the prompt as the server counts them; 0 where it does not.
    tokens: u64,
    /// Whether likely tokens are listed.
    lists: bool,
    /// Whether the answer repeats what it continues.
    echoes: bool,
}
