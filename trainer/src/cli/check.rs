//! `regrowth check`: a one-minute test of a policy before a long run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use regrowth_mcts::console::{Work, log, warn};
use regrowth_mcts::flags::EngineFlags;
use regrowth_policy::LoadOptions;
use regrowth_policy::decorate::Meter;
use serde_json::json;

use super::engine::say_once;
use super::settings::SettingArgs;
use super::{print_line, progress};
use crate::check::{Check, End, MOST_PROBLEMS, Sample, ServerProbe, check};
use crate::rounds::{ProblemSets, RunConfig};
use crate::{TrainError, inputs};

/// Arguments of `regrowth check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Time limit in seconds, including loading the policy.
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Output")]
    seconds: u64,
    /// Print the result as one JSON object.
    #[arg(long, help_heading = "Output")]
    json: bool,
    #[command(flatten)]
    settings: SettingArgs,
    #[command(flatten)]
    engine: EngineFlags,
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    let (config, engine) = args.settings.load(&args.engine)?;
    let found = look(&config, &engine, Duration::from_secs(args.seconds))?;
    found.warnings().iter().for_each(|text| warn(text));
    if args.json {
        return print_line(&json(&found, &config).to_string());
    }
    print_line(&described(&found, &config))
}

/// Tests the policy of a run; `limit` counts from this call.
fn look(config: &RunConfig, engine: &EngineFlags, limit: Duration) -> Result<Check, TrainError> {
    let started = Instant::now();
    let sets = ProblemSets::read(config)?;
    let problems = sets.round_problems(1, MOST_PROBLEMS);
    if problems.is_empty() {
        let detail = format!("`{}` has no training problem", config.problems);
        return Err(TrainError::Setting { name: "problems", detail });
    }
    let meter = Arc::<Meter>::default();
    let options = LoadOptions {
        prompt: sets.prompts(config),
        meter: Some(meter.clone()),
        ..engine.load_options(say_once)
    };
    let planned = regrowth_policy::plan(&config.policy, &options)?;
    let (value, policy) = (&config.search.value, inputs::policy(&config.policy, &options)?);
    let policy = value.judge_by(policy, inputs::judge(value, &options)?.as_ref())?;
    policy.notes().iter().for_each(|text| log(text));
    let monitor = progress::over("check", "solutions", 0, Work::Items, &meter);
    let mut shown = |done: usize, all: usize| monitor.set(done as u64, all as u64, String::new());
    let left = limit.saturating_sub(started.elapsed());
    let mut found = check(&*policy, &problems, &config.search, left, &mut shown)?;
    drop(monitor);
    if let Some(plan) = planned {
        found.memory_mib = Some(plan.peak() >> 20);
    }
    if found.unfinished > 0 {
        // Its threads may be in a forward pass whose result is no longer needed; they end with the process.
        std::mem::forget(policy);
    }
    Ok(found)
}

/// Returns the results and the projected cost of the run as JSON.
fn json(found: &Check, config: &RunConfig) -> serde_json::Value {
    let mut value = json!(found);
    value["projected"] = json!(found.projected(config));
    value
}

/// Returns the results as text.
fn described(found: &Check, config: &RunConfig) -> String {
    let mut text = format!("--- the first prompt\n{}\n", found.prompt);
    text += &found.server.as_ref().map(server).unwrap_or_default();
    for (index, sample) in found.samples.iter().enumerate() {
        text += &solution(index + 1, sample);
    }
    text += &format!("--- {}\n", figures(found));
    text += &planned(found, config);
    text + &recommended(found)
}

