//! `mcts search`: searches problems, and writes trees and pairs.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use regrowth_datasets::Problem;
use regrowth_policy::decorate::Meter;
use regrowth_policy::{LOG_FILE, Policy, load};
use regrowth_verifiers::Verifier;

use super::failure::Failure;
use super::flags::Flags;
use super::folder::{self, Folder, JUDGE_LOG};
use super::paths::unwritten;
use super::rows::{Rows, SKIPPED};
use super::settings::Settings;
use super::shard::{Claim, Shard, ShardRecord};
use super::summary::{Finished, JudgeCost, PairCounts, Summary};
use super::{inputs, log, print_line};
use crate::config::{JudgePolicy, VERDICTS_FILE};
use crate::console::{Monitor, Phase, Work, command_line, on_signal};
use crate::driver::SearchObserver;
use crate::fitted::FittedJudge;
use crate::probe::PROBE_FILE;
use crate::{RunOptions, Search, SearchSummary, SkipReason, TreeRecord};

pub(super) const EXAMPLES: &str = "\
Examples:
  mcts search --problems builtin:countdown --limit 20 --out search
  mcts search --policy models/SmolLM2-360M-Instruct --problems gsm8k.jsonl --out search
  mcts search --policy http://localhost:8000/v1#model --problems gsm8k.jsonl --out search
  mcts search --preset paper --set search.c_puct=2 --out search";

/// Runs the command.
pub(crate) fn run(flags: &Flags) -> Result<(), Failure> {
    let settings = flags.settings()?;
    let (settings, force) = (&settings, flags.force);
    let out = settings.run.out()?;
    let cancel = Arc::<AtomicBool>::default();
    let Some(shard) = flags.shard else {
        // Check before loading a model, which may take minutes.
        folder::check(out, settings, force)?;
        let hold = || Folder::hold(out, settings, force);
        let task = Task { settings, out, hold: &hold, shard: None, cancel };
        return search(&task, &prepare(&task)?).map(drop);
    };
    let attempt = match shard.claim(out, settings, &cancel)? {
        Claim::Mine(attempt) => attempt,
        Claim::Complete(path) => {
            return print_line(&format!("shard {shard} is complete: {}", path.display()));
        }
    };
    let (out, hold) = (attempt.path(), || Ok(Folder::own(attempt.path(), settings)));
    let task = Task { settings, out, hold: &hold, shard: Some(shard), cancel };
    let record = prepare(&task).and_then(|prepared| {
        let found = search(&task, &prepared)?;
        ShardRecord::of(shard, out, &prepared.problems, found)
    });
    if attempt.is_lost() {
        return Err(Failure::stopped(format!("another process searches shard {shard} now")));
    }
    attempt.complete(&record?)
}

/// The task of a search: settings, output folder and part of the problems.
struct Task<'a> {
    settings: &'a Settings,
    out: &'a Path,
    /// Locks `out`.
    hold: &'a dyn Fn() -> Result<Folder<'a>, Failure>,
    shard: Option<Shard>,
    /// Stops the search.
    cancel: Arc<AtomicBool>,
}

/// A search that is ready to begin.
struct Prepared<'a> {
    folder: Folder<'a>,
    /// All problems, including those of other parts.
    problems: Vec<Problem>,
    bad_rows: u64,
    policy: Arc<dyn Policy>,
    meter: Arc<Meter>,
    judge: Option<JudgePolicy>,
    verifier: Arc<dyn Verifier>,
    threads: usize,
}

/// Loads everything that a search needs, and prepares its folder.
fn prepare<'a>(task: &Task<'a>) -> Result<Prepared<'a>, Failure> {
    let &Task { settings, out, .. } = task;
    let (problems, notices) = inputs::problems(settings)?;
    notices.lines().into_iter().for_each(log);
    let meter = Arc::<Meter>::default();
    let mut load_options = settings.engine.load_options(|text| log(text));
    load_options.meter = Some(meter.clone());
    let count = task.range(problems.len()).len();
    log(format!("loading {} for {count} problems", settings.policy));
    load_options.prompt = inputs::prompts(settings, &problems)?;
    let mut policy = load(&settings.policy, &load_options)?;
    for text in policy.notes() {
        log(text);
    }
    let mut folder = (task.hold)()?;
    if !settings.run.no_log.unwrap_or(false) {
        policy = inputs::recorded(policy, &settings.policy, &out.join(LOG_FILE))?;
    }
    folder.begin()?;
    let judge = judge(settings, out)?;
    let policy = settings.search.value.judge_by(policy, judge.as_ref())?;
    let verdicts = Some(out.join(VERDICTS_FILE));
    let verifier = settings.search.verifier.start(verdicts, |text| log(text))?;
    let (bad_rows, threads) = (notices.skipped().len() as u64, load_options.threads);
    Ok(Prepared { folder, problems, bad_rows, policy, meter, judge, verifier, threads })
}

