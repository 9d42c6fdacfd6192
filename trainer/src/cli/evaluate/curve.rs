//! `regrowth evaluate --curve K`: compares strategies at equal tokens.

use regrowth_mcts::console::Work;
use regrowth_policy::{Policy, Sampling};
use serde_json::{Map, Value, json};

use super::findings::Findings;
use super::{Run, check_answered, progress};
use crate::TrainError;
use crate::evaluate::{
    AtBudget, Budget, Curve, CurveSeries, Decoding, Evaluation, Outcome, Point, SamplePlan,
    SampledProblem, Sampler,
};

/// Evaluates all sampling strategies with up to `samples` samples per problem. Then searches, doubling the
/// number of simulations until the search spends as many tokens as the most expensive strategy, or until its
/// trees are exhausted and spend no more.
pub(super) fn run(
    run: &Run<'_>,
    policy: &dyn Policy,
    samples: usize,
    findings: &mut Findings,
) -> Result<(), TrainError> {
    let mut series = vec![greedy(run, policy)?];
    let sampled = sampled(run, policy, samples)?;
    let sampler = sampler(run, policy);
    series.extend(sampler.series(&sampled, samples as u64));
    let budget = spent(&series);
    let (mut simulations, mut before) = (1, 0.0);
    while before < budget {
        let search = searched(run, policy, simulations)?;
        let tokens = mean_tokens(&search);
        if tokens <= before {
            break;
        }
        series.push(search);
        (simulations, before) = (simulations * 2, tokens);
    }
    let curve = Curve::of(&series, run.args.seed);
    tell(&curve, findings);
    rows(&series, findings);
    findings.curve = Some(curve);
    Ok(())
}

fn sampler<'a>(run: &'a Run<'_>, policy: &'a dyn Policy) -> Sampler<'a> {
    let (verifier, problems) = (&*run.verifier, run.problems);
    Sampler { policy, verifier, problems, value: &run.search.value }
}

fn mean_tokens(series: &CurveSeries) -> f64 {
    let sum: f64 = series.outcomes.iter().map(|outcome| outcome.tokens).sum();
    sum / series.outcomes.len().max(1) as f64
}

/// Tokens of the most expensive strategy so far.
fn spent(series: &[CurveSeries]) -> f64 {
    series.iter().map(mean_tokens).fold(0.0, f64::max)
}

fn greedy(run: &Run<'_>, policy: &dyn Policy) -> Result<CurveSeries, TrainError> {
    let plan = SamplePlan { samples: 1, sampling: Sampling::greedy(), ..run.plan() };
    let mut outcomes = Vec::new();
    solve(run, policy, "greedy", &plan, &mut |solved: crate::evaluate::Solved| {
        let ids: usize = solved.attempts.iter().map(|attempt| attempt.ids.len()).sum();
        let tokens = (solved.prompt.len() + ids) as f64;
        outcomes.push(Outcome { tokens, accuracy: f64::from(u8::from(solved.is_correct())) });
    })?;
    Ok(CurveSeries { strategy: "greedy".to_owned(), k: 1, outcomes })
}

/// Samples solutions of all problems, and judges them if the settings include a judge.
fn sampled(
    run: &Run<'_>,
    policy: &dyn Policy,
    samples: usize,
) -> Result<Vec<SampledProblem>, TrainError> {
    let plan = SamplePlan { samples, ..run.plan() };
    let mut sampled: Vec<SampledProblem> = Vec::new();
    solve(run, policy, "samples", &plan, &mut |solved| sampled.push(solved.into()))?;
    if run.search.value.asks() {
        let (total, work) = (samples * run.problems.len(), Work::Calls);
        let progress = progress::over("judge", "samples", total, work, &run.meter);
        let mut seen = || progress.advance(1, String::new());
        sampler(run, policy).judge(&mut sampled, &run.stop, &mut seen)?;
    }
    Ok(sampled)
}

