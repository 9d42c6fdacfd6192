//! Whole searches of every variant. Variants of the serial tree search are compared with the reference of
//! `reference.rs`, all others with stored trees.
//!
//! `REGROWTH_BLESS=1 cargo test -p regrowth-mcts --test it golden::` stores the trees again; their diff then
//! shows how a change affects the search. The policy is scripted, so nothing else affects them.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use regrowth_datasets::Problem;
use regrowth_mcts::record::NodeRecord;
use regrowth_mcts::{SearchConfig, TreeRecord};

use crate::common::{drive, problems, verifier};
use crate::reference;
use crate::variants::{policy, trees, variants};

/// Variants that the reference does not implement: other strategies, simulations in flight, random draws,
/// early stops, injected steps, and judges that make no requests.
const STORED: [&str; 16] = [
    "arithmetic",
    "backup_returns",
    "beam",
    "best_of",
    "commit_sampled",
    "commit_tempered",
    "greedy",
    "inject_reference",
    "judge_answers",
    "judge_likelihood",
    "leaves_in_flight",
    "root_noise",
    "stop_decided",
    "stop_nodes",
    "stop_simulations",
    "stop_tokens",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A tree in its stored form: a line about the tree and one for each node. Token ids and log-probabilities of
/// the scripted policy follow from the text, and affect the prior.
fn lines(tree: &TreeRecord) -> String {
    let TreeRecord { committed, commits, simulations, sampled_tokens, duplicates, .. } = tree;
    let calls = [tree.propose_calls, tree.judge_calls, tree.score_calls];
    let mut text = format!(
        "{} by {}: committed {committed:?} correct {} oracle {} hinted {} timed {} simulations \
         {simulations} calls {calls:?} tokens {sampled_tokens} duplicates {duplicates}\n",
        tree.problem.id, tree.policy, tree.correct, tree.oracle, tree.hinted, tree.timed
    );
    for commit in commits {
        writeln!(text, "commit Q {:?} N {:?}", commit.q, commit.visits).expect("a string");
    }
    for (id, node) in tree.nodes.iter().enumerate() {
        writeln!(text, "{}", line(id, node)).expect("a string");
    }
    text
}

/// Id, parent, visits, Q, V, reward, prior, self-evaluation, outcome, the reason why the step ended, and its
/// text.
fn line(id: usize, node: &NodeRecord) -> String {
    let NodeRecord { visits, q, v, reward, prior, outcome, text, .. } = node;
    let Some(parent) = node.parent else { return format!("{id}: N {visits} Q {q} V {v}") };
    let c = node.self_evaluation.map_or("-".to_owned(), |c| c.to_string());
    let finish = node.finish.map_or(String::new(), |finish| format!("{finish:?}"));
    let flags = [
        (node.terminal, " terminal"),
        (node.injected, " injected"),
        (!node.logps_exact, " inexact"),
    ];
    let flags: String = flags.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
    format!(
        "{id} < {parent}: N {visits} Q {q} V {v} r {reward} p {prior} C {c} O {outcome} \
         {finish}{flags} {text:?}"
    )
}

#[test]
fn searches_equal_the_stored_ones() {
    let bless = std::env::var_os("REGROWTH_BLESS").is_some();
    let mut changed = Vec::new();
    for (name, config) in variants().into_iter().filter(|(name, _)| STORED.contains(name)) {
        let path = folder().join(format!("{name}.txt"));
        let now: String = trees(&*policy(name, &config), &config).iter().map(lines).collect();
        if bless {
            std::fs::write(&path, &now).expect("written");
        } else if std::fs::read_to_string(&path).unwrap_or_default() != now {
            changed.push(name);
        }
    }
    assert!(changed.is_empty(), "changed: {changed:?}; bless if that is meant");
}

#[test]
fn every_stored_tree_is_of_a_variant() {
    let files = std::fs::read_dir(folder()).expect("the folder");
    let mut found: Vec<_> = files.map(|f| f.expect("a file").file_name()).collect();
    found.sort();
    assert_eq!(found, STORED.map(|name| OsString::from(format!("{name}.txt"))));
    let all = variants();
    assert!(STORED.iter().all(|stored| all.iter().any(|(name, _)| name == stored)));
}

/// Checks that two trees are equal, except for rounding errors of sums.
fn assert_same(name: &str, found: TreeRecord, mut expected: TreeRecord) {
    let settle = |expected: &mut f64, found: f64| {
        if (*expected - found).abs() <= 1e-9 {
            *expected = found;
        }
    };
    for (node, like) in expected.nodes.iter_mut().zip(&found.nodes) {
        settle(&mut node.q, like.q);
        settle(&mut node.v, like.v);
        settle(&mut node.reward, like.reward);
        settle(&mut node.prior, like.prior);
    }
    for (commit, like) in expected.commits.iter_mut().zip(&found.commits) {
        commit.q.iter_mut().zip(&like.q).for_each(|(q, &like)| settle(q, like));
    }
    assert!(found == expected, "{name}\nfound {}\nexpected {}", lines(&found), lines(&expected));
}

#[test]
fn searches_equal_those_of_the_reference() {
    let problems: Vec<Problem> = problems(12);
    let covered = variants().into_iter().filter(|(name, _)| !STORED.contains(name));
    for (name, config) in covered {
        let policy = policy(name, &config);
        for (problem, seed) in problems.iter().zip([0, 1, 2].into_iter().cycle()) {
            let config = SearchConfig { seed, ..config.clone() };
            let found = drive(&*policy, &verifier(), problem, &config, seed);
            let expected = reference::grow(&*policy, &verifier(), problem, &config);
            assert_same(name, found, expected);
        }
    }
}
