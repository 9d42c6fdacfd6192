//! Dialect of vLLM: token ids in and out, raw log-probabilities, log-probabilities of the prompt.
//!
//! This file contains the fields of `/v1/completions`, `/classify`, `/tokenize` and `/detokenize`, nothing
//! else. Every sampler setting is sent, because the model's own defaults would apply otherwise.

use regrowth_datasets::{Message, TokenId};
use serde::Serialize;
use serde_json::{Value, json};

use super::completion::{Completed, Completion, End, Label, Scored, label_masses};
use super::fault::Fault;
use super::model::Model;
use super::reply::Reply;
use super::server::Server;

const COMPLETIONS: &str = "/v1/completions";
const CLASSIFY: &str = "/classify";

/// Maximum number of tokens listed per position, unless the server was started with a higher maximum.
pub(super) const TOP: usize = 20;

/// Prefix of a token's name if `return_tokens_as_token_ids` is set.
const TOKEN_ID: &str = "token_id:";

/// A request of `/v1/completions`. Token ids are serialised directly: building a `serde_json::Value` of the
/// prompt first would be the largest cost of a request.
#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    prompt: &'a [TokenId],
    add_special_tokens: bool,
    max_tokens: usize,
    temperature: f64,
    top_p: f64,
    /// -1 keeps all.
    top_k: i64,
    min_p: f64,
    repetition_penalty: f64,
    presence_penalty: f64,
    frequency_penalty: f64,
    skip_special_tokens: bool,
    return_tokens_as_token_ids: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    include_stop_str_in_output: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_logprobs: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_token_ids: Option<bool>,
}

impl<'a> Body<'a> {
    /// Fields common to all requests; sampling is greedy.
    fn new(model: &'a Model, prompt: &'a [TokenId], max_tokens: usize) -> Self {
        Self {
            model: &model.name,
            prompt,
            add_special_tokens: false,
            max_tokens,
            temperature: 0.0,
            top_p: 1.0,
            top_k: -1,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            skip_special_tokens: false,
            return_tokens_as_token_ids: true,
            seed: None,
            stop: None,
            include_stop_str_in_output: None,
            logprobs: None,
            prompt_logprobs: None,
            return_token_ids: None,
        }
    }
}

pub(super) async fn complete(
    model: &Model,
    server: &Server,
    ask: &Completion,
) -> Result<Completed, Fault> {
    let sampling = &ask.sampling;
    let body = Body {
        temperature: sampling.temperature.into(),
        top_p: sampling.top_p.into(),
        min_p: sampling.min_p.into(),
        top_k: match sampling.top_k {
            0 => -1,
            k => k as i64,
        },
        // The server's seed is a signed 64-bit number.
        seed: Some(ask.seed >> 1),
        stop: Some(&ask.stops),
        include_stop_str_in_output: Some(true),
        logprobs: Some(1),
        return_token_ids: Some(true),
        ..Body::new(model, &ask.prompt, ask.max_tokens)
    };
    let value = server.post(COMPLETIONS, &body).await?;
    let reply = Reply::new(server.url(COMPLETIONS), &value);
    let choice = reply.field("choices")?.at(0)?;
    let logprobs = choice.field("logprobs")?;
    let ids = match choice.optional("token_ids") {
        Some(ids) => ids.ids()?,
        None => logprobs.field("tokens")?.list()?.iter().map(named).collect::<Result<_, _>>()?,
    };
    let logps = logprobs.field("token_logprobs")?.sampled_logps()?;
    let end = match (choice.field("finish_reason")?.text()?, choice.optional("stop_reason")) {
        ("length", _) => End::Length,
        ("stop", Some(reason)) if reason.text().is_ok() => End::Stop,
        ("stop", _) => End::Eos,
        _ => return Err(choice.field("finish_reason")?.bad("`stop` or `length`")),
    };
    Completed { ids, logps, end, exact: true, reused: reused(&reply) }.checked(&reply)
}

/// Parses a token's name, `token_id:` and the id.
fn named(token: &Reply) -> Result<TokenId, Fault> {
    let id = token.text()?.strip_prefix(TOKEN_ID).and_then(|id| id.parse().ok());
    id.ok_or_else(|| token.bad("`token_id:` and a number"))
}

/// Number of prompt tokens that the server had in its cache; 0 if it does not report it.
fn reused(reply: &Reply) -> u64 {
    let details = reply.optional("usage").and_then(|u| u.optional("prompt_tokens_details"));
    details.and_then(|d| d.optional("cached_tokens")?.count().ok()).unwrap_or(0)
}

