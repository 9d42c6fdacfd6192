//! Estimates the remaining time of a phase from its speed so far.
//!
//! Speed is measured from the first response in this process. Responses that a log gives when a run resumes
//! cost no time, and must not make the remaining work look fast. A figure that is a bound is labelled as a
//! bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use regrowth_policy::decorate::Meter;
use serde::{Deserialize, Serialize};

/// Once this many items are finished, their mean work is used for the remaining items.
const ENOUGH_ITEMS: u64 = 5;

/// Minimum of counted work (simulations) for a speed. All trees in flight begin together, so a speed from the
/// first finished simulations would be far too low: the time spent on many trees would count for one
/// simulation.
const ENOUGH_WORK: f64 = 20.0;

/// Minimum time of measurement for a speed.
const ENOUGH_TIME: Duration = Duration::from_secs(2);

/// Unit in which the work of a phase is measured.
#[derive(Debug, Clone, Default)]
pub enum Work {
    /// Finished items.
    #[default]
    Items,
    /// Answered calls, one per item: items are delivered in order, but responses arrive earlier.
    Calls,
    /// A counter that grows while items are in flight (simulations of trees), and its maximum for one item.
    Counted(Arc<AtomicU64>, u64),
}

/// Estimates the time of everything after the current phase. The argument is the total time of the current
/// phase, in seconds.
pub type Rest = Box<dyn Fn(f64) -> Remaining + Send>;

/// Remaining time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Remaining {
    /// Number of seconds.
    pub seconds: f64,
    /// How exact the number is.
    pub bound: Bound,
}

/// How exact a figure is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// An estimate.
    #[default]
    About,
    /// An upper bound; the actual time may be much shorter.
    AtMost,
    /// A lower bound; some work is not included.
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
    /// The sum of this time and the time after it. `None` if one is an upper bound and the other a lower
    /// bound.
    pub(super) fn and(self, behind: Self) -> Option<Self> {
        let bound = match (self.bound, behind.bound) {
            (one, other) if one == other => one,
            (bound, Bound::About) | (Bound::About, bound) => bound,
            _ => return None,
        };
        Some(Self { seconds: self.seconds + behind.seconds, bound })
    }
}

/// Progress of a phase.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Standing {
    /// Number of finished items, including those of earlier processes.
    pub(super) done: u64,
    /// Number of items finished by earlier processes.
    pub(super) before: u64,
    /// Number of all items of the phase; 0 if unknown.
    pub(super) total: u64,
    /// Work of the items that this process finished.
    pub(super) finished_work: u64,
}

/// Measures the speed of one phase.
#[derive(Debug)]
pub(super) struct TimeEstimate {
    work: Work,
    /// Number of calls when the phase began.
    calls: u64,
    /// Work and time when the first call of this process was answered.
    base: Option<(f64, Duration)>,
}

impl TimeEstimate {
    pub(super) fn new(work: Work, meter: &Meter) -> Self {
        Self { work, calls: meter.calls(), base: None }
    }

    /// Number of finished items. If an item is one call, items that are answered but not delivered yet are
    /// included.
    pub(super) fn done(&self, at: Standing, meter: &Meter) -> u64 {
        match self.work {
            Work::Calls => at.done.max(at.before + meter.calls() - self.calls).min(at.total),
            Work::Items | Work::Counted(..) => at.done,
        }
    }

    /// Remaining time, `elapsed` after the beginning; `None` while there is too little data.
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
        let enough = if is_bound { ENOUGH_WORK } else { 0.0 };
        let speed = (done - base) / time.as_secs_f64();
        let known = at.total > 0 && speed > 0.0 && done - base >= enough;
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

/// Seconds in words, with at most two units.
#[must_use]
pub fn duration(seconds: f64) -> String {
    // A negative number of seconds or NaN is shown as 0.
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
        // So far, all responses came from a log, although for many simulations.
        count.store(40, Ordering::Relaxed);
        assert_eq!(estimate.remaining(at(0, 0), &meter, seconds(5)), None);
        meter.answered(&Response::Scores(Scores {
            logps: vec![],
            greedy: vec![],
            usage: Usage::default(),
        }));
        assert_eq!(estimate.remaining(at(0, 0), &meter, seconds(6)), None);
        // The first simulations of many trees in flight say nothing about the speed.
        count.store(59, Ordering::Relaxed);
        assert_eq!(estimate.remaining(at(0, 0), &meter, seconds(16)), None);
        count.store(80, Ordering::Relaxed);
        // 40 more simulations in 10 seconds; at most 120 of 200 remain.
        let left = estimate.remaining(at(0, 0), &meter, seconds(16)).unwrap();
        assert_eq!((left.seconds, left.bound), (30.0, Bound::AtMost));
        // Ten trees took 5 simulations each, so 100 are expected in total; 70 are done.
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
