//! Accuracy by tokens at inference: the page of `regrowth evaluate --curve`, and the section of a run's
//! report about such results in its folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use regrowth_datasets::atomic_write;
use regrowth_mcts::foreign::readable;
use regrowth_mcts::viewer::{CONTENT_POLICY, THEME};
use serde::{Deserialize, Serialize};

use super::charts::{Chart, Point};
use super::page::{CHARTS, PARTS, STYLE, UPLOT, UPLOT_STYLE, json};
use super::words::{count, percent, points};
use crate::TrainError;
use crate::artefact::{read_json, write_json};
use crate::evaluate::{AtBudget, Budget, Curve, Point as Measured};

/// File with the data of the section.
const CURVE_FILE: &str = "curve.json";
/// Version of the file.
const CURVE_VERSION: u32 = 1;
/// Template of the section.
pub(super) const SECTION: &str = include_str!("templates/inference.html");

/// `curve.json`.
#[derive(Debug, Serialize, Deserialize)]
struct CurveFile {
    version: u32,
    /// Name of the task.
    task: String,
    /// Name of the model.
    model: String,
    #[serde(flatten)]
    curve: Curve,
}

/// Values of one curve for the templates.
#[derive(Debug, Serialize)]
pub(super) struct Inference {
    title: String,
    problems: String,
    rows: Vec<Row>,
    budgets: Vec<BudgetRows>,
}

/// A strategy with one budget.
#[derive(Debug, Serialize)]
struct Row {
    strategy: String,
    k: u64,
    tokens: String,
    accuracy: String,
    interval: String,
}

/// Strategies at equal tokens.
#[derive(Debug, Serialize)]
struct BudgetRows {
    tokens: String,
    rows: Vec<Compared>,
}

/// A strategy compared with majority voting.
#[derive(Debug, Serialize)]
struct Compared {
    row: Row,
    difference: String,
    interval: String,
}

/// Writes `curve.json` and `curve.html` into a results folder.
///
/// # Errors
/// If they cannot be written, or a template does not fit (a fault of this program).
pub fn write_curve(
    folder: &Path,
    model: &str,
    task: &str,
    curve: &Curve,
) -> Result<(), TrainError> {
    let (task, model, curve) = (task.to_owned(), model.to_owned(), curve.clone());
    let file = CurveFile { version: CURVE_VERSION, task, model, curve };
    write_json(&folder.join(CURVE_FILE), &file)?;
    let path = folder.join("curve.html");
    let page = page(&file).map_err(|e| TrainError::File {
        path: path.clone(),
        detail: format!("the page cannot be made: {e:#}"),
    })?;
    Ok(atomic_write(&path, |file| std::io::Write::write_all(file, page.as_bytes()))?)
}

fn page(file: &CurveFile) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.add_template("curve.html", include_str!("templates/curve.html"))?;
    environment.add_template("inference.html", SECTION)?;
    environment.add_template("parts.html", PARTS)?;
    let charts = [chart(&[file])];
    let titles = charts.iter().map(|chart| (chart.id(), chart.title()));
    let titles: BTreeMap<&str, &str> = titles.collect();
    environment.get_template("curve.html")?.render(context! {
        policy => CONTENT_POLICY,
        styles => [THEME, UPLOT_STYLE, STYLE],
        scripts => [UPLOT, CHARTS],
        title => readable(&format!("{} on {}", file.model, file.task)),
        inference => Value::from(Serde([Inference::of(file)])),
        charts => Value::from(Serde(titles)),
        data => json(&charts)?,
    })
}

/// Reads the curves in the subfolders of a run's folder, in order of their names; returns the chart and the
/// tables.
pub(super) fn of_run(run: &Path) -> (Option<Chart>, Vec<Inference>) {
    let folders = std::fs::read_dir(run).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = folders.map(|folder| folder.path().join(CURVE_FILE)).collect();
    paths.sort();
    // Unreadable files and files of newer versions are left out.
    let read = |path: &PathBuf| read_json::<CurveFile>(path).ok().flatten();
    let files: Vec<CurveFile> =
        paths.iter().filter_map(read).filter(|file| file.version <= CURVE_VERSION).collect();
    let chart = (!files.is_empty()).then(|| chart(&files.iter().collect::<Vec<_>>()));
    (chart, files.iter().map(Inference::of).collect())
}

