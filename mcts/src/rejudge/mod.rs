//! Asks a policy's judge about the sides of existing pairs: how far it agrees with their labels.
//!
//! `mcts rejudge` calls it. Nothing here depends on how the pairs were made.

mod report;

use std::sync::Arc;

use crossbeam::channel::unbounded;
use regrowth_datasets::{PreferencePair, TokenId};
use regrowth_policy::{Call, Judge, OptionOrder, Policy, PolicyError, Request, Response, Usage};

pub use self::report::{Agreement, BucketAgreement, RejudgeReport};

/// What a judge says of the two sides of a pair; `None` where it says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ratings {
    /// Of the chosen side, in [0, 1].
    pub chosen: Option<f64>,
    /// Of the rejected side.
    pub rejected: Option<f64>,
}

impl Ratings {
    /// The strength of the preference by this judge, in [-1, 1].
    #[must_use]
    pub fn strength(self) -> Option<f64> {
        Some(self.chosen? - self.rejected?)
    }
}

/// Ratings of all pairs, and what they cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejudged {
    /// By pair; `None` for pairs that the budget left out.
    pub ratings: Vec<Option<Ratings>>,
    /// What the policy computed.
    pub usage: Usage,
    /// Sides that could not be judged: too long for the policy, or a failed request.
    pub failed: u64,
}

/// Asks `policy` whether each side is correct, in both orders of the options. With `budget`, only
/// pairs with the smallest margins are asked, as many as surely cost no more tokens.
///
/// # Errors
/// [`PolicyError`] if the policy stops, or cannot tokenise a text.
pub fn rejudge(
    policy: &dyn Policy,
    pairs: &[PreferencePair],
    budget: Option<u64>,
) -> Result<Rejudged, PolicyError> {
    let asked = routed(policy, pairs, budget);
    let mut requests = Vec::with_capacity(2 * asked.len());
    for &number in &asked {
        requests.extend(questions(policy, &pairs[number])?);
    }
    let mut out = Rejudged { ratings: vec![None; pairs.len()], usage: Usage::default(), failed: 0 };
    let mut answers = Vec::with_capacity(requests.len());
    for part in requests.chunks(policy.limits().in_flight.max(1)) {
        answers.extend(ask(policy, part.to_vec())?);
    }
    for (number, sides) in asked.into_iter().zip(answers.chunks_exact(2)) {
        let [chosen, rejected] = [&sides[0], &sides[1]].map(|answer| out.take(answer));
        out.ratings[number] = Some(Ratings { chosen, rejected });
    }
    Ok(out)
}

impl Rejudged {
    /// Reads an answer and counts its cost.
    fn take(&mut self, answer: &Result<Response, PolicyError>) -> Option<f64> {
        match answer {
            Ok(Response::Judgement(judgement)) => {
                self.usage += judgement.usage;
                judgement.correct.filter(|correct| (0.0..=1.0).contains(correct))
            }
            _ => {
                self.failed += 1;
                None
            }
        }
    }
}

/// The pairs to ask about, in the order of the file: all of them, or those with the smallest margins
/// whose cost fits into the budget.
fn routed(policy: &dyn Policy, pairs: &[PreferencePair], budget: Option<u64>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    let Some(budget) = budget else { return order };
    order.sort_by(|&a, &b| pairs[a].margin.total_cmp(&pairs[b].margin));
    let mut left = budget;
    let fits = |&number: &usize| {
        let cost = most_tokens(policy, &pairs[number]);
        left.checked_sub(cost).inspect(|rest| left = *rest).is_some()
    };
    let mut asked: Vec<usize> = order.into_iter().take_while(fits).collect();
    asked.sort_unstable();
    asked
}

/// Most tokens that asking about a pair costs: each side and each order of the options with a prefix
/// of its own, as if nothing were cached. Tokens of the pair's own tokenizer.
fn most_tokens(policy: &dyn Policy, pair: &PreferencePair) -> u64 {
    let orders = OptionOrder::Both.questions().len();
    let sides = pair.chosen_ids.len() + pair.rejected_ids.len();
    let questions = 2 * policy.limits().question;
    (orders * (2 * pair.prompt_ids.len() + sides + questions)) as u64
}

/// The question about each side, chosen first.
fn questions(policy: &dyn Policy, pair: &PreferencePair) -> Result<[Request; 2], PolicyError> {
    let own = speaks(policy, pair);
    let ids = |text: &str, ids: &[TokenId]| -> Result<Arc<[TokenId]>, PolicyError> {
        if own { Ok(Arc::from(ids)) } else { Ok(Arc::from(policy.encode(text)?)) }
    };
    let prefix = ids(&pair.prompt, &pair.prompt_ids)?;
    let question = |step| {
        let (order, hint, restated) = (OptionOrder::Both, None, None);
        Request::Judge(Judge { prefix: prefix.clone(), step, hint, order, restated })
    };
    let chosen = ids(&pair.chosen, &pair.chosen_ids)?;
    let rejected = ids(&pair.rejected, &pair.rejected_ids)?;
    Ok([question(chosen), question(rejected)])
}

/// Whether the pair's token ids mean the same text to the policy; those of another tokenizer are made
/// anew from the text.
fn speaks(policy: &dyn Policy, pair: &PreferencePair) -> bool {
    let same = |ids: &[TokenId], text: &str| {
        policy.decode(ids).is_ok_and(|read| read.trim() == text.trim())
    };
    policy.identity() == pair.policy
        || same(&pair.chosen_ids, &pair.chosen) && same(&pair.rejected_ids, &pair.rejected)
}

/// Asks all requests at once; answers in their order.
fn ask(
    policy: &dyn Policy,
    requests: Vec<Request>,
) -> Result<Vec<Result<Response, PolicyError>>, PolicyError> {
    let mut answers: Vec<_> = requests.iter().map(|_| Err(PolicyError::Gone)).collect();
    let (reply, answered) = unbounded();
    for (number, request) in requests.into_iter().enumerate() {
        policy.submit(Call::new(number as u64, request, reply.clone()));
    }
    drop(reply);
    for _ in 0..answers.len() {
        let found = answered.recv().map_err(|_| PolicyError::Gone)?;
        if let Some(place) = answers.get_mut(found.request_id as usize) {
            *place = found.result;
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests;