/// Samples solutions of every problem, with a progress line.
fn solve(
    run: &Run<'_>,
    policy: &dyn Policy,
    name: &'static str,
    plan: &SamplePlan,
    take: &mut dyn FnMut(crate::evaluate::Solved),
) -> Result<(), TrainError> {
    let progress = run.progress(name, Work::Calls);
    let (verifier, problems) = (&*run.verifier, run.problems);
    let (mut failed, mut reason, mut right, mut done) = (0, None, 0, 0);
    Evaluation { policy, verifier, problems, plan }.solve(&mut |solved| {
        failed += u64::from(solved.failure.is_some());
        reason = reason.take().or(solved.failure.clone());
        right += solved.attempts.iter().filter(|attempt| attempt.is_correct()).count();
        done += solved.attempts.len();
        take(solved);
        progress.advance(1, format!("{right} of {done} solutions right"));
        Ok(())
    })?;
    drop(progress);
    check_answered(run.problems.len(), failed, reason.as_ref())
}

/// Searches with the given number of simulations per root; its tokens are counted over all problems.
fn searched(
    run: &Run<'_>,
    policy: &dyn Policy,
    simulations: u64,
) -> Result<CurveSeries, TrainError> {
    let name = format!("mcts@{simulations}");
    let total = run.problems.len();
    let progress = progress::over(name, "problems", total, Work::Items, &run.meter);
    let (verifier, problems, plan) = (&*run.verifier, run.problems, run.plan());
    let (mut outcomes, mut right) = (Vec::new(), 0);
    let mut on_answer = |answer: crate::evaluate::Answer| {
        let accuracy = f64::from(u8::from(answer.correct));
        outcomes.push(Outcome { tokens: 0.0, accuracy });
        right += u64::from(answer.correct);
        progress.advance(1, format!("{right} of {} right", outcomes.len()));
        Ok(())
    };
    let evaluation = Evaluation { policy, verifier, problems, plan: &plan };
    let beside = evaluation.answer(Decoding::Mcts(simulations), &run.search, &mut on_answer)?;
    let tokens = beside.usage.computed() as f64 / outcomes.len().max(1) as f64;
    outcomes.iter_mut().for_each(|outcome| outcome.tokens = tokens);
    Ok(CurveSeries { strategy: "mcts".to_owned(), k: simulations, outcomes })
}

/// Adds the figures of the curve to the findings.
fn tell(curve: &Curve, findings: &mut Findings) {
    let interval = |[low, high]: [f64; 2]| format!("[{:.1}, {:.1}]", 100.0 * low, 100.0 * high);
    let problems = curve.problems;
    findings.text.push(format!(
        "accuracy against tokens: {problems} problems, 95 % bootstrap intervals over problems"
    ));
    findings.text.push(format!("  {:<20} {:>4} {:>9}  accuracy", "strategy", "k", "tokens"));
    for point in &curve.points {
        let Point { strategy, k, tokens, accuracy, ci95 } = point;
        let (percent, ci95) = (100.0 * accuracy, interval(*ci95));
        findings.text.push(format!("  {strategy:<20} {k:>4} {tokens:>9.0}  {percent:.1} % {ci95}"));
        let name = format!("{}@{k},none", strategy.replace(", ", "-"));
        findings.metrics.push((name, *accuracy));
    }
    findings.text.push("at equal tokens, in points against majority".to_owned());
    for Budget { tokens, strategies } in &curve.budgets {
        let said = strategies.iter().map(|AtBudget { point, difference, ci95 }| {
            let (strategy, k, points) = (&point.strategy, point.k, 100.0 * difference);
            match strategy.as_str() {
                "majority" => format!("majority@{k} {:.1} %", 100.0 * point.accuracy),
                _ => format!("{strategy}@{k} {points:+.1} {}", interval(*ci95)),
            }
        });
        let said: Vec<String> = said.collect();
        findings.text.push(format!("  {tokens:.0} tokens: {}", said.join("; ")));
    }
    findings.put("curve", json!(curve));
}

/// Adds the accuracy of each problem by strategy and budget to the rows of the samples file.
fn rows(series: &[CurveSeries], findings: &mut Findings) {
    let problems = series.first().map_or(0, |series| series.outcomes.len());
    for at in 0..problems {
        let cell =
            |s: &CurveSeries| (format!("{}@{}", s.strategy, s.k), json!(s.outcomes[at].accuracy));
        let row: Map<String, Value> = series.iter().map(cell).collect();
        findings.set(at, "curve", Value::Object(row));
    }
}
