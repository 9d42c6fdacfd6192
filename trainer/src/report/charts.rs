//! Data of the page's charts; `report.js` draws them with uPlot.

use regrowth_mcts::audit::PairAudit;
use serde::Serialize;
use serde_json::{Map, Value};

use super::preferences::factor_in_words;
use super::sources::{RoundSources, Sources};
use crate::rounds::RoundReport;
use crate::stats::{Share, wilson};

/// Maximum number of points of a round's training curve; neighbouring steps are averaged (our choice: more
/// than a screen can show).
const POINTS: usize = 300;

/// A chart.
#[derive(Debug, Serialize)]
pub(super) struct Chart {
    id: &'static str,
    title: &'static str,
    x: Axis,
    y: Axis,
    /// Whether the x axis is logarithmic.
    log_x: bool,
    series: Vec<Series>,
    /// Vertical lines with labels.
    marks: Vec<(f64, String)>,
}

#[derive(Debug, Serialize)]
struct Axis {
    label: &'static str,
    /// `percent`, `number`, `integer` or `tokens`.
    format: &'static str,
}

/// A curve: points of x and y, optionally with an interval.
#[derive(Debug, Serialize)]
struct Series {
    name: String,
    /// `line`, `dashed` or `points`.
    style: &'static str,
    points: Vec<Point>,
}

#[derive(Debug, Serialize)]
pub(super) struct Point {
    x: f64,
    y: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<[f64; 2]>,
}

impl Point {
    fn share(x: f64, share: &Share) -> Self {
        Self { x, y: share.accuracy, interval: Some(share.ci95) }
    }

    pub(super) fn with_interval(x: f64, y: f64, interval: [f64; 2]) -> Self {
        Self { x, y, interval: Some(interval) }
    }

    fn plain(x: f64, y: f64) -> Self {
        Self { x, y, interval: None }
    }
}

