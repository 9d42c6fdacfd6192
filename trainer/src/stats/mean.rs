//! Mean of a figure over runs with different seeds, with a confidence interval.
//!
//! Intervals over problems show the precision of one policy's accuracy; intervals over seeds show that of the
//! method. There are few runs, so the interval is Student's (1908), computed from the runs' own spread.

use serde::{Deserialize, Serialize};

/// Two-sided 95 % points of Student's distribution for 1, 2, ... degrees of freedom. Above the last entry,
/// the last entry is used, which is slightly too wide.
const T95: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// Mean with a 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// Number of values.
    pub n: usize,
    /// Mean of the values; 0 if there are none.
    pub mean: f64,
    /// Student's 95 % interval; absent for fewer than two values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci95: Option<[f64; 2]>,
}

impl Mean {
    /// Computes the mean of `values`.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n.max(1) as f64;
        let half = (n > 1).then(|| {
            let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
            let error = (squares / (n - 1) as f64 / n as f64).sqrt();
            T95[(n - 2).min(T95.len() - 1)] * error
        });
        Self { n, mean, ci95: half.map(|half| [mean - half, mean + half]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_students() {
        // 1, 2, 3: standard deviation 1, standard error 1 / sqrt(3), times 4.303.
        let three = Mean::of(&[1.0, 2.0, 3.0]);
        let [low, high] = three.ci95.unwrap();
        assert!((three.mean - 2.0).abs() < 1e-12);
        assert!((low - (2.0 - 2.484_338)).abs() < 1e-3 && (high - (2.0 + 2.484_338)).abs() < 1e-3);
        assert_eq!(Mean::of(&[0.5]), Mean { n: 1, mean: 0.5, ci95: None });
        assert_eq!(Mean::of(&[]).mean, 0.0);
        let [low, high] = Mean::of(&[1.0; 100]).ci95.unwrap();
        assert_eq!((low, high), (1.0, 1.0));
    }
}
