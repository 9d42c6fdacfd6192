//! Means over problems with bootstrap intervals, and comparisons of strategies at equal tokens.

use rand::RngExt;
use regrowth_datasets::keyed_rng;
use serde::{Deserialize, Serialize};

use super::CurveSeries;

/// Number of bootstrap resamples of the problems (Efron and Tibshirani 1993: at least 1000 for percentile
/// intervals).
const RESAMPLES: usize = 2000;
/// Factor by which a strategy may exceed the budget and still count as equal, because budgets come in steps.
const SLACK: f64 = 1.05;
/// Baseline of the comparisons: it costs only samples and needs no judge.
const BASE: &str = "majority";

/// Accuracy by tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Number of problems.
    pub problems: usize,
    /// Results of every strategy with every budget.
    pub points: Vec<Point>,
    /// Comparisons at the tokens of majority voting with 1, 2, 4, ... samples.
    pub budgets: Vec<Budget>,
}

/// Result of a strategy with one budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The strategy.
    pub strategy: String,
    /// Number of samples, or of simulations per root.
    pub k: u64,
    /// Mean number of tokens computed per problem.
    pub tokens: f64,
    /// Mean accuracy over problems.
    pub accuracy: f64,
    /// 95 % percentile bootstrap interval over problems.
    pub ci95: [f64; 2],
}

/// Results of the strategies within one token budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Tokens per problem.
    pub tokens: f64,
    /// Strategies that fit the budget.
    pub strategies: Vec<AtBudget>,
}

/// A strategy with its largest setting that fits the budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AtBudget {
    /// Result of the strategy.
    pub point: Point,
    /// Accuracy minus that of majority voting on the same problems.
    pub difference: f64,
    /// 95 % paired bootstrap interval of the difference.
    pub ci95: [f64; 2],
}

impl Curve {
    /// Computes the curve of these series, which must be on the same problems.
    #[must_use]
    pub fn of(series: &[CurveSeries], seed: u64) -> Self {
        let problems = series.first().map_or(0, |s| s.outcomes.len());
        let resampled = resampled(series, problems, seed);
        let points: Vec<Point> =
            series.iter().zip(&resampled).map(|(s, means)| point(s, means)).collect();
        let budgets = points.iter().enumerate().filter(|(_, p)| p.strategy == BASE);
        let budgets = budgets.map(|(base, _)| budget(&points, &resampled, base)).collect();
        Self { problems, points, budgets }
    }
}

/// Mean accuracy of each series over the same bootstrap resamples of the problems.
fn resampled(series: &[CurveSeries], problems: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut rng = keyed_rng(seed, &[b"bootstrap"]);
    let mut means = vec![Vec::with_capacity(RESAMPLES); series.len()];
    if problems == 0 {
        return means;
    }
    for _ in 0..RESAMPLES {
        let drawn: Vec<usize> = (0..problems).map(|_| rng.random_range(0..problems)).collect();
        for (series, means) in series.iter().zip(&mut means) {
            let sum: f64 = drawn.iter().map(|&at| series.outcomes[at].accuracy).sum();
            means.push(sum / problems as f64);
        }
    }
    means
}

fn point(series: &CurveSeries, means: &[f64]) -> Point {
    let n = series.outcomes.len().max(1) as f64;
    Point {
        strategy: series.strategy.clone(),
        k: series.k,
        tokens: series.outcomes.iter().map(|o| o.tokens).sum::<f64>() / n,
        accuracy: series.outcomes.iter().map(|o| o.accuracy).sum::<f64>() / n,
        ci95: percentiles(means.to_vec()),
    }
}

/// For each strategy, takes the largest setting that fits the budget of the baseline point `base`, and
/// compares it with that point.
fn budget(points: &[Point], resampled: &[Vec<f64>], base: usize) -> Budget {
    let tokens = points[base].tokens;
    let mut strategies: Vec<AtBudget> = Vec::new();
    for (at, point) in points.iter().enumerate() {
        let fits = point.tokens <= tokens * SLACK;
        let known = strategies.iter_mut().find(|s| s.point.strategy == point.strategy);
        let larger = known.as_ref().is_none_or(|s| s.point.tokens < point.tokens);
        if !fits || !larger {
            continue;
        }
        let pairs = resampled[at].iter().zip(&resampled[base]);
        let found = AtBudget {
            point: point.clone(),
            difference: point.accuracy - points[base].accuracy,
            ci95: percentiles(pairs.map(|(a, b)| a - b).collect()),
        };
        match known {
            Some(known) => *known = found,
            None => strategies.push(found),
        }
    }
    Budget { tokens, strategies }
}

/// The 2.5th and the 97.5th percentile; zeros if there are no values.
fn percentiles(mut values: Vec<f64>) -> [f64; 2] {
    if values.is_empty() {
        return [0.0, 0.0];
    }
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    [at(0.025), at(0.975)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::curve::Outcome;

    fn series(strategy: &str, k: u64, tokens: f64, right: impl Fn(usize) -> bool) -> CurveSeries {
        let accuracy = |at| f64::from(u8::from(right(at)));
        let outcomes = (0..100).map(|at| Outcome { tokens, accuracy: accuracy(at) }).collect();
        CurveSeries { strategy: strategy.to_owned(), k, outcomes }
    }

    #[test]
    fn intervals_hold_the_mean_and_have_the_width_of_the_theory() {
        let curve = Curve::of(&[series("majority", 1, 100.0, |at| at < 30)], 0);
        let [low, high] = curve.points[0].ci95;
        // 1.96 standard errors of a share of 0.3 among 100.
        let half = 1.96 * (0.3f64 * 0.7 / 100.0).sqrt();
        assert!((low - (0.3 - half)).abs() < 0.015 && (high - (0.3 + half)).abs() < 0.015);
        assert_eq!(curve, Curve::of(&[series("majority", 1, 100.0, |at| at < 30)], 0));
    }

    #[test]
    fn a_budget_takes_the_most_that_fits_and_compares_problem_by_problem() {
        let all = [
            series("majority", 1, 100.0, |at| at < 30),
            series("majority", 2, 200.0, |at| at < 40),
            series("mcts", 1, 90.0, |at| at < 20),
            series("mcts", 2, 204.0, |at| at < 50),
            series("mcts", 4, 300.0, |at| at < 90),
        ];
        let curve = Curve::of(&all, 0);
        let of = |budget: &Budget| -> Vec<(String, u64)> {
            budget.strategies.iter().map(|s| (s.point.strategy.clone(), s.point.k)).collect()
        };
        assert_eq!(of(&curve.budgets[0]), [("majority".to_owned(), 1), ("mcts".to_owned(), 1)]);
        assert_eq!(of(&curve.budgets[1]), [("majority".to_owned(), 2), ("mcts".to_owned(), 2)]);
        let base = &curve.budgets[1].strategies[0];
        assert_eq!((base.difference, base.ci95), (0.0, [0.0, 0.0]));
        // Nested answers: the difference is one problem in ten, and much more precise than either accuracy.
        let gain = &curve.budgets[1].strategies[1];
        assert!((gain.difference - 0.1).abs() < 1e-12);
        assert!(gain.ci95[0] > 0.03 && gain.ci95[1] < 0.18, "{:?}", gain.ci95);
    }
}
