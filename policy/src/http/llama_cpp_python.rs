//! Dialect of llama-cpp-python's server: text in and out.
//!
//! This file contains the fields of `/v1/completions` and `/extras/*`, nothing else. Ids are made by
//! tokenising the text again, so a step may begin or end inside one of the server's tokens. Candidates are
//! therefore marked as inexact, and their ids are those of the tokenised text. If the two tokenisations
//! differ in length, only the sum of the log-probabilities is kept. The server returns one choice per
//! request, whatever `n` is.

use regrowth_datasets::TokenId;
use serde_json::{Value, json};

use super::completion::{Completed, Completion, End, Label, Scored, label_masses, spread};
use super::fault::Fault;
use super::model::Model;
use super::reply::Reply;
use super::server::Server;
use crate::Sampling;

const COMPLETIONS: &str = "/v1/completions";

/// Number of likely tokens listed for a judge's answer (not tuned; each costs a line of text).
pub(super) const TOP: usize = 100;

fn body(model: &Model, prompt: &str, max_tokens: usize, sampling: &Sampling) -> Value {
    json!({
        "model": model.name, "prompt": prompt, "max_tokens": max_tokens, "logprobs": 1,
        "temperature": sampling.temperature, "top_p": sampling.top_p, "min_p": sampling.min_p,
        "top_k": sampling.top_k, "repeat_penalty": 1.0, "presence_penalty": 0.0,
        "frequency_penalty": 0.0, "mirostat_mode": 0, "stream": false,
    })
}

/// Sends a request. The server reports a prompt that does not fit as an error of the server; here it becomes
/// an error of the request.
async fn post(server: &Server, body: &Value) -> Result<Value, Fault> {
    server.post(COMPLETIONS, body).await.map_err(|fault| match fault {
        Fault::Busy { detail, .. } if detail.contains("logits_all") => {
            Fault::Unsupported(format!("{detail}; start the server with `--logits_all true`"))
        }
        Fault::Busy { detail, .. } if detail.contains("context window") => Fault::Refused(detail),
        other => other,
    })
}

pub(super) async fn complete(
    model: &Model,
    server: &Server,
    ask: &Completion,
) -> Result<Completed, Fault> {
    let prompt = model.decode(server, &ask.prompt).await?;
    let mut body = body(model, &prompt, ask.max_tokens, &ask.sampling);
    body["seed"] = json!((ask.seed >> 33) as u32);
    body["stop"] = json!(ask.stops);
    let value = post(server, &body).await?;
    let reply = Reply::new(server.url(COMPLETIONS), &value);
    let choice = reply.field("choices")?.at(0)?;
    let logprobs = choice.field("logprobs")?;
    let pieces = logprobs.field("tokens")?.list()?;
    let pieces = pieces.iter().map(Reply::text).collect::<Result<Vec<_>, _>>()?;
    let logps = logprobs.field("token_logprobs")?.list_of(pieces.len())?;
    let logps = logps.iter().map(Reply::logp).collect::<Result<Vec<_>, _>>()?;
    let (tail, stopped) = stop_tail(&pieces.concat(), &ask.stops);
    let end = match choice.field("finish_reason")?.text()? {
        "length" => End::Length,
        "stop" if stopped => End::Stop,
        "stop" => End::Eos,
        _ => return Err(choice.field("finish_reason")?.bad("`stop` or `length`")),
    };
    let text = choice.field("text")?.text()?.to_owned() + &tail;
    let ids = continued(model, server, &ask.prompt, &prompt, &text).await?;
    let logps = spread(&logps, ids.len());
    Completed { ids, logps, end, exact: false, reused: 0 }.checked(&reply)
}

/// Returns the text that the server cut off, which begins with the stop string that it found, and whether it
/// found one. The server takes the first string of its list that occurs.
fn stop_tail(all: &str, stops: &[String]) -> (String, bool) {
    let found = stops.iter().find_map(|stop| all.find(stop.as_str()));
    (found.map(|at| all[at..].to_owned()).unwrap_or_default(), found.is_some())
}

/// Ids of `text` as a continuation of the prompt. If the ids of prompt and text together begin with the
/// prompt's ids, these are the ids that follow; otherwise the ids of `text` alone.
async fn continued(
    model: &Model,
    server: &Server,
    prompt_ids: &[TokenId],
    prompt: &str,
    text: &str,
) -> Result<Vec<TokenId>, Fault> {
    if text.is_empty() {
        return Ok(vec![]);
    }
    let mut whole = model.begin.clone();
    whole.extend(model.encode(server, &format!("{prompt}{text}")).await?);
    match whole.strip_prefix(prompt_ids) {
        Some(rest) if !rest.is_empty() => Ok(rest.to_vec()),
        _ => model.encode(server, text).await,
    }
}

