//! `regrowth evaluate`: how good is a policy on these problems?

use std::path::PathBuf;
use std::time::Instant;

use clap::builder::NonEmptyStringValueParser;
use regrowth_datasets::{Problem, Split};
use regrowth_mcts::{EngineFlags, JudgeForm, SearchConfig};
use regrowth_policy::Policy;
use regrowth_verifiers::ProblemVerifier;
use serde_json::{Map, Value, json};

use super::engine::policy;
use super::progress::{advance, counted};
use super::say;
use super::settings::base;
use crate::evaluate::{
    LmEvalRun, OptionScores, OptionSummary, PassAtK, SamplePlan, Strategy, Summary, answer,
    score_options, solve, write_lm_eval,
};
use crate::rounds::Preset;
use crate::{TrainError, clock, inputs};

/// Arguments of `regrowth evaluate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// builtin, a checkpoint folder, http://host:port/v1#model (may be given several times),
    /// scripted[:FILE] or replay:FILE.
    #[arg(long, default_value = "builtin")]
    policy: Vec<String>,
    /// builtin:arithmetic, builtin:choice, builtin:countdown, or a file of a known format.
    #[arg(long, default_value = "builtin:arithmetic", value_name = "FILE")]
    problems: String,
    /// Name of the task in the results [default: the source of the problems].
    #[arg(long)]
    task: Option<String>,
    /// Format of the problem file, where detection is wrong.
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// Part of the problems: train, validation or test [default: test of a built-in task, all of
    /// a file].
    #[arg(long)]
    split: Option<Split>,
    /// Problems at most [default: 1000 of a built-in task, all of a file].
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// greedy, majority@K, best-of@K, mcts@K (the committed solution of a search with K simulations a
    /// root) or mcts-vote@K (the votes of all solutions of a search with K simulations); none of them
    /// sees the reference.
    #[arg(long, default_value = "greedy")]
    strategy: Strategy,
    /// Solutions sampled for each problem beside the strategy's, for pass@k.
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
    /// Temperature of everything that is sampled [default: the settings', which is 1].
    #[arg(long, value_name = "T")]
    temperature: Option<f32>,
    /// Tokens of one solution at most.
    #[arg(long, default_value_t = 512, value_name = "N")]
    max_tokens: usize,
    /// Settings file (TOML) whose table `search` shapes the trees and judgements of the strategies
    /// that search.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Named settings that the file starts from [default: builtin for the embedded model, else paper].
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// How the strategies that search judge steps [default: as the settings say].
    #[arg(long)]
    judge: Option<JudgeForm>,
    /// Text at which a solution ends and is cut; may be given several times.
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    stop: Vec<String>,
    /// Score the options of multiple-choice problems by log-likelihood instead of generating.
    #[arg(long)]
    log_likelihood: bool,
    /// Seed of every random number, and of the problems of a built-in task.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder for results_*.json and samples_*.jsonl.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    engine: EngineFlags,
}

/// Problems of a built-in task, which has no end of its own.
const BUILTIN_LIMIT: usize = 1000;

