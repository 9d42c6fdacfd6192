//! How long a phase will take, from how fast it was so far.
//!
//! Speed is measured from the first answer of this process on: what a log answers when a run resumes
//! costs no time and must not make the rest look cheap. A figure that is a bound is called one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use regrowth_policy::decorate::Meter;
use serde::{Deserialize, Serialize};

/// Finished items from which their mean work stands for the items to come.
const ENOUGH_ITEMS: u64 = 5;

/// Least time of measurement from which a speed means something.
const ENOUGH_TIME: Duration = Duration::from_secs(2);

/// What a phase is measured by.
#[derive(Debug, Clone, Default)]
pub enum Work {
    /// By its items alone.
    #[default]
    Items,
    /// By answered calls, one an item: items are delivered in order, answers come earlier.
    Calls,
    /// By a count that grows while items are in flight (simulations of trees), of which one item takes
    /// at most so many.
    Counted(Arc<AtomicU64>, u64),
}

/// What comes behind the phase in hand, given the seconds that the phase will have taken as a whole.
pub type Rest = Box<dyn Fn(f64) -> Remaining + Send>;

/// Time that is left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Remaining {
    /// Seconds.
    pub seconds: f64,
    /// How they are meant.
    pub bound: Bound,
}

/// How a figure is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// As an estimate.
    #[default]
    About,
    /// It may well be less.
    AtMost,
    /// Something is not in it.
    AtLeast,
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::About => "about",
            Self::AtMost => "at most",
            Self::AtLeast => "at least",
        })
    }
}

impl Remaining {
    /// This and what comes behind it; nothing where one is more and the other less than it says.
    pub(super) fn and(self, behind: Self) -> Option<Self> {
        let bound = match (self.bound, behind.bound) {
            (one, other) if one == other => one,
            (bound, Bound::About) | (Bound::About, bound) => bound,
            _ => return None,
        };
        Some(Self { seconds: self.seconds + behind.seconds, bound })
    }
}

/// How far a phase is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Standing {
    /// Items that are done, those of earlier processes included.
    pub(super) done: u64,
    /// Items that were done before.
    pub(super) before: u64,
    /// Items of the phase; 0 if that is not known.
    pub(super) total: u64,
    /// Work of the items that this process finished.
    pub(super) finished_work: u64,
}

/// Measures the speed of one phase.
#[derive(Debug)]
pub(super) struct TimeEstimate {
    work: Work,
    /// Calls when the phase began.
    calls: u64,
    /// Work and time when the first call of this process was answered.
    base: Option<(f64, Duration)>,
}

impl TimeEstimate {
    pub(super) fn new(work: Work, meter: &Meter) -> Self {
        Self { work, calls: meter.calls(), base: None }
    }

    /// Items that are done: answered ones too, where an item is one call and waits for its turn.
    pub(super) fn done(&self, at: Standing, meter: &Meter) -> u64 {
        match self.work {
            Work::Calls => at.done.max(at.before + meter.calls() - self.calls).min(at.total),
            Work::Items | Work::Counted(..) => at.done,
        }
    }

    /// Time left, `elapsed` after the beginning; `None` while there is nothing to tell it from.
    pub(super) fn remaining(
        &mut self,
        at: Standing,
        meter: &Meter,
        elapsed: Duration,
    ) -> Option<Remaining> {
        let live = meter.calls() - self.calls;
        let WorkShare { done, left, is_bound } = self.work(at, live);
        if self.base.is_none() && (live > 0 || matches!(self.work, Work::Items)) {
            self.base = Some((done, elapsed));
        }
        let (base, since) = self.base?;
        let time = elapsed.checked_sub(since).filter(|time| *time >= ENOUGH_TIME)?;
        let speed = (done - base) / time.as_secs_f64();
        let known = at.total > 0 && speed > 0.0;
        let bound = if is_bound { Bound::AtMost } else { Bound::About };
        known.then(|| Remaining { seconds: left / speed, bound })
    }