/// Returns the results about a server as text.
fn server(probe: &ServerProbe) -> String {
    let yes = |is: bool| if is { "yes" } else { "no" };
    let listed = match probe.features.listed_tokens {
        None => "all tokens".to_owned(),
        Some(0) => "none".to_owned(),
        Some(count) => format!("the {count} likeliest"),
    };
    let score = match probe.score_difference {
        None => "not given".to_owned(),
        Some(difference) => format!("within {difference:.1e} of sampling"),
    };
    let mut text = format!(
        "--- server: {} with {}, context {}\n\
         token ids in and out: {}; log-probabilities of samples exact: {}, of given text: {score}\n\
         equal requests, equal answers: greedy {}, sampled {}\n\
         judge: {}, labels looked for among {listed}; adapters loaded while it runs: {}\n",
        probe.features.kind,
        probe.features.model,
        probe.features.context,
        yes(probe.features.token_ids),
        yes(probe.exact_log_probs),
        yes(probe.repeats_greedy),
        yes(probe.repeats_samples),
        if probe.judges { "answers" } else { "no answer that means anything" },
        yes(probe.features.loads_adapters),
    );
    for refused in &probe.refused {
        text += &format!("refused: {refused}\n");
    }
    text
}

/// Returns a solution with its steps as text.
fn solution(number: usize, sample: &Sample) -> String {
    let tokens: usize = sample.steps.iter().map(|step| step.tokens).sum();
    let mut text = format!(
        "--- solution {number} ({}): {tokens} tokens, {} steps\n",
        sample.problem,
        sample.steps.len()
    );
    for (index, step) in sample.steps.iter().enumerate() {
        let empty = if step.content { "" } else { ", without content" };
        let body = step.text.trim().replace('\n', "\n    ");
        text += &format!("[{}: {} tokens{empty}]\n    {body}\n", index + 1, step.tokens);
    }
    let read = match (sample.end, sample.answer.as_str()) {
        (End::Unfinished, _) => "unfinished: the time was up".to_owned(),
        (_, "") => format!("the verifier finds no answer (reference {})", sample.reference),
        (_, answer) => {
            let verdict = if sample.correct { "right" } else { "wrong" };
            format!("the verifier reads {answer}: {verdict} (reference {})", sample.reference)
        }
    };
    let cut = if sample.end == End::CutOff { "cut off at the token limit; " } else { "" };
    text + &format!("=> {cut}{read}\n")
}

fn figures(found: &Check) -> String {
    let finished = found.problems - found.unfinished;
    let mut text = format!(
        "{} problems, {} unfinished; of {finished} solutions {} right, {} without an answer, {} cut off\n\
         {:.1} steps per solution, {:.0} tokens per step (medians), {:.0} % of steps say nothing; {:.0} \
         tokens per solution\n\
         {:.1} tokens per second; mean log-probability of a token {:.2}",
        found.problems,
        found.unfinished,
        found.correct,
        found.no_answer,
        found.cut_off,
        found.steps_per_solution,
        found.tokens_per_step,
        100.0 * found.steps_without_content,
        found.tokens_per_solution,
        found.tokens_per_second,
        found.mean_log_prob,
    );
    if let Some(memory) = found.memory_mib {
        text += &format!("; memory {memory} MiB");
    }
    text
}

/// Returns the projected cost of the run as text.
fn planned(found: &Check, config: &RunConfig) -> String {
    let (Some(tree), Some(run)) = (found.tree, found.projected(config)) else {
        return String::new();
    };
    let hours = |seconds: f64| seconds / 3600.0;
    format!(
        "a tree: about {:.0} tokens sampled, {:.0} model calls, {:.0} s\n\
         a run of `regrowth iterate` with these settings, at most and without training: {} trees in {:.1} \
         hours, {} answers in {:.1} hours\n",
        tree.sampled_tokens,
        tree.model_calls,
        tree.seconds,
        run.trees,
        hours(run.search_seconds),
        run.answers,
        hours(run.evaluate_seconds),
    )
}

/// Returns the recommended settings as a table of a settings file.
fn recommended(found: &Check) -> String {
    let fit = &found.recommended;
    if fit.reasons.is_empty() {
        return "no setting needs to change for these solutions".into();
    }
    let reasons = fit.reasons.join("\n  ");
    let table = toml::to_string(&json!({ "search": {
        "boundary": fit.boundary, "max_depth": fit.max_depth,
        "max_step_tokens": fit.max_step_tokens, "max_solution_tokens": fit.max_solution_tokens,
        "sampling": { "temperature": fit.sampling.temperature, "top_p": fit.sampling.top_p },
    } }));
    format!(
        "recommended (a file for --config), because of\n  {reasons}\n\n{}",
        table.unwrap_or_default()
    )
}
