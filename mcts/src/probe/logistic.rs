//! Logistic regression with an L2 penalty, by L-BFGS (Liu and Nocedal 1989).
//!
//! Rows have many values (the model's hidden size), so the Hessian is never computed. Labels may be shares: a
//! label y counts as y right and 1 - y wrong rows. The minimum is unique. Steps, sums and the stopping rule
//! have a fixed order, so equal rows give equal weights.

use std::collections::VecDeque;

/// Rows to fit to.
pub(super) struct Rows<'a> {
    /// `[N, D]`, with mean 0 and about unit standard deviation.
    pub(super) values: &'a [f32],
    /// `[N]`, a share in [0, 1] for each row.
    pub(super) labels: &'a [f64],
}

/// Maximum number of steps; strong penalties take about ten, weak ones a hundred.
const STEPS: usize = 300;

/// The fit ends when no element of the gradient (divided by the number of rows) is larger than this.
const TOLERANCE: f64 = 1e-7;

/// Number of pairs of steps and gradient changes that approximate the Hessian.
const MEMORY: usize = 10;

/// `1 / (1 + e^-x)`.
pub(super) fn probability(odds: f64) -> f64 {
    1.0 / (1.0 + (-odds).exp())
}

/// Cross-entropy of a label, from the log-odds: `ln(1 + e^x) - y x`.
pub(super) fn loss(odds: f64, label: f64) -> f64 {
    odds.max(0.0) + (-odds.abs()).exp().ln_1p() - label * odds
}

/// Log-odds of a row; `weights` has the intercept after the weights.
pub(super) fn odds(weights: &[f64], row: &[f32]) -> f64 {
    /// Number of independent sums, which the CPU adds in parallel.
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (rows, row_rest) = row.as_chunks::<LANES>();
    let (blocks, weights_rest) = weights[..row.len()].as_chunks::<LANES>();
    for (row, weights) in rows.iter().zip(blocks) {
        for (sum, (x, w)) in sums.iter_mut().zip(row.iter().zip(weights)) {
            *sum += f64::from(*x) * w;
        }
    }
    let rest: f64 = row_rest.iter().zip(weights_rest).map(|(x, w)| f64::from(*x) * w).sum();
    sums.iter().sum::<f64>() + rest + weights[row.len()]
}

/// A point of the minimisation.
struct Point {
    weights: Vec<f64>,
    /// Mean loss, including the penalty.
    value: f64,
    gradient: Vec<f64>,
}

impl Rows<'_> {
    /// Returns the weights, followed by the intercept, that minimise the sum of the losses plus `l2 / 2`
    /// times the squared weights. The search starts from `weights`.
    pub(super) fn fit(&self, weights: Vec<f64>, l2: f64) -> Vec<f64> {
        let mut at = self.point(weights, l2);
        let mut memory = VecDeque::with_capacity(MEMORY);
        for _ in 0..STEPS {
            if at.gradient.iter().all(|g| g.abs() < TOLERANCE) {
                break;
            }
            let direction = direction(&memory, &at.gradient);
            let Some(next) = self.descend(&at, &direction, l2) else { break };
            if memory.len() == MEMORY {
                memory.pop_front();
            }
            memory.extend(Change::between(&at, &next));
            at = next;
        }
        at.weights
    }

    fn point(&self, weights: Vec<f64>, l2: f64) -> Point {
        let d = weights.len() - 1;
        let share = 1.0 / self.labels.len() as f64;
        let mut gradient: Vec<f64> = weights.iter().map(|w| share * l2 * w).collect();
        gradient[d] = 0.0; // The intercept has no penalty.
        let mut value = 0.5 * share * l2 * weights[..d].iter().map(|w| w * w).sum::<f64>();
        for (row, &label) in self.values.chunks_exact(d).zip(self.labels) {
            let odds = odds(&weights, row);
            value += share * loss(odds, label);
            let error = share * (probability(odds) - label);
            for (g, x) in gradient.iter_mut().zip(row) {
                *g += error * f64::from(*x);
            }
            gradient[d] += error;
        }
        Point { weights, value, gradient }
    }

    /// Tries steps along a direction, halving the length, and returns the first point with a sufficient
    /// decrease (Armijo's rule); `None` if rounding errors prevent a decrease.
    fn descend(&self, at: &Point, direction: &[f64], l2: f64) -> Option<Point> {
        /// Minimum decrease, as a share of slope times length, and maximum number of lengths to try.
        const ENOUGH: (f64, i32) = (1e-4, 30);
        let slope = dot(&at.gradient, direction);
        (0..ENOUGH.1).map(|halved| 0.5f64.powi(halved)).find_map(|length| {
            let along = at.weights.iter().zip(direction).map(|(w, d)| w + length * d);
            let next = self.point(along.collect(), l2);
            (next.value < at.value && next.value <= at.value + ENOUGH.0 * length * slope)
                .then_some(next)
        })
    }
}

/// A step, and the change of the gradient along it.
struct Change {
    step: Vec<f64>,
    gradient: Vec<f64>,
    /// 1 over the product of step and gradient change.
    rho: f64,
}

impl Change {
    /// `None` if rounding hides the curvature.
    fn between(from: &Point, to: &Point) -> Option<Self> {
        let less = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
        let (step, gradient) =
            (less(&to.weights, &from.weights), less(&to.gradient, &from.gradient));
        let curvature = dot(&step, &gradient);
        (curvature > 0.0).then(|| Self { step, gradient, rho: 1.0 / curvature })
    }
}

/// The two-loop recursion: minus the gradient, times the inverse Hessian approximated from the changes.
fn direction(memory: &VecDeque<Change>, gradient: &[f64]) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for change in memory.iter().rev() {
        let share = change.rho * dot(&change.step, &q);
        add(&mut q, -share, &change.gradient);
        shares.push(share);
    }
    if let Some(last) = memory.back() {
        let scale = 1.0 / (last.rho * dot(&last.gradient, &last.gradient));
        q.iter_mut().for_each(|x| *x *= scale);
    }
    for (change, share) in memory.iter().zip(shares.into_iter().rev()) {
        let other = change.rho * dot(&change.gradient, &q);
        add(&mut q, share - other, &change.step);
    }
    q
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [f64], times: f64, what: &[f64]) {
    to.iter_mut().zip(what).for_each(|(x, y)| *x += times * y);
}
