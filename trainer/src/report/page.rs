//! Renders the page from sections and templates. Values inserted by templates are escaped, because the
//! templates' names end in `.html`; only this program's own styles, scripts and JSON are marked as safe.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, Value};
use regrowth_mcts::foreign::readable;
use regrowth_mcts::viewer;
use serde::Serialize;

use super::changes::Changes;

use super::sources::Sources;
use super::summary::Summary;
use super::table::Table;
use super::{charts, examples, histograms, inference, machine, preferences, settings, tables};
use crate::rounds::Fork;

/// Macros shared by the pages.
pub(super) const PARTS: &str = include_str!("templates/parts.html");
const TEMPLATES: [(&str, &str); 8] = [
    ("page.html", include_str!("templates/page.html")),
    ("changes.html", include_str!("templates/changes.html")),
    ("pairs.html", include_str!("templates/pairs.html")),
    ("terms.html", include_str!("templates/terms.html")),
    ("settings.html", include_str!("templates/settings.html")),
    ("parts.html", PARTS),
    ("viewer.html", viewer::MARKUP),
    ("inference.html", inference::SECTION),
];
pub(super) const STYLE: &str = include_str!("assets/report.css");
const SCRIPT: &str = include_str!("assets/report.js");
pub(super) const CHARTS: &str = include_str!("assets/charts.js");
pub(super) const UPLOT_STYLE: &str = include_str!("assets/vendor/uplot/uPlot.min.css");
pub(super) const UPLOT: &str = include_str!("assets/vendor/uplot/uPlot.iife.min.js");

/// Files of a run that the page links to if they exist, with their descriptions.
const FILES: [(&str, &str); 5] = [
    ("report.json", "settings and the figures of all rounds"),
    (
        "run.json",
        "what the run was started with: settings, identity of the policy, hashes of the problems",
    ),
    ("test.jsonl", "each test problem: right or wrong before and after"),
    (
        "eval.jsonl",
        "each test problem: right or wrong before and after; the name in older versions",
    ),
    ("best", "folder with the checkpoint of the best round; not read for this page"),
];
const ROUND_FILES: [(&str, &str); 9] = [
    ("report.json", "accuracy, counts, tokens and time of the round"),
    ("trees.jsonl", "search trees, one a line"),
    ("pairs.jsonl", "preference pairs, one a line"),
    ("train.json", "pairs or solutions trained on, tokens, what was skipped"),
    ("metrics.jsonl", "training metrics of every step"),
    ("validation.jsonl", "answers to validation problems; not read for this page"),
    ("test.jsonl", "answers to test problems"),
    ("eval.jsonl", "answers to test problems; the name in older versions"),
    ("cost.json", "time of each phase, tokens computed, machine, memory"),
];

/// Whether the page of a run may link to this file.
pub(crate) fn is_linked(path: &str) -> bool {
    let known = |names: &[(&str, &str)], path: &str| names.iter().any(|(name, _)| *name == path);
    let (folder, name) = path.split_once('/').unwrap_or(("", path));
    let is_round = |folder: &str| {
        let digits = folder.strip_prefix("round-").unwrap_or_default();
        digits.len() >= 4 && digits.bytes().all(|b| b.is_ascii_digit())
    };
    match folder {
        "" => known(&FILES, name),
        folder => is_round(folder) && known(&ROUND_FILES, name),
    }
}