impl Task<'_> {
    /// Range of the problems to search.
    fn range(&self, problems: usize) -> Range<usize> {
        self.shard.map_or(0..problems, |shard| shard.range(problems))
    }

    fn options(&self, prepared: &Prepared<'_>) -> RunOptions {
        let judge = prepared.judge.as_ref();
        RunOptions {
            threads: prepared.threads,
            trees_in_flight: self.settings.run.trees_in_flight.map(usize::from),
            keep_all: true,
            judge: judge.map(|judge| judge.policy.identity().to_owned()),
            cancel: self.cancel.clone(),
            ..RunOptions::default()
        }
    }
}

/// Searches the problems, writes the results and prints their summary.
fn search(task: &Task<'_>, prepared: &Prepared<'_>) -> Result<Finished, Failure> {
    let settings = task.settings;
    let Prepared { folder, policy, verifier, judge, bad_rows, .. } = prepared;
    let options = task.options(prepared);
    let out_of_time = Arc::<AtomicBool>::default();
    if let Some(limit) = settings.run.time()? {
        cancel_after(limit, &out_of_time, &options);
    }
    let waits_for = "writing the trees that are finished";
    on_signal(options.cancel.clone(), waits_for).map_err(Failure::internal)?;
    let start = Instant::now();
    let monitor = Monitor::new(prepared.meter.clone());
    monitor.keep_in(task.out.to_owned());
    let problems = &prepared.problems[task.range(prepared.problems.len())];
    let asked = Asked { policy: &**policy, verifier: &**verifier, problems };
    let (found, pairs) = write_rows(folder, asked, settings, &options, &monitor)?;
    let kept = folder.keeps_results(&found);
    let likelihood = settings.search.value.likelihood;
    let fitted = pairs.verified.found(&FittedJudge { likelihood, probe: None });
    if let (Some(probe), false) = (&fitted.probe, kept) {
        probe.write(&task.out.join(PROBE_FILE))?;
    }
    let finished = Finished {
        policy: policy.identity().to_owned(),
        prompt_example: problems.first().and_then(|one| Some(policy.prompt(one).ok()?.text)),
        has_references: problems.iter().any(Problem::has_reference),
        bad_rows: *bad_rows,
        judge: judge.as_ref().map(JudgeCost::of),
        search: found,
        seconds: start.elapsed().as_secs_f64(),
    };
    let summary = Summary::of(&finished, pairs, fitted);
    finish(&summary, (!kept).then_some(folder), settings)?;
    if summary.cancelled {
        let time_is_up = out_of_time.load(Ordering::Relaxed);
        return Err(stopped(&summary, kept, time_is_up, settings));
    }
    monitor.finished();
    Ok(finished)
}

/// Completes the folder, unless it keeps its earlier results. Prints the summary; fails if no problem has a
/// tree.
fn finish(
    summary: &Summary,
    folder: Option<&Folder<'_>>,
    settings: &Settings,
) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(summary)
        .map_err(|e| Failure::internal(format!("summary: {e}")))?;
    folder.map_or(Ok(()), |folder| folder.complete(&text))?;
    let json = settings.run.json.unwrap_or(false);
    print_line(&if json { text } else { summary.text(folder.is_some()) })?;
    summary.warnings().iter().for_each(log);
    if summary.is_fruitless() {
        let kept = if folder.is_none() { KEPT } else { "" };
        return Err(Failure::policy(format!("no problem has a tree, for the reasons above{kept}")));
    }
    Ok(())
}

const KEPT: &str = "; the folder keeps its earlier results";

/// Failure that states what stopped the search, what is saved, and the command that resumes.
fn stopped(summary: &Summary, kept: bool, time_is_up: bool, settings: &Settings) -> Failure {
    let mut text = match time_is_up {
        true => "--max-seconds are over".to_owned(),
        false => "by a signal".to_owned(),
    };
    text += &match kept {
        true => KEPT.to_owned(),
        false => format!("; the {} finished trees are written", summary.trees),
    };
    if !settings.run.no_log.unwrap_or(false) {
        text += &format!(", every finished model call is in {LOG_FILE}");
    }
    Failure::stopped(format!("{text}; resume with:\n  {}", command_line()))
}

