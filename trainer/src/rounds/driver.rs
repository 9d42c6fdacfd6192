//! Starts or resumes a run: locks its folder and checks that the settings are those it was started with.
//!
//! [`super::finish`] runs the rounds.

use std::path::{Path, PathBuf};

use regrowth_mcts::config::VERDICTS_FILE;
use regrowth_policy::LoadOptions;

use super::config::{Objective, RunConfig};
use super::context::RunContext;
use super::observer::{Control, Observer};
use super::on_demand::OnDemand;
use super::policies::Policies;
use super::report::RunReport;
use super::run_dir::{RunDir, RunFile};
use super::serve_command::ServeCommand;
use super::serving::{self, Serving};
use super::sets::ProblemSets;
use super::{finish, fork};
use crate::{TrainError, inputs};

/// The settings and options of a run.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// Folder of the run.
    pub dir: PathBuf,
    /// Settings.
    pub config: RunConfig,
    /// Load options of policies; they change no result.
    pub load: LoadOptions,
    /// Number of threads of search and training; changes no result.
    pub threads: usize,
    /// Command that serves the weights of a round; changes no result.
    pub serve_command: Option<ServeCommand>,
    /// Another run to fork: its finished rounds are copied, and the new run continues from them with its own
    /// settings.
    pub fork: Option<PathBuf>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum RunOutcome {
    /// The run was finished by this call.
    Finished(Box<RunReport>),
    /// The run was finished before; nothing was done.
    AlreadyFinished(Box<RunReport>),
}

/// Starts or resumes a run.
///
/// # Errors
/// [`TrainError::Run`] if another process holds the folder or its settings differ,
/// [`TrainError::Interrupted`] if cancelled (the same call resumes), [`TrainError::Gate`] if the gate ended
/// the run (reports are written), and any error of a phase.
pub fn iterate(
    request: &RunRequest,
    control: &Control,
    observer: &mut dyn Observer,
) -> Result<RunOutcome, TrainError> {
    let config = &request.config;
    let command = request.serve_command.as_ref();
    config.check()?;
    check_adapter(config)?;
    serving::check(config, command)?;
    let dir = RunDir::lock(&request.dir)?;
    observer.holds(dir.path());
    let sets = ProblemSets::read(config)?;
    let digests = sets.digests(config);
    sets.notices.iter().for_each(|notice| observer.log(notice));
    let load = LoadOptions { prompt: sets.prompts(config), ..request.load.clone() };
    let load = serving::load_options(config, command.is_some(), load);
    let serving = Serving::new(config, dir.path(), command, control);
    let policies = Policies::new(config, load.clone(), serving);
    let base = policies.get(&config.policy)?;
    let mut file = RunFile::new(config.clone(), base.identity(), digests);
    let first = sets.train.first();
    file.prompt_example = first.and_then(|problem| Some(base.prompt(problem).ok()?.text));
    let file = claim(&dir, file, request.fork.as_deref(), observer)?;
    base.notes().iter().for_each(|note| observer.log(note));
    let (log, verdicts) = (load.log.unwrap_or(|_| {}), dir.path().join(VERDICTS_FILE));
    let run = RunContext {
        dir,
        config,
        sets,
        file,
        threads: request.threads,
        control,
        policies,
        verifier: OnDemand::new(move || {
            Ok(config.search.verifier.start(Some(verdicts.clone()), log)?)
        }),
        judge: OnDemand::new(move || inputs::judge(&config.search.value, &load)),
    };
    // Drop this reference, so that the context holds the only one and can unload the policy.
    drop(base);
    go_on(&run, observer)
}

/// Runs the unfinished part of a run.
fn go_on(run: &RunContext, observer: &mut dyn Observer) -> Result<RunOutcome, TrainError> {
    if let Some(report) = finish::finished(run, observer)? {
        return Ok(RunOutcome::AlreadyFinished(Box::new(report)));
    }
    run.sets.warnings().iter().for_each(|text| observer.log(text));
    let report = finish::finish(run, observer)?;
    if report.stopped_by_gate {
        return Err(TrainError::Gate(format!(
            "the gate ended the run: the last round made the policy worse; see {}",
            run.dir.path().join("report.html").display()
        )));
    }
    Ok(RunOutcome::Finished(Box::new(report)))
}

/// Refuses an adapter that the settings cannot train further, before any search.
fn check_adapter(config: &RunConfig) -> Result<(), TrainError> {
    let lora = match config.objective {
        _ if config.trainer_command.is_some() => None,
        Objective::Preferences => config.dpo.lora.as_ref(),
        Objective::ChosenSteps | Objective::CorrectSolutions => config.sft.lora.as_ref(),
    };
    match (lora, config.weights_of(&config.policy)?) {
        (Some(lora), Some(source)) => lora.check_adapter(&source),
        _ => Ok(()),
    }
}

/// Claims the folder for this run by writing `file` as `run.json`, or checks that the existing `run.json` has
/// the same settings. A larger number of rounds is allowed and extends the run. `forked` is the run to fork.
/// Returns the resulting `run.json`.
fn claim(
    dir: &RunDir,
    mut file: RunFile,
    forked: Option<&Path>,
    observer: &mut dyn Observer,
) -> Result<RunFile, TrainError> {
    if let Some(old) = dir.run_file()? {
        let differences = old.differences(&file);
        if differences.is_empty() {
            return Ok(old);
        }
        if let Some(longer) = old.with_rounds_of(&file, finish::is_finished(dir)) {
            let (from, to) = (old.config.rounds, file.config.rounds);
            observer.log(&format!("a run of {from} rounds: going on to {to}"));
            dir.write_run_file(&longer)?;
            return Ok(longer);
        }
        return Err(TrainError::Run {
            path: dir.path().to_owned(),
            detail: format!(
                "was started with other settings: {}; use them again (only rounds can be added), name \
                 another --run, or --fork to go on from its rounds in a new folder",
                differences.join("; ")
            ),
        });
    }
    if let Some(source) = forked {
        file.fork = Some(fork::take_over(source, dir, &file)?);
    }
    dir.write_run_file(&file)?;
    Ok(file)
}
