//! The page of unfinished runs: status, curves and rounds so far. Each part is sent again when it changes.
//!
//! Figures, tables and curves are those of `report.html` for the finished rounds; the training curve of the
//! current round is read as it grows. An incomplete or corrupted file affects only its own part.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minijinja::value::Serde;
use minijinja::{Environment, Error, Value, context};
use regrowth_mcts::foreign::readable;
use regrowth_mcts::viewer;
use serde::Serialize;

use super::charts::{self, Chart};
use super::page::{CHARTS, PARTS, STYLE, UPLOT, UPLOT_STYLE, folder_name, json};
use super::sources::Sources;
use super::table::Table;
use super::tables;
use super::words::{count, percent};
use crate::artefact::read_checksummed;
use crate::clock::utc;
use crate::rounds::{RoundReport, RunFile, RunReport, read_report, read_run_file, round_dir};
use crate::stats::Paired;
use crate::status::{Sign, State, Status};
use crate::{TrainError, clock};

const TEMPLATES: [(&str, &str); 5] = [
    ("live.html", include_str!("templates/live.html")),
    ("live_facts.html", include_str!("templates/live_facts.html")),
    ("live_charts.html", include_str!("templates/live_charts.html")),
    ("live_rounds.html", include_str!("templates/live_rounds.html")),
    ("parts.html", PARTS),
];

/// Style sheets of the page.
pub(crate) const LIVE_STYLE: &[&str] =
    &[viewer::THEME, UPLOT_STYLE, STYLE, include_str!("assets/live.css")];
/// Scripts of the page.
pub(crate) const LIVE_SCRIPTS: &[&str] = &[UPLOT, CHARTS, include_str!("assets/live.js")];

/// A run on the page.
#[derive(Debug, Serialize)]
pub(crate) struct LiveRun {
    /// HTML of the parts of the run's section, by part.
    parts: BTreeMap<&'static str, String>,
    charts: Vec<Chart>,
}

/// A figure with its name.
#[derive(Debug, Serialize)]
struct Fact {
    name: &'static str,
    value: String,
}

/// A link to further pages.
#[derive(Debug, Serialize)]
struct Link {
    path: String,
    text: String,
}

/// Renders the page of `runs`.
///
/// # Errors
/// If a template does not fit its data, which is a fault of this program.
pub(crate) fn page(runs: &[PathBuf]) -> Result<String, Error> {
    let live = all(runs)?;
    let data = json(&live)?;
    let names: Vec<String> = runs.iter().map(|run| readable(&folder_name(run))).collect();
    environment()?.get_template("live.html")?.render(context! {
        title => names.join(", "),
        runs => Value::from(Serde(&live)),
        data,
    })
}

/// Returns the data that the page's script polls.
///
/// # Errors
/// As [`page`].
pub(crate) fn update(runs: &[PathBuf]) -> Result<String, Error> {
    json(&all(runs)?)
}

fn all(runs: &[PathBuf]) -> Result<Vec<LiveRun>, Error> {
    let environment = environment()?;
    let now = clock::unix_now();
    runs.iter().enumerate().map(|(at, run)| of_run(&environment, at, run, now)).collect()
}

fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    Ok(environment)
}

fn of_run(environment: &Environment, at: usize, run: &Path, now: u64) -> Result<LiveRun, Error> {
    let name = readable(&run.display().to_string());
    let (status, report) = (Status::of(run, now, Sign::Progress), report_so_far(run));
    let troubles = [status.as_ref().err(), report.as_ref().err()];
    let troubles = troubles.into_iter().flatten().map(|e| readable(&e.to_string())).collect();
    let state = status.as_ref().ok().map(|status| status.state);
    let mut facts = status.as_ref().map(|status| facts(status, now)).unwrap_or_default();
    let (mut charts, mut results, mut links) = (Vec::new(), None, Vec::new());
    if let Ok(report) = &report {
        facts.extend(totals(report));
        let next = RoundReport::unfinished(report.rounds.len() as u32);
        let sources = Sources::figures(run, report, &next);
        charts = charts::charts(&sources);
        results = (!report.rounds.is_empty()).then(|| tables::results(&sources));
        links = self::links(at, run, report);
    }
    let shown = Shown { name, state, troubles, facts, charts: titles(&charts), results, links };
    let mut parts = BTreeMap::new();
    for part in ["facts", "charts", "rounds"] {
        let template = environment.get_template(&format!("live_{part}.html"))?;
        parts.insert(part, template.render(Value::from(Serde(&shown)))?);
    }
    Ok(LiveRun { parts, charts })
}

