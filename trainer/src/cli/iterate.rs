//! `regrowth iterate`: rounds of search, pairs and training, resumable at every point.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use regrowth_datasets::content_hash;
use regrowth_mcts::console::{Monitor, Phase, command_line, log, quoted};
use regrowth_mcts::flags::EngineFlags;
use regrowth_mcts::frontend::Exit;
use regrowth_policy::ComputeDevice;
use regrowth_policy::decorate::Meter;

use super::engine::say_once;
use super::settings::SettingArgs;
use super::watch::Watcher;
use super::{exit, print_line, stop};
use crate::TrainError;
use crate::rounds::{
    Control, RunConfig, RunOutcome, RunPlan, RunReport, RunRequest, ServeCommand, iterate, plan,
};
use crate::stats::p_value;

/// Arguments of `regrowth iterate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder of the run; the same command on an existing one resumes it.
    #[arg(long, default_value = "runs/default", value_name = "DIR", help_heading = "Output")]
    run: PathBuf,
    /// Continue from the finished rounds of --run with other settings, in a new folder next to it.
    #[arg(long, help_heading = "Output", hide = true)]
    fork: bool,
    /// Command that starts the inference server at the address of --policy, for example `vllm serve
    /// $REGROWTH_CHECKPOINT --served-model-name $REGROWTH_MODEL`. This program starts and ends it, and
    /// restarts it when new weights cannot be loaded into the running server
    /// [default: the servers run already]
    #[arg(long, value_name = "CMD", help_heading = "Policy and problems", hide = true)]
    serve_command: Option<String>,
    /// Timeout until the addresses of --policy accept connections, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 1800,
        help_heading = "Policy and problems",
        hide = true
    )]
    serve_seconds: u64,
    /// Print the planned work and its estimated cost, from a short trial in memory; nothing is written.
    #[arg(long, help_heading = "Output")]
    dry_run: bool,
    /// Print the report as one JSON object.
    #[arg(long, help_heading = "Output", hide = true)]
    json: bool,
    #[command(flatten)]
    settings: SettingArgs,
    #[command(flatten)]
    engine: EngineFlags,
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    let (config, engine) = args.settings.load(&args.engine)?;
    if args.dry_run {
        return dry_run(args, &config, &engine);
    }
    let meter = Arc::<Meter>::default();
    let request = request(args, config, &engine, &meter)?;
    let control = Control::default();
    stop::on_signals(&control.cancel, "saving what the run has")?;
    let mut watcher = Watcher::new(&request.config, meter);
    let outcome = iterate(&request, &control, &mut watcher);
    let dir = request.dir.display();
    let (report, already_finished) = match outcome {
        Ok(RunOutcome::Finished(report)) => (report, false),
        Ok(RunOutcome::AlreadyFinished(report)) => (report, true),
        Err(error) => {
            drop(watcher);
            return Err(ended(error, &request.dir));
        }
    };
    watcher.finished();
    if args.json {
        let text = serde_json::to_string(&report).map_err(|e| TrainError::File {
            path: request.dir.join("report.json"),
            detail: e.to_string(),
        })?;
        return print_line(&text);
    }
    if already_finished {
        print_line(&format!("{dir} is a finished run; its result:"))?;
    }
    print_line(&summary(&request.dir, &report))
}

/// Turns the error that stopped a run into one that says what is saved.
fn ended(error: TrainError, dir: &Path) -> TrainError {
    let started = dir.join("run.json").exists();
    if started && !matches!(exit(&error), Exit::Usage | Exit::Stopped) {
        log(&format!(
            "progress is saved in {}; fix the problem below and resume with:\n  {}",
            dir.display(),
            command_line()
        ));
    }
    stop::stopped(error, || {
        let dir = dir.display();
        started.then(|| format!("every finished model call and training step is saved in {dir}"))
    })
}

fn request(
    args: &Args,
    config: RunConfig,
    engine: &EngineFlags,
    meter: &Arc<Meter>,
) -> Result<RunRequest, TrainError> {
    let (dir, fork) = if args.fork {
        // Named after a hash of its settings, so the same command resumes the same fork.
        let text = toml::to_string(&config)
            .map_err(|e| TrainError::Setting { name: "fork", detail: e.to_string() })?;
        let mut name = args.run.clone().into_os_string();
        name.push(format!("-{}", &content_hash(&text)[..8]));
        (PathBuf::from(name), Some(args.run.clone()))
    } else {
        (args.run.clone(), None)
    };
    if engine.device() != ComputeDevice::Cpu {
        say_once("search and evaluation compute on the GPU, training on the CPU");
    }
    let (mut load, threads) = (engine.load_options(say_once), engine.threads());
    load.meter = Some(meter.clone());
    let start_limit = Duration::from_secs(args.serve_seconds);
    let serve_command = args.serve_command.clone();
    let serve_command = serve_command.map(|command| ServeCommand { command, start_limit });
    Ok(RunRequest { dir, config, load, threads, serve_command, fork })
}

