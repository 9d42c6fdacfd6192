//! Runs the search of one tree without a driver.

use rand::RngExt;
use regrowth_datasets::{Problem, keyed_rng};
use regrowth_mcts::search::{Subject, TreeStatus};
use regrowth_mcts::{SearchConfig, TreeRecord, TreeSearch};
use regrowth_policy::{Call, Policy, PolicyError, Request, Response};
use regrowth_verifiers::Verifier;

/// Runs one tree, answering its requests in an order determined by `shuffle`.
pub fn drive(
    policy: &dyn Policy,
    verifier: &dyn Verifier,
    problem: &Problem,
    config: &SearchConfig,
    shuffle: u64,
) -> TreeRecord {
    let subject = Subject::new(policy, verifier, problem, config).expect("a prompt");
    let mut search = TreeSearch::new(subject);
    let mut rng = keyed_rng(shuffle, &[b"order"]);
    let mut open = search.poll_requests();
    while !open.is_empty() {
        let ask = open.swap_remove(rng.random_range(0..open.len()));
        search.receive(ask.request_id, answer(policy, ask.request));
        open.extend(search.poll_requests());
    }
    assert_eq!(*search.status(), TreeStatus::Finished);
    search.record(policy.identity(), 0).expect("a finished tree")
}

/// The policy's answer to one request.
fn answer(policy: &dyn Policy, request: Request) -> Result<Response, PolicyError> {
    let (reply, answers) = crossbeam::channel::unbounded();
    policy.submit(Call::new(0, request, reply));
    answers.recv().expect("an answer").result
}
