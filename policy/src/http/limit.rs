//! The number of requests in flight that a server is best given, found by watching what it gets done.
//!
//! The limit is doubled as long as that raises the work done per second by a share of the increase that is
//! worth it, and halved as long as that loses less than such a share (hill climbing on throughput). Latency
//! alone would stop too early, as TCP Vegas and the gradient of Netflix' concurrency-limits do here: a server
//! with continuous batching answers each request later and all of them faster. Work is counted in tokens, because
//! a request for a step takes as long as its tokens, and a question to a judge has one.
//!
//! Time is an argument, so that tests need no clock.

use std::time::Duration;

/// The limit at the start at most: servers with fewer places are found from above, larger ones from below.
const START: usize = 32;

/// What an answer counts beside its tokens: its prompt takes about as long as so many (taste).
const PROMPT_TOKENS: u64 = 4;

/// Rounds of answers that a window is measured for, and the least number of answers: the requests that are
/// cut by its ends are then a few percent of it.
const ROUNDS: usize = 4;
const LEAST_ANSWERS: usize = 64;

/// The share of an increase of the requests in flight that must come back as work done for the higher limit to
/// be taken (a doubling must bring a tenth), and the share below which the lower one is.
const WORTH_RAISING: f64 = 0.1;
const WORTH_KEEPING: f64 = 0.08;
/// The share below which what was gained may be luck: the lower limit is tried again before the next one.
const SURE: f64 = 0.5;

/// The share of the limit that must be in flight for a window to tell anything about it.
const SATURATED: f64 = 0.8;
/// How many times as many requests must be in flight for two windows to be compared.
const APART: f64 = 1.2;

/// Windows between two trials in vain, once both sides were tried: the fewest, and the most after doubling.
const FIRST_REST: u32 = 16;
const LONGEST_REST: u32 = 64;

/// A change of the work done by this share, at an unchanged limit, means that the server has changed.
const CHANGED: f64 = 0.25;

/// Weight of the newest window in the work done at the limit.
const NEWEST: f64 = 0.3;

/// Refusals within this time are one overload: the requests in flight at the time all fail.
const ONE_OVERLOAD: Duration = Duration::from_secs(1);

/// The limit of one server.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    limit: usize,
    most: usize,
    phase: Phase,
    window: Window,
    /// What was done at the limit that is kept, while no other one is tried.
    kept: Option<Measured>,
    /// Whether a higher limit is tried next, else a lower one.
    raise: bool,
    /// Windows until another trial after the next one in vain; none while neither side was tried.
    rest: u32,
    /// When the limit was last halved.
    halved: Option<Duration>,
}

/// What is being found out.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// The limit is kept; after so many windows another one is tried.
    Keep(u32),
    /// The limit is tried instead of this one.
    Try { instead_of: usize },
    /// The server refused work for want of room: one more for each round of answers, up to the limit at
    /// which it did.
    Recover { refused: usize, answers: usize },
}

/// Answers at one limit.
#[derive(Debug, Default)]
struct Window {
    /// Answers that are left out: those to requests from before the limit changed.
    skip: usize,
    begun: Duration,
    answers: usize,
    tokens: u64,
    /// Requests in flight, summed over the answers.
    in_flight: u64,
}

/// What a window showed.
#[derive(Debug, Clone, Copy)]
struct Measured {
    /// Tokens per second.
    speed: f64,
    /// Requests in flight, on average.
    in_flight: f64,
}

impl ConcurrencyLimit {
    /// A limit of at most `most`, at least 1.
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        let mut limit = most;
        while limit > START {
            // Doubled again it ends at `most`.
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

    /// The limit at present.
    pub(super) fn get(&self) -> usize {
        self.limit
    }

    /// The limit that may be tried after this one, or this one at the bound.
    pub(super) fn next_higher(&self) -> usize {
        (2 * self.limit).min(self.most)
    }

    /// Takes note of tokens that the server generated.
    pub(super) fn generated(&mut self, tokens: usize) {
        self.window.tokens += tokens as u64;
    }

    /// Takes note of an answer at the time `now`, when `in_flight` requests, this one among them, were on their
    /// way or waited for a slot.
    pub(super) fn answered(&mut self, now: Duration, in_flight: usize) {
        if let Phase::Recover { refused, answers } = &mut self.phase {
            *answers += 1;
            if *answers >= self.limit {
                (*answers, self.limit) = (0, self.limit + 1);
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
        // Whole rounds: servers that answer all requests at once are measured without a remainder.
        let rounds = ROUNDS.max(LEAST_ANSWERS.div_ceil(self.limit));
        if window.answers < rounds * self.limit || now <= window.begun {
            return;
        }
        let measured = window.measured(now);
        self.window = Window { begun: now, ..Window::default() };
        self.judge(measured);
    }

    /// Takes note that the server had no room, at the time `now`.
    pub(super) fn overloaded(&mut self, now: Duration) {
        if self.halved.is_some_and(|last| now.saturating_sub(last) < ONE_OVERLOAD) {
            return;
        }
        self.halved = Some(now);
        self.phase = Phase::Recover { refused: self.limit, answers: 0 };
        self.limit = (self.limit / 2).max(1);
    }

    /// Decides what follows from a window.
    fn judge(&mut self, measured: Measured) {
        let saturated = measured.in_flight >= SATURATED * self.limit as f64;
        match (self.phase, self.kept) {
            // Whoever asks has not enough to ask: nothing is seen of the limit, and what was is getting old.
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

    /// Takes note of what is done at the limit that is kept, and tries another one after `rest` windows or when the
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

    /// Takes the limit that was tried, or the one `instead_of` which it was, by the `share` of the increase that
    /// comes back as work done.
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
        // The other side is known: it was left for this one.
        self.rest = FIRST_REST;
        self.try_another();
    }

    /// Tries the limit that is next, on the side where there is one.
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
        // All that was asked before has then been answered.
        let skip = self.limit.max(limit);
        self.window = Window { skip, ..Window::default() };
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
    /// The speed that `higher` has more, as a share of the requests that it has more in flight; `None` where these
    /// are too close.
    fn share_of_increase(self, higher: Self) -> Option<f64> {
        let increase = higher.in_flight / self.in_flight;
        (increase >= APART).then(|| (higher.speed / self.speed - 1.0) / (increase - 1.0))
    }

    /// Whether the server has changed between the two.
    fn is_other(self, newer: Self) -> bool {
        let ratio = newer.speed / self.speed;
        !(1.0 / (1.0 + CHANGED)..=1.0 + CHANGED).contains(&ratio)
    }

    /// The two together, the newer one with its weight.
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
