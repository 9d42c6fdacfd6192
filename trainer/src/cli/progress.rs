//! Progress on stderr: a bar on a terminal, a line now and then elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::train::Progress;

/// Steps between the lines printed where there is no terminal.
const LINE_EVERY: usize = 50;

/// Things between the lines printed where there is no terminal.
const COUNT_EVERY: u64 = 100;

/// A bar with a name; hidden where stderr is no terminal.
pub(super) fn bar(name: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let form = "{prefix:>8} [{bar:30}] {pos}/{len} {msg} {elapsed} (eta {eta})";
    if let Ok(style) = ProgressStyle::with_template(form) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(name);
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// Shows one optimizer step.
pub(super) fn step(bar: &ProgressBar, progress: &Progress) {
    bar.set_length(progress.steps as u64);
    bar.set_position(progress.step as u64);
    let shown = [("margin", "rewards/margins"), ("accuracy", "rewards/accuracies")];
    let mut message = format!("loss {:.4}", progress.loss);
    for (name, metric) in shown {
        message +=
            &progress.metrics.mean(metric).map_or(String::new(), |m| format!(" {name} {m:.3}"));
    }
    message += &format!(" {:.0} tokens/s", progress.rate);
    bar.set_message(message.clone());
    if bar.is_hidden()
        && (progress.step.is_multiple_of(LINE_EVERY) || progress.step == progress.steps)
    {
        eprintln!(
            "step {}/{} {message} ({:.0} s)",
            progress.step,
            progress.steps,
            bar.elapsed().as_secs_f64()
        );
    }
}

/// A bar over a known number of things, counted by its caller.
pub(super) fn counted(name: &'static str, total: usize) -> ProgressBar {
    let bar = bar(name);
    bar.set_length(total as u64);
    bar
}

/// One thing more; where there is no terminal, a line now and then.
pub(super) fn advance(bar: &ProgressBar, message: impl FnOnce() -> String) {
    bar.inc(1);
    let (done, total) = (bar.position(), bar.length().unwrap_or(0));
    let line = bar.is_hidden() && (done % COUNT_EVERY == 0 || done == total);
    if !bar.is_hidden() {
        bar.set_message(message());
    } else if line {
        let seconds = bar.elapsed().as_secs_f64();
        eprintln!("{} {done}/{total} {} ({seconds:.0} s)", bar.prefix(), message());
    }
}
