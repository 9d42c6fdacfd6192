//! A judge without a question: how likely are sentences that approve of the step, if they follow it?
//!
//! Every judgement is computed from the inner policy's log-probabilities of fixed follow-up sentences, so
//! it works with any engine or server that supports `Score`. Based on the follow-up utterances of FED
//! (Mehri and Eskenazi 2020, arXiv:2006.12719).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::channel::{Receiver, Sender, unbounded};
use dashmap::DashMap;
use regrowth_datasets::TokenId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Around;
use crate::{
    Answered, Call, Caller, Judge, Judgement, Policy, PolicyError, Request, Response, Score, Usage,
};

/// Sentences that may follow a step. Use sentences of the same form on both sides, so that length and
/// wording cancel out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FollowUpTexts {
    /// Sentences that approve of the step, at least one (default three, among them "This step is correct.").
    pub approving: Vec<String>,
    /// Sentences that disapprove of the step, at least one (default three, among them "This step is
    /// wrong.").
    pub disapproving: Vec<String>,
}

impl Default for FollowUpTexts {
    fn default() -> Self {
        let texts = |texts: [&str; 3]| texts.map(str::to_owned).into();
        Self {
            approving: texts([
                "This step is correct.",
                "Yes, that is right.",
                "Good, no mistake here.",
            ]),
            disapproving: texts([
                "This step is wrong.",
                "No, that is false.",
                "Bad, a mistake here.",
            ]),
        }
    }
}

impl FollowUpTexts {
    /// Whether both sides have sentences and no sentence is blank.
    #[must_use]
    pub fn are_usable(&self) -> bool {
        let says = |texts: &[String]| {
            !texts.is_empty() && texts.iter().all(|text| !text.trim().is_empty())
        };
        says(&self.approving) && says(&self.disapproving)
    }

    /// Returns all sentences, approving ones first.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.approving.iter().chain(&self.disapproving).map(String::as_str)
    }

    fn count(&self) -> usize {
        self.approving.len() + self.disapproving.len()
    }
}

/// A policy whose judgements are computed from the likelihoods of follow-ups.
pub struct FollowUps {
    inner: Arc<dyn Policy>,
    texts: FollowUpTexts,
    pending: Arc<DashMap<u64, Pending>>,
    next: AtomicU64,
    reply: Sender<Answered>,
}

/// A judgement that waits for the scores of its follow-ups.
struct Pending {
    caller: Caller,
    /// Mean log-probability per token of each follow-up; `None` until its score arrives.
    means: Vec<Option<f64>>,
    /// Number of approving follow-ups; they come first.
    approving: usize,
    usage: Usage,
}

impl FollowUps {
    /// Replaces the judgements of `inner` by likelihoods of follow-ups. If the texts are not
    /// [usable](FollowUpTexts::are_usable), every judge request fails.
    #[must_use]
    pub fn new(inner: Arc<dyn Policy>, texts: FollowUpTexts) -> Self {
        let (reply, answers) = unbounded();
        let pending = Arc::new(DashMap::new());
        let (waiting, count) = (pending.clone(), texts.count());
        std::thread::spawn(move || collect(&answers, &waiting, count));
        Self { inner, texts, pending, next: AtomicU64::new(0), reply }
    }

    /// Builds one score request per follow-up.
    fn parts(&self, judge: &Judge) -> Result<Vec<Score>, PolicyError> {
        if judge.hint.is_some() {
            let detail = "follow-ups cannot show a reference solution; leave `hinted` off";
            return Err(PolicyError::Request(detail.into()));
        }
        if !self.texts.are_usable() {
            let detail = "a follow-up is blank, or there are none that approve or disapprove";
            return Err(PolicyError::Request(detail.into()));
        }
        let step = match judge.step.split_last() {
            Some((last, rest)) if Some(*last) == self.inner.eos() && !rest.is_empty() => rest,
            _ => &judge.step,
        };
        let line = if self.inner.decode(step)?.ends_with('\n') { "" } else { "\n" };
        let prefix: Arc<[TokenId]> = judge.prefix.iter().chain(step).copied().collect();
        let part = |text: &str| {
            let continuation = self.inner.encode(&format!("{line}{text}"))?.into();
            Ok(Score { prefix: prefix.clone(), continuation })
        };
        self.texts.all().map(part).collect()
    }

    fn judge(&self, judge: &Judge, caller: Caller) {
        let parts = match self.parts(judge) {
            Ok(parts) => parts,
            Err(error) => return caller.answer(Err(error)),
        };
        // Relaxed ordering: only uniqueness matters.
        let group = self.next.fetch_add(1, Ordering::Relaxed);
        let (means, approving) = (vec![None; parts.len()], self.texts.approving.len());
        let waiting = Pending { caller, means, approving, usage: Usage::default() };
        self.pending.insert(group, waiting);
        for (part, score) in parts.into_iter().enumerate() {
            let request_id = group * self.texts.count() as u64 + part as u64;
            self.inner.submit(Call::new(request_id, Request::Score(score), self.reply.clone()));
        }
    }
}

