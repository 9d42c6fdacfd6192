//! Rejudging: a policy judges the sides of existing pairs, to measure how far it agrees with their labels.
//!
//! `mcts rejudge` uses it. Nothing here depends on how the pairs were made.

mod report;

use std::sync::Arc;

use crossbeam::channel::unbounded;
use regrowth_datasets::{PreferencePair, TokenId};
use regrowth_policy::{Call, Judge, OptionOrder, Policy, PolicyError, Request, Response, Usage};

use crate::config::{JudgeForm, ValueConfig};

pub use self::report::{Agreement, BucketAgreement, RejudgeReport};

/// A judge's scores of the two sides of a pair; `None` if the judge gives no score.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ratings {
    /// Score of the chosen side, in [0, 1].
    pub chosen: Option<f64>,
    /// Score of the rejected side, in [0, 1].
    pub rejected: Option<f64>,
}

impl Ratings {
    /// Strength of the preference under this judge, in [-1, 1]; `None` if a side has no score.
    #[must_use]
    pub fn strength(self) -> Option<f64> {
        Some(self.chosen? - self.rejected?)
    }
}

/// Ratings of all pairs, and their cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejudged {
    /// One entry per pair; `None` for pairs that the budget left out.
    pub ratings: Vec<Option<Ratings>>,
    /// Tokens that the policy computed.
    pub usage: Usage,
    /// Sides that could not be judged: too long for the policy, or a failed request.
    pub failed: u64,
}

/// Options of rejudging.
#[derive(Debug, Clone, Default)]
pub struct RejudgeOptions {
    /// Token budget: judges only the pairs with the smallest margins, as many as are certain to fit. `None`:
    /// all pairs.
    pub budget: Option<u64>,
    /// How sides are judged: by the question after the step (in both orders of the options), by `grades` or
    /// by `follow_ups`.
    pub value: ValueConfig,
}

/// Judges each side with `policy`, which must be wrapped to judge as the options say
/// ([`ValueConfig::judge_by`]).
///
/// # Errors
/// [`PolicyError`] if the policy stops, or cannot tokenise a text.
pub fn rejudge(
    policy: &dyn Policy,
    pairs: &[PreferencePair],
    options: &RejudgeOptions,
) -> Result<Rejudged, PolicyError> {
    let asked = routed(policy, pairs, options);
    let mut requests = Vec::with_capacity(2 * asked.len());
    for &number in &asked {
        requests.extend(questions(policy, &pairs[number], options)?);
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
    /// Returns the score in a response and adds the response's cost; `None` if there is no valid score.
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

/// Indices of the pairs to judge, in the order of the file: all of them, or the pairs with the smallest
/// margins whose cost fits the budget.
fn routed(policy: &dyn Policy, pairs: &[PreferencePair], options: &RejudgeOptions) -> Vec<usize> {
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    let Some(budget) = options.budget else { return order };
    order.sort_by(|&a, &b| pairs[a].margin.total_cmp(&pairs[b].margin));
    let mut left = budget;
    let fits = |&number: &usize| {
        let cost = most_tokens(policy, &pairs[number], &options.value);
        left.checked_sub(cost).inspect(|rest| left = *rest).is_some()
    };
    let mut asked: Vec<usize> = order.into_iter().take_while(fits).collect();
    asked.sort_unstable();
    asked
}

/// Upper bound on the tokens computed to judge a pair if nothing is cached, so that the prefix is computed
/// again for each question about each side. Counts tokens of the pair's own tokenizer; a text has no more
/// tokens than bytes.
fn most_tokens(policy: &dyn Policy, pair: &PreferencePair, value: &ValueConfig) -> u64 {
    let options = policy.limits().question;
    let (asked, question) = match value.judge {
        JudgeForm::Graded => (1, options + value.grades.question.len()),
        JudgeForm::FollowUps => {
            // A line break may come before each text.
            let longest = value.follow_ups.all().map(|text| text.len() + 1).max();
            (value.follow_ups.all().count(), longest.unwrap_or(0))
        }
        _ => (OptionOrder::Both.questions().len(), options),
    };
    let sides = pair.chosen_ids.len() + pair.rejected_ids.len();
    (asked * (2 * pair.prompt_ids.len() + sides + 2 * question)) as u64
}

/// The judge request for each side, chosen first.
fn questions(
    policy: &dyn Policy,
    pair: &PreferencePair,
    options: &RejudgeOptions,
) -> Result<[Request; 2], PolicyError> {
    let own = speaks(policy, pair);
    let ids = |text: &str, ids: &[TokenId]| -> Result<Arc<[TokenId]>, PolicyError> {
        if own { Ok(Arc::from(ids)) } else { Ok(Arc::from(policy.encode(text)?)) }
    };
    let prefix = ids(&pair.prompt, &pair.prompt_ids)?;
    let question = |step| {
        let (order, hint, restated) = (OptionOrder::Both, None, None);
        let grades = options.value.graded();
        Request::Judge(Judge { prefix: prefix.clone(), step, hint, order, restated, grades })
    };
    let chosen = ids(&pair.chosen, &pair.chosen_ids)?;
    let rejected = ids(&pair.rejected, &pair.rejected_ids)?;
    Ok([question(chosen), question(rejected)])
}

/// Whether the pair's token ids decode to the same text under the policy. If not, they come from another
/// tokenizer, and the text is tokenised again.
fn speaks(policy: &dyn Policy, pair: &PreferencePair) -> bool {
    let same = |ids: &[TokenId], text: &str| {
        policy.decode(ids).is_ok_and(|read| read.trim() == text.trim())
    };
    policy.identity() == pair.policy
        || same(&pair.chosen_ids, &pair.chosen) && same(&pair.rejected_ids, &pair.rejected)
}

/// Submits all requests at once; returns the responses in the order of the requests.
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
