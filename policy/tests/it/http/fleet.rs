//! Fleets of servers that fail, hang, go down and come back: every candidate arrives exactly once, and
//! equals the candidate from a server without failures.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use regrowth_datasets::stream_key;
use regrowth_policy::http::HttpPolicy;
use regrowth_policy::{
    Boundary, Candidate, Policy, PolicyError, PromptOptions, Request, Response, ServerOptions, call,
};
use serde_json::json;

use super::dialects;
use super::mock::{Answer, Asked, Mock};
use super::{connect, options, propose, request};

fn script(prompt: &str, seed: u64) -> String {
    format!("{} and {}\nmore", seed % 1000, prompt.len())
}

/// One of six failures, by a number from 0 to 5.
fn fault(kind: u64) -> Answer {
    match kind {
        0 => Answer::Cut,
        1 => Answer::Late(Duration::from_millis(30)),
        2 => Answer::Raw("{\"choices\": [{\"tex"),
        3 => Answer::Wait(429, "0"),
        4 => Answer::Status(500, "out of memory"),
        _ => Answer::Status(503, "draining"),
    }
}

/// A slow vLLM that fails three of ten requests once `broken` is set.
fn failing(name: u64, pause: Duration, broken: &Arc<AtomicBool>) -> Mock {
    let vllm = dialects::vllm(Arc::new(script));
    let (asked, broken) = (AtomicU64::new(0), broken.clone());
    Mock::start(move |what: &Asked| {
        let count = asked.fetch_add(1, Ordering::Relaxed);
        let drawn = stream_key(name, &[&count.to_le_bytes()]);
        if what.path == "/v1/completions" {
            std::thread::sleep(pause);
        }
        match broken.load(Ordering::Relaxed) && drawn % 10 < 3 {
            true => fault(drawn / 10 % 6),
            false => vllm(what),
        }
    })
}

/// Candidates after many prefixes, requested by several threads.
fn all(policy: &HttpPolicy, meanwhile: impl FnOnce() + Send) -> Vec<Vec<Candidate>> {
    const THREADS: usize = 8;
    let prefixes: Vec<String> = (0..64).map(|i| format!("Question {i}:")).collect();
    let mut found: Vec<Vec<Candidate>> = vec![vec![]; prefixes.len()];
    std::thread::scope(|scope| {
        for (found, prefixes) in found
            .chunks_mut(prefixes.len() / THREADS)
            .zip(prefixes.chunks(prefixes.len() / THREADS))
        {
            scope.spawn(move || {
                for (found, prefix) in found.iter_mut().zip(prefixes) {
                    *found = propose(policy, prefix, Boundary::Newline);
                }
            });
        }
        scope.spawn(meanwhile);
    });
    found
}

/// Waits until a condition holds.
fn soon(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn meet(servers: &[&Mock], options: &ServerOptions) -> HttpPolicy {
    let specs: Vec<String> = servers.iter().map(|s| format!("{}/v1#tiny", s.address)).collect();
    HttpPolicy::connect(&specs.join(","), options, &PromptOptions::default()).unwrap()
}

#[test]
fn faults_lose_no_candidate_and_change_none() {
    let whole = all(&connect(&Mock::start(dialects::vllm(Arc::new(script)))), || ());
    let broken = Arc::new(AtomicBool::new(false));
    let quick = failing(1, Duration::from_millis(2), &broken);
    let slow = failing(2, Duration::from_millis(20), &broken);
    let dying = failing(3, Duration::from_millis(2), &broken);
    let policy = meet(&[&quick, &slow, &dying], &ServerOptions { attempts: 8, ..options() });
    broken.store(true, Ordering::Relaxed);
    let found = all(&policy, || {
        std::thread::sleep(Duration::from_millis(100));
        dying.stop();
    });
    assert!(found == whole, "another candidate");
    assert!([&quick, &slow, &dying].iter().all(|s| !s.asked("/v1/completions").is_empty()));
    soon("requests in flight", || policy.in_flight() == [0, 0, 0]);
}

#[test]
fn a_request_that_fails_leaves_nothing_in_flight() {
    let vllm = dialects::vllm(Arc::new(script));
    // Some candidates are refused at once, the others are slow.
    let mock = Mock::start(move |asked: &Asked| match asked.body["seed"].as_u64() {
        Some(seed) if seed.is_multiple_of(3) => Answer::Status(400, "no"),
        Some(_) => Answer::Late(Duration::from_secs(2)),
        None => vllm(asked),
    });
    let policy = connect(&mock);
    let many = regrowth_policy::Propose { keys: (0..12).collect(), ..request("Q", Boundary::End) };
    assert!(matches!(call(&policy, Request::Propose(many)), Err(PolicyError::Request(_))));
    soon("requests in flight", || policy.in_flight() == [0]);
}

#[test]
fn the_requests_in_flight_are_as_many_as_the_server_works_on() {
    let vllm = dialects::vllm(Arc::new(script));
    // The server works on one request at a time, and each takes longer the more requests wait. So half the
    // requests in flight give twice the throughput, a difference that shows on a busy machine, too.
    let (place, waiting) = (Mutex::new(()), AtomicU32::new(0));
    let mock = Mock::start(move |asked: &Asked| {
        if asked.path == "/v1/completions" {
            waiting.fetch_add(1, Ordering::Relaxed);
            let _held = place.lock().unwrap_or_else(PoisonError::into_inner);
            std::thread::sleep(Duration::from_micros(200) * waiting.load(Ordering::Relaxed));
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
        vllm(asked)
    });
    let many =
        regrowth_policy::Propose { keys: (0..2000).collect(), ..request("Q", Boundary::Newline) };
    let candidates = |most: usize| {
        let policy = meet(&[&mock], &ServerOptions { in_flight: most, ..options() });
        let begun = policy.concurrency();
        let mut fewest = begun[0];
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| call(&policy, Request::Propose(many.clone())));
            while !asked.is_finished() {
                fewest = fewest.min(policy.concurrency()[0]);
                std::thread::sleep(Duration::from_millis(5));
            }
            let Ok(Ok(Response::Candidates(found))) = asked.join() else { panic!("no candidates") };
            (begun, fewest, found.candidates)
        })
    };
    let (begun, fewest, found) = candidates(256);
    assert!(begun == [32] && fewest <= 8, "{begun:?} {fewest}");
    let (begun, _, one_by_one) = candidates(1);
    assert_eq!(begun, [1]);
    assert!(found == one_by_one, "other candidates");
}

