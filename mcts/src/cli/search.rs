//! `mcts search`: problems in, trees and pairs out.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use regrowth_datasets::Problem;
use regrowth_mcts::{RunOptions, SearchObserver, SearchSummary, Skip, TreeRecord, search_each};
use regrowth_policy::{LOG_FILE, Policy, load};
use regrowth_verifiers::ProblemVerifier;

use super::failure::Failure;
use super::flags::Flags;
use super::folder::{self, Folder};
use super::paths::unwritten;
use super::progress::Progress;
use super::rows::{Rows, SKIPPED};
use super::settings::Settings;
use super::sources;
use super::summary::{PairCounts, Summary};
use super::{inputs, say};

/// Runs the command.
pub(crate) fn run(flags: &Flags) -> Result<(), Failure> {
    let settings = sources::settings(flags)?;
    let out = settings.run.out()?;
    // Before a model is loaded, which may take minutes.
    folder::check(out, &settings, flags.force)?;
    let problems = inputs::problems(&settings)?;
    let load_options = settings.engine.load_options(|text| eprintln!("mcts: {text}"));
    let mut policy = load(&settings.policy, &load_options)?;
    for note in policy.notes() {
        eprintln!("mcts: {note}");
    }
    let mut folder = Folder::hold(out, &settings, flags.force)?;
    if !settings.run.no_log.unwrap_or(false) {
        policy = inputs::recorded(policy, &settings.policy, &out.join(LOG_FILE))?;
    }
    folder.begin()?;
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
    let (found, pairs) = write_rows(&folder, &*policy, &problems, &settings, &options)?;
    let kept = folder.keeps_results(&found);
    let (seconds, scale) = (start.elapsed().as_secs_f64(), settings.search.value.likelihood);
    let summary = Summary::new(policy.identity(), scale, found, pairs, seconds);
    finish(&summary, (!kept).then_some(&folder), settings.run.json.unwrap_or(false))
}

/// Completes the folder, unless it keeps what it had. Says the summary, and whether it is one of a
/// failure.
fn finish(summary: &Summary, folder: Option<&Folder<'_>>, json: bool) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(summary)
        .map_err(|e| Failure::Internal(format!("summary: {e}")))?;
    folder.map_or(Ok(()), |folder| folder.complete(&text))?;
    say(&if json { text } else { summary.text(folder.is_some()) })?;
    let kept = if folder.is_none() { "; the folder keeps its earlier results" } else { "" };
    if summary.is_fruitless() {
        let detail = format!("no problem has a tree, for the reasons above{kept}");
        return Err(Failure::Policy(detail));
    }
    if summary.cancelled {
        let detail = format!("stopped by --max-seconds before its end{kept}");
        return Err(Failure::Stopped(detail));
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

/// Searches, and writes what becomes of each problem as it is delivered; nothing where the folder
/// keeps its results.
fn write_rows(
    folder: &Folder<'_>,
    policy: &dyn Policy,
    problems: &[Problem],
    settings: &Settings,
    options: &RunOptions,
) -> Result<(SearchSummary, PairCounts), Failure> {
    let mut counts = PairCounts::default();
    let mut result = None;
    let written = Rows::write(folder.path(), &settings.pairs, &mut counts, |rows| {
        let progress = Progress::new(problems.len());
        let mut watch = Watch { progress, rows, written: Ok(()) };
        let (verifier, search) = (ProblemVerifier, &settings.search);
        let found = search_each(policy, &verifier, problems, search, options, &mut watch);
        watch.progress.finish();
        watch.written?;
        let found = result.insert(found.map_err(Failure::from));
        may_replace(folder, found)
    });
    let found = match result {
        Some(found) => found?,
        None => return Err(written.map_or_else(unwritten, |()| lost())),
    };
    if !folder.keeps_results(&found) {
        written.map_err(unwritten)?;
        if found.skipped.is_empty() {
            folder.remove(SKIPPED)?;
        }
    }
    Ok((found, counts))
}

/// Rows are written whole or not at all: this decides it, when the search is over.
fn may_replace(folder: &Folder<'_>, found: &Result<SearchSummary, Failure>) -> io::Result<()> {
    match found {
        Ok(found) if !folder.keeps_results(found) => folder.outdate().map_err(io::Error::other),
        Ok(_) => Err(io::Error::other("what was found before is more")),
        Err(failure) => Err(io::Error::other(failure.to_string())),
    }
}

fn lost() -> Failure {
    Failure::Internal("the search left no summary".to_owned())
}
