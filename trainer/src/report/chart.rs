//! A line chart of accuracy by round as inline SVG: two series, intervals for one of them.

use std::fmt::Write;

use crate::rounds::RunReport;
use crate::stats::Share;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;

/// The chart; accuracy from the lowest to the highest interval, in whole tens of percent.
pub(super) fn accuracy(report: &RunReport) -> String {
    let test: Vec<(u32, Share)> =
        report.rounds.iter().filter_map(|r| r.eval.as_ref().map(|e| (r.round, e.share))).collect();
    let validation: Vec<(u32, Share)> =
        report.rounds.iter().map(|r| (r.round, r.validation.share)).collect();
    let axes = Axes::new(test.iter().chain(&validation).map(|(_, share)| *share), &validation);
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"Accuracy by round\" class=\"chart\">"
    );
    axes.grid(&mut out);
    axes.line(&mut out, &validation, "validation");
    for (round, share) in &test {
        let x = axes.x(*round);
        let [low, high] = share.ci95.map(|v| axes.y(v));
        let _ = write!(out, "<path class=\"interval\" d=\"M{x:.1} {low:.1}V{high:.1}\"></path>");
    }
    axes.line(&mut out, &test, "test");
    out.push_str("</svg>\n");
    out
}

struct Axes {
    rounds: Vec<u32>,
    low: f64,
    high: f64,
}

impl Axes {
    fn new(shares: impl Iterator<Item = Share>, points: &[(u32, Share)]) -> Self {
        let (mut low, mut high) = (1.0f64, 0.0f64);
        for share in shares.filter(|s| s.n > 0) {
            low = low.min(share.ci95[0]);
            high = high.max(share.ci95[1]);
        }
        let low = (10.0 * low).floor() / 10.0;
        let high = ((10.0 * high).ceil() / 10.0).max(low + 0.1);
        Self { rounds: points.iter().map(|p| p.0).collect(), low, high }
    }

    fn x(&self, round: u32) -> f64 {
        let last = self.rounds.last().copied().unwrap_or(0).max(1);
        LEFT + 16.0 + (WIDTH - LEFT - RIGHT - 32.0) * f64::from(round) / f64::from(last)
    }

    fn y(&self, accuracy: f64) -> f64 {
        let share = (accuracy - self.low) / (self.high - self.low);
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share
    }

    fn grid(&self, out: &mut String) {
        let tens = |v: f64| (10.0 * v).round() as i32;
        for ten in tens(self.low)..=tens(self.high) {
            let y = self.y(f64::from(ten) / 10.0);
            let end = WIDTH - RIGHT;
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{end}\"></path>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{} %</text>",
                LEFT - 6.0,
                y + 4.0,
                10 * ten
            );
        }
        for &round in &self.rounds {
            let (x, y) = (self.x(round), HEIGHT - 10.0);
            let _ = write!(
                out,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">round {round}</text>"
            );
        }
    }

    fn line(&self, out: &mut String, points: &[(u32, Share)], class: &str) {
        let mut path = String::new();
        for (index, (round, share)) in points.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            let (x, y) = (self.x(*round), self.y(share.accuracy));
            let _ = write!(path, "{command}{x:.1} {y:.1}");
        }
        let _ = write!(out, "<path class=\"{class}\" d=\"{path}\"></path>");
        for (round, share) in points {
            let _ = write!(
                out,
                "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\">\
                 <title>{class}, round {round}: {share}</title></circle>",
                self.x(*round),
                self.y(share.accuracy)
            );
        }
    }
}
