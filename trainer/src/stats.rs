//! Confidence intervals and tests for counts of solved problems.
//!
//! All functions are pure functions of counts. Sources: Wilson 1927 for one share, McNemar 1947 (exact) and
//! Bonett and Price 2012 for two policies on the same problems, Chen et al. 2021 (arXiv:2107.03374, eq. 1)
//! for pass@k.

mod mean;

use regrowth_mcts::interval::Z95;
use serde::{Deserialize, Serialize};

pub use self::mean::Mean;
pub use regrowth_mcts::interval::wilson;

/// Right answers among answered problems, with a 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Number of problems.
    pub n: u64,
    /// Number of problems answered right.
    pub correct: u64,
    /// `correct / n`; 0 if `n` is 0.
    pub accuracy: f64,
    /// Wilson's 95 % interval; [0, 1] if `n` is 0.
    pub ci95: [f64; 2],
}

impl Share {
    /// The share `correct / n`.
    #[must_use]
    pub fn new(correct: u64, n: u64) -> Self {
        let accuracy = if n == 0 { 0.0 } else { correct as f64 / n as f64 };
        Self { n, correct, accuracy, ci95: wilson(correct, n) }
    }

    /// Counts the `true` values.
    pub fn of(solved: impl IntoIterator<Item = bool>) -> Self {
        let (mut n, mut correct) = (0, 0);
        for solved in solved {
            n += 1;
            correct += u64::from(solved);
        }
        Self::new(correct, n)
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [low, high] = self.ci95.map(|v| 100.0 * v);
        let percent = 100.0 * self.accuracy;
        write!(f, "{percent:.1} % [{low:.1}, {high:.1}] ({} of {})", self.correct, self.n)
    }
}

/// Comparison of two policies on the same problems.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// Number of problems that both policies answered.
    pub n: u64,
    /// Number of problems that only the second policy solved.
    pub gained: u64,
    /// Number of problems that only the first policy solved.
    pub lost: u64,
    /// Accuracy of the second policy minus that of the first.
    pub difference: f64,
    /// 95 % interval of the difference (Bonett and Price 2012, adjusted Wald).
    pub ci95: [f64; 2],
    /// Two-sided p-value of the exact McNemar test.
    pub p_value: f64,
}

impl Paired {
    /// Compares two policies problem by problem; each outcome is `(first solved it, second solved it)`.
    pub fn of(outcomes: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let (mut n, mut gained, mut lost) = (0, 0, 0);
        for outcome in outcomes {
            n += 1;
            gained += u64::from(outcome == (false, true));
            lost += u64::from(outcome == (true, false));
        }
        Self::new(n, gained, lost)
    }

    /// Builds the comparison from the counts of problems that only one policy solved.
    #[must_use]
    pub fn new(n: u64, gained: u64, lost: u64) -> Self {
        let total = (n as f64).max(1.0);
        let difference = (gained as f64 - lost as f64) / total;
        let (up, down) = ((gained + 1) as f64 / (n + 2) as f64, (lost + 1) as f64 / (n + 2) as f64);
        let half = Z95 * ((up + down - (up - down).powi(2)) / (n + 2) as f64).sqrt();
        let centre = up - down;
        let ci95 = [(centre - half).max(-1.0), (centre + half).min(1.0)];
        Self { n, gained, lost, difference, ci95, p_value: mcnemar(gained, lost) }
    }
}

/// Formats a p-value with its significant digits.
#[must_use]
pub fn p_value(p: f64) -> String {
    if p < 1e-4 { format!("{p:.1e}") } else { format!("{p:.4}") }
}

/// Exact two-sided McNemar test: the binomial test of `gained` against `lost` at one half.
#[must_use]
pub fn mcnemar(gained: u64, lost: u64) -> f64 {
    let n = gained + lost;
    let few = gained.min(lost);
    // Sum of C(n, i) / 2^n for i up to `few`, in logarithms so that large counts do not overflow.
    let mut log_term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = log_term.exp();
    for i in 1..=few {
        log_term += ((n - i + 1) as f64 / i as f64).ln();
        tail += log_term.exp();
    }
    (2.0 * tail).min(1.0)
}