/// Values for the templates.
#[derive(Serialize)]
struct Page<'a> {
    /// Content security policy.
    policy: &'static str,
    styles: [&'static str; 4],
    scripts: [&'static str; 6],
    problems: String,
    run: &'a str,
    seed: u64,
    program: Option<&'a str>,
    fork: Option<&'a Fork>,
    started: Option<&'a str>,
    finished: Option<&'a str>,
    summary: Summary,
    changes: Option<Changes>,
    results: Table,
    costs: Table,
    /// Machine, memory and time of the whole run.
    machine: Vec<machine::Fact>,
    /// Factors that preferences correlate with, and their evidence.
    preferences: Table,
    histograms: Vec<histograms::Histogram>,
    examples: Vec<examples::Example>,
    /// An example prompt.
    prompt: Option<String>,
    /// Settings of the judge.
    judge: serde_json::Value,
    /// Titles of the charts, by id.
    charts: BTreeMap<&'static str, &'static str>,
    chart_data: String,
    has_trees: bool,
    tree_data: String,
    /// Strategies at equal tokens, if the run's folder contains such results.
    inference: Vec<inference::Inference>,
    differences: Vec<settings::Difference>,
    command: String,
    settings: String,
    files: Vec<Links>,
}

/// Renders the page.
pub(super) fn render(sources: &Sources) -> Result<String, Error> {
    let name = readable(&folder_name(sources.run));
    let mut environment = Environment::new();
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    let page = Value::from(Serde(page(sources, &name)?));
    environment.get_template("page.html")?.render(page)
}

fn page<'a>(sources: &'a Sources, name: &'a str) -> Result<Page<'a>, Error> {
    let (report, file) = (sources.report, sources.file.as_ref());
    let identity = file.map_or("", |file| file.policy.as_str());
    let (changes, mut charts) = (Changes::of(sources), charts::charts(sources));
    let (curve, inference) = inference::of_run(sources.run);
    charts.extend(curve);
    let (trees, examples) = (sources.tree_sets(), examples::examples(sources));
    let (chart_data, tree_data) = (json(&charts)?, json(&trees)?);
    let texts = [tree_data.as_str(), &json(&examples)?, &json(&changes)?].concat();
    let katex = viewer::katex_for(&texts);
    Ok(Page {
        policy: viewer::CONTENT_POLICY,
        styles: [viewer::THEME, viewer::STYLE, UPLOT_STYLE, STYLE],
        scripts: [UPLOT, katex, viewer::MATHEMATICS, viewer::SCRIPT, CHARTS, SCRIPT],
        problems: readable(&file_names(&report.config.problems)),
        run: name,
        seed: report.seed,
        program: file.map(|file| file.program.as_str()),
        fork: file.and_then(|file| file.fork.as_ref()),
        started: sources.started.as_deref(),
        finished: sources.finished.as_deref(),
        summary: Summary::of(sources, changes.as_ref()),
        changes,
        results: tables::results(sources),
        costs: tables::costs(sources),
        machine: machine::facts(sources),
        preferences: preferences::table(sources),
        histograms: histograms::histograms(sources),
        examples,
        judge: serde_json::to_value(report.config.search.value.judge).unwrap_or_default(),
        prompt: report.prompt_example.as_deref().map(readable),
        charts: charts.iter().map(|chart| (chart.id(), chart.title())).collect(),
        chart_data,
        has_trees: !trees.is_empty(),
        tree_data,
        inference,
        differences: settings::differences(&report.config),
        command: settings::command(name, &report.config, identity),
        settings: readable(&serde_json::to_string_pretty(&report.config).unwrap_or_default()),
        files: files(sources),
    })
}

pub(super) fn json(value: &impl Serialize) -> Result<String, Error> {
    viewer::embed_json(value)
        .map_err(|e| Error::new(ErrorKind::BadSerialization, format!("data of the page: {e}")))
}

/// Removes the folders from the file names of problem sets.
fn file_names(problems: &str) -> String {
    let name = |part: &str| part.rsplit('/').next().unwrap_or(part).to_owned();
    problems.split(',').map(name).collect::<Vec<_>>().join(", ")
}

pub(super) fn folder_name(run: &Path) -> String {
    let full = run.canonicalize().unwrap_or_else(|_| run.to_owned());
    full.file_name().unwrap_or(full.as_os_str()).to_string_lossy().into_owned()
}

#[derive(Debug, Serialize)]
struct Link {
    path: String,
    holds: &'static str,
}

#[derive(Debug, Serialize)]
struct Links {
    name: String,
    links: Vec<Link>,
}

/// Returns links to existing files, relative to the page. `report.json` counts as existing, because it is
/// written after the page.
fn files(sources: &Sources) -> Vec<Links> {
    let is_there = |path: &str| path == "report.json" || sources.run.join(path).exists();
    let links = |folder: &str, names: &[(&'static str, &'static str)]| {
        let link = |&(name, holds): &(&'static str, &'static str)| Link {
            path: format!("{folder}{name}"),
            holds,
        };
        names.iter().map(link).filter(|link| is_there(&link.path)).collect::<Vec<_>>()
    };
    let mut found = vec![Links { name: "Run".into(), links: links("", &FILES) }];
    for round in &sources.rounds {
        let number = round.report.round;
        let links = links(&format!("round-{number:04}/"), &ROUND_FILES);
        found.push(Links { name: format!("Round {number}"), links });
    }
    found
}
