//! Progress of a command: a bar on a terminal, otherwise a line at least every 30 seconds.
//!
//! One thread watches the current phase, so lines appear even while nothing finishes. The same figures are
//! written to `progress.json` in the folder of the run, for `regrowth status`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use regrowth_policy::decorate::Meter;

use super::estimate::{Rest, Standing, TimeEstimate, Work};
use super::state::{ProgressState, unix_time};
use super::{command_line, log, show_bar};

/// Time between two lines without a terminal: below 30 seconds, to keep that limit on a busy machine too.
const LINE_EVERY: Duration = Duration::from_secs(25);

/// Time between two versions of `progress.json`.
const STATE_EVERY: Duration = Duration::from_secs(5);

/// How often the phase is checked and the bar is drawn.
const TICK: Duration = Duration::from_millis(500);

/// Description of a phase of a command.
#[derive(Default)]
pub struct Phase {
    /// Name of the phase, at the beginning of its lines.
    pub name: String,
    /// Unit of the items, such as "trees".
    pub unit: &'static str,
    /// Number of items; 0 if unknown.
    pub total: u64,
    /// Unit in which the work of the phase is measured.
    pub work: Work,
    /// Estimates the time of everything after this phase; `None` if unknown.
    pub rest: Option<Rest>,
}

/// Reports the progress of a command. After it is dropped, nothing is printed.
pub struct Monitor {
    shared: Arc<Shared>,
    watcher: Option<JoinHandle<()>>,
}

struct Shared {
    now: Mutex<Now>,
    /// Notified when there is nothing more to watch.
    ended: Condvar,
    meter: Arc<Meter>,
    started: u64,
}

#[derive(Default)]
struct Now {
    over: bool,
    /// Folder of `progress.json`.
    folder: Option<PathBuf>,
    phase: Option<Running>,
    /// When a line was last written, and when the file was last written.
    line: Option<Instant>,
    state: Option<Instant>,
}

/// The current phase.
struct Running {
    phase: Phase,
    at: Standing,
    message: String,
    started: Instant,
    estimate: TimeEstimate,
    calls: u64,
    tokens: u64,
    bar: Option<ProgressBar>,
}

impl Monitor {
    /// Watches the model calls that `meter` counts.
    #[must_use]
    pub fn new(meter: Arc<Meter>) -> Self {
        let now = Mutex::new(Now::default());
        let shared = Arc::new(Shared { now, ended: Condvar::new(), meter, started: unix_time() });
        let watched = shared.clone();
        let watcher = Some(std::thread::spawn(move || watched.watch()));
        Self { shared, watcher }
    }

    /// From now on writes `progress.json` into `folder`, which this process has locked.
    pub fn keep_in(&self, folder: PathBuf) {
        self.shared.lock().folder = Some(folder);
    }

    /// Begins a phase; the phase before it ends.
    pub fn begin(&self, phase: Phase) {
        self.end();
        let shared = &*self.shared;
        let running = Running::new(phase, &shared.meter);
        show_bar(running.bar.clone());
        if running.bar.is_none() {
            log(&running.heading());
        }
        let mut now = shared.lock();
        now.phase = Some(running);
        now.line = Some(Instant::now());
        shared.write_state(&mut now);
    }

    /// Sets the number of items that an earlier process finished.
    pub fn skip(&self, done: u64) {
        self.change(|running| {
            running.at.done = done;
            running.at.before = done;
        });
    }

    /// Adds one finished item, which took this much work.
    pub fn advance(&self, work: u64, message: String) {
        self.change(|running| {
            running.at.done += 1;
            running.at.finished_work += work;
            running.message = message;
        });
    }

    /// Sets the number of finished items and the number of all items.
    pub fn set(&self, done: u64, total: u64, message: String) {
        self.change(|running| {
            if running.at.done == 0 {
                // Items finished by an earlier process must not count as this process's speed.
                running.at.before = done.saturating_sub(1);
            }
            (running.at.done, running.at.total) = (done, total);
            running.message = message;
        });
    }

    /// Ends the current phase.
    pub fn end(&self) {
        let shared = &*self.shared;
        let ended = shared.lock().phase.take();
        let Some(mut ended) = ended else { return };
        show_bar(None);
        match ended.bar.take() {
            Some(bar) => bar.finish_and_clear(),
            None if ended.at.total > 0 => log(&shared.state(&mut ended, false).text()),
            None => {}
        }
    }

