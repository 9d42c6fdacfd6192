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
const WORTH_KEEPING: f64 = 0.05;

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
            (Phase::Keep(rest), kept) => {
                let changed = kept.is_some_and(|kept| kept.is_other(measured));
                self.kept = Some(kept.filter(|_| !changed).map_or(measured, |k| k.with(measured)));
                if changed {
                    self.rest = 0;
                }
                match rest {
                    1.. if !changed => self.phase = Phase::Keep(rest - 1),
                    _ => self.try_another(),
                }
            }
            (Phase::Try { instead_of }, Some(kept)) => {
                let raised = self.limit > instead_of;
                let (low, high) = if raised { (kept, measured) } else { (measured, kept) };
                let share = low.share_of_increase(high);
                let better = match share {
                    Some(share) if raised => share >= WORTH_RAISING,
                    Some(share) => saturated && share <= WORTH_KEEPING,
                    None => false,
                };
                if better {
                    self.kept = Some(measured);
                    // The other side is known: it was left for this one.
                    self.rest = FIRST_REST;
                    return self.try_another();
                }
                self.raise = !raised;
                self.keep(instead_of, self.rest);
                self.rest = (2 * self.rest).clamp(FIRST_REST, LONGEST_REST);
            }
            _ => self.keep(self.limit, 0),
        }
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
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use regrowth_datasets::stream_key;

    use super::*;

    /// A server with continuous batching: all requests on its places advance together, the others wait.
    struct Simulated {
        places: usize,
        /// Seconds of a step, for a number of requests on places.
        step: fn(usize) -> f64,
        /// Whether a request in ten is a judge's question of one token.
        mixed: bool,
        /// By how much the time of a request differs beyond its tokens, as a share.
        jitter: f64,
    }

    impl Simulated {
        fn with(places: usize, step: fn(usize) -> f64) -> Self {
            Self { places, step, mixed: true, jitter: 0.0 }
        }
    }

    /// What happened while requests were answered.
    struct Seen {
        limits: Vec<usize>,
        tokens_per_second: f64,
    }

    impl Seen {
        /// The limit for most of the second half.
        fn found(&self) -> usize {
            let mut half = self.limits[self.limits.len() / 2..].to_vec();
            half.sort_unstable();
            half[half.len() / 2]
        }
    }

    /// A client that always has something to ask.
    struct Client {
        limit: ConcurrencyLimit,
        /// A limit that is kept, to compare with.
        fixed: Option<usize>,
        now: f64,
        asked: u64,
    }

    impl Client {
        fn new(most: usize) -> Self {
            Self { limit: ConcurrencyLimit::new(most), fixed: None, now: 0.0, asked: 0 }
        }

        fn ask(&mut self, server: &Simulated, answers: usize) -> Seen {
            let (begun, mut steps, mut tokens) = (self.now, 0.0, 0);
            let mut limits = vec![];
            // Requests on places, by the step at which they end, in thousandths.
            let mut active: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
            for _ in 0..answers {
                let limit = self.fixed.unwrap_or(self.limit.get());
                while active.len() < limit.min(server.places) {
                    let (length, time) = self.draw(server);
                    active.push(Reverse(((1e3 * (steps + time)) as u64, length)));
                }
                let Reverse((end, length)) = active.pop().unwrap();
                let end = end as f64 / 1e3;
                self.now += (end - steps).max(0.0) * (server.step)(active.len() + 1);
                steps = end.max(steps);
                let in_flight = self.limit.get();
                self.limit.answered(Duration::from_secs_f64(self.now), in_flight);
                self.limit.generated(length);
                limits.push(self.limit.get());
                tokens += length;
            }
            Seen { limits, tokens_per_second: tokens as f64 / (self.now - begun) }
        }

        /// Tokens of the next request, and the steps that it takes.
        fn draw(&mut self, server: &Simulated) -> (usize, f64) {
            self.asked += 1;
            let drawn = stream_key(self.asked, &[b"length"]);
            let length = match server.mixed && drawn.is_multiple_of(10) {
                true => 1,
                false => 4 + (drawn / 10 % 60) as usize,
            };
            let uniform = (drawn >> 11) as f64 / (1u64 << 53) as f64;
            let straggles = if drawn % 50 == 7 { 1.0 + 4.0 * server.jitter } else { 1.0 };
            let slower = straggles * (1.0 + server.jitter * (2.0 * uniform - 1.0));
            (length, slower * (3.0 + length as f64))
        }
    }

    fn flat(_: usize) -> f64 {
        0.02
    }

    /// Half of the greatest throughput at 40 requests.
    fn smooth(active: usize) -> f64 {
        0.02 + 0.0005 * active as f64
    }

    #[test]
    fn a_server_with_few_places_is_found_from_above() {
        for places in [1, 4, 8, 16] {
            let seen = Client::new(256).ask(&Simulated::with(places, flat), 20_000);
            assert_eq!(seen.found(), places);
        }
    }

    #[test]
    fn a_large_server_is_found_from_below() {
        for (places, found) in [(32, 32), (64, 64), (100, 128), (128, 128), (1000, 256)] {
            let seen = Client::new(256).ask(&Simulated::with(places, flat), 40_000);
            assert_eq!(seen.found(), found, "{places}");
        }
    }

    #[test]
    fn latency_that_grows_while_throughput_does_stops_nothing() {
        // 90 % of the greatest throughput, at eight times the latency of a server without load.
        let seen = Client::new(1024).ask(&Simulated::with(1000, smooth), 80_000);
        assert!([256, 512].contains(&seen.found()), "{}", seen.found());
    }

    #[test]
    fn a_limit_at_which_throughput_falls_is_left() {
        // As where the cache of keys and values is too small for more than 96.
        let thrashing =
            |active: usize| if active > 96 { 0.02 * active as f64 / 48.0 } else { 0.02 };
        let seen = Client::new(256).ask(&Simulated::with(1000, thrashing), 40_000);
        assert_eq!(seen.found(), 64);
    }

    #[test]
    fn jitter_and_stragglers_change_little() {
        for (places, found) in [(8, 8), (64, 64), (128, 128)] {
            for jitter in [0.2, 0.5] {
                let server = Simulated { jitter, ..Simulated::with(places, flat) };
                let seen = Client::new(256).ask(&server, 40_000);
                assert!(
                    (found..=2 * found).contains(&seen.found()),
                    "{places} {jitter}: {}",
                    seen.found()
                );
            }
        }
    }

    #[test]
    fn trials_cost_little() {
        for places in [8, 32, 128] {
            let server = Simulated { jitter: 0.3, ..Simulated::with(places, flat) };
            let mut client = Client::new(256);
            client.ask(&server, 10_000);
            let speed = client.ask(&server, 100_000).tokens_per_second;
            client.fixed = Some(places);
            let share = speed / client.ask(&server, 100_000).tokens_per_second;
            assert!(share > 0.97, "{places}: {share}");
        }
    }

    #[test]
    fn a_server_that_changes_is_followed() {
        let mut client = Client::new(256);
        for (places, answers) in [(128, 30_000), (16, 30_000), (128, 30_000)] {
            assert_eq!(client.ask(&Simulated::with(places, flat), answers).found(), places);
        }
        // Slower all the same: as many are in flight.
        let slower = Simulated::with(128, |active| 3.0 * flat(active));
        assert_eq!(client.ask(&slower, 60_000).found(), 128);
    }

    #[test]
    fn the_bound_is_kept() {
        for most in [1, 3, 40, 64] {
            let seen = Client::new(most).ask(&Simulated::with(1000, flat), 10_000);
            assert_eq!((seen.found(), seen.limits.iter().max()), (most, Some(&most)));
        }
    }

    #[test]
    fn who_asks_little_learns_nothing() {
        let mut limit = ConcurrencyLimit::new(256);
        for answer in 1..5_000 {
            limit.answered(Duration::from_millis(10 * answer), 20);
            limit.generated(30);
        }
        assert_eq!(limit.get(), START);
    }

    #[test]
    fn a_refusal_halves_it_once_a_second_and_answers_raise_it_again() {
        let mut limit = ConcurrencyLimit::new(8);
        limit.overloaded(Duration::from_millis(100));
        limit.overloaded(Duration::from_millis(900));
        assert_eq!(limit.get(), 4, "once a second");
        (0..4).for_each(|_| limit.answered(Duration::from_secs(1), 4));
        assert_eq!(limit.get(), 5);
        limit.overloaded(Duration::from_millis(1200));
        assert_eq!(limit.get(), 2);
        (0..100).for_each(|_| limit.answered(Duration::from_secs(2), 1));
        assert_eq!(limit.get(), 5, "no further than to where it was refused");
    }
}
