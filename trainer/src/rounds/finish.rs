//! Runs all rounds of a run, the test evaluation and the final report.
//!
//! Rounds are chosen and gated by validation problems alone; the test problems are used once, after all
//! decisions.

use super::best::best_round;
use super::best_checkpoint;
use super::context::RunContext;
use super::final_evaluation;
use super::observer::Observer;
use super::report::{REPORT_VERSION, RunReport};
use super::round_files::{self, TEST};
use super::round_loop::{End, run_rounds};
use super::run_dir::RunDir;
use super::test_evaluation;
use crate::TrainError;
use crate::artefact::{checksums, damage, read_checksummed, remove, write_checksummed};
use crate::report::write_html;

/// File whose presence marks a run as finished.
const REPORT: &str = "report.json";

/// Runs all rounds and the test evaluation, and writes the reports. Returns the run's report.
pub(super) fn finish(
    run: &RunContext,
    observer: &mut dyn Observer,
) -> Result<RunReport, TrainError> {
    // 1. Run the rounds.
    let rounds = run_rounds(run, observer)?;
    // 2. Choose the best round, before the test evaluation.
    let best = best_round(&rounds.finished);
    let exported = rounds.finished[best].policy_after.round;
    // 3. Evaluate every policy on the test problems, and compare the best one with the base policy.
    let tested = final_evaluation::evaluate(run, rounds.finished, observer)?;
    let [initial, last] = [0, best].map(|round| tested.answers[round].as_slice());
    let compared = round_files::path_of(run.dir.path(), TEST);
    let comparison = test_evaluation::compare(&compared, initial, last)?;
    let compared = compared.file_name().unwrap_or_default().to_string_lossy();
    // 4. Export the best checkpoint.
    let checkpoint = best_checkpoint::export(&run.dir, exported)?;
    // 5. Report. Written last: its presence marks the run as finished.
    let report = RunReport {
        version: REPORT_VERSION,
        seed: run.config.seed,
        config: run.config.clone(),
        prompt_example: run.file.prompt_example.clone(),
        rounds: tested.reports,
        best_round: best as u32,
        checkpoint,
        p_value: comparison.p_value,
        comparison,
        stopped_by_gate: rounds.end == End::Gate,
        stopped_early: rounds.end == End::NoNewBest,
        extended: run.file.extended.clone(),
        checksums: checksums(run.dir.path(), &[&compared])?,
    };
    write_html(run.dir.path(), &report, &run.sets.test)?;
    write_checksummed(&run.dir.path().join(REPORT), &report)?;
    Ok(report)
}

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
        // Rounds were added after the report was written.
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

/// Whether the run in this folder is finished, i.e. has its report.
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
        Some(_) => best_checkpoint::damage_of(&run.dir, report.best_round),
        None => Ok(None),
    }
}