    /// Call when the run in the folder is finished. Removes `progress.json`, because the results contain
    /// more.
    pub fn finished(&self) {
        self.end();
        if let Some(folder) = self.shared.lock().folder.take() {
            ProgressState::remove(&folder);
        }
    }

    fn change(&self, change: impl FnOnce(&mut Running)) {
        if let Some(running) = &mut self.shared.lock().phase {
            change(running);
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // The last progress of an interrupted run stays in its file.
        {
            let mut now = self.shared.lock();
            if now.phase.is_some() {
                self.shared.write_state(&mut now);
            }
            now.over = true;
        }
        self.shared.ended.notify_all();
        show_bar(None);
        if let Some(bar) = self.shared.lock().phase.take().and_then(|running| running.bar) {
            bar.finish_and_clear();
        }
        if let Some(watcher) = self.watcher.take() {
            // A panic of the watcher thread loses nothing.
            let _ = watcher.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Now> {
        // Poisoning can be ignored: only single values are set under this lock.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches the current phase until the monitor is dropped.
    fn watch(&self) {
        let mut now = self.lock();
        while !now.over {
            let waited = self.ended.wait_timeout(now, TICK);
            now = waited.unwrap_or_else(PoisonError::into_inner).0;
            let due = |last: Option<Instant>, every| last.is_none_or(|at| at.elapsed() >= every);
            let (line, file) = (due(now.line, LINE_EVERY), due(now.state, STATE_EVERY));
            if file {
                self.write_state(&mut now);
            }
            let Some(running) = &mut now.phase else { continue };
            let text = self.state(running, true).text();
            match &running.bar {
                Some(bar) => running.draw(bar, text),
                None if line => {
                    now.line = Some(Instant::now());
                    log(&text);
                }
                None => {}
            }
        }
    }

    fn write_state(&self, now: &mut Now) {
        let Now { folder: Some(folder), phase: Some(running), state, .. } = now else { return };
        self.state(running, true).write(folder);
        *state = Some(Instant::now());
    }

    /// Progress of the phase; if `left`, with the remaining time.
    fn state(&self, running: &mut Running, left: bool) -> ProgressState {
        let elapsed = running.started.elapsed();
        let remaining = running.estimate.remaining(running.at, &self.meter, elapsed);
        let seconds = elapsed.as_secs_f64();
        let rest = running.phase.rest.as_ref();
        let run =
            remaining.zip(rest).and_then(|(left, rest)| left.and(rest(seconds + left.seconds)));
        let mut state = ProgressState {
            pid: std::process::id(),
            command: command_line(),
            started: self.started,
            updated: unix_time(),
            phase: running.phase.name.clone(),
            unit: running.phase.unit.to_owned(),
            done: running.estimate.done(running.at, &self.meter),
            total: running.at.total,
            message: running.message.clone(),
            model_calls: self.meter.calls() - running.calls,
            tokens_per_second: (self.meter.tokens() - running.tokens) as f64 / seconds.max(1e-3),
            phase_seconds: seconds,
            ..ProgressState::default()
        };
        if left {
            state.set_left(remaining, run);
        }
        state
    }
}

impl Running {
    fn new(phase: Phase, meter: &Meter) -> Self {
        let at = Standing { total: phase.total, ..Standing::default() };
        let estimate = TimeEstimate::new(phase.work.clone(), meter);
        let (calls, tokens) = (meter.calls(), meter.tokens());
        let bar = std::io::stderr().is_terminal().then(|| bar(phase.total));
        let (message, started) = (String::new(), Instant::now());
        Self { phase, at, message, started, estimate, calls, tokens, bar }
    }

    /// Line printed when the phase begins.
    fn heading(&self) -> String {
        let Phase { name, unit, total, .. } = &self.phase;
        if *total > 0 { format!("{name}: {total} {unit}") } else { name.clone() }
    }

    fn draw(&self, bar: &ProgressBar, text: String) {
        bar.set_length(self.at.total);
        bar.set_position(self.at.done);
        bar.set_message(text);
    }
}

fn bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("[{bar:20}] {wide_msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
