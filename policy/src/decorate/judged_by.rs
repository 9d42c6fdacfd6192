//! A second policy as judge: it answers judge requests, and the inner policy answers everything else.
//!
//! The two policies may have different tokenizers and prompts, so only text is passed from one to the
//! other. The judge gets the problem in its own prompt and the solution in its own tokens, and the question
//! is the same as the inner policy's. The cost of judgements is counted in a separate meter and not in the
//! answers, so that it is not counted as a cost of the search.

use std::sync::Arc;

use regrowth_datasets::{AnswerKind, Problem};

use super::{Around, Meter};
use crate::{Call, Judge, Limits, Policy, PolicyError, Request, Restated};

/// A policy whose steps are judged by another policy.
pub struct JudgedBy {
    inner: Arc<dyn Policy>,
    judge: Arc<dyn Policy>,
    meter: Arc<Meter>,
    /// If true, the judge's prompt restates problem and solution; otherwise, the question is appended to
    /// the step.
    restates: bool,
}

impl JudgedBy {
    /// Lets `judge` answer the judge requests of `inner`, counted in `meter`. Judge requests must have
    /// `restated` set, even if `restates` is false and the judge is asked right after the step.
    #[must_use]
    pub fn new(
        inner: Arc<dyn Policy>,
        judge: Arc<dyn Policy>,
        meter: Arc<Meter>,
        restates: bool,
    ) -> Self {
        Self { inner, judge, meter, restates }
    }

    /// Translates the request into the judge's own tokens.
    fn translated(&self, judge: &Judge) -> Result<Judge, PolicyError> {
        let restated = judge.restated.as_ref().ok_or_else(|| {
            let detail = "another policy judges by text, and the request has none";
            PolicyError::Request(detail.to_owned())
        })?;
        let step = self.inner.decode(&judge.step)?;
        let before = restated.solution.strip_suffix(step.as_str()).unwrap_or_default();
        let mut step = self.judge.encode(&restated.solution[before.len()..])?;
        if self.inner.eos().is_some_and(|eos| judge.step.last() == Some(&eos)) {
            step.extend(self.judge.eos());
        }
        let mut prefix = self.judge.prompt(&problem(restated))?.ids.to_vec();
        if !before.is_empty() {
            prefix.extend(self.judge.encode(before)?);
        }
        Ok(Judge {
            prefix: prefix.into(),
            step: step.into(),
            restated: self.restates.then(|| restated.clone()),
            ..judge.clone()
        })
    }
}

/// The problem, with the fields that a prompt shows.
fn problem(restated: &Restated) -> Problem {
    let choice = !restated.choices.is_empty();
    Problem {
        id: "judged".to_owned(),
        source: "judged".to_owned(),
        question: restated.question.clone(),
        choices: restated.choices.clone(),
        answer: String::new(),
        kind: if choice { AnswerKind::Choice } else { AnswerKind::Math },
        solution: None,
        level: None,
    }
}

impl Around for JudgedBy {
    fn inner(&self) -> &dyn Policy {
        &*self.inner
    }

    fn limits_around(&self) -> Limits {
        // The question takes no space in the inner policy's context.
        Limits { question: 0, ..self.inner.limits() }
    }

    fn take(&self, mut call: Call) {
        let Request::Judge(judge) = &call.request else { return self.inner.submit(call) };
        match self.translated(judge) {
            Ok(judge) => {
                call.caller.count_apart(&self.meter);
                self.judge.submit(Call { request: Request::Judge(judge), ..call });
            }
            Err(error) => call.caller.answer(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OptionOrder, Response, Scripted, Usage, call};

    fn request(policy: &dyn Policy, direction: bool) -> Judge {
        let solution = "1 + 1 = 2\n2 + 1 = 3\n";
        let restated = Restated {
            question: "Add 1 twice to 1.".into(),
            choices: vec![],
            solution: solution.into(),
            direction,
        };
        Judge {
            prefix: policy.encode("another prompt\n1 + 1 = 2\n").unwrap().into(),
            step: policy.encode("2 + 1 = 3\n").unwrap().into(),
            hint: None,
            order: OptionOrder::default(),
            restated: Some(restated),
            grades: None,
        }
    }

    fn judgement(policy: &dyn Policy, judge: Judge) -> crate::Judgement {
        match call(policy, Request::Judge(judge)).unwrap() {
            Response::Judgement(judgement) => judgement,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_judge_is_asked_in_its_own_prompt_and_counted_apart() {
        let (inner, judge): (Arc<dyn Policy>, Arc<dyn Policy>) =
            (Arc::new(Scripted::new()), Arc::new(Scripted::new()));
        for restates in [false, true] {
            let meter = Arc::<Meter>::default();
            let policy = JudgedBy::new(inner.clone(), judge.clone(), meter.clone(), restates);
            let asked = request(&*inner, false);
            let found = judgement(&policy, asked.clone());
            let restated = asked.restated.clone().unwrap();
            let prompt = judge.prompt(&problem(&restated)).unwrap();
            let before = judge.encode("1 + 1 = 2\n").unwrap();
            let direct = Judge {
                prefix: prompt.ids.iter().copied().chain(before).collect(),
                restated: restates.then_some(restated),
                ..asked
            };
            let expected = judgement(&*judge, direct);
            assert_eq!((found.correct, found.mass), (expected.correct, expected.mass));
            assert_eq!(found.usage, Usage::default());
            assert_eq!(meter.calls(), 1);
            let cost = expected.usage;
            assert_eq!(meter.tokens(), cost.prefilled + cost.judged + cost.restated);
        }
        assert_eq!(JudgedBy::new(inner.clone(), judge, Arc::default(), false).limits().question, 0);
    }

    #[test]
    fn a_request_without_text_is_refused() {
        let inner: Arc<dyn Policy> = Arc::new(Scripted::new());
        let policy = JudgedBy::new(inner.clone(), inner.clone(), Arc::default(), false);
        let judge = Judge { restated: None, ..request(&*inner, false) };
        let error = call(&policy, Request::Judge(judge)).unwrap_err();
        assert!(error.to_string().contains("judges by text"), "{error}");
    }
}
