//! Strategies on one set of independent samples per problem.
//!
//! With n samples, a strategy with k samples is applied to each of the n / k disjoint groups of consecutive
//! samples. The mean over the groups estimates its accuracy with less noise than one draw.

use std::sync::atomic::AtomicBool;

use regrowth_datasets::{Problem, Step};
use regrowth_mcts::config::ValueConfig;
use regrowth_mcts::judging::{JudgedStep, judge_request};
use regrowth_policy::{Policy, Request, Response};
use regrowth_verifiers::Verifier;

use super::{CurveSeries, Outcome};
use crate::TrainError;
use crate::evaluate::ask::ask_in_order;
use crate::evaluate::sample::{Attempt, Solved};
use crate::evaluate::vote::{Ballot, elect};
use crate::stats::pass_at_k;

/// The samples of one problem.
#[derive(Debug, Clone)]
pub struct SampledProblem {
    solved: Solved,
    /// The judge's score of each sample, in [0, 1]; empty if the samples are not judged.
    judged: Vec<f64>,
    /// Number of tokens of the judge requests.
    judge_tokens: u64,
}

impl From<Solved> for SampledProblem {
    fn from(solved: Solved) -> Self {
        Self { solved, judged: Vec::new(), judge_tokens: 0 }
    }
}

/// Evaluates strategies on samples.
#[derive(Clone, Copy)]
pub struct Sampler<'a> {
    /// Policy that judges.
    pub policy: &'a dyn Policy,
    /// Verifier that determines which answers are equal.
    pub verifier: &'a dyn Verifier,
    /// The problems, in the order of the samples.
    pub problems: &'a [Problem],
    /// Settings of the judge.
    pub value: &'a ValueConfig,
}