impl Chart {
    pub(super) fn new(
        id: &'static str,
        title: &'static str,
        x: [&'static str; 2],
        y: [&'static str; 2],
    ) -> Self {
        let axis = |[label, format]: [&'static str; 2]| Axis { label, format };
        let (x, y) = (axis(x), axis(y));
        Self { id, title, x, y, log_x: false, series: Vec::new(), marks: Vec::new() }
    }

    pub(super) fn with_log_x(self) -> Self {
        Self { log_x: true, ..self }
    }

    pub(super) fn with(
        mut self,
        name: impl Into<String>,
        style: &'static str,
        points: Vec<Point>,
    ) -> Self {
        if !points.is_empty() {
            self.series.push(Series { name: name.into(), style, points });
        }
        self
    }

    /// Id by which the page places the chart.
    pub(super) fn id(&self) -> &'static str {
        self.id
    }

    pub(super) fn title(&self) -> &'static str {
        self.title
    }
}

/// Returns all charts for which the run has data.
pub(super) fn charts(sources: &Sources) -> Vec<Chart> {
    let mut charts = vec![accuracy(sources), tokens(sources)];
    charts.extend(training(sources));
    charts.extend([divergence(sources), factors(sources), calibration(sources)]);
    charts.retain(|chart| !chart.series.is_empty());
    charts
}

/// Test accuracy of a round; validation accuracy if there was no test evaluation.
fn measured(round: &RoundReport) -> Share {
    round.test.as_ref().map_or(round.validation.share, |test| test.share)
}

fn accuracy(sources: &Sources) -> Chart {
    let rounds = &sources.report.rounds;
    let at = |r: &RoundReport| f64::from(r.round);
    let test = rounds.iter().filter_map(|r| Some(Point::share(at(r), &r.test.as_ref()?.share)));
    let validated = rounds.iter().filter(|r| r.validated && r.validation.share.n > 0);
    let validation = validated.map(|r| Point::plain(at(r), r.validation.share.accuracy));
    Chart::new(
        "accuracy",
        "Accuracy by round",
        ["round", "integer"],
        ["greedy accuracy", "percent"],
    )
    .with("test, with 95 % interval", "line", test.collect())
    .with("validation", "dashed", validation.collect())
}

fn tokens(sources: &Sources) -> Chart {
    let mut spent = 0;
    let points = sources.report.rounds.iter().map(|round| {
        spent += all_tokens(round);
        Point::share(spent as f64, &measured(round))
    });
    let points: Vec<Point> = points.collect();
    Chart::new(
        "tokens",
        "Accuracy against tokens",
        ["tokens up to the round", "tokens"],
        ["greedy accuracy", "percent"],
    )
    .with(
        "rounds from 0 on, with 95 % interval",
        "line",
        if spent > 0 { points } else { vec![] },
    )
}

/// Total tokens of all phases of a round.
pub(super) fn all_tokens(round: &RoundReport) -> u64 {
    let tokens = round.tokens;
    tokens.prompts + tokens.sampled + tokens.trained + tokens.referenced + tokens.validated
}

/// One chart per training metric, over the steps of all rounds.
fn training(sources: &Sources) -> Vec<Chart> {
    let metrics = [
        ("loss", "loss", "Loss", "loss", "number"),
        ("margin", "rewards/margins", "Reward margin", "chosen less rejected", "number"),
        (
            "preference",
            "rewards/accuracies",
            "Preference accuracy",
            "pairs ranked right",
            "percent",
        ),
    ];
    let chart = |(id, key, title, label, format): (&'static str, &str, &'static str, _, _)| {
        let mut chart = Chart::new(id, title, ["optimizer step", "integer"], [label, format]);
        let mut before = 0;
        for round in &sources.rounds {
            let points = curve(round, key, before);
            if !points.is_empty() {
                let name = format!("round {}", round.report.round);
                chart.marks.push((before as f64, name.clone()));
                chart = chart.with(name, "line", points);
            }
            before += round.metrics.len();
        }
        chart
    };
    metrics.into_iter().map(chart).collect()
}

/// A metric over the steps of a round, at most [`POINTS`] points; the first step is `before` + 1.
fn curve(round: &RoundSources, key: &str, before: usize) -> Vec<Point> {
    let value = |row: &Map<String, Value>| row.get(key).and_then(Value::as_f64);
    let values: Vec<f64> = round.metrics.iter().filter_map(value).collect();
    let width = values.len().div_ceil(POINTS).max(1);
    let chunks = values.chunks(width).enumerate();
    let middle =
        |index: usize, len: usize| before as f64 + (index * width) as f64 + (len + 1) as f64 / 2.0;
    chunks
        .map(|(index, chunk)| {
            let mean = chunk.iter().sum::<f64>() / chunk.len() as f64;
            Point::plain(middle(index, chunk.len()), mean)
        })
        .collect()
}

/// KL divergence from the base policy, estimated once per round after its steps.
fn divergence(sources: &Sources) -> Chart {
    let mut steps = 0;
    let points = sources.report.rounds.iter().filter_map(|round| {
        steps += round.steps;
        Some(Point::plain(steps as f64, round.kl_to_base?.per_token))
    });
    let mut points: Vec<Point> = points.collect();
    if !points.is_empty() {
        points.insert(0, Point::plain(0.0, 0.0));
    }
    Chart::new(
        "divergence",
        "KL to the base policy",
        ["optimizer step", "integer"],
        ["nats per token", "number"],
    )
    .with("at the end of each round", "line", points)
}

/// Kendall's tau-b of preference and factor, one curve per factor.
fn factors(sources: &Sources) -> Chart {
    let chart = Chart::new(
        "factors",
        "Tau-b by round",
        ["round", "integer"],
        ["Kendall's tau-b", "number"],
    );
    let audits: Vec<_> =
        sources.rounds.iter().filter_map(|r| Some((r.report.round, r.audit.as_ref()?))).collect();
    let Some((_, first)) = audits.first() else { return chart };
    (0..first.factors.len()).fold(chart, |chart, at| {
        let point = |(round, audit): &(u32, &PairAudit)| {
            let factor = &audit.factors[at];
            Some(Point { x: f64::from(*round), y: factor.tau_b?, interval: factor.ci95 })
        };
        let points = audits.iter().filter_map(point).collect();
        chart.with(factor_in_words(&first.factors[at].name), "line", points)
    })
}

/// Share of right solutions among those with a similar self-evaluation.
fn calibration(sources: &Sources) -> Chart {
    let mut chart = Chart::new(
        "calibration",
        "Calibration of the judge",
        ["self-evaluation", "number"],
        ["solutions that are right", "percent"],
    );
    for round in &sources.rounds {
        let Some(judged) = &round.report.statistics.self_evaluation else { continue };
        let points = judged.bins.iter().map(|bin| Point {
            x: bin.mean,
            y: bin.right as f64 / bin.n as f64,
            interval: Some(wilson(bin.right, bin.n)),
        });
        chart = chart.with(format!("round {}", round.report.round), "line", points.collect());
    }
    if !chart.series.is_empty() {
        let ideal = vec![Point::plain(0.0, 0.0), Point::plain(1.0, 1.0)];
        chart = chart.with("a calibrated judge", "dashed", ideal);
    }
    chart
}