    fn work(&self, at: Standing, live: u64) -> WorkShare {
        let items = at.total.saturating_sub(at.before);
        let finished = at.done - at.before;
        match &self.work {
            Work::Items => WorkShare::known(finished, items - finished.min(items)),
            Work::Calls => {
                let answered = finished.max(live).min(items);
                WorkShare::known(answered, items - answered)
            }
            Work::Counted(count, most) => {
                // Relaxed: a statistic.
                let done = count.load(Ordering::Relaxed);
                let seen = finished >= ENOUGH_ITEMS;
                let mean = at.finished_work as f64 / finished.max(1) as f64;
                let each = if seen { mean } else { *most as f64 };
                let all = at.finished_work as f64 + (items - finished.min(items)) as f64 * each;
                let left = (all - done as f64).max(0.0);
                WorkShare { done: done as f64, left, is_bound: !seen }
            }
        }
    }
}

/// Work done and work left.
struct WorkShare {
    done: f64,
    left: f64,
    /// Whether `left` is an upper bound.
    is_bound: bool,
}

impl WorkShare {
    fn known(done: u64, left: u64) -> Self {
        Self { done: done as f64, left: left as f64, is_bound: false }
    }
}

/// Seconds in words, with two units at most.
#[must_use]
pub fn duration(seconds: f64) -> String {
    // A negative or unknown number of seconds is none.
    let seconds = seconds.max(0.0).round() as u64;
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) if m < 10 => format!("{m} min {s} s"),
        (0, 0, m, _) => format!("{m} min"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_policy::{Response, Scores, Usage};

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn what_was_done_before_makes_nothing_faster() {
        let meter = Meter::default();
        let mut estimate = TimeEstimate::new(Work::Items, &meter);
        let at = |done| Standing { done, before: 50, total: 100, finished_work: 0 };
        assert_eq!(estimate.remaining(at(50), &meter, seconds(0)), None);
        // Ten of fifty in 20 seconds: the other forty take 80.
        let left = estimate.remaining(at(60), &meter, seconds(20)).unwrap();
        assert_eq!((left.seconds, left.bound), (80.0, Bound::About));
    }

    #[test]
    fn trees_in_flight_count_by_their_simulations_and_a_bound_is_called_one() {
        let meter = Meter::default();
        let count = Arc::new(AtomicU64::new(0));
        let mut estimate = TimeEstimate::new(Work::Counted(count.clone(), 10), &meter);
        let at = |done, finished_work| Standing { done, before: 0, total: 20, finished_work };
        // Nothing was answered yet but by a log, however much.
        count.store(40, Ordering::Relaxed);
        assert_eq!(estimate.remaining(at(0, 0), &meter, seconds(5)), None);
        meter.answered(&Response::Scores(Scores {
            logps: vec![],
            greedy: vec![],
            usage: Usage::default(),
        }));
        assert_eq!(estimate.remaining(at(0, 0), &meter, seconds(6)), None);
        count.store(80, Ordering::Relaxed);
        // 40 more in 10 seconds, at most 120 of 200 to come.
        let left = estimate.remaining(at(0, 0), &meter, seconds(16)).unwrap();
        assert_eq!((left.seconds, left.bound), (30.0, Bound::AtMost));
        // Ten trees took 5 simulations each: 50 are to come of 100, 20 of them are done.
        count.store(70, Ordering::Relaxed);
        let left = estimate.remaining(at(10, 50), &meter, seconds(16)).unwrap();
        assert_eq!((left.seconds, left.bound), (10.0, Bound::About));
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let said: Vec<_> = [0.4, 59.6, 125.0, 3599.0, 7500.0, 90_000.0].map(duration).into();
        assert_eq!(said, ["0 s", "1 min 0 s", "2 min 5 s", "59 min", "2 h 5 min", "1 d 1 h"]);
    }
}