/// What came out, on its way to stdout and to files.
struct Findings {
    /// Metrics by `name,filter`.
    metrics: Vec<(String, f64)>,
    /// The object on stdout.
    json: Map<String, Value>,
    /// The lines on stdout.
    text: Vec<String>,
    /// Rows of the samples file.
    samples: Vec<Value>,
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    let format = inputs::format(args.format.as_deref())?;
    let builtin = inputs::is_builtin(&args.problems).then_some(BUILTIN_LIMIT);
    let limit = args.limit.or(builtin).unwrap_or(usize::MAX);
    let problems = inputs::problems(&args.problems, format, args.split, args.seed, limit)?;
    let Some(first) = problems.first() else {
        let detail = format!("`{}` has no problem in this part", args.problems);
        return Err(TrainError::Setting { name: "problems", detail });
    };
    let task = args.task.clone().unwrap_or_else(|| first.source.clone());
    let search = search(args)?;
    let policy = policy(&args.policy, &args.engine)?;
    let started = Instant::now();
    let mut findings = Findings {
        metrics: Vec::new(),
        json: Map::new(),
        text: Vec::new(),
        samples: problems.iter().enumerate().map(|(i, p)| sample_row(i, p)).collect(),
    };
    findings.put("task", json!(task));
    findings.put("policy", json!(policy.identity()));
    if args.log_likelihood {
        by_options(args, &*policy, &problems, &mut findings)?;
    } else {
        by_strategy(args, &*policy, &problems, &search, &mut findings)?;
        if let Some(samples) = args.samples.filter(|&n| n > 0) {
            by_samples(args, &*policy, &problems, (samples, &search), &mut findings)?;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    findings.put("seconds", json!(seconds));
    if let Some(out) = &args.out {
        let run = LmEvalRun {
            task,
            model: args.policy.join(","),
            metrics: findings.metrics,
            config: json!({
                "problems": args.problems, "strategy": args.strategy.to_string(),
                "temperature": search.sampling.temperature, "samples": args.samples, "seed": args.seed,
                "max_tokens": args.max_tokens, "stop": args.stop, "split": args.split,
            }),
            problems: (problems.len(), problems.len()),
            samples: findings.samples,
            seconds,
            time: clock::utc_now(),
        };
        let path = write_lm_eval(out, &run)?;
        findings.json.insert("results".into(), json!(path));
        findings.text.push(format!("written to {}", path.display()));
    }
    if args.json {
        return say(&Value::Object(findings.json).to_string());
    }
    say(&findings.text.join("\n"))
}

impl Findings {
    fn put(&mut self, key: &str, value: Value) {
        self.json.insert(key.to_owned(), value);
    }

    /// Adds a field to the row of a problem.
    fn note(&mut self, index: usize, key: &str, value: Value) {
        if let Some(Value::Object(row)) = self.samples.get_mut(index) {
            row.insert(key.to_owned(), value);
        }
    }
}

fn sample_row(index: usize, problem: &Problem) -> Value {
    json!({ "doc_id": index, "doc": problem, "target": problem.answer })
}

/// The shape of searches, and how everything is sampled.
fn search(args: &Args) -> Result<SearchConfig, TrainError> {
    let mut search = base(args.config.as_deref(), args.preset, &args.policy)?.search;
    search.sampling.temperature = args.temperature.unwrap_or(search.sampling.temperature);
    search.value.judge = args.judge.unwrap_or(search.value.judge);
    search.stop_at.strings.extend(args.stop.iter().cloned());
    Ok(search)
}

fn plan(args: &Args, search: &SearchConfig) -> SamplePlan {
    SamplePlan {
        seed: args.seed,
        sampling: search.sampling,
        stop_at: search.stop_at.clone(),
        ..SamplePlan::greedy(args.max_tokens)
    }
}

/// Accuracy of the strategy.
fn by_strategy(
    args: &Args,
    policy: &dyn Policy,
    problems: &[Problem],
    search: &SearchConfig,
    findings: &mut Findings,
) -> Result<(), TrainError> {
    let bar = counted("evaluate", problems.len());
    let mut summary = Summary::default();
    let plan = plan(args, search);
    let mut on_answer = |answer: crate::evaluate::Answer| {
        summary.count(&problems[answer.index], answer.correct);
        summary.usage += answer.usage;
        if let Some(failure) = answer.failure {
            *summary.failures.entry(failure).or_default() += 1;
        }
        findings.note(answer.index, "resps", json!([answer.texts]));
        findings.note(answer.index, "filtered_resps", json!([answer.text]));
        findings.note(answer.index, "exact_match", json!(u8::from(answer.correct)));
        advance(&bar, || format!("{:.1} % right", 100.0 * summary.share().accuracy));
        Ok(())
    };
    let beside =
        answer(policy, &ProblemVerifier, problems, args.strategy, &plan, search, &mut on_answer)?;
    summary.usage += beside.usage;
    bar.finish_and_clear();
    let share = summary.share();
    findings.metrics.push(("exact_match,none".into(), share.accuracy));
    findings.text.push(format!("{}: {share}", args.strategy));
    for (level, (correct, n)) in &summary.levels {
        let share = crate::stats::Share::new(*correct, *n);
        findings.text.push(format!("  level {level}: {share}"));
    }
    for (reason, count) in &summary.failures {
        findings.text.push(format!("  {count} not answered: {reason}"));
    }
    if let Some(found) = &beside.self_evaluation {
        findings.text.push(format!("  self-evaluation: {}", found.all));
        findings.put("self_evaluation", json!(found));
    }
    let usage = summary.usage;
    findings.text.push(format!("  {} tokens computed to sample (equal beginnings once), {} of prompts and steps before them",
        usage.sampling_rows, usage.prefilled
    ));
    let levels: Map<String, Value> = summary
        .levels
        .iter()
        .map(|(level, (c, n))| (level.to_string(), json!(crate::stats::Share::new(*c, *n))))
        .collect();
    findings.put("strategy", json!(args.strategy.to_string()));
    findings.put("eval", json!(share));
    findings.put("levels", Value::Object(levels));
    findings.put("failures", json!(summary.failures));
    findings.put("usage", json!(usage));
    Ok(())
}

/// Mean accuracy and pass@k of independent samples.
fn by_samples(
    args: &Args,
    policy: &dyn Policy,
    problems: &[Problem],
    (samples, search): (usize, &SearchConfig),
    findings: &mut Findings,
) -> Result<(), TrainError> {
    let bar = counted("samples", problems.len());
    let plan = SamplePlan { samples, ..plan(args, search) };
    let mut pass = PassAtK::default();
    solve(policy, &ProblemVerifier, problems, &plan, &mut |solved| {
        let correct = solved.attempts.iter().filter(|a| a.is_correct()).count();
        pass.add(samples as u64, correct as u64);
        findings.note(solved.index, "samples_correct", json!(correct));
        advance(&bar, String::new);
        Ok(())
    })?;
    bar.finish_and_clear();
    let means = pass.means();
    let mut line = format!("{samples} samples at temperature {}:", plan.sampling.temperature);
    for (k, mean) in &means {
        let name = if *k == 1 { "mean accuracy".to_owned() } else { format!("pass@{k}") };
        line += &format!(" {name} {:.1} %", 100.0 * mean);
        findings.metrics.push((format!("pass@{k},none"), *mean));
    }
    findings.text.push(line);
    let table: Map<String, Value> = means.iter().map(|(k, m)| (k.to_string(), json!(m))).collect();
    findings.put("pass_at", Value::Object(table));
    Ok(())
}

/// Accuracy by the log-likelihood of the options.
fn by_options(
    args: &Args,
    policy: &dyn Policy,
    problems: &[Problem],
    findings: &mut Findings,
) -> Result<(), TrainError> {
    if let Some(problem) = problems.iter().find(|p| p.choices.is_empty()) {
        let detail = format!(
            "problem `{}` of `{}` has no options; leave --log-likelihood out",
            problem.id, args.problems
        );
        return Err(TrainError::Setting { name: "log-likelihood", detail });
    }
    let scores: Vec<OptionScores> = score_options(policy, problems)?;
    for (index, score) in scores.iter().enumerate() {
        findings.note(index, "resps", json!(score.logps));
        findings.note(index, "acc", json!(u8::from(score.correct)));
        findings.note(index, "acc_norm", json!(u8::from(score.correct_norm)));
    }
    let summary = OptionSummary::of(&scores);
    findings.metrics.push(("acc,none".into(), summary.acc.accuracy));
    findings.metrics.push(("acc_norm,none".into(), summary.acc_norm.accuracy));
    findings.text.push(format!("acc: {}", summary.acc));
    findings.text.push(format!("acc_norm: {}", summary.acc_norm));
    findings.put("options", json!(summary));
    Ok(())
}
