//! `mcts search`: problems in, trees and pairs out.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use regrowth_datasets::{FolderLock, Problem, atomic_write, remove_unfinished};
use regrowth_mcts::{
    RunOptions, SearchError, SearchObserver, SearchSummary, Skip, TreeRecord, search_each,
};
use regrowth_policy::{LOG_FILE, Policy, load};
use regrowth_verifiers::ProblemVerifier;

use super::failure::Failure;
use super::flags::Flags;
use super::progress::Progress;
use super::rows::{PAIRS, Rows, SKIPPED, TREES};
use super::settings::Settings;
use super::sources::{self, CONFIG_FILE};
use super::summary::{PairCounts, Summary};
use super::{inputs, say};

/// Runs the command.
pub(crate) fn run(flags: &Flags) -> Result<(), Failure> {
    let settings = sources::settings(flags)?;
    let out = settings.run.out()?;
    let problems = inputs::problems(&settings)?;
    let load_options = settings.engine.load_options(|text| eprintln!("mcts: {text}"));
    let mut policy = load(&settings.policy, &load_options)?;
    for note in policy.notes() {
        eprintln!("mcts: {note}");
    }
    let _lock = lock(out)?;
    if !settings.run.no_log.unwrap_or(false) {
        policy = inputs::recorded(policy, &settings.policy, &out.join(LOG_FILE))?;
    }
    prepare(out, &settings)?;
    let policy = settings.search.value.judge_by(policy);

    let options = RunOptions {
        threads: load_options.threads,
        trees_in_flight: settings.run.trees_in_flight.map(usize::from),
        keep_all: true,
        ..RunOptions::default()
    };
    if let Some(limit) = settings.run.time()? {
        cancel_after(limit, &options);
    }
    let start = Instant::now();
    let (found, pairs) = write_rows(out, &*policy, &problems, &settings, &options)?;
    let summary = Summary::new(policy.identity(), found, pairs, start.elapsed().as_secs_f64());
    finish(&summary, out, settings.run.json.unwrap_or(false))
}

/// Writes the summary, last: it means that the search is complete. Says it, and whether it is one of
/// a failure.
fn finish(summary: &Summary, out: &Path, json: bool) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(summary)
        .map_err(|e| Failure::Internal(format!("summary: {e}")))?;
    write_text(&out.join("summary.json"), &text)?;
    say(&if json { text } else { summary.text() })?;
    if summary.is_fruitless() {
        let detail = "no problem has a tree; summary.json counts the reasons".to_owned();
        return Err(Failure::Policy(detail));
    }
    if summary.cancelled {
        return Err(Failure::Stopped("stopped by --max-seconds before its end".to_owned()));
    }
    Ok(())
}

/// Cancels the search when the time is up.
fn cancel_after(limit: Duration, options: &RunOptions) {
    let cancel = options.cancel.clone();
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        // Relaxed: the flag carries no data.
        cancel.store(true, Ordering::Relaxed);
    });
}

/// Holds the folder: a second search would remove what the first is writing.
fn lock(out: &Path) -> Result<FolderLock, Failure> {
    let held = "another search is writing into this folder; wait for it or take another --out";
    let refused = || Failure::Input(format!("{}: {held}", out.display()));
    FolderLock::hold(out)?.ok_or_else(refused)
}

/// Writes the effective settings into the folder. An earlier summary goes: what it counts is about
/// to be replaced.
fn prepare(out: &Path, settings: &Settings) -> Result<(), Failure> {
    remove(&out.join("summary.json"))?;
    for name in [TREES, PAIRS, SKIPPED, "summary.json", CONFIG_FILE] {
        remove_unfinished(&out.join(name))?;
    }
    write_text(&out.join(CONFIG_FILE), &settings.text()?)
}

fn write_text(path: &Path, text: &str) -> Result<(), Failure> {
    use io::Write;
    Ok(atomic_write(path, |file| writeln!(file, "{}", text.trim_end()))?)
}

/// Writes what is delivered and shows how far the search is.
struct Watch<'r, 'a> {
    progress: Progress,
    rows: &'r mut Rows<'a>,
    written: io::Result<()>,
}

impl SearchObserver for Watch<'_, '_> {
    fn ended(&mut self, sampled_tokens: u64) {
        self.progress.tree(sampled_tokens);
    }

    fn delivered(&mut self, problem: &Problem, result: Result<TreeRecord, Skip>) {
        if self.written.is_ok() {
            self.written = self.rows.add(problem, &result);
        }
    }
}

/// Searches, and writes what becomes of each problem as it is delivered.
fn write_rows(
    out: &Path,
    policy: &dyn Policy,
    problems: &[Problem],
    settings: &Settings,
    options: &RunOptions,
) -> Result<(SearchSummary, PairCounts), Failure> {
    let mut result = None;
    let counts = Rows::write(out, &settings.pairs, |rows| {
        let progress = Progress::new(problems.len());
        let mut watch = Watch { progress, rows, written: Ok(()) };
        let (verifier, search) = (ProblemVerifier, &settings.search);
        let found = search_each(policy, &verifier, problems, search, options, &mut watch);
        watch.progress.finish();
        watch.written?;
        keep(found, &mut result)
    })
    .map_err(|error| match result.take() {
        Some(Err(cause)) => cause.into(),
        _ => Failure::from(error),
    })?;
    let Some(Ok(found)) = result else {
        return Err(Failure::Internal("the search left no summary".to_owned()));
    };
    if found.skipped.is_empty() {
        remove(&out.join(SKIPPED))?;
    }
    Ok((found, counts))
}

/// Remembers how the search went; a failed one must not leave files that look finished.
fn keep(
    found: Result<SearchSummary, SearchError>,
    result: &mut Option<Result<SearchSummary, SearchError>>,
) -> io::Result<()> {
    let failed = found.as_ref().err().map(ToString::to_string);
    *result = Some(found);
    failed.map_or(Ok(()), |detail| Err(io::Error::other(detail)))
}

/// Removes a file that may be there.
fn remove(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(Failure::Input(format!("{}: {e}", path.display())))
        }
        _ => Ok(()),
    }
}
