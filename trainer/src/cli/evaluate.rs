//! `regrowth evaluate`: measures how good a policy is on given problems.

mod args;
mod curve;
mod findings;
mod harness;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use regrowth_datasets::{
    Format, Notices, Problem, ProblemSelection, ProblemSources, ReadOptions, Split, content_hash,
};
use regrowth_mcts::SearchConfig;
use regrowth_mcts::config::{JudgePolicy, VERDICTS_FILE};
use regrowth_mcts::console::{Monitor, Work, log};
use regrowth_mcts::flags::EngineFlags;
use regrowth_policy::decorate::Meter;
use regrowth_policy::{Policy, Recording, joined};
use regrowth_verifiers::{Unanswered, Verifier};
use serde::Serialize;
use serde_json::{Map, Value, json};

use self::args::Protocol;
use self::findings::Findings;
use super::engine::{policy, say_once};
use super::{print_line, progress, stop};
use crate::artefact::check_folder;
use crate::evaluate::{
    Beside, Decoding, EvalSummary, Evaluation, LmEvalRun, OptionScores, OptionSummary, PassAtK,
    SamplePlan, results_folder, score_options, write_lm_eval,
};
use crate::report::write_curve;
use crate::rounds::RunConfig;
use crate::{TrainError, calls, clock, inputs};

pub(super) use self::args::Args;

/// Default number of problems of a built-in task, which could generate any number.
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
    // Checked before a model is loaded, which may take minutes.
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
    let judge = inputs::judge(&run.search.value, &engine.load_options(say_once))?;
    let policy = run.asked(policy, judge.as_ref(), calls_file.as_deref())?;
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
    let labels = Labels { task, model, config, shots, seconds };
    let results = labels.results(&mut findings, problems.len());
    finish(args, findings, &results, calls_file.as_deref())
}

/// Labels of the results of an evaluation.
struct Labels {
    task: String,
    model: String,
    config: Value,
    /// Worked examples before each question.
    shots: usize,
    seconds: f64,
}

impl Labels {
    /// Converts to lm-eval's results; moves metrics and samples out of `findings`.
    fn results(self, findings: &mut Findings, problems: usize) -> LmEvalRun {
        let Self { task, model, config, shots, seconds } = self;
        LmEvalRun {
            task,
            model,
            metrics: std::mem::take(&mut findings.metrics),
            config,
            unanswered: findings.unanswered,
            shots,
            problems: (problems, problems),
            samples: std::mem::take(&mut findings.samples),
            seconds,
            time: clock::utc_now(),
        }
    }
}

/// Writes the result files if an output folder is given, and prints the findings.
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

/// A running evaluation.
struct Run<'a> {
    args: &'a Args,
    problems: &'a [Problem],
    search: SearchConfig,
    verifier: Arc<dyn Verifier>,
    meter: Arc<Meter>,
    /// Set by a signal to stop the evaluation.
    stop: Arc<AtomicBool>,
}

/// After a stop by a signal, adds to the error where the finished model calls are saved.
fn stopped(error: TrainError, calls_file: Option<&Path>) -> TrainError {
    if let (TrainError::Unmeasured(_), Some(file)) = (&error, calls_file) {
        // The log is empty. If it cannot be removed, the original error is the one to report.
        let _ = Recording::remove(file);
    }
    stop::stopped(error, || {
        calls_file.map(|file| format!("every finished model call is saved in {}", file.display()))
    })
}

/// Path of the log of model calls, which is kept until the results are written. The name depends on the
/// settings, because evaluations with other settings may use the same folder.
fn calls_log(folder: &Path, config: &Value, task: &str) -> PathBuf {
    let name = content_hash(&format!("{task} {config}"));
    folder.join(format!("calls-{}.jsonl", &name[..8]))
}

/// Reads the problems that the flags select; also returns the number of bad rows skipped.
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

/// Settings of searches, sampling and prompts, and those of the engine.
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

/// Returns an error instead of a result if no problem was answered.
fn check_answered(problems: usize, failed: u64, reason: Option<&String>) -> Result<(), TrainError> {
    if (failed as usize) < problems {
        return Ok(());
    }
    let reason = reason.map_or("no reason is known", String::as_str);
    Err(TrainError::Unmeasured(format!("none of the {problems} problems was answered: {reason}")))
}

impl Run<'_> {
    /// Wraps the policy: finished calls are answered from their log, and another policy may judge.
    fn asked(
        &self,
        mut policy: Arc<dyn Policy>,
        judge: Option<&JudgePolicy>,
        calls_file: Option<&Path>,
    ) -> Result<Arc<dyn Policy>, TrainError> {
        if let Some(file) = calls_file {
            policy = calls::recorded(file, policy, &mut log)?;
        }
        Ok(self.search.value.judge_by(policy, judge)?)
    }

    /// Maximum number of tokens of one solution.
    fn max_tokens(&self) -> usize {
        self.args.max_tokens.unwrap_or(self.search.max_solution_tokens)
    }

    /// Configuration in the results. If log-likelihoods are measured, nothing is generated, so generation
    /// settings are left out.
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

    /// Runs the measurements that the flags select.
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

    /// Measures the accuracy of the strategy.
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

    /// Adds the results of a strategy to the findings.
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

    /// Measures mean accuracy and pass@k of independent samples.
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

    /// Measures accuracy by the log-likelihood of the options.
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
