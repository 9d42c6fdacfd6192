//! Kendall's tau-b between two rankings that are compared pair by pair.
//!
//! As in Oh et al. 2024 (arXiv:2410.06965), each comparison is one preference pair: the preference gives the
//! better side, a factor gives the side that has more of it. Sides of different pairs are never compared.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::interval::wilson;

/// How often two rankings of the same pairs agree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concordance {
    /// Number of comparisons in which both rankings put the same side first.
    pub agree: u64,
    /// Number of comparisons in which they put different sides first.
    pub against: u64,
    /// Number of comparisons in which only the first ranking is tied.
    #[serde(skip)]
    pub first_tied: u64,
    /// Number of comparisons in which only the second ranking is tied.
    pub tied: u64,
}

impl Concordance {
    /// Counts one comparison. A comparison that is tied in both rankings does not enter tau-b.
    pub fn add(&mut self, first: Ordering, second: Ordering) {
        match (first, second) {
            (Ordering::Equal, Ordering::Equal) => {}
            (Ordering::Equal, _) => self.first_tied += 1,
            (_, Ordering::Equal) => self.tied += 1,
            (first, second) if first == second => self.agree += 1,
            _ => self.against += 1,
        }
    }

    /// Kendall's tau-b, in [-1, 1] (Kendall 1945): agreements minus disagreements, divided by the geometric
    /// mean of the number of comparisons untied in the first ranking and the number untied in the second.
    /// `None` if no comparison is untied in both.
    #[must_use]
    pub fn tau_b(&self) -> Option<f64> {
        let untied = (self.agree + self.against) as f64;
        let product = (untied + self.tied as f64) * (untied + self.first_tied as f64);
        let difference = self.agree as f64 - self.against as f64;
        (untied > 0.0).then(|| difference / product.sqrt())
    }

    /// 95 % interval of [`Self::tau_b`]: Wilson's interval of the share of agreements, with the ties that
    /// occur. It assumes that pairs are independent. Pairs of one tree are not, so the interval is too narrow
    /// if trees give many pairs.
    #[must_use]
    pub fn ci95(&self) -> Option<[f64; 2]> {
        let untied = self.agree + self.against;
        let full = Self { agree: untied, against: 0, ..*self }.tau_b()?;
        Some(wilson(self.agree, untied).map(|share| (2.0 * share - 1.0) * full))
    }
}

impl FromIterator<(Ordering, Ordering)> for Concordance {
    fn from_iter<T: IntoIterator<Item = (Ordering, Ordering)>>(comparisons: T) -> Self {
        let mut counts = Self::default();
        comparisons.into_iter().for_each(|(first, second)| counts.add(first, second));
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_samples(x: &[f64], y: &[f64]) -> Concordance {
        let pairs = (0..x.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        pairs.map(|(i, j)| (x[i].total_cmp(&x[j]), y[i].total_cmp(&y[j]))).collect()
    }

    /// `scipy.stats.kendalltau(x, y)` of scipy 1.17.1, which compares all samples with each other
    /// (`benches/peers/tau_b.py`).
    #[test]
    fn tau_b_is_that_of_scipy() {
        let cases: [(&[f64], &[f64], f64); 3] = [
            (&[1., 2., 3., 4., 5., 6.], &[2., 1., 4., 3., 6., 5.], 0.6),
            (&[1., 1., 2., 2., 3., 3., 4.], &[5., 5., 1., 2., 2., 3., 9.], 0.05407380704358751),
            (
                &[0., 0., 0., 1., 1., 1., 0., 1.],
                &[0.5, -2., 3.25, -2., 0.5, -7., 3.25, -2.],
                -0.5734146386569556,
            ),
        ];
        for (x, y, expected) in cases {
            let tau = of_samples(x, y).tau_b().unwrap();
            assert!((tau - expected).abs() < 1e-12, "{tau} is not {expected}");
        }
    }

    #[test]
    fn a_ranking_without_order_has_no_tau() {
        assert_eq!(of_samples(&[1.0, 1.0], &[1.0, 2.0]).tau_b(), None);
        assert_eq!(Concordance::default().ci95(), None);
    }

    #[test]
    fn the_interval_holds_the_estimate_and_narrows() {
        let counts = |n: u64| Concordance { agree: 6 * n, against: 3 * n, first_tied: 0, tied: n };
        let width = |c: Concordance| {
            let ([low, high], tau) = (c.ci95().unwrap(), c.tau_b().unwrap());
            assert!(low < tau && tau < high && low >= -1.0 && high <= 1.0);
            high - low
        };
        assert!(width(counts(100)) < 0.2 * width(counts(2)));
    }
}
