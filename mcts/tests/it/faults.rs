//! Searches over servers behind proxies that fail, die or are slow: the trees and pairs equal those of a
//! search without faults, and no request is left in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use regrowth_datasets::{PreferencePair, Problem};
use regrowth_mcts::{PairConfig, Search, SearchConfig, TreeRecord, extract_pairs};
use regrowth_policy::decorate::Around;
use regrowth_policy::http::HttpPolicy;
use regrowth_policy::{
    Call, LOG_FILE, LoadOptions, Policy, PromptOptions, Recording, ServerOptions, load,
};

use crate::common::{problems, verifier};
use crate::dialects;
use crate::fault_proxy::{FaultProxy, KINDS};
use crate::mock::Mock;

/// A server that solves two of three problems, in two steps.
fn solver(problems: &[Problem]) -> Mock {
    let known: Vec<(String, String)> =
        problems.iter().map(|one| (one.question.clone(), one.answer.clone())).collect();
    let script = move |prompt: &str, seed: u64| {
        let answer = known.iter().find(|(question, _)| prompt.contains(question));
        let Some((_, answer)) = answer else { return "I do not know.\n\u{3}".to_owned() };
        match (prompt.contains("Attempt"), seed % 3) {
            (false, _) => format!("Attempt {}.\nmore", seed % 97),
            (true, 0) => format!("The answer is {}1.\n\u{3}", seed % 10),
            (true, _) => format!("The answer is {answer}.\n\u{3}"),
        }
    };
    Mock::start(dialects::vllm(Arc::new(script)))
}

fn connect(addresses: &[String]) -> HttpPolicy {
    let specs: Vec<String> = addresses.iter().map(|a| format!("{a}/v1#tiny")).collect();
    let options = ServerOptions { timeout: Duration::from_secs(20), ..ServerOptions::default() };
    HttpPolicy::connect(&specs.join(","), &options, &PromptOptions::default()).expect("servers")
}

/// Trees and pairs of a search.
fn search(policy: &dyn Policy, problems: &[Problem]) -> (Vec<TreeRecord>, Vec<PreferencePair>) {
    let config = SearchConfig { simulations: 6, ..SearchConfig::default() };
    let mut trees = Vec::new();
    let verifier = verifier();
    let summary = Search::new(policy, &verifier, &config)
        .run(problems, |tree| trees.push(tree))
        .expect("ends");
    assert!(summary.skipped.is_empty(), "{:?}", summary.skipped_examples);
    let pairs = |tree| extract_pairs(tree, &PairConfig::default()).pairs;
    let pairs = trees.iter().flat_map(pairs).collect();
    (trees, pairs)
}

/// Runs an action at the call with a given number, and counts the calls.
struct At<'a> {
    inner: &'a dyn Policy,
    asked: AtomicUsize,
    number: usize,
    act: &'a (dyn Fn() + Sync),
}

impl Around for At<'_> {
    fn inner(&self) -> &dyn Policy {
        self.inner
    }
    fn take(&self, call: Call) {
        if self.asked.fetch_add(1, Ordering::SeqCst) == self.number {
            (self.act)();
        }
        self.inner.submit(call);
    }
}

#[test]
fn a_search_behind_failing_servers_finds_the_same_pairs() {
    let problems = problems(12);
    let server = solver(&problems);
    let whole = search(&connect(std::slice::from_ref(&server.address)), &problems);
    assert!(whole.0.len() == 12 && whole.1.len() >= 12, "{} pairs", whole.1.len());

    let quick = Duration::from_millis(2);
    let proxies = [
        FaultProxy::before(&server.address, 1, quick),
        FaultProxy::before(&server.address, 2, quick),
        FaultProxy::before(&server.address, 3, 10 * quick),
    ];
    let addresses = proxies.each_ref().map(|proxy| proxy.address.clone());
    let policy = Arc::new(connect(&addresses));
    proxies.iter().for_each(FaultProxy::fail);
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join(LOG_FILE);
    let recording = Recording::open(policy.clone(), &log).expect("a log");
    // The second proxy dies permanently during the search.
    let act = || proxies[1].die();
    let watched = At { inner: &recording, asked: AtomicUsize::new(0), number: 60, act: &act };
    let found = search(&watched, &problems);
    assert!(found == whole, "faults changed the result");
    assert!(watched.asked.load(Ordering::SeqCst) > 120, "it died too late to matter");

    let begun = Instant::now();
    while policy.in_flight() != [0, 0, 0] {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", policy.in_flight());
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut made = [0; KINDS];
    for proxy in &proxies {
        let (asked, by_kind) = proxy.counts();
        assert!(asked > 20, "a proxy was left out");
        made.iter_mut().zip(by_kind).for_each(|(sum, more)| *sum += more);
    }
    assert!(made.iter().all(|count| *count > 0), "a fault never came: {made:?}");

    // Every answer was recorded exactly once: the log alone reproduces the search.
    let rows = std::fs::read_to_string(&log).expect("a log");
    let answers: Vec<&str> = rows.lines().filter(|row| row.starts_with("{\"answer\"")).collect();
    let distinct: std::collections::BTreeSet<_> = answers.iter().collect();
    assert!(!answers.is_empty() && distinct.len() == answers.len());
    let spec = format!("replay:{}", log.display());
    let replay = load(&spec, &LoadOptions::default()).expect("a replay");
    assert!(search(&*replay, &problems) == whole, "the replay differs");
}
