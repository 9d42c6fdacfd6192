//! From the first round to the report: when a run ends, which round was best, and what it exports.
//!
//! [`finish`] runs all rounds, evaluates on the test problems and writes the reports. Only
//! validation problems decide about rounds; the test problems are used once, after all decisions.

use std::time::Instant;

use super::candidate::{Finished, RoundPolicy};
use super::config::Gate;
use super::context::RunContext;
use super::observer::Observer;
use super::phase::RoundDir;
use super::report::{EvalReport, REPORT_VERSION, RunReport};
use super::round;
use super::round_files::{self, EVAL};
use super::run_dir::RunDir;
use super::test_evaluation::{self, EvalRow};
use super::training::{self, TrainDone};
use super::validation::{ValidationJob, measure};
use super::{gate, prune};
use crate::TrainError;
use crate::artefact::{checksums, damage, read_checksummed, remove, write_checksummed};
use crate::report::write_html;

/// File whose presence marks a run as finished.
const REPORT: &str = "report.json";
/// Folder of the best round's checkpoint.
const BEST: &str = "best";

/// Returns the report of a finished run; `None` if there is none, rounds were added or a file is
/// corrupted. Corruption is logged and the report removed, so that the run recomputes the corrupted
/// files.
pub(super) fn finished(
    run: &RunContext,
    observer: &mut dyn Observer,
) -> Result<Option<RunReport>, TrainError> {
    let path = run.dir.path().join(REPORT);
    let what = match read_checksummed::<RunReport>(&path) {
        Ok(None) => return Ok(None),
        // Rounds were added since.
        Ok(Some(report)) if report.config.rounds != run.config.rounds => {
            remove(&path)?;
            return Ok(None);
        }
        Ok(Some(report)) => match damage_of(run, &report) {
            Ok(None) => return Ok(Some(report)),
            Ok(Some(what)) => what,
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    observer.log(&format!("{what}; the run makes again what is damaged"));
    remove(&path)?;
    Ok(None)
}

/// Whether the run in this folder has its report.
pub(super) fn is_finished(dir: &RunDir) -> bool {
    dir.path().join(REPORT).is_file()
}

fn damage_of(run: &RunContext, report: &RunReport) -> Result<Option<String>, TrainError> {
    for round in &report.rounds {
        if let Some(what) = round_files::damage_of(&run.dir.round(round.round))? {
            return Ok(Some(what));
        }
    }
    if let Some(what) = damage(run.dir.path(), &report.checksums) {
        return Ok(Some(what));
    }
    match &report.checkpoint {
        Some(_) => Ok(damage(run.dir.path(), &best_checksums(run, report.best_round)?)),
        None => Ok(None),
    }
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    LastRound,
    Gate,
    NoNewBest,
}

/// Runs all rounds and the test evaluation, and writes the reports. Returns the run's report.
pub(super) fn finish(
    run: &RunContext,
    observer: &mut dyn Observer,
) -> Result<RunReport, TrainError> {
    let (rounds, end) = rounds(run, observer)?;
    let report = evaluate_on_test(run, rounds, end, observer)?;
    write_html(run.dir.path(), &report, &run.sets.test)?;
    // Written last: the run is done.
    write_checksummed(&run.dir.path().join(REPORT), &report)?;
    Ok(report)
}

/// Runs rounds until the last one, or until the gate or `patience` ends the run. Returns the rounds
/// and why the run ended.
fn rounds(
    run: &RunContext,
    observer: &mut dyn Observer,
) -> Result<(Vec<Finished>, End), TrainError> {
    let zero = round::base(run, observer)?;
    observer.round(&zero.report);
    let mut start = zero.candidate.clone();
    // The last policy that was validated and accepted: where the gate returns to.
    let mut fallback = start.clone();
    let mut rounds: Vec<Finished> = vec![zero];
    for number in 1..=run.config.rounds {
        let finished = round::round(run, number, &start, observer)?;
        observer.round(&finished.report);
        let accepted = finished.report.gate.as_ref().is_some_and(|g| g.accepted);
        let worse = finished.report.trained && !accepted;
        // If nothing was trained, the candidate is the start policy; this round may have validated
        // it.
        start = if worse { fallback.clone() } else { finished.candidate.clone() };
        if start.validated.is_some() {
            fallback = start.clone();
        }
        rounds.push(finished);
        prune::prune(run, &rounds, [start.round, fallback.round])?;
        if worse && run.config.gate == Gate::Stop {
            return Ok((rounds, End::Gate));
        }
        let since_best = number as usize - best_round(&rounds);
        let patience = run.config.patience as usize;
        if patience > 0
            && gate::can_decide(run.sets.validation.len())
            && since_best >= patience
            && number < run.config.rounds
        {
            observer.log(&format!("no new best in {since_best} rounds: the run ends early"));
            return Ok((rounds, End::NoNewBest));
        }
    }
    Ok((rounds, End::LastRound))
}

/// Returns the round with the most validation problems solved, the earliest on a tie. With too few
/// validation problems to decide, returns the last round whose policy was validated in that round.
fn best_round(rounds: &[Finished]) -> usize {
    let right = |i: &usize| rounds[*i].report.validation.share.correct;
    // A round that trained nothing ends with an earlier round's policy, which is among the
    // candidates already unless this round was the first to validate it.
    let asked = |i: &usize| rounds[*i].candidate.validated == Some(*i as u32);
    let mut candidates = (0..rounds.len()).filter(asked).rev();
    let problems = rounds.first().map_or(0, |zero| zero.report.validation.share.n);
    if !gate::can_decide(problems as usize) {
        return candidates.next().unwrap_or(0);
    }
    candidates.max_by_key(right).unwrap_or(0)
}

/// Evaluates every validated policy of the run on the test problems and compares the best round
/// with round 0. Returns the run's report.
fn evaluate_on_test(
    run: &RunContext,
    rounds: Vec<Finished>,
    end: End,
    observer: &mut dyn Observer,
) -> Result<RunReport, TrainError> {
    // Chosen before any test problem is looked at.
    let best = best_round(&rounds);
    let exported = rounds[best].candidate.round;
    let task = run.sets.test.first().map(|p| p.source.clone()).unwrap_or_default();
    let mut answers: Vec<Vec<EvalRow>> = Vec::new();
    let mut reports = Vec::new();
    for finished in rounds {
        let Finished { mut report, candidate } = finished;
        let rows = if candidate.validated == Some(report.round) {
            let (rows, seconds) = answer_test_problems(run, &candidate, observer)?;
            let dir = RoundDir::open(run, report.round)?;
            dir.charge(|cost| cost.seconds.test += seconds)?;
            report.seconds = dir.cost().seconds;
            rows
        } else if let Some(at) = candidate.validated {
            // Nothing was trained: reuse the answers of the round that validated this policy.
            answers[at as usize].clone()
        } else {
            vec![]
        };
        report.eval = report.validated.then(|| EvalReport::of(&task, &rows));
        answers.push(rows);
        reports.push(report);
    }
    let path = run.dir.path().join(EVAL);
    let comparison = test_evaluation::compare(&path, &answers[0], &answers[best])?;
    let checkpoint = export(run, exported)?;
    let checksums = checksums(run.dir.path(), &[EVAL])?;
    Ok(RunReport {
        version: REPORT_VERSION,
        seed: run.config.seed,
        config: run.config.clone(),
        prompt_example: run.dir.run_file()?.and_then(|file| file.prompt_example),
        rounds: reports,
        best_round: best as u32,
        checkpoint,
        p_value: comparison.p_value,
        comparison,
        stopped_by_gate: end == End::Gate,
        stopped_early: end == End::NoNewBest,
        extended: run.extended.clone(),
        checksums,
    })
}

/// One policy's answers to the test problems, and the seconds it took.
fn answer_test_problems(
    run: &RunContext,
    candidate: &RoundPolicy,
    observer: &mut dyn Observer,
) -> Result<(Vec<EvalRow>, f64), TrainError> {
    let started = Instant::now();
    let path = run.dir.round(candidate.round).join(EVAL);
    let asked = ValidationJob {
        path: &path,
        round: candidate.round,
        phase: "test",
        problems: &run.sets.test,
    };
    let rows = measure(run, &candidate.spec, &asked, observer)?;
    Ok((rows, started.elapsed().as_secs_f64()))
}

/// Checksums of the files in the folder of the best round's checkpoint, relative to the run.
fn best_checksums(run: &RunContext, round: u32) -> Result<crate::artefact::Checksums, TrainError> {
    let trained: Option<TrainDone> = read_checksummed(&run.dir.round(round).join(training::DONE))?;
    let recorded = trained.map(|t| t.checksums).unwrap_or_default();
    let moved = |name: &str| Some(format!("{BEST}{}", name.strip_prefix(training::CHECKPOINT)?));
    Ok(recorded.into_iter().filter_map(|(name, sum)| Some((moved(&name)?, sum))).collect())
}

/// Exports the best round's checkpoint to the folder `best`, as hard links, or copies where they
/// fail. Returns the folder's name; `None`, and exports nothing, if the base policy was best.
fn export(run: &RunContext, round: u32) -> Result<Option<String>, TrainError> {
    let target = run.dir.path().join(BEST);
    let wanted = best_checksums(run, round)?;
    let whole = !wanted.is_empty() && damage(run.dir.path(), &wanted).is_none();
    if target.exists() && !whole {
        std::fs::remove_dir_all(&target).map_err(TrainError::io(&target))?;
    }
    if round > 0 && !whole {
        let staged = run.dir.path().join("best.tmp");
        std::fs::create_dir_all(&staged).map_err(TrainError::io(&staged))?;
        let from = run.dir.round(round).join(training::CHECKPOINT);
        for entry in std::fs::read_dir(&from).map_err(TrainError::io(&from))? {
            let file = entry.map_err(TrainError::io(&from))?.path();
            let to = staged.join(file.file_name().unwrap_or_default());
            if std::fs::hard_link(&file, &to).is_err() {
                std::fs::copy(&file, &to).map_err(TrainError::io(&to))?;
                std::fs::File::open(&to).and_then(|f| f.sync_all()).map_err(TrainError::io(&to))?;
            }
        }
        std::fs::rename(&staged, &target).map_err(TrainError::io(&target))?;
    }
    Ok((round > 0).then(|| BEST.to_owned()))
}