/// Unbiased estimate of pass@k: the probability that at least one of `k` samples is right, if `correct` of
/// `n` samples were (Chen et al. 2021, eq. 1). `None` if `k` or `correct` exceeds `n`.
#[must_use]
pub fn pass_at_k(n: u64, correct: u64, k: u64) -> Option<f64> {
    if k > n || correct > n {
        return None;
    }
    let wrong = n - correct;
    if wrong < k {
        return Some(1.0);
    }
    // C(wrong, k) / C(n, k) as a product.
    let none: f64 = (0..k).map(|i| (wrong - i) as f64 / (n - i) as f64).product();
    Some(1.0 - none)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance, "{a} is not {b}");
    }

    #[test]
    fn wilson_as_in_the_literature() {
        // Newcombe 1998, Statistics in Medicine 17:857, table I: 81 of 263, 15 of 148, 0 of 20.
        for (correct, n, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]
        {
            let [a, b] = wilson(correct, n);
            near(a, low, 5e-5);
            near(b, high, 5e-5);
        }
        assert_eq!(wilson(5, 5)[1], 1.0);
        assert_eq!(wilson(0, 0), [0.0, 1.0]);
    }

    #[test]
    fn mcnemar_is_the_binomial_test() {
        near(mcnemar(8, 2), 2.0 * (1.0 + 10.0 + 45.0) / 1024.0, 1e-12);
        near(mcnemar(2, 8), mcnemar(8, 2), 1e-15);
        assert_eq!(mcnemar(0, 0), 1.0);
        assert_eq!(mcnemar(7, 7), 1.0);
        assert_eq!(mcnemar(0, 1), 1.0);
        near(mcnemar(0, 10), 2.0 / 1024.0, 1e-12);
        // 121 gained, 27 lost: log10 p is about -14.7 (7.7 standard deviations in the normal approximation).
        // Very large counts must not overflow.
        assert!(mcnemar(121, 27) < 1e-13 && mcnemar(121, 27) > 1e-17);
        assert!(mcnemar(60_000, 50_000) >= 0.0);
    }

    #[test]
    fn pass_at_k_counts_subsets() {
        near(pass_at_k(4, 1, 2).unwrap(), 0.5, 1e-12);
        near(pass_at_k(5, 2, 3).unwrap(), 1.0 - 1.0 / 10.0, 1e-12);
        near(pass_at_k(32, 8, 1).unwrap(), 0.25, 1e-12);
        assert_eq!(pass_at_k(4, 0, 4), Some(0.0));
        assert_eq!(pass_at_k(4, 3, 2), Some(1.0));
        assert_eq!(pass_at_k(4, 1, 5), None);
    }

    #[test]
    fn paired_counts_and_brackets_the_difference() {
        let outcomes = [(true, true), (false, true), (false, true), (true, false), (false, false)];
        let paired = Paired::of(outcomes);
        assert_eq!((paired.n, paired.gained, paired.lost), (5, 2, 1));
        near(paired.difference, 0.2, 1e-12);
        assert!(paired.ci95[0] < 0.2 && paired.ci95[1] > 0.2);
        // Bonett and Price's formula by hand: n 100, 15 gained, 5 lost.
        let paired = Paired::new(100, 15, 5);
        let (up, down) = (16.0 / 102.0, 6.0 / 102.0);
        let half = 1.959_964 * f64::sqrt((up + down - (up - down) * (up - down)) / 102.0);
        near(paired.ci95[0], up - down - half, 1e-6);
        near(paired.ci95[1], up - down + half, 1e-6);
    }

    #[test]
    fn shares_print_percent_and_counts() {
        let share = Share::of([true, false, true, true]);
        assert_eq!((share.n, share.correct, share.accuracy), (4, 3, 0.75));
        assert!(share.to_string().starts_with("75.0 % ["), "{share}");
        assert_eq!(Share::of([]).accuracy, 0.0);
    }
}
