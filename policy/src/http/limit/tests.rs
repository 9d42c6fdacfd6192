//! Tests of the limit with simulated servers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use regrowth_datasets::stream_key;

use super::*;

/// A server with continuous batching: all requests on its places advance together, the others wait.
struct Simulated {
    places: usize,
    /// Seconds of an engine step with this number of active requests.
    step: fn(usize) -> f64,
    /// Whether a request in ten is a judge's question of one token.
    mixed: bool,
    /// Random variation of a request's time that does not come from its tokens, as a share.
    jitter: f64,
}

impl Simulated {
    fn with(places: usize, step: fn(usize) -> f64) -> Self {
        Self { places, step, mixed: true, jitter: 0.0 }
    }
}

/// Results of a simulation.
struct Seen {
    limits: Vec<usize>,
    tokens_per_second: f64,
}

impl Seen {
    /// Median limit of the second half.
    fn found(&self) -> usize {
        let mut half = self.limits[self.limits.len() / 2..].to_vec();
        half.sort_unstable();
        half[half.len() / 2]
    }
}

/// A client that always has further requests to send.
struct Client {
    limit: ConcurrencyLimit,
    /// A fixed limit for comparison; `None` if requests follow `limit`.
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
        // Active requests, by the step at which they end, in thousandths of a step.
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

/// Throughput is half of its maximum at 40 active requests.
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
    // As if the KV cache were too small for more than 96 requests.
    let thrashing = |active: usize| if active > 96 { 0.02 * active as f64 / 48.0 } else { 0.02 };
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
fn a_machine_that_others_use_too_does_not_drive_it_up() {
    for places in [16, 64] {
        let (mut client, mut limits) = (Client::new(256), vec![]);
        for turn in 0..100 {
            let step = if turn % 2 == 0 { flat } else { |active| 1.2 * flat(active) };
            limits.extend(client.ask(&Simulated::with(places, step), 700).limits);
        }
        let seen = Seen { limits, tokens_per_second: 0.0 };
        assert!((places..=2 * places).contains(&seen.found()), "{places}: {}", seen.found());
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
    // The first phase is so long that trials have become rare.
    for (places, answers) in [(128, 200_000), (16, 16_000), (128, 30_000)] {
        let seen = client.ask(&Simulated::with(places, flat), answers);
        assert_eq!(seen.found(), places, "after {answers} answers");
    }
    // If the server only becomes slower, the best limit stays the same.
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
fn a_refusal_never_raises_the_limit() {
    for most in [1, 2, 3] {
        let mut limit = ConcurrencyLimit::new(most);
        limit.overloaded(Duration::from_secs(2));
        for answer in 0..500 {
            limit.answered(Duration::from_millis(3_000 + answer), most);
            assert!(limit.get() <= most, "{} of {most}", limit.get());
        }
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