#[test]
fn one_request_that_no_server_stands_fails_alone() {
    let vllm = dialects::vllm(Arc::new(script));
    let mock = Mock::start(move |asked: &Asked| {
        let poison = asked.body["prompt"].as_array().is_some_and(|p| p.iter().any(|id| id == b'!'));
        if poison && asked.path == "/v1/completions" {
            return Answer::Status(500, "crashed");
        }
        vllm(asked)
    });
    let policy = meet(&[&mock], &ServerOptions { attempts: 2, ..options() });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                propose(&policy, "Q", Boundary::Newline);
            }
        });
        let error = call(&policy, Request::Propose(request("Q!", Boundary::End))).unwrap_err();
        done.store(true, Ordering::Relaxed);
        assert!(!error.is_final() && error.to_string().contains("never this one"), "{error}");
    });
}

#[test]
fn a_server_that_comes_back_with_its_model_is_asked_again() {
    let other = Arc::new(AtomicBool::new(false));
    let (vllm, renamed) = (dialects::vllm(Arc::new(script)), other.clone());
    let first = Mock::start(move |asked: &Asked| match asked.path.as_str() {
        "/v1/models" if renamed.load(Ordering::Relaxed) => {
            Answer::Json(json!({ "data": [{ "id": "other", "owned_by": "vllm" }] }))
        }
        _ => vllm(asked),
    });
    let second = Mock::start(dialects::vllm(Arc::new(script)));
    let policy = meet(&[&first, &second], &options());
    let asked = || first.asked("/v1/completions").len();
    let ask_all =
        || (0..16).for_each(|i| drop(propose(&policy, &format!("Q{i}"), Boundary::Newline)));
    first.stop();
    ask_all();
    other.store(true, Ordering::Relaxed);
    first.resume();
    soon("looks at the server", || first.asked("/v1/models").len() > 2);
    ask_all();
    assert_eq!(asked(), 0, "it serves another model");
    other.store(false, Ordering::Relaxed);
    soon("work for the server", || {
        ask_all();
        asked() > 0
    });
}

#[test]
fn prompts_that_begin_alike_are_spread_by_what_is_their_own() {
    let servers = [(); 2].map(|()| Mock::start(dialects::vllm(Arc::new(script))));
    let policy = meet(&[&servers[0], &servers[1]], &options());
    let shown = "Worked examples that all problems share, far longer than what decides a server. ";
    let prefixes: Vec<String> = (0..16).map(|i| format!("{shown}Question {i}:")).collect();
    for question in ["a", "b"] {
        let mut problem = super::problem();
        problem.question = format!("{shown}{question}");
        policy.prompt(&problem).unwrap();
    }
    // The prompt form adds a word before the question.
    let framed = |prefix: &String| format!("Question: {prefix}");
    prefixes.iter().for_each(|p| drop(propose(&policy, &framed(p), Boundary::Newline)));
    let counts = [0, 1].map(|i: usize| servers[i].asked("/v1/completions").len());
    assert!(counts.iter().all(|c| *c > 0 && c % 3 == 0), "{counts:?}");
}
