//! Status of a run, search or training, from the files in its folder.
//!
//! `regrowth status` prints it and `regrowth serve` shows it. The files that are written last show whether
//! the work is finished; the rest comes from `progress.json`.

use std::path::{Path, PathBuf};

use regrowth_datasets::FolderLock;
use regrowth_mcts::console::{ProgressState, duration};
use serde::Serialize;
use serde_json::Value;

use crate::artefact::read_json;
use crate::rounds::{read_report, read_run_file};
use crate::{TrainError, clock};

/// Age of `progress.json`, in seconds, above which its process counts as ended; a running process rewrites
/// the file every few seconds.
const SILENT: u64 = 60;

/// How to detect whether a process is running in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// By taking the folder's lock for a moment: exact.
    Lock,
    /// By the age of `progress.json`, without taking the lock: for readers that poll often.
    Progress,
}

/// Kind of work in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Run,
    Search,
    Training,
}

/// State of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Running,
    Stopped,
    Finished,
}

/// Number of finished rounds of a run, and of all rounds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Rounds {
    pub(crate) done: u32,
    pub(crate) total: u32,
}

/// The status of a folder.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    pub(crate) dir: PathBuf,
    pub(crate) kind: Kind,
    pub(crate) state: State,
    /// Rounds; `None` if the folder is not that of a run.
    pub(crate) rounds: Option<Rounds>,
    /// Result in one line; `None` if not finished.
    pub(crate) result: Option<String>,
    /// Estimated end, in seconds since 1970; `None` if unknown.
    pub(crate) ends: Option<u64>,
    /// Last progress that the process wrote.
    pub(crate) progress: Option<ProgressState>,
}

impl Status {
    /// Reads the status of a folder; `now` is in seconds since 1970.
    ///
    /// # Errors
    /// If the folder contains no run, search or training, or one of its files cannot be read.
    pub(crate) fn of(dir: &Path, now: u64, sign: Sign) -> Result<Self, TrainError> {
        let kind = kind(dir)?;
        let progress = ProgressState::read(dir);
        let is_running = match (sign, &progress) {
            (Sign::Lock, _) => FolderLock::is_held(dir)?,
            (Sign::Progress, Some(said)) => now.saturating_sub(said.updated) < SILENT,
            (Sign::Progress, None) => false,
        };
        let result = result(dir, kind)?;
        let state = match (is_running, &result) {
            (true, _) => State::Running,
            (false, Some(_)) => State::Finished,
            (false, None) => State::Stopped,
        };
        let rounds = match kind {
            Kind::Run => {
                let total = read_run_file(dir)?.map(|run| run.config.rounds);
                total.map(|total| Rounds { done: rounds_done(dir), total })
            }
            Kind::Search | Kind::Training => None,
        };
        let mut progress = progress.filter(|_| state != State::Finished);
        let mut ends = None;
        if let (Some(progress), State::Running) = (&mut progress, state) {
            // Subtract the time since the file was written.
            let since = now.saturating_sub(progress.updated) as f64;
            for left in [&mut progress.phase_seconds_left, &mut progress.run_seconds_left] {
                *left = left.map(|seconds| (seconds - since).max(0.0));
            }
            let left = progress.run_seconds_left;
            let left = if kind == Kind::Run { left } else { progress.phase_seconds_left };
            ends = left.map(|seconds| now + seconds as u64);
        }
        let result = result.filter(|_| state == State::Finished);
        Ok(Self { dir: dir.to_owned(), kind, state, rounds, result, ends, progress })
    }

    /// Returns the status as text.
    pub(crate) fn text(&self, now: u64) -> String {
        let dir = self.dir.display();
        let rounds = self.rounds.map(|r| format!("; {} of {} rounds are done", r.done, r.total));
        let rounds = rounds.unwrap_or_default();
        let Some(progress) = &self.progress else {
            return match (self.state, &self.result) {
                (State::Finished, Some(result)) => format!("{dir}: finished{rounds}\n{result}"),
                (State::Running, _) => format!("{dir}: running{rounds}"),
                _ => format!("{dir}: stopped{rounds}; its command resumes it"),
            };
        };
        let ago = |time: u64| duration(now.saturating_sub(time) as f64);
        let at = clock::utc(progress.started);
        if self.state == State::Running {
            let (since, seen) = (ago(progress.started), ago(progress.updated));
            let mut text = format!(
                "{dir}: running since {at} UTC ({since}, process {}){rounds}\n{} (as of {seen} ago)",
                progress.pid,
                progress.text(),
            );
            if let Some(ends) = self.ends {
                text += &format!("\nends at about {} UTC", clock::utc(ends));
            }
            return text;
        }
        let (seen, command) = (ago(progress.updated), &progress.command);
        format!("{dir}: stopped {seen} ago{rounds}\n{}\nresume with:\n  {command}", progress.text())
    }
}

/// Returns the kind of work in a folder.
fn kind(dir: &Path) -> Result<Kind, TrainError> {
    let has = |names: &[&str]| names.iter().any(|name| dir.join(name).is_file());
    if has(&["run.json"]) {
        Ok(Kind::Run)
    } else if has(&["summary.json", "steps.jsonl", "config.toml"]) {
        Ok(Kind::Search)
    } else if has(&["train.json", "metrics.jsonl"]) {
        Ok(Kind::Training)
    } else {
        Err(TrainError::File {
            path: dir.to_owned(),
            detail:
                "holds no run, search or training; expected the folder of --run (iterate) or of \
                     --out (mcts search, train, sft)"
                    .into(),
        })
    }
}

/// Returns the result in one line; `None` if the work is not finished.
fn result(dir: &Path, kind: Kind) -> Result<Option<String>, TrainError> {
    let count = |value: &Value, key: &str| value.get(key).and_then(Value::as_u64).unwrap_or(0);
    Ok(match kind {
        Kind::Run => {
            let run = read_run_file(dir)?;
            let report = read_report(dir)?;
            // Rounds may have been added after the report was written.
            let report =
                report.filter(|r| run.is_none_or(|run| run.config.rounds == r.config.rounds));
            report.map(|report| {
                let test = report.round(report.best_round).and_then(|round| round.test.as_ref());
                let test = test.map(|test| format!(", {} of the test problems", test.share));
                format!("best round {}{}", report.best_round, test.unwrap_or_default())
            })
        }
        Kind::Search => {
            let summary: Option<Value> = read_json(&dir.join("summary.json"))?;
            let whole = |s: &Value| s.get("cancelled").and_then(Value::as_bool) == Some(false);
            summary
                .filter(whole)
                .map(|s| format!("{} trees, {} pairs", count(&s, "trees"), count(&s, "pairs")))
        }
        Kind::Training => {
            let done: Option<Value> = read_json(&dir.join("train.json"))?;
            let unfinished = dir.read_dir().is_ok_and(|mut entries| {
                entries
                    .any(|e| e.is_ok_and(|e| e.file_name().to_string_lossy().starts_with("state-")))
            });
            done.filter(|_| !unfinished).map(|_| "the checkpoint is in this folder".to_owned())
        }
    })
}

/// Number of rounds with a report, not counting round 0, which trains nothing.
fn rounds_done(dir: &Path) -> u32 {
    let done = |round: &u32| dir.join(format!("round-{round:04}/report.json")).is_file();
    (1..).take_while(done).count() as u32
}
