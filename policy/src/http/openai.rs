//! Dialect of OpenAI-compatible chat servers, including hosted ones: messages in, text out.
//!
//! Such a server does not report which stop string ended the text, so none is sent. All tokens that a step
//! may have are sampled in one request, and the step is cut out of them here. Ids are made from text by the
//! tokenizer of a folder or by [`packed`], so rows have `logps_exact: false`.

pub(super) mod form;
pub(super) mod packed;
pub(super) mod turns;

use regrowth_datasets::{Message, TokenId, stream_key};
use serde_json::{Value, json};

use super::completion::{Completed, Completion, End, Label, Scored, label_masses, spread};
use super::fault::Fault;
use super::model::Model;
use super::reply::Reply;
use super::server::Server;
use crate::Sampling;
use crate::text::user;
use form::Continuation;
pub(super) use form::Form;
use turns::assistant;
pub(super) use turns::{Talk, Turns};

const CHAT: &str = "/v1/chat/completions";

/// Number of letters sampled for a judgement if the server lists no log-probabilities; a label's share is
/// then a multiple of one eighth.
pub(super) const LETTERS: usize = 8;

/// Token limit of an answer that is one letter, with a bracket or a space before it.
const LETTER_TOKENS: usize = 4;

/// Text between the problem and the steps so far, and after them, if the server begins a new answer.
const SO_FAR: &str = "\n\nThe solution so far:\n";
const CONTINUE: &str =
    "\n\nContinue the solution exactly where it stops. Do not repeat any part of it.";
/// Instruction to answer with one letter, for a server that cannot continue an answer begun for it.
fn one_letter(labels: &[Label]) -> String {
    let texts: Vec<&str> = labels.iter().map(|label| label.text.as_str()).collect();
    match texts.as_slice() {
        ["A", "B"] => "\nAnswer with one letter, A or B, and nothing else.".to_owned(),
        texts => format!("\nAnswer with one of {} and nothing else.", texts.join(", ")),
    }
}

/// Request body without the sampling settings.
pub(super) fn body(model: &Model, form: &Form, turns: &[Message], max_tokens: usize) -> Value {
    let system = model.told.system.as_deref().map(|content| ("system", content));
    let turns = turns.iter().map(|turn| (turn.role.as_str(), turn.content.as_str()));
    let message = |(role, content)| json!({ "role": role, "content": content });
    let messages: Vec<Value> = system.into_iter().chain(turns).map(message).collect();
    let mut body = json!({ "model": model.name, "messages": messages, "stream": false });
    body[form.budget] = json!(max_tokens);
    if !model.told.values.is_empty() {
        body["chat_template_kwargs"] = json!(model.told.values);
    }
    let open = body["messages"].as_array_mut().and_then(|all| all.last_mut());
    let Some(last) = open.filter(|last| last["role"] == "assistant") else { return body };
    match form.continuation {
        Some(Continuation::Flags) => {
            body["add_generation_prompt"] = json!(false);
            body["continue_final_message"] = json!(true);
        }
        Some(Continuation::Prefix) => last["prefix"] = json!(true),
        Some(Continuation::Bare) | None => {}
    }
    body
}

/// Sets the sampling settings, as far as the server accepts them.
fn draw(body: &mut Value, form: &Form, sampling: &Sampling, seed: u64) {
    body["temperature"] = json!(sampling.temperature);
    body["top_p"] = json!(sampling.top_p);
    if form.neutral || sampling.top_k > 0 {
        body["top_k"] = if sampling.top_k == 0 { json!(-1) } else { json!(sampling.top_k) };
    }
    if form.neutral || sampling.min_p > 0.0 {
        body["min_p"] = json!(sampling.min_p);
    }
    if form.neutral {
        form::neutral(body);
    }
    if form.seed {
        // Some servers accept only signed 32-bit seeds.
        body["seed"] = json!(seed >> 33);
    }
}

pub(super) async fn complete(
    model: &Model,
    server: &Server,
    ask: &Completion,
) -> Result<Completed, Fault> {
    let form = model.form()?;
    let (problem, steps) = model.talk(&ask.prompt)?.opened();
    let turns = match (steps.is_empty(), form.continuation) {
        (true, _) => vec![user(problem)],
        (false, Some(_)) => vec![user(problem), assistant(steps.clone())],
        (false, None) => vec![user(format!("{problem}{SO_FAR}{steps}{CONTINUE}"))],
    };
    let mut body = body(model, form, &turns, ask.max_tokens);
    draw(&mut body, form, &ask.sampling, ask.seed);
    if form.top > 0 {
        body["logprobs"] = json!(true);
    }
    let value = server.post(CHAT, &body).await?;
    let reply = Reply::new(server.url(CHAT), &value);
    let choice = reply.field("choices")?.at(0)?;
    let end = match choice.field("finish_reason")?.text()? {
        "length" => End::Length,
        "stop" => End::Eos,
        _ => return Err(choice.field("finish_reason")?.bad("`stop` or `length`")),
    };
    let mut text = model.clean(form.fresh(&choice, &steps)?);
    let apart = form.continuation.is_none() && !steps.is_empty();
    if apart && !steps.ends_with(char::is_whitespace) && !text.starts_with(char::is_whitespace) {
        text.insert(0, ' ');
    }
    let ids = model.encode(server, &text).await?;
    let logps = spread(&sampled(&choice)?, ids.len());
    let usage = reply.optional("usage").and_then(|u| u.optional("prompt_tokens_details"));
    let reused = usage.and_then(|d| d.optional("cached_tokens")?.count().ok()).unwrap_or(0);
    Completed { ids, logps, end, exact: false, reused }.checked(&reply)
}

