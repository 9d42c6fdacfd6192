//! `regrowth evaluate`: how good is a policy on these problems?

mod curve;
mod findings;
mod harness;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::builder::NonEmptyStringValueParser;
use regrowth_datasets::{
    Format, Notices, Problem, ProblemSelection, ProblemSources, ReadOptions, Split, content_hash,
};
use regrowth_mcts::SearchConfig;
use regrowth_mcts::config::{JudgeForm, VERDICTS_FILE};
use regrowth_mcts::console::{Monitor, Work, log};
use regrowth_mcts::flags::{EngineFlags, at_least_one};
use regrowth_mcts::prompting::PromptFlags;
use regrowth_policy::decorate::Meter;
use regrowth_policy::{Policy, Recording, joined};
use regrowth_verifiers::{Unanswered, Verifier};
use serde::Serialize;
use serde_json::{Map, Value, json};

use self::findings::Findings;
use super::engine::{policy, say_once};
use super::settings::StartFlags;
use super::{print_line, progress, stop};
use crate::artefact::check_folder;
use crate::evaluate::{
    Beside, Decoding, EvalSummary, Evaluation, LmEvalRun, OptionScores, OptionSummary, PassAtK,
    SamplePlan, results_folder, score_options, write_lm_eval,
};
use crate::report::write_curve;
use crate::rounds::RunConfig;
use crate::{TrainError, calls, clock, inputs};

/// Arguments of `regrowth evaluate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// builtin, a checkpoint folder or .gguf file, http://host:port/v1#model (may be given several times),
    /// scripted[:FILE] or replay:FILE.
    #[arg(long, default_value = "builtin", help_heading = "Policy and problems")]
    policy: Vec<String>,
    /// builtin:arithmetic, builtin:choice, builtin:countdown, or a file of a known format; may be given
    /// several times, as FILE:WEIGHT for a mixture.
    #[arg(
        long,
        default_value = "builtin:arithmetic",
        value_name = "FILE[:WEIGHT]",
        help_heading = "Policy and problems"
    )]
    problems: Vec<String>,
    /// Bad rows of the problem files that are skipped, each named; one more is an error.
    #[arg(
        long,
        default_value_t = 0,
        value_name = "N",
        help_heading = "Policy and problems",
        hide = true
    )]
    skip_bad: usize,
    /// Name of the task in the results [default: the source of the problems]; with `--protocol lm-eval`
    /// the task of lm-eval: arc_easy, arc_challenge, openbookqa, commonsense_qa, sciq, gsm8k, gsm8k_cot,
    /// minerva_math or hendrycks_math.
    #[arg(long, help_heading = "Policy and problems", hide = true)]
    task: Option<String>,
    /// Whose prompts, worked examples and answer extraction are used: this program's, or those of the
    /// lm-evaluation-harness 0.4.13 for `--task`. Figures of the two are not comparable.
    #[arg(
        long,
        value_enum,
        default_value_t = Protocol::Generative,
        help_heading = "Policy and problems",
        hide = true
    )]
    protocol: Protocol,
    /// Format of the problem file, where detection is wrong
    /// [default: detected]
    #[arg(long, value_name = "NAME", help_heading = "Policy and problems", hide = true)]
    format: Option<String>,
    /// Part of the problems: train, validation or test [default: test of a built-in task, all of
    /// a file].
    #[arg(long, help_heading = "Policy and problems", hide = true)]
    split: Option<Split>,
    /// Problems at most [default: 1000 of a built-in task, all of a file].
    #[arg(long, value_name = "N", help_heading = "Policy and problems")]
    limit: Option<usize>,
    /// greedy, majority@K, best-of@K, mcts@K (the committed solution of a search with K simulations per
    /// root) or mcts-vote@K (the votes of all solutions of a search with K simulations); none of them
    /// sees the reference.
    #[arg(long, default_value = "greedy", help_heading = "Sampling")]
    strategy: Decoding,
    /// Compare greedy, pass@k, majority, best-of and search at equal tokens, with 1, 2, 4, ... K samples per
    /// problem; --out also gets a page and curve.json (docs/evaluation.md)
    /// [default: one strategy is measured]
    #[arg(
        long,
        value_name = "K",
        value_parser = at_least_one::<NonZeroUsize>,
        conflicts_with_all = ["strategy", "samples", "log_likelihood"],
        help_heading = "Sampling"
    )]
    curve: Option<NonZeroUsize>,
    /// Solutions sampled for each problem beside the strategy's, for pass@k
    /// [default: 0]
    #[arg(long, value_name = "N", help_heading = "Sampling", hide = true)]
    samples: Option<usize>,
    /// Temperature of everything that is sampled
    #[arg(long, value_name = "T", help_heading = "Sampling", hide = true)]
    temperature: Option<f32>,
    /// Tokens of one solution at most
    #[arg(long, value_name = "N", help_heading = "Sampling")]
    max_tokens: Option<usize>,
    #[command(flatten)]
    start: StartFlags,
    /// How the strategies that search judge steps
    #[arg(long, help_heading = "Sampling", hide = true)]
    judge: Option<JudgeForm>,
    /// Another policy that judges the steps for strategies that search (docs/judges.md)
    /// [default: none: the evaluated policy judges]
    #[arg(long, value_name = "POLICY", help_heading = "Sampling", hide = true)]
    judge_policy: Option<String>,
    /// Command of a process that checks solutions by JSON lines (docs/judges.md)
    /// [default: none: answers are compared with the reference]
    #[arg(long, value_name = "CMD", help_heading = "Sampling", hide = true)]
    verifier_command: Option<String>,
    /// Text at which a solution ends and is cut; may be given several times
    /// [default: none]
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new(), help_heading = "Sampling", hide = true)]
    stop: Vec<String>,
    #[command(flatten)]
    prompts: PromptFlags,
    /// Print the first problem as it is put to the policy, and stop.
    #[arg(long, help_heading = "Output", hide = true)]
    show_prompt: bool,
    /// Score the options of multiple-choice problems by log-likelihood instead of generating.
    #[arg(long, help_heading = "Sampling", hide = true)]
    log_likelihood: bool,
    /// Seed of every random number, and of the problems of a built-in task.
    #[arg(long, default_value_t = 0, help_heading = "Sampling")]
    seed: u64,
    /// Folder for results_*.json and samples_*.jsonl
    /// [default: none are written]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Print the result as one JSON object.
    #[arg(long, help_heading = "Output")]
    json: bool,
    #[command(flatten)]
    engine: EngineFlags,
}