/// Returns the result and suggested next commands.
fn summary(folder: &Path, report: &RunReport) -> String {
    let mut text = String::new();
    for round in &report.rounds {
        let Some(test) = &round.test else { continue };
        let best = if round.round == report.best_round { "  <- best by validation" } else { "" };
        text += &format!("round {}: {}{best}\n", round.round, test.share);
    }
    let compared = &report.comparison;
    let [low, high] = compared.ci95.map(|v| 100.0 * v);
    text += &format!(
        "{:+.1} points [{low:+.1}, {high:+.1}] on {} unseen test problems, {} gained, {} lost, \
         p = {}; {:.0} s\n",
        100.0 * compared.difference,
        compared.n,
        compared.gained,
        compared.lost,
        p_value(report.p_value),
        report.total_seconds(),
    );
    if let Some(looks) = report.earlier_looks() {
        text += &format!("the test problems decided nothing, but {looks}\n");
    }
    let dir = folder.display();
    text += &format!("report: {dir}/report.html\n");
    if let Some(checkpoint) = &report.checkpoint {
        text += &format!("best policy: {dir}/{checkpoint}\n");
    }
    text + "\nTry next:\n" + &next(folder, report)
}

/// Suggests next commands with the run's problems and policy. For the bundled model: a comparison with STaR,
/// and a search. Otherwise: evaluation of the best policy, and search with it.
fn next(dir: &Path, report: &RunReport) -> String {
    let config = &report.config;
    let own = config.problems != RunConfig::default().problems;
    let problems = quoted(&config.problems);
    let path = |end: &str| quoted(&format!("{}{end}", dir.display()));
    if config.policy == "builtin" {
        let star = path("-star");
        let first = match own {
            true => format!("regrowth iterate --problems {problems} --variant star --run {star}"),
            false => format!("regrowth iterate --variant star --run {star}"),
        };
        let searched = if own { problems } else { "builtin:countdown".to_owned() };
        return format!(
            "  {first}\n  regrowth compare {} {star}\n  \
             mcts search --problems {searched} --limit 20 --out search",
            path(""),
        );
    }
    let policy = report.checkpoint.as_ref().map(|checkpoint| path(&format!("/{checkpoint}")));
    let policy = policy.unwrap_or_else(|| quoted(&config.policy));
    // Without `--test`, the run's test problems are a part of its problems.
    let test = match &config.test {
        Some(test) => quoted(test),
        None => format!("{problems} --split test"),
    };
    format!(
        "  regrowth evaluate --policy {policy} --problems {test}\n  \
         mcts search --policy {policy} --problems {problems} --out search"
    )
}

/// Prints the plan.
fn dry_run(args: &Args, config: &RunConfig, engine: &EngineFlags) -> Result<(), TrainError> {
    let monitor = Monitor::new(Arc::default());
    let mut doing = |name: &str| monitor.begin(Phase { name: name.to_owned(), ..Phase::default() });
    let load = engine.load_options(say_once);
    let plan = plan(config, &load, engine.threads(), &mut doing)?;
    drop(monitor);
    let unwritable = |detail: String| TrainError::Setting { name: "dry-run", detail };
    if args.json {
        let text = serde_json::to_string(&plan).map_err(|e| unwritable(e.to_string()))?;
        return print_line(&text);
    }
    let settings = toml::to_string(config).map_err(|e| unwritable(e.to_string()))?;
    print_line(&format!("run {}: {}\n{settings}", args.run.display(), described(&plan)))
}

/// Returns a plan as text.
fn described(plan: &RunPlan) -> String {
    let all = plan.simulations * plan.problems_per_round as u64 * u64::from(plan.rounds);
    let mut text = format!(
        "{} rounds of {} problems (of {} to train on), {} validation and {} test problems\n\
         at most {} simulations per problem, {all} in a run\n",
        plan.rounds,
        plan.problems_per_round,
        plan.train_problems,
        plan.validation_problems,
        plan.test_problems,
        plan.simulations,
    );
    let mib = |bytes: u64| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
    if let Some(memory) = &plan.memory {
        text += &format!(
            "memory: {:.1} million parameters; searching {} at most, training {} and activations\n",
            memory.parameters as f64 / 1e6,
            mib(memory.search_bytes),
            mib(memory.training_bytes),
        );
    }
    let trial = &plan.trial;
    text += &format!(
        "trial: {} trees, {} pairs, {} answers in {:.1} s{}\n",
        trial.trees,
        trial.pairs,
        trial.answered,
        trial.seconds.total(),
        trial.peak_bytes.map(|b| format!(", peak memory {}", mib(b))).unwrap_or_default(),
    );
    let Some(estimate) = &plan.estimate else {
        return text + "no estimate: the trial finished no tree or no answer\n";
    };
    let (tokens, seconds) = (&estimate.tokens, &estimate.seconds);
    let minutes = |s: f64| format!("{:.1}", s / 60.0);
    text + &format!(
        "estimate for the run{}: {} pairs; tokens {} in prompts, {} sampled, {} trained, {} in answers\n\
         time in minutes: search {}, train {}, evaluate {}, together {}; {} on the disk\n",
        if trial.searched > trial.trees as f64 {
            " (search: at most; no tree, or not every tree, of the trial was finished)"
        } else {
            ""
        },
        estimate.pairs,
        tokens.prompts,
        tokens.sampled,
        tokens.trained,
        tokens.validated,
        minutes(seconds.search),
        minutes(seconds.train),
        minutes(seconds.validate),
        minutes(seconds.total()),
        mib(estimate.disk_bytes),
    )
}
