//! A bar on stderr, on a terminal only: trees, tokens per second, time left.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the bar is drawn again (taste).
const TICK: Duration = Duration::from_millis(250);

/// Progress over `problems` trees.
pub(crate) struct Progress {
    bar: ProgressBar,
    tokens: u64,
}

impl Progress {
    pub(crate) fn new(problems: usize) -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(problems as u64), target);
        let template = "{bar:30} {pos}/{len} trees, {msg}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        // A tree may take long: the time goes on meanwhile.
        bar.enable_steady_tick(TICK);
        Self { bar, tokens: 0 }
    }

    /// One tree more has ended, with so many sampled tokens.
    pub(crate) fn tree(&mut self, tokens: u64) {
        self.tokens += tokens;
        self.bar.inc(1);
        let seconds = self.bar.elapsed().as_secs_f64().max(1e-3);
        self.bar.set_message(format!("{:.0} tokens/s", self.tokens as f64 / seconds));
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