impl Sampler<'_> {
    /// Judges every sample; `seen` is called after each.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] if `cancel` is set, [`TrainError::Policy`] if the policy has failed for
    /// good.
    pub fn judge(
        &self,
        samples: &mut [SampledProblem],
        cancel: &AtomicBool,
        seen: &mut dyn FnMut(),
    ) -> Result<(), TrainError> {
        let asked: Vec<Request> = samples.iter().flat_map(|s| self.requests(&s.solved)).collect();
        let mut answers = Vec::with_capacity(asked.len());
        ask_in_order(self.policy, asked, cancel, &mut |answer| {
            let judgement = match answer {
                Ok(Response::Judgement(judgement)) => Some(judgement),
                // A failed request counts as an unknown judgement.
                _ => None,
            };
            answers.push(judgement);
            seen();
            Ok(())
        })?;
        let mut answers = answers.into_iter();
        for sample in samples {
            for judgement in answers.by_ref().take(sample.solved.attempts.len()) {
                let correct = judgement.and_then(|judgement| judgement.correct);
                sample.judged.push(correct.unwrap_or(self.value.unknown));
                sample.judge_tokens += judgement.map_or(0, |judgement| judgement.usage.computed());
            }
        }
        Ok(())
    }

    fn requests(&self, solved: &Solved) -> Vec<Request> {
        let problem = &self.problems[solved.index];
        let request = |attempt: &Attempt| {
            let Attempt { ids, text, finish, .. } = attempt.clone();
            let step = Step { ids, text, logps: Vec::new(), finish };
            let prefix = &solved.prompt;
            Request::Judge(judge_request(
                self.value,
                JudgedStep { problem, prefix, before: "", step: &step },
            ))
        };
        solved.attempts.iter().map(request).collect()
    }

    /// Evaluates each strategy with 1, 2, 4, ... of `n` samples.
    #[must_use]
    pub fn series(&self, samples: &[SampledProblem], n: u64) -> Vec<CurveSeries> {
        let judged = samples.iter().any(|sample| !sample.judged.is_empty());
        let mut series = Vec::new();
        for k in std::iter::successors(Some(1), |k| Some(2 * k)).take_while(|&k| k <= n) {
            let mut add = |strategy: &str, of: &dyn Fn(&SampledProblem) -> Outcome| {
                let outcomes = samples.iter().map(of).collect();
                series.push(CurveSeries { strategy: strategy.to_owned(), k, outcomes });
            };
            add("pass", &|sample| self.outcome(sample, k, Pick::Any));
            add("majority", &|sample| self.outcome(sample, k, Pick::Majority));
            add("best-of, likelihood", &|sample| self.outcome(sample, k, Pick::Likeliest));
            if judged {
                add("best-of, judge", &|sample| self.outcome(sample, k, Pick::BestJudged));
            }
        }
        series
    }

    fn outcome(&self, sample: &SampledProblem, k: u64, pick: Pick) -> Outcome {
        let SampledProblem { solved, judge_tokens, .. } = sample;
        let (n, prompt) = (solved.attempts.len() as u64, solved.prompt.len() as f64);
        if n < k {
            // The problem has no samples, because its request failed.
            return Outcome { tokens: prompt, accuracy: 0.0 };
        }
        let sampled: usize = solved.attempts.iter().map(|attempt| attempt.ids.len()).sum();
        let judging = if matches!(pick, Pick::BestJudged) { *judge_tokens } else { 0 };
        let tokens = prompt + k as f64 * (sampled as f64 + judging as f64) / n as f64;
        let accuracy = match pick {
            Pick::Any => {
                let right = solved.attempts.iter().filter(|attempt| attempt.is_correct()).count();
                pass_at_k(n, right as u64, k).unwrap_or(0.0)
            }
            _ => self.grouped(sample, k as usize, pick),
        };
        Outcome { tokens, accuracy }
    }

    /// Share of the groups of `k` samples in which the picked sample is right.
    fn grouped(&self, sample: &SampledProblem, k: usize, pick: Pick) -> f64 {
        let attempts = &sample.solved.attempts;
        let groups = attempts.len() / k;
        let is_right = |group: &usize| {
            let range = group * k..(group + 1) * k;
            let picked = match pick {
                Pick::Likeliest => best(attempts[range.clone()].iter().map(mean_logp)),
                Pick::BestJudged => best(sample.judged[range.clone()].iter().copied()),
                Pick::Any | Pick::Majority => {
                    self.elected(sample.solved.index, &attempts[range.clone()])
                }
            };
            picked.is_some_and(|at| attempts[range.start + at].is_correct())
        };
        (0..groups).filter(is_right).count() as f64 / groups as f64
    }

    fn elected(&self, problem: usize, attempts: &[Attempt]) -> Option<usize> {
        let ballots: Vec<Ballot<'_>> = attempts
            .iter()
            .map(|a| Ballot { text: &a.text, answer: &a.statement.answer, weight: 1.0 })
            .collect();
        elect(self.verifier, &self.problems[problem], &ballots)
    }
}

/// Rule that picks the answer among several samples.
#[derive(Debug, Clone, Copy)]
enum Pick {
    /// Any right sample: uses the reference.
    Any,
    Majority,
    /// The sample with the highest mean log-probability per token.
    Likeliest,
    BestJudged,
}

fn mean_logp(attempt: &Attempt) -> f64 {
    attempt.logp / attempt.ids.len().max(1) as f64
}