/// One curve per strategy and file.
fn chart(files: &[&CurveFile]) -> Chart {
    let mut chart = Chart::new(
        "inference",
        "Accuracy against tokens at inference",
        ["tokens per problem", "tokens"],
        ["accuracy", "percent"],
    )
    .with_log_x();
    for file in files {
        let of =
            if files.len() > 1 { format!(" ({})", readable(&file.model)) } else { String::new() };
        let mut names: Vec<&str> = Vec::new();
        for point in &file.curve.points {
            if !names.contains(&point.strategy.as_str()) {
                names.push(&point.strategy);
            }
        }
        for name in names {
            let points = file.curve.points.iter().filter(|point| point.strategy == name);
            let points = points.map(|p| Point::with_interval(p.tokens, p.accuracy, p.ci95));
            chart = chart.with(format!("{}{of}", in_words(name)), "line", points.collect());
        }
    }
    chart
}

/// Name of a strategy in the legend.
fn in_words(strategy: &str) -> &str {
    match strategy {
        "pass" => "pass@k (any right)",
        "majority" => "majority@k",
        "best-of, likelihood" => "best-of-k by likelihood",
        "best-of, judge" => "best-of-k by judge",
        "mcts" => "search",
        other => other,
    }
}

impl Inference {
    fn of(file: &CurveFile) -> Self {
        let CurveFile { task, model, curve, .. } = file;
        let budget = |budget: &Budget| BudgetRows {
            tokens: count(budget.tokens.round() as u64),
            rows: budget.strategies.iter().map(compared).collect(),
        };
        Self {
            title: readable(&format!("{model} on {task}")),
            problems: count(curve.problems as u64),
            rows: curve.points.iter().map(row).collect(),
            budgets: curve.budgets.iter().map(budget).collect(),
        }
    }
}

fn row(point: &Measured) -> Row {
    let [low, high] = point.ci95.map(|share| 100.0 * share);
    Row {
        strategy: in_words(&point.strategy).to_owned(),
        k: point.k,
        tokens: count(point.tokens.round() as u64),
        accuracy: percent(point.accuracy),
        interval: format!("{low:.1} to {high:.1}"),
    }
}

fn compared(found: &AtBudget) -> Compared {
    let [low, high] = found.ci95.map(points);
    let is_base = found.point.strategy == "majority";
    let unless_base = |text: String| if is_base { String::new() } else { text };
    Compared {
        row: row(&found.point),
        difference: unless_base(points(found.difference)),
        interval: unless_base(format!("{low} to {high}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::{CurveSeries, Outcome};

    fn curve() -> Curve {
        let series = |strategy: &str, k, tokens, right: usize| CurveSeries {
            strategy: strategy.to_owned(),
            k,
            outcomes: (0..10)
                .map(|at| Outcome { tokens, accuracy: f64::from(u8::from(at < right)) })
                .collect(),
        };
        let all = [
            series("greedy", 1, 90.0, 4),
            series("majority", 1, 100.0, 3),
            series("majority", 2, 200.0, 5),
            series("mcts", 1, 180.0, 8),
        ];
        Curve::of(&all, 0)
    }

    #[test]
    fn a_curve_is_written_as_page_and_as_data() {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path().join("model");
        std::fs::create_dir(&results).unwrap();
        let evil = "</script><script>alert(1)</script>";
        write_curve(&results, evil, "gsm8k", &curve()).unwrap();
        let page = std::fs::read_to_string(results.join("curve.html")).unwrap();
        let text = page.split("<script").next().unwrap();
        assert!(!page.contains("<script>alert") && !text.contains("{{"), "{text}");
        for told in ["data-chart=\"inference\"", "\"log_x\":true", "10 problems", "search", "+30.0"]
        {
            assert!(page.contains(told), "{told}");
        }
        // The report of a run finds it in the run's folder; other folders and files are ignored.
        std::fs::create_dir(folder.path().join("round-0001")).unwrap();
        std::fs::write(folder.path().join("run.json"), "{}").unwrap();
        let (chart, found) = of_run(folder.path());
        assert!(chart.is_some() && found.len() == 1);
        assert_eq!((found[0].rows.len(), found[0].budgets.len()), (4, 2));
        std::fs::write(results.join("curve.json"), "{\"version\": 1,").unwrap();
        assert!(of_run(folder.path()).0.is_none());
    }
}
