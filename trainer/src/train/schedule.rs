//! Learning-rate schedule of a run: linear warm-up, then constant, linear or cosine decay.

use schemars::JsonSchema;

use serde::{Deserialize, Serialize};

/// Shape of the decay after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// No decay: the rate stays at its peak.
    Constant,
    /// Linear decay to 0.
    Linear,
    /// Cosine decay to 0, over half a period (docs/paper.md).
    #[default]
    Cosine,
}

/// Learning-rate schedule for a known number of steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Shape of the decay.
    pub kind: ScheduleKind,
    /// Peak learning rate.
    pub peak: f64,
    /// Number of optimizer steps of linear warm-up.
    pub warmup: usize,
    /// Total number of optimizer steps.
    pub steps: usize,
}

impl Schedule {
    /// Creates a schedule of `steps` steps; `warmup` is the share of warm-up steps.
    #[must_use]
    pub fn new(kind: ScheduleKind, peak: f64, warmup: f64, steps: usize) -> Self {
        Self { kind, peak, warmup: (warmup * steps as f64).ceil() as usize, steps }
    }

    /// Learning rate at a step; steps are counted from 1.
    #[must_use]
    pub fn rate(&self, step: usize) -> f64 {
        if step <= self.warmup {
            return self.peak * step as f64 / self.warmup as f64;
        }
        let span = (self.steps.saturating_sub(self.warmup)).max(1) as f64;
        let progress = ((step - self.warmup - 1) as f64 / span).min(1.0);
        self.peak
            * match self.kind {
                ScheduleKind::Constant => 1.0,
                ScheduleKind::Linear => 1.0 - progress,
                ScheduleKind::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warms_up_then_falls() {
        let s = Schedule { kind: ScheduleKind::Linear, peak: 2.0, warmup: 4, steps: 12 };
        assert_eq!(s.rate(1), 0.5);
        assert_eq!(s.rate(4), 2.0);
        assert_eq!(s.rate(5), 2.0);
        assert_eq!(s.rate(9), 1.0);
        assert!(s.rate(12) > 0.0);
    }

    #[test]
    fn cosine_is_half_way_in_the_middle() {
        let s = Schedule { kind: ScheduleKind::Cosine, peak: 1.0, warmup: 0, steps: 10 };
        assert!((s.rate(6) - 0.5).abs() < 1e-12);
    }
}
