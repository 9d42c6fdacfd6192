//! `regrowth evaluate --protocol lm-eval`: evaluates one task by the rules of the lm-evaluation-harness.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use regrowth_mcts::console::{Work, log};
use regrowth_policy::decorate::Meter;
use regrowth_policy::{Policy, PromptOptions, Recording};
use serde_json::{Map, Value, json};

use super::{Args, calls_log, stopped};
use crate::artefact::check_folder;
use crate::cli::engine::policy;
use crate::cli::{print_line, progress, stop};
use crate::evaluate::{
    Decoding, Harness, HarnessFiles, HarnessResult, HarnessTask, LmEvalRun, results_folder,
    write_lm_eval,
};
use crate::{TrainError, calls, clock};

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    check_flags(args)?;
    let (task, harness) = read(args)?;
    if args.show_prompt {
        return print_line(harness.prompts().first().map_or("", String::as_str));
    }
    let model = args.policy.join(",");
    let folder = args.out.as_deref().map(|out| results_folder(out, &model));
    folder.as_deref().map_or(Ok(()), |folder| check_folder(folder, "out"))?;
    let (_, engine) = args.start.base(&args.policy, None, &args.engine)?;
    let meter = Arc::<Meter>::default();
    let policy = policy(&args.policy, &engine, PromptOptions::default(), &meter)?;
    let config = config(args, &harness, &*policy);
    let calls_file = folder.map(|folder| calls_log(&folder, &config, task));
    let policy: Arc<dyn Policy> = match &calls_file {
        Some(file) => calls::recorded(file, policy, &mut log)?,
        None => policy,
    };
    let cancel = Arc::<AtomicBool>::default();
    stop::on_signals(&cancel, "saving the answers so far")?;
    let started = Instant::now();
    let items = harness.counts().1;
    let watch = progress::over("evaluate", "items", items, Work::Items, &meter);
    let mut right = 0;
    let result = harness.measure(&*policy, &cancel, &mut |is_right| {
        right += usize::from(is_right);
        watch.advance(1, format!("{right} right"));
    });
    drop(watch);
    let result = result.map_err(|error| stopped(error, calls_file.as_deref()))?;
    let measured = Measured { result, config, seconds: started.elapsed().as_secs_f64() };
    report(args, task, &harness, measured, calls_file.as_deref())
}

/// Results of an evaluation.
struct Measured {
    result: HarnessResult,
    config: Value,
    seconds: f64,
}

/// Prints the figures and writes the files.
fn report(
    args: &Args,
    task: &str,
    harness: &Harness,
    measured: Measured,
    calls_file: Option<&Path>,
) -> Result<(), TrainError> {
    let Measured { result, config, seconds } = measured;
    let mut text: Vec<String> = Vec::new();
    let mut found = Map::new();
    for (name, share) in &result.metrics {
        text.push(format!("{task}, {}-shot, {name}: {share}", harness.shots()));
        found.insert((*name).to_owned(), json!(share));
    }
    let mut printed = json!({
        "task": task, "protocol": "lm-eval", "shots": harness.shots(), "metrics": found, "config": config,
        "seconds": seconds,
    });
    if let Some(out) = &args.out {
        let run = LmEvalRun {
            task: task.to_owned(),
            model: args.policy.join(","),
            metrics: result.metrics.iter().map(|(n, s)| ((*n).to_owned(), s.accuracy)).collect(),
            config,
            unanswered: None,
            shots: harness.shots(),
            problems: harness.counts(),
            samples: result.samples,
            seconds,
            time: clock::utc_now(),
        };
        let path = write_lm_eval(out, &run)?;
        calls_file.map_or(Ok(()), Recording::remove)?;
        printed["results"] = json!(path);
        text.push(format!("written to {}", path.display()));
    }
    if args.json {
        return print_line(&printed.to_string());
    }
    print_line(&text.join("\n"))
}

/// Reads the task and its items.
fn read(args: &Args) -> Result<(&str, Harness), TrainError> {
    let setting = |name, detail| TrainError::Setting { name, detail };
    let missing =
        || setting("task", "is missing; --protocol lm-eval needs the name of a task".into());
    let name = args.task.as_deref().ok_or_else(missing)?;
    let task: HarnessTask = name.parse().map_err(|detail| setting("task", detail))?;
    let [items] = args.problems.as_slice() else {
        return Err(setting("problems", "expected one file with the items of the task".into()));
    };
    if items.starts_with("builtin:") {
        let detail = format!(
            "`{items}` is a task of this program; expected a file with the items of `{name}`"
        );
        return Err(setting("problems", detail));
    }
    let shots = args.prompts.shots.unwrap_or_else(|| task.default_shots());
    let files =
        HarnessFiles { items: Path::new(items), examples: args.prompts.shots_from.as_deref() };
    Ok((name, Harness::read(task, files, shots, args.limit.unwrap_or(usize::MAX))?))
}

/// Refuses flags for values that the task determines.
fn check_flags(args: &Args) -> Result<(), TrainError> {
    let given = [
        ("strategy", args.strategy != Decoding::Greedy),
        ("samples", args.samples.is_some()),
        ("curve", args.curve.is_some()),
        ("temperature", args.temperature.is_some()),
        ("max-tokens", args.max_tokens.is_some()),
        ("judge", args.judge.is_some()),
        ("stop", !args.stop.is_empty()),
        ("log-likelihood", args.log_likelihood),
        ("prompt", args.prompts.prompt.is_some()),
        ("format", args.format.is_some()),
        ("split", args.split.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((name, _)) => Err(TrainError::Setting {
            name,
            detail: "is decided by the task; leave it out with --protocol lm-eval".into(),
        }),
    }
}

/// Returns the configuration of the evaluation, for the results file.
fn config(args: &Args, harness: &Harness, policy: &dyn Policy) -> Value {
    json!({
        "protocol": "lm-eval 0.4.13", "output_type": harness.task().output_type(),
        "metadata": { "version": harness.task().version() }, "problems": args.problems.join(","),
        "num_fewshot": harness.shots(), "limit": args.limit, "policy": policy.identity(),
    })
}