pub(super) async fn labels(
    model: &Model,
    server: &Server,
    prompt: &[TokenId],
    labels: &[Label],
) -> Result<Option<Vec<f64>>, Fault> {
    let prompt = model.decode(server, prompt).await?;
    let mut body = body(model, &prompt, 1, &Sampling::greedy());
    body["logprobs"] = json!(TOP);
    let value = post(server, &body).await?;
    let reply = Reply::new(server.url(COMPLETIONS), &value);
    let logprobs = reply.field("choices")?.at(0)?.field("logprobs")?;
    // The list is empty if the model would end at once.
    let Some(first) = logprobs.field("top_logprobs")?.list()?.into_iter().next() else {
        return Ok(None);
    };
    let listed = first.entries()?;
    let listed: Vec<(&str, f64)> =
        listed.into_iter().map(|(t, l)| Ok((t, l.logp()?))).collect::<Result<_, Fault>>()?;
    Ok(label_masses(labels, &listed, |text, label| label.is(text)))
}

/// Log-probabilities of `continuation`, from the echoed prompt. The server aligns them with the tokens only
/// for models whose texts begin with BOS, and it begins every text of such a model with BOS.
pub(super) async fn score(
    model: &Model,
    server: &Server,
    prefix: &[TokenId],
    continuation: &[TokenId],
) -> Result<Scored, Fault> {
    let url = server.url(COMPLETIONS);
    let unsupported = |why: &str| Err(Fault::Unsupported(format!("{url}: {why}")));
    if model.begin.is_empty() {
        return unsupported(
            "this server shifts the log-probabilities of given text by one token for models \
             without BOS, so it cannot score; use the C++ server of llama.cpp, vLLM or SGLang",
        );
    }
    let Some(rest) = prefix.strip_prefix(model.begin.as_slice()) else {
        return unsupported("this server begins every text with BOS, but these ids do not");
    };
    let own = [rest, continuation].concat();
    let prompt = model.decode(server, &own).await?;
    let mut body = body(model, &prompt, 1, &Sampling::greedy());
    body["echo"] = json!(true);
    let value = post(server, &body).await?;
    let reply = Reply::new(url, &value);
    let choice = reply.field("choices")?.at(0)?;
    let logprobs = choice.field("logprobs")?;
    let listed = logprobs.field("token_logprobs")?.list()?;
    let tops = logprobs.field("top_logprobs")?.list_of(listed.len())?;
    // The last entry is one generated token, unless the model ended at once.
    let read = listed
        .len()
        .saturating_sub(usize::from(choice.field("finish_reason")?.text()? == "length"));
    if read != own.len() {
        let count = own.len();
        return unsupported(&format!(
            "the server reads these {count} tokens as {read}, so it cannot score them one by one"
        ));
    }
    let mut scored = Scored { logps: vec![], greedy: vec![], reused: 0 };
    for at in rest.len()..own.len() {
        let logp = listed[at].sampled_logp()?;
        let top = tops[at].entries()?;
        let top = top.iter().map(|(_, l)| l.logp()).collect::<Result<Vec<_>, _>>()?;
        scored.greedy.push(top.iter().all(|l| *l <= logp));
        scored.logps.push(logp as f32);
    }
    Ok(scored)
}

/// Ids of a text, including the special tokens that the server always puts before it.
pub(super) async fn encode(
    model: &Model,
    server: &Server,
    text: &str,
) -> Result<Vec<TokenId>, Fault> {
    let path = "/extras/tokenize";
    let value = server.post(path, &json!({ "model": model.name, "input": text })).await?;
    Reply::new(server.url(path), &value).field("tokens")?.ids()
}

pub(super) async fn decode(
    model: &Model,
    server: &Server,
    ids: &[TokenId],
) -> Result<String, Fault> {
    let path = "/extras/detokenize";
    let value = server.post(path, &json!({ "model": model.name, "tokens": ids })).await?;
    Ok(Reply::new(server.url(path), &value).field("text")?.text()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stopped_the_text_is_kept() {
        let stops = ["\n".to_owned(), ".".to_owned()];
        assert_eq!(stop_tail("a. b\nc", &stops), ("\nc".to_owned(), true));
        assert_eq!(stop_tail("abc", &stops), (String::new(), false));
    }
}
