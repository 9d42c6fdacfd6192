//! A scripted policy whose answers depend on every part of a request.
//!
//! [`Scripted`] ignores the hint, the order and the restated prompt of a judgement, and the boundaries
//! `sentence` and `tokens`. With [`Attentive`], each of them changes the answer, so a tree depends on all
//! parts of the search's requests.

use regrowth_datasets::stream_key;
use regrowth_policy::decorate::Around;
use regrowth_policy::{Boundary, Call, Judge, OptionOrder, Policy, Request, Response, Scripted};

/// Answers like [`Scripted`] if the request has only the parts that `Scripted` considers, and differently
/// otherwise.
pub struct Attentive(pub Scripted);

impl Around for Attentive {
    fn inner(&self) -> &dyn Policy {
        &self.0
    }

    fn take(&self, mut call: Call) {
        if let Request::Propose(propose) = &mut call.request
            && matches!(propose.boundary, Boundary::Sentence | Boundary::Tokens(_))
        {
            let told = key(&propose.boundary);
            propose.keys.iter_mut().for_each(|key| *key ^= told);
        }
        let mut result = self.0.answer(&call.request);
        if let (Request::Judge(judge), Ok(Response::Judgement(found))) =
            (&call.request, &mut result)
            && is_told_more(judge)
        {
            let told = key(&(&judge.hint, judge.order, &judge.restated));
            let turn = (told >> 11) as f64 / (1u64 << 53) as f64;
            found.correct = found.correct.map(|correct| (correct + turn).fract());
        }
        call.caller.answer(result);
    }
}

fn is_told_more(judge: &Judge) -> bool {
    judge.hint.is_some() || judge.restated.is_some() || judge.order != OptionOrder::default()
}

/// A hash of `told`.
fn key(told: &impl serde::Serialize) -> u64 {
    stream_key(0, &[&serde_json::to_vec(told).expect("JSON")])
}
