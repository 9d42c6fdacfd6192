//! One run: round after round, then the exam, then the report; resumable at every point.
//!
//! It reads the order of things like a table of contents. What it prints goes through an
//! [`Observer`], what stops it comes through a [`Control`]; it knows no terminal and no signal.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use regrowth_policy::{LoadOptions, Policy};

use super::config::{Gate, RunConfig};
use super::exam::{self, EvalRow};
use super::report::{EvalReport, REPORT_VERSION, RoundReport, RunReport};
use super::round::{self, Finished, Start, add_evaluation, checkpoint_of};
use super::run_dir::{Fork, RunDir, RunFile};
use super::sets::ProblemSets;
use super::validation::measure;
use crate::artefact::{read_json, write_json};
use crate::report::write_html;
use crate::stats::Share;
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
    /// A phase with so many items begins; 0 if the number is not known yet.
    fn begin(&mut self, round: u32, phase: &'static str, total: usize);
    /// So many items were done before.
    fn skip(&mut self, done: usize);
    /// One item more.
    fn advance(&mut self, message: &str);
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
    fn begin(&mut self, _round: u32, _phase: &'static str, _total: usize) {}
    fn skip(&mut self, _done: usize) {}
    fn advance(&mut self, _message: &str) {}
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
    pub(super) sets: ProblemSets,
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
    let sets = ProblemSets::read(&request.config)?;
    let mut run = Run {
        dir,
        config: request.config.clone(),
        sets,
        threads: request.threads,
        control,
        load: request.load,
        policy: None,
    };
    claim(&mut run, request)?;
    if let Some(report) = read_json::<RunReport>(&run.dir.path().join("report.json"))? {
        return Ok(Outcome::AlreadyFinished(Box::new(report)));
    }
    let report = finish(&mut run, observer)?;
    if report.stopped_by_gate {
        return Err(TrainError::Gate(format!(
            "the gate ended the run: the last round made the policy worse; see {}",
            run.dir.path().join("report.html").display()
        )));
    }
    Ok(Outcome::Finished(Box::new(report)))
}

/// Makes the folder this run's, or checks that it is.
fn claim(run: &mut Run, request: &RunRequest) -> Result<(), TrainError> {
    let spec = run.config.policy.clone();
    let identity = run.policy(&spec)?.identity().to_owned();
    let mut file = RunFile::new(run.config.clone(), &identity, run.sets.digests(&run.config));
    if let Some(old) = run.dir.run_file()? {
        let differences = old.differences(&file);
        if differences.is_empty() {
            return Ok(());
        }
        return Err(TrainError::Run {
            path: run.dir.path().to_owned(),
            detail: format!(
                "was started with other settings: {}; use them again, name another --run, or \
                 --fork to go on from its rounds in a new folder",
                differences.join("; ")
            ),
        });
    }
    if let Some(source) = &request.fork {
        file.fork = Some(take_over(source, run, &file)?);
    }
    run.dir.write_run_file(&file)
}

/// Copies the finished rounds of another run that begin with the same policy and problems.
fn take_over(source: &Path, run: &Run, file: &RunFile) -> Result<Fork, TrainError> {
    let held = RunDir::lock(source)?;
    let old = held.run_file()?.ok_or_else(|| TrainError::Run {
        path: source.to_owned(),
        detail: "is no run; there is nothing to fork".into(),
    })?;
    let changed = old.differences(file);
    // Test problems and settings of later rounds may differ: rounds do not depend on them.
    let begin = |file: &RunFile| {
        let part = |name: &str| file.problems.get(name).cloned();
        (file.policy.clone(), file.seed, part("train"), part("validation"))
    };
    let same_start = begin(&old) == begin(file);
    let mut rounds = 0;
    if same_start {
        for number in 0..=run.config.rounds {
            let from = held.round(number);
            if !from.join("report.json").is_file() {
                break;
            }
            if let Some(sums) = round::recorded_checksums(&from)?
                && let Some(what) = crate::artefact::damage(&from, &sums)
            {
                return Err(TrainError::Run { path: source.to_owned(), detail: what });
            }
            copy_folder(&from, &run.dir.round(number))?;
            rounds = number;
        }
    }
    Ok(Fork { rounds, changed })
}

/// Copies the files of a round that its own settings made; test answers are not among them.
fn copy_folder(from: &Path, to: &Path) -> Result<(), TrainError> {
    std::fs::create_dir_all(to).map_err(TrainError::io(to))?;
    for entry in std::fs::read_dir(from).map_err(TrainError::io(from))? {
        let path = entry.map_err(TrainError::io(from))?.path();
        let Some(name) = path.file_name() else { continue };
        let target = to.join(name);
        if path.is_dir() {
            copy_folder(&path, &target)?;
        } else if name != "eval.jsonl" {
            std::fs::copy(&path, &target).map_err(TrainError::io(&target))?;
        }
    }
    Ok(())
}

/// All rounds, the exam, the reports.
fn finish(run: &mut Run, observer: &mut dyn Observer) -> Result<RunReport, TrainError> {
    let zero = round::untouched(run, observer)?;
    observer.round(&zero.report);
    let mut start = zero.candidate.clone();
    let mut rounds: Vec<Finished> = vec![zero];
    let mut stopped_by_gate = false;
    for number in 1..=run.config.rounds {
        let finished = round::round(run, number, &start, observer)?;
        observer.round(&finished.report);
        let gate = finished.report.gate.clone();
        let accepted = gate.is_some_and(|g| g.accepted);
        let worse = finished.report.trained && !accepted;
        if accepted {
            start = finished.candidate.clone();
        }
        rounds.push(finished);
        if worse && run.config.gate == Gate::Stop {
            stopped_by_gate = true;
            break;
        }
    }
    let report = examine(run, rounds, stopped_by_gate, observer)?;
    write_html(run.dir.path(), &report)?;
    // Written last: the run is done.
    write_json(&run.dir.path().join("report.json"), &report)?;
    Ok(report)
}

/// Round with the most validation problems solved, the first of equals.
fn best_round(rounds: &[Finished]) -> usize {
    let right = |i: &usize| rounds[*i].report.validation.share.correct;
    let candidates = (0..rounds.len()).filter(|&i| i == 0 || rounds[i].report.trained);
    candidates.rev().max_by_key(right).unwrap_or(0)
}

/// Asks every policy of the run the test problems and compares the best round with round 0.
fn examine(
    run: &mut Run,
    rounds: Vec<Finished>,
    stopped_by_gate: bool,
    observer: &mut dyn Observer,
) -> Result<RunReport, TrainError> {
    // Chosen before any test problem is looked at.
    let best = best_round(&rounds);
    let task = run.sets.test.first().map(|p| p.source.clone()).unwrap_or_default();
    let mut answers: Vec<Vec<EvalRow>> = Vec::new();
    let mut reports = Vec::new();
    for finished in rounds {
        let Finished { mut report, candidate } = finished;
        let rows = if candidate.round == report.round {
            let (rows, seconds) = ask(run, &candidate, observer)?;
            report.seconds = add_evaluation(&run.dir.round(report.round), seconds)?;
            rows
        } else {
            // Nothing was trained: the round ends with the policy that it began with.
            answers[candidate.round as usize].clone()
        };
        let share = Share::of(rows.iter().map(|r| r.correct));
        report.eval = Some(EvalReport { task: task.clone(), share });
        answers.push(rows);
        reports.push(report);
    }
    let path = run.dir.path().join("eval.jsonl");
    let comparison = exam::compare(&path, &answers[0], &answers[best])?;
    let checkpoint = (best > 0).then(|| checkpoint_of(best as u32).to_string_lossy().into_owned());
    Ok(RunReport {
        version: REPORT_VERSION,
        seed: run.config.seed,
        config: run.config.clone(),
        rounds: reports,
        best_round: best as u32,
        checkpoint,
        p_value: comparison.p_value,
        comparison,
        stopped_by_gate,
    })
}

/// One policy's answers to the test problems, and the seconds it took.
fn ask(
    run: &mut Run,
    candidate: &Start,
    observer: &mut dyn Observer,
) -> Result<(Vec<EvalRow>, f64), TrainError> {
    let started = Instant::now();
    let path = run.dir.round(candidate.round).join("eval.jsonl");
    let problems = run.sets.test.clone();
    let (config, control) = (run.config.clone(), run.control);
    let at = (candidate.round, "test");
    let mut policy = || run.policy(&candidate.spec);
    let rows = measure(&path, &mut policy, &problems, &config, at, control, observer)?;
    Ok((rows, started.elapsed().as_secs_f64()))
}
