//! Whole searches of every variant, compared exactly with stored ones.
//!
//! `REGROWTH_BLESS=1 cargo test -p regrowth-mcts --test golden` stores them again; the difference
//! then shows what a change did to the search. The policy is scripted, so nothing else can.

mod common;

use std::path::Path;

use common::{drive, problems, verifier};
use regrowth_mcts::{
    BackupWeights, CommitRule, DepthLimit, FirstPlay, PriorRule, RootNoise, SearchConfig,
    Selection, StopRule, TreeRecord, ValueConfig,
};
use regrowth_policy::Scripted;

/// An arithmetic and two multiple-choice problems on which every variant shows.
const CHOSEN: [usize; 3] = [1, 5, 8];

/// Small trees, so that a difference can be read.
fn small() -> SearchConfig {
    SearchConfig { simulations: 7, breadth: [3, 2], max_depth: 3, ..SearchConfig::default() }
}

fn valued(value: ValueConfig) -> SearchConfig {
    SearchConfig { value, ..small() }
}

fn variants() -> Vec<(&'static str, SearchConfig)> {
    let value = ValueConfig::default;
    vec![
        ("default", small()),
        ("prior_paper", SearchConfig { prior: PriorRule::LengthDivided, ..small() }),
        ("backup_visits", SearchConfig { backup_weights: BackupWeights::Visits, ..small() }),
        ("discount", SearchConfig { gamma: 0.8, ..small() }),
        ("first_root_factor", SearchConfig { first_root_factor: 4, ..small() }),
        ("commit_visits", SearchConfig { commit: CommitRule::Visits, simulations: 9, ..small() }),
        ("commit_value", SearchConfig { commit: CommitRule::Value, simulations: 9, ..small() }),
        ("commit_sampled", SearchConfig { commit: CommitRule::Sampled, ..small() }),
        ("commit_spread_value", SearchConfig { commit: CommitRule::SpreadValue, ..small() }),
        (
            "commit_tempered",
            SearchConfig {
                commit: CommitRule::Tempered { temperature: 1.0, decay: 0.75 },
                ..small()
            },
        ),
        (
            "depth_relative",
            SearchConfig { depth_limit: DepthLimit::Relative, max_depth: 2, ..small() },
        ),
        ("leaves_in_flight", SearchConfig { leaves_in_flight: 4, simulations: 8, ..small() }),
        ("uct", SearchConfig { selection: Selection::Uct, ..small() }),
        ("first_play", SearchConfig { first_play: FirstPlay::BelowParent(0.3), ..small() }),
        (
            "root_noise",
            SearchConfig { root_noise: Some(RootNoise { alpha: 0.3, weight: 0.5 }), ..small() },
        ),
        ("greedy_first", SearchConfig { greedy_first: true, ..small() }),
        ("similarity", SearchConfig { similarity: Some(0.4), ..small() }),
        ("inject_reference", SearchConfig { inject_reference: true, ..small() }),
        (
            "stop_decided",
            SearchConfig { stop: vec![StopRule::Decided], simulations: 16, ..small() },
        ),
        ("stop_tokens", SearchConfig { stop: vec![StopRule::SampledTokens(90)], ..small() }),
        ("no_oracle", valued(ValueConfig { oracle: false, ..value() })),
        ("no_self_evaluation", valued(ValueConfig { self_evaluation: false, ..value() })),
        (
            "inherit_zero",
            valued(ValueConfig { self_evaluation: false, inherit_zero: true, ..value() }),
        ),
        (
            "depth_decay",
            SearchConfig { max_depth: 7, ..valued(ValueConfig { depth_decay: true, ..value() }) },
        ),
        ("own_reasoning", valued(ValueConfig { own_reasoning_bonus: true, ..value() })),
        ("choice_guard", valued(ValueConfig { choice_guard: true, ..value() })),
        ("beam", SearchConfig { max_depth: 3, breadth: [3, 2], ..SearchConfig::beam(2) }),
        ("best_of", SearchConfig::best_of(4)),
        ("greedy", SearchConfig::greedy()),
    ]
}

/// The trees of the chosen problems, without what only repeats text.
fn trees(config: &SearchConfig) -> Vec<TreeRecord> {
    let (policy, verifier) = (Scripted::new(), verifier());
    let problems = problems(12);
    CHOSEN
        .iter()
        .map(|&index| {
            let problem = &problems[index];
            let mut tree = drive(&policy, &verifier, problem, config, 9);
            tree.prompt_ids.clear();
            for node in &mut tree.nodes {
                node.ids.clear();
                node.logps.clear();
            }
            tree
        })
        .collect()
}

#[test]
fn searches_equal_the_stored_ones() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let bless = std::env::var_os("REGROWTH_BLESS").is_some();
    let mut changed = Vec::new();
    for (name, config) in variants() {
        let path = folder.join(format!("{name}.json"));
        let now = serde_json::to_string_pretty(&trees(&config)).expect("JSON") + "\n";
        if bless {
            std::fs::write(&path, &now).expect("written");
        } else if std::fs::read_to_string(&path).unwrap_or_default() != now {
            changed.push(name);
        }
    }
    assert!(changed.is_empty(), "changed: {changed:?}; bless if that is meant");
}

#[test]
fn every_variant_does_something() {
    let same = |config: &SearchConfig| {
        trees(config) == trees(&SearchConfig { simulations: config.simulations, ..small() })
    };
    let idle: Vec<_> = variants().into_iter().filter(|(_, c)| same(c)).map(|(n, _)| n).collect();
    assert_eq!(idle, ["default"]);
}
