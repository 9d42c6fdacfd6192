//! What a server really gives: the same request twice, the log-probabilities of a sample, a judgement.

use std::sync::Arc;

use regrowth_datasets::{Problem, TokenId};
use regrowth_policy::{
    Boundary, Candidate, Judge, OptionOrder, Policy, PolicyError, Propose, Request, Response,
    Sampling, Score, ServerFeatures, call,
};
use serde::Serialize;

/// Tokens that each probe samples: few, as a server may be slow and the solutions are what matters.
const TOKENS: usize = 12;
/// Key of the samples, any number.
const KEY: u64 = 1;

/// What a server supports and what came back when it was tried.
#[derive(Debug, Clone, Serialize)]
pub struct ServerProbe {
    /// What it supports.
    #[serde(flatten)]
    pub features: ServerFeatures,
    /// Whether two equal requests got equal texts, greedily.
    pub repeats_greedy: bool,
    /// Whether two equal requests with seeds got equal texts, at temperature 1.
    pub repeats_samples: bool,
    /// Whether the log-probabilities of a sample are those it was drawn with.
    pub exact_log_probs: bool,
    /// Largest difference between the log-probability of a sampled token and that of the same token as
    /// given text; nothing where one of them is not given.
    pub score_difference: Option<f64>,
    /// Whether the judge's question got an answer that means something.
    pub judges: bool,
    /// What was refused, by the server's own words.
    pub refused: Vec<String>,
}

/// Tries the server behind `policy` on a problem; nothing for a model in this process.
///
/// # Errors
/// When the prompt cannot be rendered.
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

/// Whether both answers are there, with the same tokens.
fn same(answers: &[Option<Vec<Candidate>>; 2]) -> bool {
    let tokens = |answer: &Vec<Candidate>| -> Vec<Vec<TokenId>> {
        answer.iter().map(|candidate| candidate.step.ids.clone()).collect()
    };
    match answers {
        [Some(one), Some(other)] => tokens(one) == tokens(other),
        _ => false,
    }
}

/// Questions about one prompt.
struct Asked<'a> {
    policy: &'a dyn Policy,
    prefix: Arc<[TokenId]>,
    refused: Vec<String>,
}

impl Asked<'_> {
    /// The answer, or a line in `refused`.
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