/// By whose rules a policy is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Protocol {
    /// Solutions in the policy's own prompt form; answers are read in every wording.
    Generative,
    /// As lm-eval scores the task.
    LmEval,
}

/// Problems of a built-in task, which has no end of its own.
const BUILTIN_LIMIT: usize = 1000;

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    if args.protocol == Protocol::LmEval {
        return harness::run(args);
    }
    let format = inputs::format(args.format.as_deref())?;
    let (problems, bad_rows) = problems(args, format)?;
    let first = problems.first().ok_or_else(|| TrainError::Setting {
        name: "problems",
        detail: format!("`{}` has no problem in this part", args.problems.join(", ")),
    })?;
    let task = args.task.clone().unwrap_or_else(|| first.source.clone());
    let (settings, engine) = settings(args)?;
    let (prompts, search) = (settings.prompts(), settings.search);
    let spec = joined(&args.policy)?.unwrap_or_default();
    let names = ProblemSources::joined(&args.problems)?.unwrap_or_default();
    let file = (names.as_str(), format);
    let prompt = prompts.options::<TrainError>(&spec, file, &problems, args.seed)?;
    let shots = if args.log_likelihood { 0 } else { prompt.shots.len() };
    let model = args.policy.join(",");
    let folder = args.out.as_deref().map(|out| results_folder(out, &model));
    // Before a model is loaded, which may take minutes.
    folder.as_deref().map_or(Ok(()), |folder| check_folder(folder, "out"))?;
    let verdicts = folder.as_deref().map(|folder| folder.join(VERDICTS_FILE));
    let verifier = search.verifier.start(verdicts, log)?;
    let (meter, stop) = (Arc::default(), Arc::default());
    let run = Run { args, problems: &problems, search, verifier, meter, stop };
    let policy = policy(&args.policy, &engine, prompt, &run.meter)?;
    let example = policy.prompt(first).map(|prompt| prompt.text);
    if args.show_prompt {
        return print_line(&example?);
    }
    let config = run.config(prompts.prompt, example.as_ref().ok());
    let calls_file = folder.map(|folder| calls_log(&folder, &config, &task));
    let policy = match &calls_file {
        Some(file) => calls::recorded(file, policy, &mut log)?,
        None => policy,
    };
    let judge = inputs::judge(&run.search.value, &engine.load_options(say_once))?;
    let policy = match &judge {
        Some(_) => run.search.value.judge_by(policy, judge.as_ref()),
        None => policy,
    };
    stop::on_signals(&run.stop, "saving the answers so far")?;
    let started = Instant::now();
    let mut findings = Findings::of(&problems);
    findings.put("task", json!(task));
    findings.put("policy", json!(policy.identity()));
    findings.skipped(bad_rows);
    if !args.log_likelihood {
        findings.put("prompt", json!(example.as_ref().ok()));
    }
    run.measure(&*policy, &mut findings).map_err(|error| stopped(error, calls_file.as_deref()))?;
    let seconds = started.elapsed().as_secs_f64();
    findings.put("seconds", json!(seconds));
    findings.judged(judge.as_ref());
    let problems = (problems.len(), problems.len());
    let results = LmEvalRun {
        task,
        model,
        metrics: std::mem::take(&mut findings.metrics),
        config,
        unanswered: findings.unanswered,
        shots,
        problems,
        samples: std::mem::take(&mut findings.samples),
        seconds,
        time: clock::utc_now(),
    };
    finish(args, findings, &results, calls_file.as_deref())
}

