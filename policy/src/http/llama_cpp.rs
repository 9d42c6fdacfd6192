//! Dialect of llama.cpp's C++ server: token ids in and out, scoring by a grammar that allows only one answer.
//!
//! This file contains the fields of `/completion`, `/tokenize`, `/detokenize` and `/props`, nothing else. The
//! server's sampler defaults are not neutral, so every setting is sent. The server leaves out the
//! log-probabilities of a stop string, so they are requested separately.

use regrowth_datasets::TokenId;
use serde_json::{Value, json};

use super::completion::{Completed, Completion, End, Label, Scored, label_masses};
use super::fault::Fault;
use super::reply::Reply;
use super::server::Server;
use crate::Sampling;

const COMPLETION: &str = "/completion";

/// Number of likely tokens listed for a judge's answer (as in the documentation of the server).
pub(super) const TOP: usize = 100;

/// Fields common to all requests. Temperature comes before top-p and min-p, as in the built-in engine; top-k
/// does not depend on it.
fn body(prompt: &[TokenId], max_tokens: usize, sampling: &Sampling) -> Value {
    json!({
        "prompt": prompt, "n_predict": max_tokens, "cache_prompt": true, "return_tokens": true,
        "n_probs": 1, "post_sampling_probs": false, "stream": false,
        "samplers": ["top_k", "temperature", "top_p", "min_p"],
        "temperature": sampling.temperature, "top_k": sampling.top_k, "top_p": sampling.top_p,
        "min_p": sampling.min_p, "typical_p": 1.0, "repeat_penalty": 1.0,
        "presence_penalty": 0.0, "frequency_penalty": 0.0,
    })
}

/// Entries of `completion_probabilities`, each with id and log-probability; empty if the server lists none.
fn probabilities<'a>(reply: &Reply<'a>) -> Result<Vec<Reply<'a>>, Fault> {
    reply.optional("completion_probabilities").map_or(Ok(vec![]), |list| list.list())
}

fn entry(entry: &Reply) -> Result<(TokenId, f64), Fault> {
    Ok((entry.field("id")?.id()?, entry.field("logprob")?.logp()?))
}

fn reused(reply: &Reply) -> u64 {
    let timings = reply.optional("timings");
    timings.and_then(|t| t.optional("cache_n")?.count().ok()).unwrap_or(0)
}

pub(super) async fn complete(server: &Server, ask: &Completion) -> Result<Completed, Fault> {
    let mut body = body(&ask.prompt, ask.max_tokens, &ask.sampling);
    // The server's seed is an unsigned 32-bit number whose largest value means "random".
    body["seed"] = json!((ask.seed >> 32) as u32 & 0x7fff_ffff);
    body["stop"] = json!(ask.stops);
    let value = server.post(COMPLETION, &body).await?;
    let reply = Reply::new(server.url(COMPLETION), &value);
    let ids = reply.field("tokens")?.ids()?;
    let end = match reply.field("stop_type")?.text()? {
        "word" => End::Stop,
        "eos" => End::Eos,
        "limit" => End::Length,
        _ => return Err(reply.field("stop_type")?.bad("`word`, `eos` or `limit`")),
    };
    let listed = probabilities(&reply)?.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let known = listed.iter().zip(&ids).take_while(|((id, _), own)| id == *own).count();
    let mut logps: Vec<f32> = listed[..known].iter().map(|(_, logp)| *logp as f32).collect();
    if known < ids.len() {
        let before = [&*ask.prompt, &ids[..known]].concat();
        logps.extend(score(server, &before, &ids[known..]).await?.logps);
    }
    Completed { ids, logps, end, exact: true, reused: reused(&reply) }.checked(&reply)
}

pub(super) async fn labels(
    server: &Server,
    prompt: &[TokenId],
    labels: &[Label],
) -> Result<Option<Vec<f64>>, Fault> {
    let mut body = body(prompt, 1, &Sampling::greedy());
    body["n_probs"] = json!(TOP);
    let value = server.post(COMPLETION, &body).await?;
    let reply = Reply::new(server.url(COMPLETION), &value);
    let Some(first) = probabilities(&reply)?.into_iter().next() else { return Ok(None) };
    let listed = first.field("top_logprobs")?.list()?;
    let listed = listed.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    Ok(label_masses(labels, &listed, |id, label| label.ids.contains(id)))
}

/// Makes the server generate `continuation` under a grammar that allows nothing else. The log-probabilities
/// are those before the grammar is applied.
pub(super) async fn score(
    server: &Server,
    prefix: &[TokenId],
    continuation: &[TokenId],
) -> Result<Scored, Fault> {
    let rule: Vec<String> = continuation.iter().map(|id| format!("<[{id}]>")).collect();
    let mut body = body(prefix, continuation.len(), &Sampling::greedy());
    body["grammar"] = json!(format!("root ::= {}", rule.join(" ")));
    let value = server.post(COMPLETION, &body).await.map_err(|fault| match fault {
        Fault::Refused(detail) => Fault::Unsupported(format!(
            "{detail}; log-probabilities of given text need a llama.cpp server whose grammars know \
             token ids (`<[id]>`)"
        )),
        other => other,
    })?;
    let reply = Reply::new(server.url(COMPLETION), &value);
    let places = reply.field("completion_probabilities")?.list_of(continuation.len())?;
    let mut scored = Scored { logps: vec![], greedy: vec![], reused: reused(&reply) };
    for (place, &id) in places.iter().zip(continuation) {
        let (got, logp) = entry(place)?;
        if got != id {
            return Err(place.bad(&format!("token {id}, which the grammar asks for")));
        }
        scored.logps.push(logp as f32);
        scored.greedy.push(entry(&place.field("top_logprobs")?.at(0)?)?.0 == id);
    }
    Ok(scored)
}

/// Ids of a text; if `framed`, with the special tokens around it.
pub(super) async fn encode(
    server: &Server,
    text: &str,
    framed: bool,
) -> Result<Vec<TokenId>, Fault> {
    let body = json!({ "content": text, "add_special": framed, "parse_special": true });
    let value = server.post("/tokenize", &body).await?;
    Reply::new(server.url("/tokenize"), &value).field("tokens")?.ids()
}

pub(super) async fn decode(server: &Server, ids: &[TokenId]) -> Result<String, Fault> {
    let value = server.post("/detokenize", &json!({ "tokens": ids })).await?;
    Ok(Reply::new(server.url("/detokenize"), &value).field("content")?.text()?.to_owned())
}

/// Properties of the model from `/props`.
pub(super) struct Properties {
    pub(super) context: Option<usize>,
    pub(super) bos_text: String,
    pub(super) eos_text: String,
    pub(super) chat_template: Option<String>,
}

pub(super) async fn properties(server: &Server) -> Result<Properties, Fault> {
    let value = server.get("/props").await?;
    let reply = Reply::new(server.url("/props"), &value);
    let settings = reply.optional("default_generation_settings");
    let context = settings.and_then(|s| s.optional("n_ctx")?.count().ok());
    let text = |name: &str| {
        let text = reply.optional(name)?.text().ok()?;
        Some(text.to_owned()).filter(|t| !t.is_empty())
    };
    Ok(Properties {
        context: context.map(|c| c as usize),
        bos_text: text("bos_token").unwrap_or_default(),
        eos_text: text("eos_token").unwrap_or_default(),
        chat_template: text("chat_template"),
    })
}