/// Collects scores as they arrive and answers complete judgements, until all senders are dropped.
fn collect(answers: &Receiver<Answered>, pending: &DashMap<u64, Pending>, count: usize) {
    for Answered { request_id, result } in answers {
        let count = count.max(1) as u64;
        let (group, part) = (request_id / count, (request_id % count) as usize);
        let result = match pending.get_mut(&group) {
            Some(mut waiting) => waiting.store(part, result),
            // The score of another follow-up failed, and the request was answered.
            None => continue,
        };
        if let Some(result) = result.transpose()
            && let Some((_, waiting)) = pending.remove(&group)
        {
            waiting.caller.answer(result);
        }
    }
}

impl Pending {
    /// Stores the score of one follow-up. Returns the judgement once all scores are stored.
    fn store(
        &mut self,
        part: usize,
        result: Result<Response, PolicyError>,
    ) -> Result<Option<Response>, PolicyError> {
        let Response::Scores(scores) = result? else {
            return Err(PolicyError::Model("the answer is not of the kind asked for".into()));
        };
        let sum: f64 = scores.logps.iter().map(|&l| f64::from(l)).sum();
        let mean = sum / scores.logps.len().max(1) as f64;
        if !mean.is_finite() {
            return Err(PolicyError::Model("the log-probabilities are not finite".into()));
        }
        self.means[part] = Some(mean);
        self.usage += scores.usage;
        let means: Option<Vec<f64>> = self.means.iter().copied().collect();
        Ok(means.map(|means| {
            // No option letters are read here, so their `mass` counts as 1 and a judgement is never unknown.
            let correct = Some(approval(&means, self.approving));
            Response::Judgement(Judgement { correct, mass: 1.0, usage: self.usage })
        }))
    }
}

/// Logistic function of the mean of the approving follow-ups minus the mean of the disapproving ones.
fn approval(means: &[f64], approving: usize) -> f64 {
    let (approving, disapproving) = means.split_at(approving);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    1.0 / (1.0 + (mean(disapproving) - mean(approving)).exp())
}

impl Around for FollowUps {
    fn inner(&self) -> &dyn Policy {
        &*self.inner
    }

    fn take(&self, call: Call) {
        match &call.request {
            Request::Judge(judge) => self.judge(judge, call.caller),
            _ => self.inner.submit(call),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OptionOrder, Scripted, call};

    fn ask(policy: &dyn Policy, step: &str, hint: Option<&str>) -> Result<Response, PolicyError> {
        let judge = Judge {
            prefix: policy.encode("Question: 1 + 1?\n")?.into(),
            step: policy.encode(step)?.into(),
            hint: hint.map(str::to_owned),
            order: OptionOrder::default(),
            restated: None,
            grades: None,
        };
        call(policy, Request::Judge(judge))
    }

    #[test]
    fn worked_value() {
        // The approving ones average -1, the disapproving ones -2: logistic of 1.
        let approved = approval(&[-0.5, -1.0, -1.5, -2.0, -2.0, -2.0], 3);
        assert!((approved - 0.731_058_578_630_004_9).abs() < 1e-12);
        assert_eq!(approval(&[-1.0; 6], 3), 0.5);
        // One against two: the average is -1.5 on both sides.
        assert_eq!(approval(&[-1.5, -1.0, -2.0], 1), 0.5);
    }

    #[test]
    fn a_judgement_is_made_of_the_scores_of_the_follow_ups() {
        let inner: Arc<dyn Policy> = Arc::new(Scripted::new());
        for texts in [FollowUpTexts::default(), own()] {
            let policy = FollowUps::new(inner.clone(), texts.clone());
            let found = ask(&policy, "1 + 1 = 2\n", None).unwrap();
            let prefix = inner.encode("Question: 1 + 1?\n1 + 1 = 2\n").unwrap();
            let mean = |text: &String| {
                let continuation = inner.encode(text).unwrap().into();
                let score = Score { prefix: prefix.clone().into(), continuation };
                let Response::Scores(s) = call(&*inner, Request::Score(score)).unwrap() else {
                    panic!()
                };
                s.logps.iter().map(|&l| f64::from(l)).sum::<f64>() / s.logps.len() as f64
            };
            let side = |texts: &[String]| texts.iter().map(mean).sum::<f64>() / texts.len() as f64;
            let expected = 1.0 / (1.0 + (side(&texts.disapproving) - side(&texts.approving)).exp());
            let Response::Judgement(judgement) = found else { panic!() };
            assert_eq!(judgement.correct, Some(expected));
            let again = ask(&policy, "1 + 1 = 2\n", None).unwrap();
            assert_eq!(again, Response::Judgement(judgement));
        }
    }

    /// A user's own sentences, with more on one side.
    fn own() -> FollowUpTexts {
        FollowUpTexts {
            approving: vec!["Stimmt.".into()],
            disapproving: vec!["Falsch.".into(), "Das stimmt nicht.".into()],
        }
    }

    #[test]
    fn a_hint_and_blank_follow_ups_are_refused() {
        let error =
            ask(&FollowUps::new(Arc::new(Scripted::new()), own()), "x\n", Some("y")).unwrap_err();
        assert!(error.to_string().contains("hinted"), "{error}");
        let blank = FollowUpTexts { approving: vec![" ".into()], ..own() };
        let none = FollowUpTexts { disapproving: vec![], ..own() };
        for texts in [blank, none] {
            assert!(!texts.are_usable());
            let policy = FollowUps::new(Arc::new(Scripted::new()), texts);
            let error = ask(&policy, "x\n", None).unwrap_err();
            assert!(error.to_string().contains("follow-up"), "{error}");
        }
    }
}
