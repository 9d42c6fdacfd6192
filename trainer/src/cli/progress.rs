//! Progress of this program's commands, on the console that both binaries share.

use std::sync::Arc;

use regrowth_mcts::console::{Monitor, Phase, Work};
use regrowth_policy::decorate::Meter;

use crate::train;

/// Starts the display of one phase. If its number of items is not known yet, the first `step` sets it.
pub(super) fn over(
    name: impl Into<String>,
    unit: &'static str,
    total: usize,
    work: Work,
    meter: &Arc<Meter>,
) -> Monitor {
    let progress = Monitor::new(meter.clone());
    let (name, total) = (name.into(), total as u64);
    progress.begin(Phase { name, unit, total, work, rest: None });
    progress
}

/// Shows one optimizer step.
pub(super) fn step(progress: &Monitor, step: &train::StepProgress) {
    let shown = [("margin", "rewards/margins"), ("accuracy", "rewards/accuracies")];
    let mut message = format!("loss {:.4}", step.loss);
    for (name, metric) in shown {
        message += &step.metrics.mean(metric).map_or(String::new(), |m| format!(" {name} {m:.3}"));
    }
    message += &format!(" {:.0} tokens/s", step.rate);
    progress.set(step.step as u64, step.steps as u64, message);
}