pub(super) async fn labels(
    model: &Model,
    server: &Server,
    prompt: &[TokenId],
    labels: &[Label],
) -> Result<Option<Vec<f64>>, Fault> {
    let body = Body { logprobs: Some(TOP), ..Body::new(model, prompt, 1) };
    let value = server.post(COMPLETIONS, &body).await?;
    let reply = Reply::new(server.url(COMPLETIONS), &value);
    let logprobs = reply.field("choices")?.at(0)?.field("logprobs")?;
    let listed = logprobs.field("top_logprobs")?.at(0)?.entries()?;
    let listed: Vec<(TokenId, f64)> = listed
        .into_iter()
        .map(|(name, logp)| {
            let id = name.strip_prefix(TOKEN_ID).and_then(|id| id.parse().ok());
            Ok((id.ok_or_else(|| logp.bad("a name of `token_id:` and a number"))?, logp.logp()?))
        })
        .collect::<Result<_, Fault>>()?;
    Ok(label_masses(labels, &listed, |id, label| label.ids.contains(id)))
}

pub(super) async fn score(
    model: &Model,
    server: &Server,
    prefix: &[TokenId],
    continuation: &[TokenId],
) -> Result<Scored, Fault> {
    let all = [prefix, continuation].concat();
    // vLLM always generates at least one token.
    let body = Body { prompt_logprobs: Some(1), ..Body::new(model, &all, 1) };
    let value = server.post(COMPLETIONS, &body).await?;
    let reply = Reply::new(server.url(COMPLETIONS), &value);
    let places = reply.field("choices")?.at(0)?.field("prompt_logprobs")?.list_of(all.len())?;
    let mut scored = Scored { logps: vec![], greedy: vec![], reused: reused(&reply) };
    for (place, id) in places.iter().zip(&all).skip(prefix.len()) {
        let entry = place.field(&id.to_string())?;
        scored.logps.push(entry.field("logprob")?.sampled_logp()? as f32);
        scored.greedy.push(entry.field("rank")?.count()? == 1);
    }
    Ok(scored)
}

/// Scores of a text or of ids by a classification model, one per label: raw or, if `activated`, after the
/// model's activation, which vLLM applies by default.
pub(super) async fn classify(
    model: &Model,
    server: &Server,
    input: &Value,
    activated: bool,
) -> Result<Vec<f64>, Fault> {
    let body = json!({
        "model": model.name, "input": input, "add_special_tokens": false, "use_activation": activated,
    });
    let value = server.post(CLASSIFY, &body).await?;
    let reply = Reply::new(server.url(CLASSIFY), &value);
    reply.field("data")?.only()?.field("probs")?.numbers()
}

/// Ids of a text; if `framed`, with the special tokens around it.
pub(super) async fn encode(
    model: &Model,
    server: &Server,
    text: &str,
    framed: bool,
) -> Result<Vec<TokenId>, Fault> {
    let body = json!({ "model": model.name, "prompt": text, "add_special_tokens": framed });
    tokens(server, &body).await
}

/// Ids of a chat in the server's template, with the system message and template values of `model.told`, up
/// to the beginning of the assistant's answer.
pub(super) async fn chat(
    model: &Model,
    server: &Server,
    turns: &[Message],
) -> Result<Vec<TokenId>, Fault> {
    let system = model.told.system.as_deref().map(|content| ("system", content));
    let turns = turns.iter().map(|turn| (turn.role.as_str(), turn.content.as_str()));
    let turns = system.into_iter().chain(turns);
    let message = |(role, content)| json!({ "role": role, "content": content });
    let messages: Vec<Value> = turns.map(message).collect();
    let mut body = json!({
        "model": model.name, "messages": messages, "add_generation_prompt": true,
        "add_special_tokens": false,
    });
    if !model.told.values.is_empty() {
        body["chat_template_kwargs"] = json!(model.told.values);
    }
    tokens(server, &body).await
}

/// Sends a request to `/tokenize` and returns the ids. SGLang's reply has the same form.
pub(super) async fn tokens(server: &Server, body: &Value) -> Result<Vec<TokenId>, Fault> {
    let value = server.post("/tokenize", body).await?;
    Reply::new(server.url("/tokenize"), &value).field("tokens")?.ids()
}

pub(super) async fn decode(
    model: &Model,
    server: &Server,
    ids: &[TokenId],
) -> Result<String, Fault> {
    let body = json!({ "model": model.name, "tokens": ids });
    let value = server.post("/detokenize", &body).await?;
    Ok(Reply::new(server.url("/detokenize"), &value).field("prompt")?.text()?.to_owned())
}
