//! Tests what a server supports: equal requests, log-probabilities of a sample, a judgement.

use std::sync::Arc;

use regrowth_datasets::{Problem, TokenId};
use regrowth_policy::{
    Boundary, Candidate, Judge, OptionOrder, Policy, PolicyError, Propose, Request, Response,
    Sampling, Score, ServerFeatures, call,
};
use serde::Serialize;

/// Number of tokens that each probe samples: few, because a server may be slow and the time is needed for the
/// solutions.
const TOKENS: usize = 12;
/// Key of the samples; its value does not matter.
const KEY: u64 = 1;

/// Features of a server and the results of trying them.
#[derive(Debug, Clone, Serialize)]
pub struct ServerProbe {
    /// Features of the server.
    #[serde(flatten)]
    pub features: ServerFeatures,
    /// Whether two equal greedy requests returned equal texts.
    pub repeats_greedy: bool,
    /// Whether two equal requests with the same seed at temperature 1 returned equal texts.
    pub repeats_samples: bool,
    /// Whether the returned log-probabilities are those with which the sample was drawn.
    pub exact_log_probs: bool,
    /// Maximum difference between the log-probability of a token when sampled and when scored as given text;
    /// `None` if one of them is not returned.
    pub score_difference: Option<f64>,
    /// Whether the judge's question got a usable answer.
    pub judges: bool,
    /// Errors of refused requests, in the server's own words.
    pub refused: Vec<String>,
}

/// Tries the server of `policy` on a problem; `None` for a model in this process.
///
/// # Errors
/// If the prompt cannot be rendered.
pub(super) fn probe(
    policy: &dyn Policy,
    problem: &Problem,
) -> Result<Option<ServerProbe>, PolicyError> {
    let Some(features) = policy.server().cloned() else { return Ok(None) };
    let mut asked = Asked { policy, prefix: policy.prompt(problem)?.ids, refused: Vec::new() };
    let greedy = [(); 2].map(|()| asked.sample(Sampling::greedy()));
    let sampled = [(); 2].map(|()| asked.sample(Sampling::default()));
    let first = sampled[0].as_ref().and_then(|sampled| sampled.first());
    let score_difference = first.and_then(|candidate| asked.score_difference(candidate));
    Ok(Some(ServerProbe {
        features,
        repeats_greedy: same(&greedy),
        repeats_samples: same(&sampled),
        exact_log_probs: first.is_some_and(|candidate| candidate.logps_exact),
        score_difference,
        judges: first.is_some_and(|candidate| asked.judges(&candidate.step.ids)),
        refused: asked.refused,
    }))
}

/// Whether both answers are there and have the same tokens.
fn same(answers: &[Option<Vec<Candidate>>; 2]) -> bool {
    let tokens = |answer: &Vec<Candidate>| -> Vec<Vec<TokenId>> {
        answer.iter().map(|candidate| candidate.step.ids.clone()).collect()
    };
    match answers {
        [Some(one), Some(other)] => tokens(one) == tokens(other),
        _ => false,
    }
}

/// A prompt and the requests about it.
struct Asked<'a> {
    policy: &'a dyn Policy,
    prefix: Arc<[TokenId]>,
    refused: Vec<String>,
}

impl Asked<'_> {
    /// Returns the answer; if the request is refused, adds a line to `refused` and returns `None`.
    fn ask(&mut self, request: Request) -> Option<Response> {
        match call(self.policy, request) {
            Ok(response) => Some(response),
            Err(error) => {
                let said = error.to_string();
                if !self.refused.contains(&said) {
                    self.refused.push(said);
                }
                None
            }
        }
    }

    fn sample(&mut self, sampling: Sampling) -> Option<Vec<Candidate>> {
        let request = Request::Propose(Propose {
            prefix: self.prefix.clone(),
            keys: vec![KEY],
            sampling,
            greedy_first: false,
            boundary: Boundary::End,
            stop_at: Default::default(),
            max_tokens: TOKENS,
        });
        match self.ask(request)? {
            Response::Candidates(got) => Some(got.candidates),
            _ => None,
        }
    }

    fn score_difference(&mut self, candidate: &Candidate) -> Option<f64> {
        let continuation: Arc<[TokenId]> = candidate.step.ids.as_slice().into();
        let request = Request::Score(Score { prefix: self.prefix.clone(), continuation });
        let Response::Scores(scores) = self.ask(request)? else { return None };
        let pairs = scores.logps.iter().zip(&candidate.step.logps);
        pairs.map(|(given, drawn)| f64::from((given - drawn).abs())).reduce(f64::max)
    }

    fn judges(&mut self, step: &[TokenId]) -> bool {
        let request = Request::Judge(Judge {
            prefix: self.prefix.clone(),
            step: step.into(),
            hint: None,
            order: OptionOrder::CorrectFirst,
            restated: None,
            grades: None,
        });
        matches!(self.ask(request), Some(Response::Judgement(got)) if got.correct.is_some())
    }
}
