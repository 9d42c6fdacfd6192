//! `regrowth status`: what a running or stopped run is doing, since when, how far, when it will end.
//!
//! The lock of the folder says whether a process is running. The files that are written last say whether
//! the work is finished. `progress.json` says the rest.

use std::path::{Path, PathBuf};

use regrowth_datasets::FolderLock;
use regrowth_mcts::console::{ProgressState, duration};
use serde::Serialize;
use serde_json::Value;

use super::print_line;
use crate::artefact::read_json;
use crate::rounds::{read_report, read_run_file};
use crate::{TrainError, clock};

/// Arguments of `regrowth status`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(super) struct Args {
    /// Folder of a run, of a search (`mcts search --out`) or of a training (`--out` of train and sft).
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Print the status as one JSON object.
    #[arg(long)]
    json: bool,
}

/// What is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Run,
    Search,
    Training,
}

/// Whether it is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Running,
    Stopped,
    Finished,
}

/// How many rounds of a run are done.
#[derive(Debug, Clone, Copy, Serialize)]
struct Rounds {
    done: u32,
    total: u32,
}

/// The status of a folder.
#[derive(Debug, Serialize)]
struct Status {
    dir: PathBuf,
    kind: Kind,
    state: State,
    /// Rounds of a run.
    rounds: Option<Rounds>,
    /// What the result is, where it is finished.
    result: Option<String>,
    /// When it will end, in seconds since 1970, where that can be told.
    ends: Option<u64>,
    /// What its process said last.
    progress: Option<ProgressState>,
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    let now = clock::unix_now();
    let status = Status::of(&args.dir, now)?;
    if args.json {
        let text = serde_json::to_string(&status).map_err(|e| TrainError::File {
            path: args.dir.clone(),
            detail: format!("its status cannot be written as JSON: {e}"),
        })?;
        return print_line(&text);
    }
    print_line(&status.text(now))
}

impl Status {
    fn of(dir: &Path, now: u64) -> Result<Self, TrainError> {
        let kind = kind(dir)?;
        let result = result(dir, kind)?;
        let state = match (FolderLock::is_held(dir)?, &result) {
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
        let mut progress = ProgressState::read(dir).filter(|_| state != State::Finished);
        let mut ends = None;
        if let (Some(progress), State::Running) = (&mut progress, state) {
            // Time went on since the file was written.
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

    fn text(&self, now: u64) -> String {
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

/// What a folder holds.
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

/// The result of what is finished, in a line; `None` before that.
fn result(dir: &Path, kind: Kind) -> Result<Option<String>, TrainError> {
    let count = |value: &Value, key: &str| value.get(key).and_then(Value::as_u64).unwrap_or(0);
    Ok(match kind {
        Kind::Run => {
            let run = read_run_file(dir)?;
            let report = read_report(dir)?;
            // Rounds may have been added since.
            let report =
                report.filter(|r| run.is_none_or(|run| run.config.rounds == r.config.rounds));
            report.map(|report| {
                let eval = report.round(report.best_round).and_then(|round| round.eval.as_ref());
                let eval = eval.map(|eval| format!(", {} of the test problems", eval.share));
                format!("best round {}{}", report.best_round, eval.unwrap_or_default())
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

/// Rounds whose report is written; round 0 trains nothing and does not count.
fn rounds_done(dir: &Path) -> u32 {
    let done = |round: &u32| dir.join(format!("round-{round:04}/report.json")).is_file();
    (1..).take_while(done).count() as u32
}
