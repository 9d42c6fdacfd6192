//! The 95 % interval of a share (Wilson 1927), for all counts that this workspace reports.

/// Two-sided 95 % point of the normal distribution.
pub const Z95: f64 = 1.959_963_984_540_054;

/// Wilson's score interval at 95 % of the share `correct / n`.
#[must_use]
pub fn wilson(correct: u64, n: u64) -> [f64; 2] {
    if n == 0 {
        return [0.0, 1.0];
    }
    let (k, n, z2) = (correct as f64, n as f64, Z95 * Z95);
    let p = k / n;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z95 / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // If `correct` is 0 or n, one end of the interval is exactly the share; rounding must not move it.
    let low = if correct == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if k == n { 1.0 } else { (centre + half).min(1.0) };
    [low, high]
}
