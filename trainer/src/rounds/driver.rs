//! One run: whose folder it is, what it was started with, who watches it and who may stop it.
//!
//! What it prints goes through an [`Observer`], what stops it comes through a [`Control`]; it knows
//! no terminal and no signal. What a run does lies in `finish`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use regrowth_mcts::console::Work;
use regrowth_policy::{LoadOptions, NumberType, Policy};

use super::config::RunConfig;
use super::report::{RoundReport, RunReport};
use super::run_dir::{RunDir, RunFile};
use super::sets::ProblemSets;
use super::{finish, fork};
use crate::train::Progress;
use crate::{TrainError, inputs};

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// Folder of the run.
    pub dir: PathBuf,
    /// Settings.
    pub config: RunConfig,
    /// How policies are run; changes no result.
    pub load: LoadOptions,
    /// Threads of search and training; changes no result.
    pub threads: usize,
    /// Another run whose finished rounds are taken over, with other settings from there on.
    pub fork: Option<PathBuf>,
}

/// Stops a run from outside.
#[derive(Debug, Clone, Default)]
pub struct Control {
    /// Set to true, ends the run at the next place where nothing is lost.
    pub cancel: Arc<AtomicBool>,
}

impl Control {
    /// Asks the run to end.
    pub fn cancel(&self) {
        // Relaxed: the flag carries no data.
        self.cancel.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        if self.is_cancelled() { Err(TrainError::Interrupted) } else { Ok(()) }
    }
}

/// Sees what a run does.
pub trait Observer {
    /// This process alone writes the folder of the run now.
    fn holds(&mut self, run: &Path);
    /// A phase with so many items begins; 0 if the number is not known yet.
    fn begin(&mut self, round: u32, phase: &'static str, total: usize, work: Work);
    /// So many items were done before.
    fn skip(&mut self, done: usize);
    /// One item more, which took so much of the work.
    fn advance(&mut self, work: u64, message: String);
    /// One optimizer step.
    fn step(&mut self, progress: &Progress);
    /// The phase is over.
    fn end(&mut self);
    /// Something a person should know.
    fn note(&mut self, text: &str);
    /// A round is over.
    fn round(&mut self, report: &RoundReport);
}

/// Sees nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn holds(&mut self, _run: &Path) {}
    fn begin(&mut self, _round: u32, _phase: &'static str, _total: usize, _work: Work) {}
    fn skip(&mut self, _done: usize) {}
    fn advance(&mut self, _work: u64, _message: String) {}
    fn step(&mut self, _progress: &Progress) {}
    fn end(&mut self) {}
    fn note(&mut self, _text: &str) {}
    fn round(&mut self, _report: &RoundReport) {}
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was finished now.
    Finished(Box<RunReport>),
    /// It had been finished before; nothing was done.
    AlreadyFinished(Box<RunReport>),
}

/// A run in progress.
pub(super) struct Run<'a> {
    pub(super) dir: RunDir,
    pub(super) config: RunConfig,
    pub(super) sets: Arc<ProblemSets>,
    /// Rounds after which the test problems were looked at before rounds were added.
    pub(super) extended: Vec<u32>,
    pub(super) threads: usize,
    pub(super) control: &'a Control,
    load: LoadOptions,
    /// The policy that was asked for last.
    policy: Option<(String, Arc<dyn Policy>)>,
}

impl Run<'_> {
    /// Loads a policy unless it is the one at hand.
    pub(super) fn policy(&mut self, spec: &str) -> Result<Arc<dyn Policy>, TrainError> {
        if let Some((_, policy)) = self.policy.as_ref().filter(|(name, _)| name == spec) {
            return Ok(policy.clone());
        }
        self.policy = None;
        let policy = inputs::policy(spec, &self.load)?;
        self.policy = Some((spec.to_owned(), policy.clone()));
        Ok(policy)
    }

    /// What weights are multiplied in, by engine and trainer alike.
    pub(super) fn dtype(&self) -> NumberType {
        self.load.numbers
    }

    pub(super) fn forget_policy(&mut self) {
        self.policy = None;
    }
}

/// Starts a run or goes on with it.
///
/// # Errors
/// [`TrainError::Run`] when another process works on it or its settings differ,
/// [`TrainError::Interrupted`] when cancelled (the same call goes on), [`TrainError::Gate`] when the
/// gate ended it (reports are written), and whatever a phase fails with.
pub fn iterate(
    request: &RunRequest,
    control: &Control,
    observer: &mut dyn Observer,
) -> Result<Outcome, TrainError> {
    request.config.check()?;
    let dir = RunDir::lock(&request.dir)?;
    observer.holds(dir.path());
    let sets = Arc::new(ProblemSets::read(&request.config)?);
    sets.notices.iter().for_each(|notice| observer.note(notice));
    let mut run = Run {
        dir,
        config: request.config.clone(),
        extended: Vec::new(),
        threads: request.threads,
        control,
        load: LoadOptions { prompt: sets.prompts(&request.config), ..request.load.clone() },
        sets,
        policy: None,
    };
    claim(&mut run, request, observer)?;
    let spec = run.config.policy.clone();
    run.policy(&spec)?.notes().iter().for_each(|note| observer.note(note));
    if let Some(report) = finish::finished(&run, observer)? {
        return Ok(Outcome::AlreadyFinished(Box::new(report)));
    }
    run.sets.warnings().iter().for_each(|text| observer.note(text));
    let report = finish::finish(&mut run, observer)?;
    if report.stopped_by_gate {
        return Err(TrainError::Gate(format!(
            "the gate ended the run: the last round made the policy worse; see {}",
            run.dir.path().join("report.html").display()
        )));
    }
    Ok(Outcome::Finished(Box::new(report)))
}

/// Makes the folder this run's, or checks that it is. More rounds than it was started with are added.
fn claim(
    run: &mut Run,
    request: &RunRequest,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    let spec = run.config.policy.clone();
    let policy = run.policy(&spec)?;
    let (digests, first) = (run.sets.digests(&run.config), run.sets.train.first());
    let mut file = RunFile::new(run.config.clone(), policy.identity(), digests);
    file.prompt_example = first.and_then(|problem| Some(policy.prompt(problem).ok()?.text));
    if let Some(old) = run.dir.run_file()? {
        let differences = old.differences(&file);
        if differences.is_empty() {
            run.extended = old.extended;
            return Ok(());
        }
        if let Some(longer) = old.with_rounds_of(&file, finish::is_finished(&run.dir)) {
            let (from, to) = (old.config.rounds, file.config.rounds);
            observer.note(&format!("a run of {from} rounds: going on to {to}"));
            run.dir.write_run_file(&longer)?;
            run.extended = longer.extended;
            return Ok(());
        }
        return Err(TrainError::Run {
            path: run.dir.path().to_owned(),
            detail: format!(
                "was started with other settings: {}; use them again (only rounds can be added), name \
                 another --run, or --fork to go on from its rounds in a new folder",
                differences.join("; ")
            ),
        });
    }
    if let Some(source) = &request.fork {
        file.fork = Some(fork::take_over(source, run, &file)?);
    }
    run.dir.write_run_file(&file)
}
