//! Checks that every engine makes before it accepts a request.
//!
//! Only lengths and ids are checked, not texts: an empty prefix, an id outside the vocabulary and a request
//! longer than the context are refused, and the error has the numbers.

use crate::{Judge, PolicyError, Request};

/// Checks a request against the model; the error says what is wrong. `asked` is the number of tokens of the
/// longest judge prompt. If `vocabulary` is `None`, ids are not checked.
pub(crate) fn check(
    request: &Request,
    asked: usize,
    vocabulary: Option<usize>,
    context: usize,
) -> Result<(), PolicyError> {
    let refuse = |detail: String| Err(PolicyError::Request(detail));
    let (prefix, rest, length) = match request {
        Request::Propose(p) => (&p.prefix, None, p.prefix.len() + p.max_tokens),
        Request::Judge(Judge { prefix, step, .. }) => (prefix, Some(step), asked),
        Request::Score(s) => {
            (&s.prefix, Some(&s.continuation), s.prefix.len() + s.continuation.len())
        }
        Request::Hidden(h) => (&h.prefix, Some(&h.step), h.prefix.len() + h.step.len()),
    };
    if let Request::Judge(Judge { grades: Some(grades), .. }) = request
        && let Err(error) = grades.check()
    {
        return refuse(error.to_string());
    }
    if prefix.is_empty() {
        return refuse("the prefix is empty; expected at least one token".into());
    }
    if let Request::Propose(p) = request
        && (p.keys.is_empty() || p.max_tokens == 0)
    {
        return refuse("a proposal needs at least one key and one token".into());
    }
    if let Request::Propose(p) = request
        && p.stop_at.strings.iter().any(String::is_empty)
    {
        return refuse("a stop string is empty; every text would end at once".into());
    }
    if rest.is_some_and(|r| r.is_empty()) {
        return refuse("nothing to judge, score or read; expected at least one token".into());
    }
    let mut ids = prefix.iter().chain(rest.into_iter().flat_map(|r| r.iter()));
    if let Some(vocabulary) = vocabulary
        && let Some(id) = ids.find(|&&id| id as usize >= vocabulary)
    {
        return refuse(format!("token id {id} is outside the vocabulary of {vocabulary}"));
    }
    if length > context {
        return refuse(format!("{length} tokens are asked for, but the context is {context}"));
    }
    Ok(())
}

/// Returns the judge request for a reward model. All other requests are refused.
pub(crate) fn scored(request: &Request) -> Result<&Judge, PolicyError> {
    let refuse = |detail: &str| Err(PolicyError::Request(detail.to_owned()));
    match request {
        Request::Judge(Judge { hint: Some(_), .. }) => {
            refuse("a reward model is shown no reference solution; leave `hinted` off")
        }
        Request::Judge(Judge { grades: Some(_), .. }) => {
            refuse("a reward model gives a score and no grades; leave `--judge` at `question`")
        }
        Request::Judge(judge) => Ok(judge),
        Request::Propose(_) | Request::Score(_) | Request::Hidden(_) => refuse(
            "a reward model scores steps and predicts no tokens; give it as --judge-policy, with \
             `question`, `restated` or `direction` as --judge",
        ),
    }
}
