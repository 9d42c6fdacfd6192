//! Finds the best number of requests in flight for a server from its throughput.
//!
//! Hill climbing on throughput: the limit is doubled while doubling it raises throughput by at least 10 %, and halved
//! while the higher limit gains at most 8 % over the lower one. Rules based on latency (TCP Vegas, the
//! gradient algorithm of Netflix's concurrency-limits) would stop too early: with continuous batching, more
//! requests in flight raise the latency of each request and still raise the throughput. Throughput is counted
//! in tokens, because the time of a request depends on its tokens; a judge's question has only one.
//!
//! The current time is an argument, so that tests need no clock.

use std::time::Duration;

/// Maximum initial limit. Servers with a smaller capacity are found by halving it, larger ones by doubling.
const START: usize = 32;

/// Tokens added per answer for its prompt, which takes about as long as this many generated tokens (a guess, not tuned).
const PROMPT_TOKENS: u64 = 4;

/// Length of a measurement window: this many answers per slot, and at least `LEAST_ANSWERS` in total. Requests that
/// cross its start are counted in it and those that cross its end are not; the difference is then small.
const ANSWERS_PER_SLOT: usize = 4;
const LEAST_ANSWERS: usize = 64;

/// Gains in throughput as shares of the increase in requests in flight; 0.1 means that a doubling brings 10 %. A
/// higher limit on trial is kept if its gain is at least `WORTH_RAISING`, a lower one unless the higher limit gains more
/// than `WORTH_KEEPING` over it.
const WORTH_RAISING: f64 = 0.1;
const WORTH_KEEPING: f64 = 0.08;
/// Share below which a gain may be noise: the lower limit is tried again before the next higher one.
const SURE: f64 = 0.5;

/// Minimum share of the limit that must be in flight for a window to be informative.
const SATURATED: f64 = 0.8;
/// Minimum ratio of the requests in flight of two windows for a comparison.
const APART: f64 = 1.2;

/// Windows between two unsuccessful trials once both sides were tried; doubled from the first value up to the
/// second.
const FIRST_REST: u32 = 16;
const LONGEST_REST: u32 = 64;

/// A change in throughput by this share at an unchanged limit means that the server has changed.
const CHANGED: f64 = 0.25;

/// Weight of the newest window in the moving average of the throughput.
const NEWEST: f64 = 0.3;

/// Refusals within this time count as one overload, because all requests in flight at that time fail.
const ONE_OVERLOAD: Duration = Duration::from_secs(1);

/// The limit of one server.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    limit: usize,
    most: usize,
    phase: Phase,
    window: Window,
    /// Throughput measured at the limit that is kept; during a trial, that of `instead_of`. `None` if it has not been
    /// measured or is outdated.
    kept: Option<Measured>,
    /// If true, a higher limit is tried next, otherwise a lower one.
    raise: bool,
    /// Number of windows to wait after the next unsuccessful trial: 0 after the first one, because the other side is
    /// tried at once; then 16, 32, 64.
    rest: u32,
    /// Time at which a refusal last halved the limit.
    halved: Option<Duration>,
}

/// State of the search for the best limit.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// The limit is kept for this many more windows; then another one is tried.
    Keep(u32),
    /// The limit is on trial, in place of `instead_of`.
    Try { instead_of: usize },
    /// The server refused requests because it was overloaded. The limit grows by one per `limit` answers, up
    /// to the limit at which the server refused.
    Recover { refused: usize, answers: usize },
}

/// Measurement window: the answers at one limit.
#[derive(Debug, Default)]
struct Window {
    /// Number of answers to ignore: they belong to requests from before the limit changed.
    skip: usize,
    begun: Duration,
    answers: usize,
    tokens: u64,
    /// Requests in flight, summed over the answers.
    in_flight: u64,
}

/// Result of a window.
#[derive(Debug, Clone, Copy)]
struct Measured {
    /// Tokens per second.
    speed: f64,
    /// Mean number of requests in flight.
    in_flight: f64,
}