/// Values for the templates of a run's parts.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    state: Option<State>,
    troubles: Vec<String>,
    facts: Vec<Fact>,
    charts: BTreeMap<&'static str, &'static str>,
    results: Option<Table>,
    links: Vec<Link>,
}

fn titles(charts: &[Chart]) -> BTreeMap<&'static str, &'static str> {
    charts.iter().map(|chart| (chart.id(), chart.title())).collect()
}

/// Returns the report of a finished run; otherwise a report of the finished rounds.
///
/// # Errors
/// If there is no such run, or a report is corrupted.
fn report_so_far(run: &Path) -> Result<RunReport, TrainError> {
    let file = read_run_file(run)?;
    let finished = read_report(run)?;
    let file = file.ok_or_else(|| TrainError::Run {
        path: run.to_owned(),
        detail: "run.json is gone; it makes the folder a run".into(),
    })?;
    // Rounds may have been added after the report was written.
    if let Some(report) = finished.filter(|report| report.config.rounds == file.config.rounds) {
        return Ok(report);
    }
    let rounds = (0..).map(|round| read_checksummed(&round_dir(run, round).join("report.json")));
    let rounds = rounds.map_while(Result::transpose).collect::<Result<Vec<_>, _>>()?;
    Ok(unfinished(file, rounds))
}

/// Builds a report of the finished rounds; the best round is not known before the last round is finished.
fn unfinished(file: RunFile, rounds: Vec<RoundReport>) -> RunReport {
    let comparison = Paired::new(0, 0, 0);
    RunReport {
        version: file.version,
        seed: file.seed,
        config: file.config,
        prompt_example: file.prompt_example,
        rounds,
        best_round: u32::MAX,
        checkpoint: None,
        p_value: comparison.p_value,
        comparison,
        stopped_by_gate: false,
        stopped_early: false,
        extended: file.extended,
        checksums: BTreeMap::new(),
    }
}

/// The contents of `regrowth status`, figure by figure.
fn facts(status: &Status, now: u64) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |name, value: String| facts.push(Fact { name, value });
    if let Some(result) = &status.result {
        add("result", result.clone());
    }
    if let Some(rounds) = status.rounds {
        add("rounds", format!("{} of {}", rounds.done, rounds.total));
    }
    if let Some(progress) = &status.progress {
        add("phase", readable(&progress.phase));
        if progress.total > 0 {
            let unit = readable(&progress.unit);
            add("done", format!("{} of {} {unit}", count(progress.done), count(progress.total)));
        }
        if !progress.message.is_empty() {
            add("so far", readable(&progress.message));
        }
        add("model calls", count(progress.model_calls));
        add("tokens per second", count(progress.tokens_per_second as u64));
        let age = now.saturating_sub(progress.updated) as f64;
        add("as of", format!("{} ago", regrowth_mcts::console::duration(age)));
    }
    if let Some(ends) = status.ends {
        add("ends", format!("about {} UTC", utc(ends)));
    }
    facts
}

/// Sums over the finished rounds.
fn totals(report: &RunReport) -> Vec<Fact> {
    let Some(last) = report.rounds.iter().rev().find(|round| round.validated) else {
        return Vec::new();
    };
    let sum = |of: fn(&RoundReport) -> u64| count(report.rounds.iter().map(of).sum());
    let accuracy = percent(last.validation.share.accuracy);
    vec![
        Fact { name: "trees of finished rounds", value: sum(|r| r.trees) },
        Fact { name: "pairs of finished rounds", value: sum(|r| r.pairs) },
        Fact { name: "validation accuracy", value: format!("{accuracy} (round {})", last.round) },
    ]
}

/// Links to the report and the trees, if they exist.
fn links(at: usize, run: &Path, report: &RunReport) -> Vec<Link> {
    let mut links = Vec::new();
    if run.join("report.html").is_file() {
        let (path, text) = (format!("/run/{at}/report.html"), "report of the run".to_owned());
        links.push(Link { path, text });
    }
    for round in 0..=report.config.rounds {
        let folder = round_dir(run, round);
        let path = format!("/run/{at}/trees/{round}");
        if folder.join("trees.jsonl").is_file() {
            links.push(Link { path, text: format!("trees of round {round}") });
        } else if folder.join("trees.jsonl.part").is_file() {
            links.push(Link { path, text: format!("trees of round {round} so far") });
        }
    }
    links
}