/// Index of the largest value; the first one on a tie.
fn best(values: impl Iterator<Item = f64>) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (at, value) in values.enumerate() {
        if best.is_none_or(|(_, most)| value > most) {
            best = Some((at, value));
        }
    }
    best.map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use regrowth_datasets::{Finish, Split, tasks::problems_from_spec};
    use regrowth_policy::{Scripted, Usage};
    use regrowth_verifiers::{ProblemVerifier, Statement};

    use super::*;

    /// Samples with these answers and log-probabilities.
    fn sampled(problem: &Problem, answers: &[(&str, f64)]) -> SampledProblem {
        let attempt = |(answer, logp): &(&str, f64)| {
            let (text, finish) = (format!("#### {answer}"), Finish::Eos);
            let statement = Statement::of(problem, &text, finish);
            let verdict = ProblemVerifier.verify_finished(problem, &text, finish);
            Attempt { text, ids: vec![1; 10], logp: *logp, finish, statement, verdict }
        };
        let attempts = answers.iter().map(attempt).collect();
        let (prompt, usage) = (vec![1; 5].into(), Usage::default());
        Solved { index: 0, prompt, attempts, failure: None, usage }.into()
    }

    #[test]
    fn strategies_of_one_set_of_samples() {
        let mut problem = problems_from_spec("arithmetic", Split::Test, 0).unwrap().next().unwrap();
        problem.answer = "7".into();
        let answers = [("7", -1.0), ("3", -9.0), ("7", -8.0), ("3", -2.0)];
        let mut samples = [sampled(&problem, &answers)];
        samples[0].judged = vec![0.1, 0.9, 0.8, 0.2];
        samples[0].judge_tokens = 8;
        let problems = [problem];
        let value = ValueConfig::default();
        let (policy, verifier) = (&Scripted::new(), &ProblemVerifier);
        let sampler = Sampler { policy, verifier, problems: &problems, value: &value };
        let series = sampler.series(&samples, 4);
        let at = |strategy: &str, k: u64| {
            let found = series.iter().find(|s| s.strategy == strategy && s.k == k).unwrap();
            (found.outcomes[0].tokens, found.outcomes[0].accuracy)
        };
        assert_eq!(at("majority", 1), (15.0, 0.5));
        assert_eq!(at("pass", 1), (15.0, 0.5));
        // With two samples, both groups contain a right answer; the first one wins a tie.
        assert_eq!(at("majority", 2), (25.0, 1.0));
        let two = at("pass", 2).1;
        assert!((two - 5.0 / 6.0).abs() < 1e-12, "{two}");
        // The likelier answers are 7 in the first group and 3 in the second; the judge prefers 3, then 7.
        assert_eq!(at("best-of, likelihood", 2), (25.0, 0.5));
        assert_eq!(at("best-of, judge", 2), (29.0, 0.5));
        assert_eq!(at("best-of, likelihood", 4), (45.0, 1.0));
        assert_eq!(at("best-of, judge", 4), (53.0, 0.0));
        assert_eq!(at("pass", 4), (45.0, 1.0));
        assert_eq!(series.len(), 12);
    }

    #[test]
    fn the_judge_is_asked_about_every_sample() {
        let problems: Vec<Problem> =
            problems_from_spec("arithmetic", Split::Test, 0).unwrap().take(2).collect();
        let value = ValueConfig::default();
        let (policy, verifier) = (&Scripted::new(), &ProblemVerifier);
        let sampler = Sampler { policy, verifier, problems: &problems, value: &value };
        let mut second = sampled(&problems[1], &[("1", -1.0)]);
        second.solved.index = 1;
        let mut samples = [sampled(&problems[0], &[("1", -1.0), ("2", -1.0)]), second];
        let mut seen = 0;
        sampler.judge(&mut samples, &AtomicBool::new(false), &mut || seen += 1).unwrap();
        assert_eq!((seen, samples[0].judged.len(), samples[1].judged.len()), (3, 2, 1));
        assert!(samples[0].judged.iter().all(|c| (0.0..=1.0).contains(c)));
    }

    #[test]
    fn a_problem_that_could_not_be_asked_counts_as_wrong() {
        let problems: Vec<Problem> =
            problems_from_spec("arithmetic", Split::Test, 0).unwrap().take(1).collect();
        let value = ValueConfig::default();
        let (policy, verifier) = (&Scripted::new(), &ProblemVerifier);
        let sampler = Sampler { policy, verifier, problems: &problems, value: &value };
        let series = sampler.series(&[sampled(&problems[0], &[])], 2);
        assert!(series.iter().all(|s| s.outcomes == [Outcome { tokens: 5.0, accuracy: 0.0 }]));
    }
}
