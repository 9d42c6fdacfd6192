//! Dirichlet noise on the priors of a search root, from a keyed stream.
//!
//! The mixture is that of AlphaZero (arXiv:1712.01815); Gamma draws are by Marsaglia and Tsang
//! (2000), normal ones by Box and Muller.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use regrowth_datasets::keyed_rng;

use crate::search::Subject;

/// `(1 - weight) p + weight eta` for the priors of a search root's children; the unchanged priors if no noise
/// is configured.
pub(crate) fn root_priors(subject: &Subject<'_>, priors: Vec<f64>, turn: usize) -> Vec<f64> {
    let Some(noise) = subject.config.root_noise else { return priors };
    let turn = (turn as u64).to_le_bytes();
    let parts: [&[u8]; 3] = [b"noise", subject.problem.id.as_bytes(), &turn];
    let mut rng = keyed_rng(subject.config.seed, &parts);
    let eta = dirichlet(noise.alpha, priors.len(), &mut rng);
    let mixed = priors.iter().zip(eta);
    mixed.map(|(p, eta)| (1.0 - noise.weight) * p + noise.weight * eta).collect()
}

/// A symmetric Dirichlet draw: `count` shares that sum to 1.
fn dirichlet(alpha: f64, count: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let draws: Vec<f64> = (0..count).map(|_| gamma(alpha, rng)).collect();
    let sum: f64 = draws.iter().sum();
    // The sum is 0 only by underflow at tiny alpha.
    draws.iter().map(|d| if sum > 0.0 { d / sum } else { 1.0 / count as f64 }).collect()
}

/// Gamma(alpha, 1) for alpha above 0.
fn gamma(alpha: f64, rng: &mut ChaCha8Rng) -> f64 {
    if alpha < 1.0 {
        // Gamma(a) = Gamma(a + 1) U^(1/a).
        return gamma(alpha + 1.0, rng) * rng.random::<f64>().powf(1.0 / alpha);
    }
    let d = alpha - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let v = (1.0 + c * x).powi(3);
        let u: f64 = rng.random();
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    // 1 - u is in (0, 1], so the logarithm is finite.
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_the_moments_of_a_dirichlet() {
        let mut rng = keyed_rng(1, &[b"test"]);
        for alpha in [0.3, 2.0] {
            let (mut mean, mut square) = (0.0, 0.0);
            let draws = 20_000;
            for _ in 0..draws {
                let shares = dirichlet(alpha, 4, &mut rng);
                assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                mean += shares[0] / f64::from(draws);
                square += shares[0] * shares[0] / f64::from(draws);
            }
            // Mean 1/4, variance (1/4)(3/4) / (4 alpha + 1).
            let variance = 0.1875 / (4.0 * alpha + 1.0);
            assert!((mean - 0.25).abs() < 0.01, "{mean}");
            assert!((square - mean * mean - variance).abs() < 0.01, "{alpha}");
        }
    }
}