/// Text of an answer; empty if the answer has only reasoning or a refusal.
pub(super) fn content<'a>(choice: &Reply<'a>) -> Result<&'a str, Fault> {
    choice.field("message")?.optional("content").map_or(Ok(""), |content| content.text())
}

/// Log-probabilities of the tokens of an answer; empty if the server lists none.
fn sampled(choice: &Reply) -> Result<Vec<f64>, Fault> {
    let listed = choice.optional("logprobs").and_then(|l| l.optional("content"));
    let Some(listed) = listed else { return Ok(vec![]) };
    listed.list()?.iter().map(|token| token.field("logprob")?.sampled_logp()).collect()
}

/// Probabilities of the labels: from the tokens listed at the first position or, if the server lists none,
/// the shares among sampled letters.
pub(super) async fn labels(
    model: &Model,
    server: &Server,
    prompt: &[TokenId],
    labels: &[Label],
) -> Result<Option<Vec<f64>>, Fault> {
    let form = model.form()?;
    let mut turns = model.talk(prompt)?.messages();
    if form.continuation.is_none()
        && let Some(opening) = turns.pop()
        && let Some(question) = turns.last_mut()
    {
        debug_assert!(opening.role == "assistant" && question.role == "user");
        question.content.push_str(&one_letter(labels));
    }
    if form.top == 0 {
        return letters(model, server, &turns, prompt, labels).await;
    }
    let mut body = body(model, form, &turns, 1);
    draw(&mut body, form, &Sampling::greedy(), 0);
    body["logprobs"] = json!(true);
    body["top_logprobs"] = json!(form.top);
    let value = server.post(CHAT, &body).await?;
    let reply = Reply::new(server.url(CHAT), &value);
    let listed = reply.field("choices")?.at(0)?.optional("logprobs");
    let listed = listed.and_then(|l| l.optional("content"));
    // The list is empty if the model would end at once.
    let Some(first) = listed.map(|l| l.list()).transpose()?.and_then(|l| l.into_iter().next())
    else {
        return Ok(None);
    };
    let top = first.field("top_logprobs")?.list()?;
    let listed: Vec<(&str, f64)> = top
        .iter()
        .map(|token| Ok((token.field("token")?.text()?, token.field("logprob")?.logp()?)))
        .collect::<Result<_, Fault>>()?;
    Ok(label_masses(labels, &listed, |text, label| label.is(text)))
}

/// Share of each label among [`LETTERS`] answers sampled at temperature 1.
async fn letters(
    model: &Model,
    server: &Server,
    turns: &[Message],
    prompt: &[TokenId],
    labels: &[Label],
) -> Result<Option<Vec<f64>>, Fault> {
    let form = model.form()?;
    let bytes: Vec<u8> = prompt.iter().flat_map(|id| id.to_le_bytes()).collect();
    let opening = turns.last().filter(|last| last.role == "assistant");
    let mut counts = vec![0u32; labels.len()];
    for sample in 0..LETTERS as u64 {
        let mut body = body(model, form, turns, LETTER_TOKENS);
        let seed = stream_key(sample, &[b"letter", &bytes]);
        draw(&mut body, form, &Sampling::default(), seed);
        let value = server.post(CHAT, &body).await?;
        let reply = Reply::new(server.url(CHAT), &value);
        let choice = reply.field("choices")?.at(0)?;
        let text = form.fresh(&choice, opening.map_or("", |open| &open.content))?;
        if let Some(label) = letter(text, labels) {
            counts[label] += 1;
        }
    }
    Ok(Some(counts.into_iter().map(|count| f64::from(count) / LETTERS as f64).collect()))
}

/// Index of the label that is the first word of an answer, without punctuation; `None` if that word is no
/// label.
fn letter(answer: &str, labels: &[Label]) -> Option<usize> {
    let word = answer.trim_start_matches(|c: char| !c.is_alphanumeric());
    let word = word.split(|c: char| !c.is_alphanumeric()).next()?;
    labels.iter().position(|label| label.text == word)
}

/// Always fails: a chat server returns no log-probabilities of given text.
pub(super) fn score(server: &Server) -> Result<Scored, Fault> {
    Err(Fault::Unsupported(format!(
        "{}: a chat server tells no log-probabilities of given text; use vLLM, SGLang or llama.cpp by \
         their own interfaces (--server-dialect)",
        server.url(CHAT)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_found_in_brackets_and_not_in_words() {
        let labels = ["A", "B"].map(|text| Label { text: text.into(), ids: vec![] });
        for (answer, label) in
            [("A", Some(0)), (" (B) is", Some(1)), ("**A**", Some(0)), ("An", None), ("", None)]
        {
            assert_eq!(letter(answer, &labels), label, "{answer}");
        }
    }
}