/// The policy that judges in place of the searched one; its answers are recorded in a separate log. `None` if
/// none is configured.
fn judge(settings: &Settings, out: &Path) -> Result<Option<JudgePolicy>, Failure> {
    let Some(spec) = &settings.search.value.judge_policy else { return Ok(None) };
    log(format!("loading the judge {spec}"));
    let policy = load(spec, &settings.engine.load_options(|text| log(text)).for_judge())?;
    policy.notes().iter().for_each(log);
    let policy = match settings.run.no_log.unwrap_or(false) {
        true => policy,
        false => inputs::recorded(policy, spec, &out.join(JUDGE_LOG))?,
    };
    Ok(Some(JudgePolicy { policy, meter: Arc::default() }))
}

/// Starts a thread that cancels the search after `limit`.
fn cancel_after(limit: Duration, out_of_time: &Arc<AtomicBool>, options: &RunOptions) {
    let (out_of_time, cancel) = (out_of_time.clone(), options.cancel.clone());
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        // Relaxed: the flags carry no data.
        out_of_time.store(true, Ordering::Relaxed);
        cancel.store(true, Ordering::Relaxed);
    });
}

/// Writes delivered trees and reports the progress of the search.
struct Watch<'r, 'a> {
    monitor: &'r Monitor,
    rows: &'r mut Rows<'a>,
    written: io::Result<()>,
    /// Cancels the search if trees cannot be written.
    cancel: &'r AtomicBool,
    right: u64,
    grown: u64,
}

impl SearchObserver for Watch<'_, '_> {
    fn ended(&mut self, tree: Option<&TreeRecord>) {
        self.grown += u64::from(tree.is_some());
        self.right += u64::from(tree.is_some_and(|tree| tree.correct));
        let message = format!("{} of {} committed answers right", self.right, self.grown);
        self.monitor.advance(tree.map_or(0, |tree| tree.simulations), message);
    }

    fn delivered(&mut self, problem: &Problem, result: Result<TreeRecord, SkipReason>) {
        if self.written.is_ok() {
            self.written = self.rows.add(problem, &result);
            // Relaxed: the flag carries no data.
            self.cancel.fetch_or(self.written.is_err(), Ordering::Relaxed);
        }
    }
}

/// Policy, verifier and problems of a search.
struct Asked<'a> {
    policy: &'a dyn Policy,
    verifier: &'a dyn Verifier,
    problems: &'a [Problem],
}

/// Searches the problems, and writes each tree or skip as it is delivered. Writes nothing if the folder keeps
/// its earlier results.
fn write_rows(
    folder: &Folder<'_>,
    asked: Asked<'_>,
    settings: &Settings,
    options: &RunOptions,
    monitor: &Monitor,
) -> Result<(SearchSummary, PairCounts), Failure> {
    let Asked { policy, verifier, problems } = asked;
    let mut counts = PairCounts::default();
    let mut result = None;
    let written = Rows::write(folder.path(), &settings.pairs, verifier, &mut counts, |rows| {
        let (cancel, written) = (&*options.cancel, Ok(()));
        let mut watch = Watch { monitor, rows, written, cancel, right: 0, grown: 0 };
        let search = &settings.search;
        let work = match search.most_simulations() {
            0 => Work::Items,
            most => Work::Counted(options.simulated.clone(), most),
        };
        let (name, total) = ("search".to_owned(), problems.len() as u64);
        monitor.begin(Phase { name, unit: "trees", total, work, rest: None });
        let found =
            Search::new(policy, verifier, search).options(options).observe(problems, &mut watch);
        monitor.end();
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

/// Decides, when the search is over, whether its rows replace the earlier ones: they are written completely
/// or not at all.
fn may_replace(folder: &Folder<'_>, found: &Result<SearchSummary, Failure>) -> io::Result<()> {
    match found {
        Ok(found) if !folder.keeps_results(found) => folder.outdate().map_err(io::Error::other),
        Ok(_) => Err(io::Error::other("what was found before is more")),
        Err(failure) => Err(io::Error::other(failure.to_string())),
    }
}

fn lost() -> Failure {
    Failure::internal("the search left no summary".to_owned())
}