/// Writes the files, if a folder is named, and prints what was found.
fn finish(
    args: &Args,
    mut findings: Findings,
    results: &LmEvalRun,
    calls_file: Option<&Path>,
) -> Result<(), TrainError> {
    if let Some(out) = &args.out {
        let path = write_lm_eval(out, results)?;
        if let Some(curve) = &findings.curve {
            let folder = results_folder(out, &results.model);
            write_curve(&folder, &results.model, &results.task, curve)?;
            findings.text.push(format!("page: {}", folder.join("curve.html").display()));
        }
        calls_file.map_or(Ok(()), Recording::remove)?;
        findings.put("results", json!(path));
        findings.text.push(format!("written to {}", path.display()));
    }
    if args.json {
        return print_line(&Value::Object(findings.json).to_string());
    }
    print_line(&findings.text.join("\n"))
}

/// An evaluation in hand.
struct Run<'a> {
    args: &'a Args,
    problems: &'a [Problem],
    search: SearchConfig,
    verifier: Arc<dyn Verifier>,
    meter: Arc<Meter>,
    /// Set by a signal.
    stop: Arc<AtomicBool>,
}

/// A stop by a signal says what is saved.
fn stopped(error: TrainError, calls_file: Option<&Path>) -> TrainError {
    if let (TrainError::Unmeasured(_), Some(file)) = (&error, calls_file) {
        // There is nothing in it; if it cannot be removed, the error at hand is the one to tell.
        let _ = Recording::remove(file);
    }
    stop::stopped(error, || {
        calls_file.map(|file| format!("every finished model call is saved in {}", file.display()))
    })
}

/// The log of model calls of one evaluation, until its results are written: evaluations with other
/// settings may go into the same folder.
fn calls_log(folder: &Path, config: &Value, task: &str) -> PathBuf {
    let name = content_hash(&format!("{task} {config}"));
    folder.join(format!("calls-{}.jsonl", &name[..8]))
}

/// The problems that the flags name, and how many bad rows were skipped.
fn problems(args: &Args, format: Option<Format>) -> Result<(Vec<Problem>, usize), TrainError> {
    let sources = ProblemSources::parse(&args.problems)?;
    let selection = ProblemSelection {
        split: args.split,
        task_split: args.split.unwrap_or(Split::Test),
        task_limit: args.limit.unwrap_or(BUILTIN_LIMIT),
        limit: args.limit.unwrap_or(usize::MAX),
        seed: args.seed,
    };
    let mut notices = Notices::skipping(args.skip_bad);
    let options = ReadOptions { format, needs_answer: true };
    let problems = sources.read(options, &selection, &mut notices)?;
    notices.lines().iter().for_each(|line| log(line));
    Ok((problems, notices.skipped().len()))
}

/// The shape of searches, how everything is sampled, and how problems are put.
fn settings(args: &Args) -> Result<(RunConfig, EngineFlags), TrainError> {
    let (mut config, engine) = args.start.base(&args.policy, None, &args.engine)?;
    config.set_prompts(&args.prompts);
    let search = &mut config.search;
    search.sampling.temperature = args.temperature.unwrap_or(search.sampling.temperature);
    search.value.judge = args.judge.unwrap_or(search.value.judge);
    search.stop_at.strings.extend(args.stop.iter().cloned());
    let judge = &mut search.value.judge_policy;
    *judge = args.judge_policy.clone().or(judge.take());
    let command = &mut search.verifier.command;
    *command = args.verifier_command.clone().or(command.take());
    Ok((config, engine))
}

/// Refuses to give a figure where no problem was answered.
fn check_answered(problems: usize, failed: u64, reason: Option<&String>) -> Result<(), TrainError> {
    if (failed as usize) < problems {
        return Ok(());
    }
    let reason = reason.map_or("no reason is known", String::as_str);
    Err(TrainError::Unmeasured(format!("none of the {problems} problems was answered: {reason}")))
}