impl ConcurrencyLimit {
    /// Creates a limit that never exceeds `most`; 0 counts as 1.
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        let mut limit = most;
        while limit > START {
            // Halving repeatedly lets later doublings end exactly at `most`.
            limit = limit.div_ceil(2);
        }
        Self {
            limit,
            most,
            phase: Phase::Keep(0),
            window: Window { skip: limit, ..Window::default() },
            kept: None,
            raise: true,
            rest: 0,
            halved: None,
        }
    }

    /// The current limit.
    pub(super) fn get(&self) -> usize {
        self.limit
    }

    /// The next higher limit to try; the current one if it is the maximum.
    pub(super) fn next_higher(&self) -> usize {
        (2 * self.limit).min(self.most)
    }

    /// Counts tokens that the server generated.
    pub(super) fn generated(&mut self, tokens: usize) {
        self.window.tokens += tokens as u64;
    }

    /// Records an answer at time `now`. `in_flight` is the number of requests that were in flight or waited
    /// for a slot, including this one.
    pub(super) fn answered(&mut self, now: Duration, in_flight: usize) {
        if let Phase::Recover { refused, answers } = &mut self.phase {
            *answers += 1;
            if *answers >= self.limit {
                (*answers, self.limit) = (0, (self.limit + 1).min(*refused));
            }
            if self.limit >= *refused {
                self.keep(self.limit, 0);
            }
            return;
        }
        let window = &mut self.window;
        if window.skip > 0 {
            window.skip -= 1;
            (window.begun, window.tokens) = (now, 0);
            return;
        }
        window.answers += 1;
        window.tokens += PROMPT_TOKENS;
        window.in_flight += in_flight.min(self.limit) as u64;
        // The number of answers is a multiple of the limit, so that servers that answer all requests at once are
        // measured without a remainder.
        let rounds = ANSWERS_PER_SLOT.max(LEAST_ANSWERS.div_ceil(self.limit));
        if window.answers < rounds * self.limit || now <= window.begun {
            return;
        }
        let measured = window.measured(now);
        self.window = Window { begun: now, ..Window::default() };
        self.evaluate_window(measured);
    }

    /// Records at time `now` that the server refused a request because it was overloaded.
    pub(super) fn overloaded(&mut self, now: Duration) {
        if self.halved.is_some_and(|last| now.saturating_sub(last) < ONE_OVERLOAD) {
            return;
        }
        self.halved = Some(now);
        self.phase = Phase::Recover { refused: self.limit, answers: 0 };
        // During a trial this was measured at another limit.
        self.kept = None;
        self.limit = (self.limit / 2).max(1);
    }

    /// Chooses the next state after a complete window.
    fn evaluate_window(&mut self, measured: Measured) {
        let saturated = measured.in_flight >= SATURATED * self.limit as f64;
        match (self.phase, self.kept) {
            // The caller has too few requests to reach the limit, so the window shows nothing about it, and
            // the earlier measurement becomes outdated.
            (Phase::Keep(_), _) if !saturated => self.kept = None,
            (Phase::Keep(rest), _) => self.watch(measured, rest),
            (Phase::Try { instead_of }, Some(kept)) => {
                let raised = self.limit > instead_of;
                let (low, high) = if raised { (kept, measured) } else { (measured, kept) };
                let share = low.share_of_increase(high).filter(|_| raised || saturated);
                self.choose(measured, instead_of, share);
            }
            _ => self.keep(self.limit, 0),
        }
    }

    /// Updates the throughput at the current limit, and tries another limit after `rest` windows or when the
    /// server has changed.
    fn watch(&mut self, measured: Measured, rest: u32) {
        let changed = self.kept.is_some_and(|kept| kept.is_other(measured));
        let same = self.kept.filter(|_| !changed);
        self.kept = Some(same.map_or(measured, |kept| kept.with(measured)));
        if changed {
            self.rest = 0;
        }
        match rest {
            1.. if !changed => self.phase = Phase::Keep(rest - 1),
            _ => self.try_another(),
        }
    }

    /// Chooses between the limit on trial and `instead_of`. `share` is the gain in throughput as a share of
    /// the increase in requests in flight; `None` if it could not be measured.
    fn choose(&mut self, measured: Measured, instead_of: usize, share: Option<f64>) {
        let raised = self.limit > instead_of;
        let better = |share: f64| match raised {
            true => share >= WORTH_RAISING,
            false => share <= WORTH_KEEPING,
        };
        if !share.is_some_and(better) {
            self.raise = !raised;
            self.keep(instead_of, self.rest);
            self.rest = (2 * self.rest).clamp(FIRST_REST, LONGEST_REST);
            return;
        }
        self.kept = Some(measured);
        if raised && share.is_some_and(|share| share < SURE) {
            (self.raise, self.rest) = (false, 0);
            return self.keep(self.limit, 0);
        }
        // The other side needs no trial: the current limit was reached from there.
        self.rest = FIRST_REST;
        self.try_another();
    }

    /// Starts a trial of the next limit, on whichever side one exists.
    fn try_another(&mut self) {
        let instead_of = self.limit;
        let (higher, lower) = (self.next_higher(), (instead_of / 2).max(1));
        let next = match self.raise {
            true if higher > instead_of => higher,
            false if lower < instead_of => lower,
            true => lower,
            false => higher,
        };
        self.raise = next > instead_of;
        self.phase = match next == instead_of {
            true => Phase::Keep(LONGEST_REST),
            false => Phase::Try { instead_of },
        };
        self.set(next);
    }

    /// Keeps a limit for `rest` windows.
    fn keep(&mut self, limit: usize, rest: u32) {
        self.phase = Phase::Keep(rest);
        self.set(limit);
    }

    fn set(&mut self, limit: usize) {
        // Skip as many answers as there were requests in flight before the change.
        self.window = Window { skip: self.limit, ..Window::default() };
        self.limit = limit;
    }
}

impl Window {
    fn measured(&self, now: Duration) -> Measured {
        let seconds = now.saturating_sub(self.begun).as_secs_f64();
        Measured {
            speed: self.tokens as f64 / seconds,
            in_flight: self.in_flight as f64 / self.answers as f64,
        }
    }
}

impl Measured {
    /// Gain in throughput of `higher` as a share of its increase in requests in flight; `None` if the two
    /// numbers of requests are too close.
    fn share_of_increase(self, higher: Self) -> Option<f64> {
        let increase = higher.in_flight / self.in_flight;
        (increase >= APART).then(|| (higher.speed / self.speed - 1.0) / (increase - 1.0))
    }

    /// Whether the server has changed between the two measurements.
    fn is_other(self, newer: Self) -> bool {
        let ratio = newer.speed / self.speed;
        !(1.0 / (1.0 + CHANGED)..=1.0 + CHANGED).contains(&ratio)
    }

    /// Moving average of both; the newer one has weight [`NEWEST`].
    fn with(self, newer: Self) -> Self {
        let mean = |old: f64, new: f64| old + NEWEST * (new - old);
        Self {
            speed: mean(self.speed, newer.speed),
            in_flight: mean(self.in_flight, newer.in_flight),
        }
    }
}

#[cfg(test)]
mod tests;