impl Run<'_> {
    /// Tokens of one solution at most.
    fn max_tokens(&self) -> usize {
        self.args.max_tokens.unwrap_or(self.search.max_solution_tokens)
    }

    /// What is evaluated, as the results say it; where log-likelihoods are read, nothing is generated and
    /// no such settings belong to it.
    fn config(&self, prompt: impl Serialize, example: Option<&String>) -> Value {
        let args = self.args;
        if args.log_likelihood {
            return json!({
                "output_type": "multiple_choice", "problems": args.problems.join(","), "split": args.split,
                "seed": args.seed,
            });
        }
        let mut config = json!({
            "output_type": "generate_until", "problems": args.problems.join(","),
            "strategy": args.curve.map_or(args.strategy.to_string(), |k| format!("curve@{k}")),
            "temperature": self.search.sampling.temperature, "samples": args.samples,
            "seed": args.seed, "max_tokens": self.max_tokens(), "stop": args.stop,
            "split": args.split, "prompt": prompt, "prompt_example": example,
        });
        if let Some(command) = &self.search.verifier.command {
            config["verifier_command"] = json!(command);
        }
        if let Some(judge) = &self.search.value.judge_policy {
            config["judge_policy"] = json!(judge);
        }
        config
    }

    /// What was asked for.
    fn measure(&self, policy: &dyn Policy, findings: &mut Findings) -> Result<(), TrainError> {
        if self.args.log_likelihood {
            return self.by_options(policy, findings);
        }
        if let Some(samples) = self.args.curve {
            return curve::run(self, policy, samples.get(), findings);
        }
        self.by_strategy(policy, findings)?;
        match self.args.samples.filter(|&n| n > 0) {
            Some(samples) => self.by_samples(policy, samples, findings),
            None => Ok(()),
        }
    }

    fn plan(&self) -> SamplePlan {
        SamplePlan {
            seed: self.args.seed,
            sampling: self.search.sampling,
            stop_at: self.search.stop_at.clone(),
            cancel: self.stop.clone(),
            ..SamplePlan::greedy(self.max_tokens())
        }
    }

    fn progress(&self, name: &'static str, work: Work) -> Monitor {
        progress::over(name, "problems", self.problems.len(), work, &self.meter)
    }

    /// Accuracy of the strategy.
    fn by_strategy(&self, policy: &dyn Policy, findings: &mut Findings) -> Result<(), TrainError> {
        let Run { args, problems, search, verifier, .. } = self;
        let samples = matches!(args.strategy, Decoding::Greedy | Decoding::Majority(_));
        let work = if samples { Work::Calls } else { Work::Items };
        let progress = self.progress("evaluate", work);
        let mut summary = EvalSummary::default();
        let plan = self.plan();
        let mut on_answer = |answer: crate::evaluate::Answer| {
            summary.count(&problems[answer.index], answer.correct);
            summary.usage += answer.usage;
            if let Some(failure) = answer.failure {
                *summary.failures.entry(failure).or_default() += 1;
            }
            findings.set(answer.index, "resps", json!([answer.texts]));
            let stated = answer.stated.as_ref();
            let read = stated.map(|(statement, _)| statement.answer.as_str()).unwrap_or_default();
            let source = stated.map(|(statement, finish)| statement.source(*finish));
            if let Some((statement, finish)) = stated {
                summary.unanswered.add(statement, *finish);
            }
            findings.set(answer.index, "filtered_resps", json!([read]));
            findings.set(answer.index, "answer_source", json!(source));
            findings.set(answer.index, "exact_match", json!(u8::from(answer.correct)));
            let share = summary.share();
            progress.advance(1, format!("{} of {} right", share.correct, share.n));
            Ok(())
        };
        let verifier = &**verifier;
        let beside = Evaluation { policy, verifier, problems, plan: &plan }.answer(
            args.strategy,
            search,
            &mut on_answer,
        )?;
        summary.usage += beside.usage;
        drop(progress);
        self.tell(&summary, &beside, findings)
    }

    /// Puts the figures of a strategy into the findings.
    fn tell(
        &self,
        summary: &EvalSummary,
        beside: &Beside,
        findings: &mut Findings,
    ) -> Result<(), TrainError> {
        let Run { args, problems, .. } = self;
        let failed: u64 = summary.failures.values().sum();
        check_answered(problems.len(), failed, summary.failures.keys().next())?;
        let share = summary.share();
        findings.metrics.push(("exact_match,none".into(), share.accuracy));
        findings.text.push(format!("{}: {share}", args.strategy));
        for (level, (correct, n)) in &summary.levels {
            let share = crate::stats::Share::new(*correct, *n);
            findings.text.push(format!("  level {level}: {share}"));
        }
        if failed > 0 {
            findings
                .text
                .push(format!("  {failed} of {} count as wrong: they got no answer", share.n));
        }
        for (reason, count) in &summary.failures {
            findings.text.push(format!("  {count} not answered: {reason}"));
        }
        if let Some(found) = &beside.self_evaluation {
            findings.text.push(format!("  self-evaluation: {}", found.all));
            findings.put("self_evaluation", json!(found));
        }
        findings.count(summary.unanswered);
        let usage = summary.usage;
        findings.text.push(format!(
            "  tokens computed: {} sampled (shared prefixes once), {} prefilled",
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
        findings.put("failed", json!(failed));
        findings.put("failures", json!(summary.failures));
        findings.put("usage", json!(usage));
        Ok(())
    }

    /// Mean accuracy and pass@k of independent samples.
    fn by_samples(
        &self,
        policy: &dyn Policy,
        samples: usize,
        findings: &mut Findings,
    ) -> Result<(), TrainError> {
        let progress = self.progress("samples", Work::Calls);
        let plan = SamplePlan { samples, ..self.plan() };
        let (mut failed, mut reason) = (0, None);
        let mut pass = PassAtK::default();
        let mut unanswered = Unanswered::default();
        let (verifier, problems) = (&*self.verifier, self.problems);
        Evaluation { policy, verifier, problems, plan: &plan }.solve(&mut |solved| {
            failed += u64::from(solved.failure.is_some());
            reason = reason.take().or(solved.failure.clone());
            let correct = solved.attempts.iter().filter(|a| a.is_correct()).count();
            pass.add(samples as u64, correct as u64);
            solved.attempts.iter().for_each(|a| unanswered.add(&a.statement, a.finish));
            findings.set(solved.index, "samples_correct", json!(correct));
            progress.advance(1, String::new());
            Ok(())
        })?;
        drop(progress);
        check_answered(self.problems.len(), failed, reason.as_ref())?;
        let means = pass.means();
        let mut line = format!("{samples} samples at temperature {}:", plan.sampling.temperature);
        for (k, mean) in &means {
            let name = if *k == 1 { "mean accuracy".to_owned() } else { format!("pass@{k}") };
            line += &format!(" {name} {:.1} %", 100.0 * mean);
            findings.metrics.push((format!("pass@{k},none"), *mean));
        }
        if failed > 0 {
            line += &format!("; {failed} problems got no answer and count as wrong");
        }
        findings.text.push(line);
        let table: Map<String, Value> =
            means.iter().map(|(k, m)| (k.to_string(), json!(m))).collect();
        findings.put("pass_at", Value::Object(table));
        findings.put("samples_unanswered", json!(unanswered));
        unanswered.warnings("--max-tokens").iter().for_each(|warning| log(warning));
        Ok(())
    }

    /// Accuracy by the log-likelihood of the options.
    fn by_options(&self, policy: &dyn Policy, findings: &mut Findings) -> Result<(), TrainError> {
        let Run { args, problems, .. } = self;
        if let Some(problem) = problems.iter().find(|p| p.choices.is_empty()) {
            let detail = format!(
                "problem `{}` of `{}` has no options; leave --log-likelihood out",
                problem.id,
                args.problems.join(", ")
            );
            return Err(TrainError::Setting { name: "log-likelihood", detail });
        }
        let scores: Vec<OptionScores> = {
            let progress = self.progress("log-likelihoods", Work::Items);
            let mut right = 0;
            score_options(policy, problems, &mut |score| {
                right += u32::from(score.correct);
                progress.advance(1, format!("{right} right"));
                // Relaxed: the flag carries no data.
                match self.stop.load(Ordering::Relaxed) {
                    true => Err(TrainError::Interrupted),
                    false => Ok(()),
                }
            })?
        };
        for (index, score) in scores.iter().enumerate() {
            findings.set(index, "resps", json!(score.logps));
            findings.set(index, "acc", json!(u8::from(score.correct)));
            findings.set(index, "acc_norm", json!(u8::from(score.correct_norm)));
        }
        let summary = OptionSummary::of(&scores);
        findings.metrics.push(("acc,none".into(), summary.acc.accuracy));
        findings.metrics.push(("acc_norm,none".into(), summary.acc_norm.accuracy));
        findings.text.push(format!("acc: {}", summary.acc));
        findings.text.push(format!("acc_norm: {}", summary.acc_norm));
        findings.put("options", json!(summary));
        Ok(())
    }
}
